// Command simnodes is hundreds of database nodes in one process: ports that
// answer monitors as redis-server 7 does, without any data behind them.
// Benchmarks use it where real servers would take all the memory and processor
// time, and what is measured is the monitor.
//
//	simnodes -ports 7001-7200 -control 7000
//
// Neighbouring ports are a group: the first is the primary, the others (one,
// unless -replicas says more) follow it. A client of the control port, which
// speaks RESP as well, says STOP PORT... (as kill -9 would) and START PORT...
// Everything listens on 127.0.0.1.
//
// What is simulated is what monitors look at: INFO, ROLE, PING, the hello
// channels, names and lists of clients, transactions around REPLICAOF, and the
// position of writes, which replicas have at once while they follow a living
// primary. Writes are counted and not kept.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simnodes:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It prints "ready" when everything listens.
func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("simnodes", flag.ContinueOnError)
	ports := f.String("ports", "", "the ports of the nodes: FIRST-LAST")
	replicas := f.Int("replicas", 1, "replicas of each primary")
	control := f.Int("control", 0, "the port for STOP and START")
	if err := f.Parse(args); err != nil {
		return err
	}
	first, last, err := parsePorts(*ports)
	if err != nil {
		return err
	}
	if *replicas < 0 || (last-first+1)%(*replicas+1) != 0 {
		return fmt.Errorf("%d ports are no whole number of groups of %d", last-first+1, *replicas+1)
	}
	c := newCloud(first, last, *replicas)
	defer c.close()
	if err := c.startAll(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(*control)))
	if err != nil {
		return fmt.Errorf("listen for control: %w", err)
	}
	defer func() { _ = l.Close() }()
	go c.control(l)
	_, _ = fmt.Fprintln(out, "ready")
	<-ctx.Done()
	return nil
}

// parsePorts reads FIRST-LAST.
func parsePorts(text string) (first, last int, err error) {
	a, b, ok := strings.Cut(text, "-")
	if ok {
		first, err = strconv.Atoi(a)
		if err == nil {
			last, err = strconv.Atoi(b)
		}
	}
	if !ok || err != nil || first < 1 || last < first || last > 65535 {
		return 0, 0, fmt.Errorf("-ports %q: give FIRST-LAST", text)
	}
	return first, last, nil
}
