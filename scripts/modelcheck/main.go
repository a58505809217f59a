// Command modelcheck walks through every state of the small worlds of
// warden/check and prints what it met. scripts/check-model runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spineldb/warden/warden/check"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "check-model:", err)
		os.Exit(1)
	}
}

// defaults together cover what docs/verification.md promises of a run.
const defaults = "votes,failover,heir,unknown,refused,witness,foreign"

func run(args []string) error {
	debug.SetGCPercent(30) // memory is what limits a walk
	flags := flag.NewFlagSet("check-model", flag.ContinueOnError)
	names := flags.String("scope", defaults, "the scopes to walk through, separated by commas; or all")
	list := flags.Bool("list", false, "name the scopes and end")
	sabotage := flags.Bool("sabotage", false, "break one mechanism at a time: each has to be found")
	verbose := flags.Bool("v", false, "print every depth; with -sabotage every trace")
	most := flags.Uint64("most", 0, "end a scope after so many states (0: at its end)")
	workers := flags.Int("workers", 0, "goroutines that search (0: one for each processor)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, s := range check.Scopes {
			fmt.Printf("%-10s %s\n", s.Name, s.Says)
		}
		return nil
	}
	if *sabotage {
		return sabotages(*verbose)
	}
	var failed []string
	for _, s := range chosen(*names) {
		scope, ok := check.Find(s)
		if !ok {
			return fmt.Errorf("find scope %s: there is none; there are %s", s, check.Names())
		}
		if !walk(check.Options{Scope: scope, Most: *most, Workers: *workers}, *verbose) {
			failed = append(failed, s)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("a promise is broken in %s", strings.Join(failed, ", "))
	}
	return nil
}

func chosen(names string) []string {
	if names != "all" {
		return strings.Split(names, ",")
	}
	var out []string
	for _, s := range check.Scopes {
		out = append(out, s.Name)
	}
	return out
}

// walk goes through one scope and reports whether every promise was kept.
func walk(o check.Options, verbose bool) bool {
	fmt.Printf("%s: %s\n", o.Scope.Name, o.Scope.Says)
	began := processor()
	line := func(r check.Result) string {
		return fmt.Sprintf("%d states, %d steps, depth %d, %s, processor time %s, %d MiB", r.States, r.Steps, r.Depth,
			r.Took.Round(time.Millisecond), (processor() - began).Round(time.Millisecond), r.Bytes>>20)
	}
	if verbose {
		o.Progress = func(r check.Result) { fmt.Println("  ", line(r)) }
	}
	r := check.Run(o)
	end := ", all of them"
	switch {
	case r.Violation != nil:
		end = ", ended by a broken promise"
	case !r.Whole:
		end = ", ended early"
	}
	fmt.Println("  ", line(r)+end)
	for _, l := range r.Trace {
		fmt.Println(l)
	}
	return r.Violation == nil
}

// sabotages breaks one mechanism after the other.
func sabotages(verbose bool) error {
	found := 0
	for _, b := range check.Sabotages {
		r := b.Find(nil)
		if r.Violation == nil {
			fmt.Printf("%-3s not found: %s (%d states)\n", b.Contract, b.What, r.States)
			continue
		}
		found++
		fmt.Printf("%-3s found after %2d steps, %d states: %s\n", b.Contract, r.Depth, r.States, b.What)
		if verbose {
			for _, l := range r.Trace {
				fmt.Println(l)
			}
		}
	}
	fmt.Printf("%d of %d sabotages found\n", found, len(check.Sabotages))
	if found < len(check.Sabotages) {
		return errors.New("a sabotage was not found")
	}
	return nil
}
