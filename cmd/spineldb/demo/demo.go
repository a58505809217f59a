// Package demo is `spineldb demo`: a failover on this machine, for people to
// watch.
//
// It is one process that plays three parts: it starts the cast (child.go,
// node.go), does what a story needs (act.go) while a client writes (writer.go),
// and shows what the Wardens say of it. What they say arrives in watch.go, is
// worded in story.go and kept in model.go; view.go makes rows of text of it and
// screen.go puts them on a terminal, or plain.go prints lines.
//
// The Wardens and the embedded nodes of the cast are this very program again,
// started as `spineldb --warden FILE` and `spineldb demo node ...`.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// options are the flags of `spineldb demo`.
type options struct {
	engine     string
	downAfter  time.Duration
	keep       bool
	plain      bool
	switchover bool
}

const help = `usage: spineldb demo [flags]

Start three Wardens, a primary and two replicas on this machine, write through
an ordinary Sentinel client, kill the primary and watch what happens. Nothing
listens beyond loopback, nothing is left behind. The last line on the standard
output says how many writes were acknowledged and how many of them were lost.

The client writes one key, waits for the answer, then waits 2ms; the kill comes
at the end of such a wait. Replication is asynchronous: a write acknowledged in
the last instant before a crash can be lost. If one is, the last line says so.

flags:
  --engine NAME       embedded (default; needs nothing), redis or valkey (a real
                      server, from PATH), postgres (real servers in streaming
                      replication, from PATH or where Debian keeps them)
  --down-after TIME   how long the primary may be silent (default 1s)
  --switchover        then change the primary once more, as planned work
  --keep              leave everything running for you to play with, until Ctrl-C
  --plain             print plain lines even on a terminal

exit codes: 0 done and nothing lost, 1 no failover or something lost, 2 usage
`

// Bounds of --down-after. Warden accepts no less; with more than a minute
// nobody waits for the end.
const (
	shortest = time.Duration(config.MinDownAfter)
	longest  = time.Minute
)

// Main is `spineldb demo` with the arguments after that word. It returns when
// everything it started has ended. The error carries the exit code; where it
// has no words, they were told already.
func Main(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == nodeWord {
		return runNode(ctx, args[1:])
	}
	o, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(os.Stdout, help)
		return err
	}
	if err != nil {
		return err
	}
	// A closed terminal or a closed pipe must not leave the temporary directory.
	// The signal says nothing, since a connection to somebody who was killed
	// raises it too: a pipe that is closed is seen when it is written to.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	defer signal.Stop(pipes)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup asks for
		hangUp, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		ctx = hangUp
	}
	return perform(ctx, o, os.Stdout)
}

func parseFlags(args []string) (options, error) {
	var o options
	downAfter := "1s"
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.engine, "engine", "embedded", "")
	f.StringVar(&downAfter, "down-after", downAfter, "")
	f.BoolVar(&o.keep, "keep", false, "")
	f.BoolVar(&o.plain, "plain", false, "")
	f.BoolVar(&o.switchover, "switchover", false, "")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, err
	} else if err != nil {
		return o, exit.WrongUsage("%v: see spineldb demo --help", err)
	}
	if f.NArg() > 0 {
		return o, exit.WrongUsage("demo takes flags only, but %q was given: see spineldb demo --help", wording.Shown(f.Arg(0)))
	}
	if _, ok := engines()[o.engine]; !ok {
		return o, exit.WrongUsage("--engine is %q: choose embedded, redis, valkey or postgres", wording.Shown(o.engine))
	}
	span, err := duration.Parse(downAfter)
	if err != nil {
		return o, exit.WrongUsage("--down-after: %v", err)
	}
	o.downAfter = time.Duration(span)
	if o.downAfter < shortest || o.downAfter > longest {
		return o, exit.WrongUsage("--down-after is %s: write a time from %s to %s", span, warden.Duration(shortest), warden.Duration(longest))
	}
	return o, nil
}

// outlet is where the story is told; when it is closed, nobody listens any more.
type outlet struct {
	io.Writer
	closed func()
}

func (o outlet) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		o.closed()
	}
	return n, err
}

// perform shows the story on out, and ends what it started.
func perform(ctx context.Context, o options, out *os.File) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	_, _, onScreen := terminal.Size(out)
	live := onScreen && !o.plain && os.Getenv("TERM") != "dumb"
	model := newModel(o.engine, o.downAfter, time.Now())
	show := &printer{out: outlet{out, stop}, brush: terminal.Brush(terminal.WantsColour(out) && onScreen)}
	cast, err := newCast(ctx, o.engine)
	if err != nil {
		return err
	}
	p := &play{options: o, model: model, cast: cast, live: live, show: show}
	showing, hide := context.WithCancel(context.WithoutCancel(ctx))
	var shown sync.WaitGroup
	if live {
		shown.Go(func() { showScreen(showing, out, model, show.brush) })
	} else {
		model.tell = show.moment
		shown.Go(func() { show.tell(showing) })
	}
	err = p.run(ctx)
	closing := cast.end()
	hide()
	shown.Wait()
	if live {
		show.frame(model.picture(), out)
	}
	return p.close(ctx, err, closing)
}

// close says how it ended: err is what stopped the play, closing what could
// not be ended. The result comes last, after everything has ended.
func (p *play) close(ctx context.Context, err, closing error) error {
	if err != nil && ctx.Err() != nil {
		err = exit.With(exit.Refused, "demo: interrupted; everything was stopped")
	} else if err != nil {
		_, _ = io.WriteString(os.Stderr, p.cast.lastWords)
		err = fmt.Errorf("demo: %w", err)
	}
	if p.counted {
		p.show.result(p.model.picture(), p.tally, p.planned)
		if err == nil && p.tally.lost > 0 {
			err = exit.Silently(exit.Refused)
		}
	}
	if err == nil && closing != nil {
		err = fmt.Errorf("demo: %w", closing)
	}
	return err
}
