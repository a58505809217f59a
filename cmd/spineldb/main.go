// Command spineldb runs a Warden and talks to running ones.
//
//	spineldb --warden warden.toml      run a Warden
//	spineldb --sentinel sentinel.conf  run one in the place of Redis Sentinel
//	spineldb status                    ask the Wardens what they see and think
//	spineldb failover mymaster         tell them to do something
//
// The first form reads warden.toml (package config) and wires the edges to the
// shell (daemon.go). The second does the same with a sentinel.conf (package
// sentinelconf, dropin.go), also when the binary is called redis-sentinel or
// valkey-sentinel. All other forms are clients of a Warden's RESP port, like
// any other (package remote): they hold no state, decide nothing and work from
// any machine. They ask one Warden and learn of the rest from it. Package demo
// plays a failover on this machine.
//
// The exit code says how it ended: 0 done, 1 refused or not agreed, 2 wrong
// usage, 3 no Warden reachable, 4 result unknown.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/cmd/spineldb/demo"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
)

func main() {
	// What go-redis wants to say about connections we say ourselves, with the
	// server's name and the remedy.
	redis.SetLogger(quietLogger{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{
		out: os.Stdout, errs: os.Stderr, colour: terminal.WantsColour(os.Stdout),
		daemon: daemonMain, dropin: dropinMain, demo: demo.Main,
	}
	code := p.run(ctx, os.Args)
	stop()
	os.Exit(code)
}

type quietLogger struct{}

func (quietLogger) Printf(context.Context, string, ...any) {}
