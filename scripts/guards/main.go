// Command guards takes the guards out of the core, one at a time, and sees
// whether the tests notice.
//
// A guard is a condition that keeps a promise. Its line ends with a comment that
// names the promise: "guard: S3". What it means to take a guard out is read from
// the syntax alone:
//
//   - an if whose body ends by leaving (return, continue, break), or a case of a
//     switch without a tag: its condition is never true;
//   - any other if: its condition is always true;
//   - a statement with a chain of && or ||, such as a return: each part of the
//     chain is left out for itself, but for comparisons with nil;
//   - a comparison that is returned: it is always true;
//   - any other statement is not executed.
//
// The core is compiled once, with every guard behind a number that a variable of
// the environment switches off, so that taking one out costs a run and no build.
// Nothing is written outside a temporary directory.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// core are the packages that decide; the simulator plays them all.
var core = []string{"monitor", "election", "warden/failover", "warden/group"}

const simulator = "warden/sim"

// errSurvived says that the tests do not notice that a guard is gone.
var errSurvived = errors.New("a guard can be taken out unnoticed")

func main() {
	var o options
	flag.IntVar(&o.seeds, "seeds", 300, "seeds of the simulator for a guard that no conversation misses")
	flag.IntVar(&o.parallel, "parallel", min(2, runtime.NumCPU()), "guards taken out at the same time")
	flag.StringVar(&o.only, "only", "", "take out only the guards whose place (file:line) contains this")
	flag.BoolVar(&o.list, "list", false, "list the guards, run nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "guards:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	seeds, parallel int
	only            string
	list            bool
}

// run takes the guards out and prints what became of each.
func run(ctx context.Context, o options) error {
	tmp, err := os.MkdirTemp("", "warden-guards-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer os.RemoveAll(tmp)
	all, files, err := instrument(core)
	if err != nil {
		return err
	}
	var cuts []cut
	for _, c := range all {
		if strings.Contains(c.place(), o.only) {
			cuts = append(cuts, c)
		}
	}
	if len(cuts) == 0 {
		return fmt.Errorf("find guards: no line of %s is marked", strings.Join(core, ", "))
	}
	if o.list {
		for _, c := range cuts {
			fmt.Println(c)
		}
		return nil
	}
	b, err := build(ctx, tmp, files, o.seeds)
	if err != nil {
		return err
	}
	if by, err := b.missed(ctx, cut{}); by != "" {
		return fmt.Errorf("run the tests with every guard in place: %s fails: %w", by, err)
	}
	return takeOut(ctx, b, cuts, o.parallel)
}

// takeOut takes out one guard after the other and says what the tests make of it.
func takeOut(ctx context.Context, b *bench, cuts []cut, parallel int) error {
	type outcome struct {
		by  string
		err error
	}
	done := make([]chan outcome, len(cuts))
	for i := range done {
		done[i] = make(chan outcome, 1)
	}
	room := make(chan struct{}, max(parallel, 1))
	go func() {
		for i, c := range cuts {
			room <- struct{}{}
			go func() {
				by, err := b.missed(ctx, c)
				done[i] <- outcome{by, err}
				<-room
			}()
		}
	}()
	var survivors []cut
	byWhom := map[string]int{}
	for i, c := range cuts {
		x := <-done[i]
		if err := cmp.Or(ctx.Err(), x.err); err != nil {
			return err
		}
		if x.by == "" {
			survivors = append(survivors, c)
			x.by = "NOBODY"
		}
		byWhom[x.by]++
		fmt.Printf("%-60s missed by %s\n", c, x.by)
	}
	fmt.Printf("\n%d of %d guards are missed when they are taken out", len(cuts)-len(survivors), len(cuts))
	for _, s := range b.stages {
		if n := byWhom[s.name]; n > 0 {
			fmt.Printf("; %d by %s", n, s.name)
		}
	}
	fmt.Println()
	for _, c := range survivors {
		fmt.Println("not missed:", c)
	}
	if len(survivors) > 0 {
		return errSurvived
	}
	return nil
}
