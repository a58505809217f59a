// Command failoverbench measures Wardens beside real Redis Sentinels.
//
// Both systems get the same work in one run: three monitors with quorum 2 and
// the same down_after watch one real redis-server and its two replicas, all
// made anew for every trial, the two systems taking turns. Clients know the
// monitors and nothing else, and are the same code for both. scripts/bench
// builds and starts it; docs/benchmarks.md tells the method and the results.
//
// Everything runs on 127.0.0.1, on ports the system gives, in a directory of
// its own. Children end with this process, however it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
)

// options are what the command line chooses.
type options struct {
	runs            int
	downAfter       time.Duration
	crashAfter      time.Duration
	failoverTimeout time.Duration
	faults          []string
	stages          []string
	jsonFile        string
	requests        int
	idle            int
	subscribers     int
	readers         int
	wardenBinary    string
	serverBinary    string
	loadBinary      string
	groups          []int // of steady
	measured        time.Duration
	sizes           []int // of quorum, simulated
	processes       []int // of quorum, on loopback
	calmFor         time.Duration
	lasting         time.Duration // of soak
	sampled         time.Duration
	nodesBinary     string
	keep            bool
	seed            uint64

	engine      string
	systems     []string // of PostgreSQL; none: all
	patroniRuns int
	pageFile    string // docs/postgresql.md
}

// bench is one run of the program.
type bench struct {
	options
	out    io.Writer
	root   string // a directory of our own
	launch *launcher
	dice   *rand.Rand
	report report
	// postgres makes the servers of PostgreSQL, made counts them.
	postgres *postgreslab.Lab
	made     int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errBarMissed: everything was measured, and something is slower or less safe
// than it has to be.
var errBarMissed = errors.New("a bar was missed")

// run returns 0 when all bars hold, 1 when one is missed or a trial could not
// be made, 2 for wrong usage.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	what, o, err := parse(args, errs)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintf(errs, "bench: %s\n", err)
		}
		return 2
	}
	if err := measure(ctx, what, o, out); err != nil {
		_, _ = fmt.Fprintf(errs, "bench: %s\n", err)
		return 1
	}
	return 0
}

// chapter is one benchmark.
type chapter struct {
	name string
	run  func(*bench, context.Context) error
}

// chapters are the benchmarks in the order of "all".
var chapters = []chapter{
	{"failover", (*bench).failover},
	{"crash", (*bench).crash},
	{"switchover", (*bench).switchover},
	{"leader", (*bench).leader},
	{"query", (*bench).query},
	{"clients", (*bench).clients},
	{"readers", (*bench).listened},
	{"steady", (*bench).steady},
	{"mass", (*bench).mass},
	{"quorum", (*bench).quorum},
}

func parse(args []string, errs io.Writer) (string, options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.runs, "n", 10, "trials of each kind")
	f.DurationVar(&o.downAfter, "down-after", time.Second, "down_after of both systems")
	f.DurationVar(&o.crashAfter, "crash-after", 100*time.Millisecond, "crash_after of the benchmark crash")
	f.DurationVar(&o.failoverTimeout, "failover-timeout", 10*time.Second, "failover_timeout of both systems")
	faults := f.String("faults", "kill,stop", "faults of the benchmark failover: kill, stop")
	stages := f.String("stages", "deciding,promoting,publishing", "stages in which the benchmark leader kills the leader")
	f.StringVar(&o.jsonFile, "json", "", "write the results to this file too")
	f.StringVar(&o.wardenBinary, "spineldb", "", "the spineldb program")
	f.StringVar(&o.serverBinary, "redis-server", "redis-server", "the redis-server program")
	f.StringVar(&o.loadBinary, "redis-benchmark", "redis-benchmark", "the redis-benchmark program")
	f.IntVar(&o.requests, "requests", 100_000, "requests in one round of the benchmark query")
	f.IntVar(&o.idle, "idle", 1000, "idle clients of each Warden in the benchmark clients")
	f.IntVar(&o.subscribers, "subscribers", 100, "subscribers of each Warden in the benchmark clients")
	f.IntVar(&o.readers, "readers", 20, "readers of events at each Warden in the benchmark readers")
	f.StringVar(&o.engine, "engine", engineRedis, "the database: redis or postgres")
	f.IntVar(&o.patroniRuns, "patroni-n", 3, "trials of each kind with Patroni, where it is installed; 0: none")
	f.StringVar(&o.pageFile, "page", "docs/postgresql.md", "the page with the grants for the role of Wardens")
	systems := f.String("systems", "", "of PostgreSQL: some of quorum,async,patroni,patroni/5s; empty: all")
	groups := f.String("groups", "1,20,100,500", "numbers of groups of the benchmark steady")
	f.DurationVar(&o.measured, "measure", time.Minute, "how long the benchmark steady measures each monitor")
	sizes := f.String("wardens", "3,5,7,25,101", "numbers of Wardens of the benchmark quorum, simulated")
	processes := f.String("processes", "3,5,7,25", "numbers of Wardens of the benchmark quorum, on loopback")
	f.DurationVar(&o.calmFor, "calm", 20*time.Second, "how long the benchmark quorum counts in calm")
	f.DurationVar(&o.lasting, "for", time.Hour, "how long soak goes on")
	f.DurationVar(&o.sampled, "sample", 30*time.Second, "time between two samples of soak")
	f.StringVar(&o.nodesBinary, "simnodes", "", "the simnodes program")
	f.BoolVar(&o.keep, "keep", false, "keep the logs of every trial, and say where")
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the random pauses before the faults")
	what := "all"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		what, args = args[0], args[1:]
	}
	if err := f.Parse(args); err != nil {
		return "", o, err
	}
	o.faults, o.stages = strings.Split(*faults, ","), strings.Split(*stages, ",")
	var err error
	if o.groups, err = numbers(*groups); err != nil {
		return "", o, fmt.Errorf("-groups %q: %w", *groups, err)
	}
	if o.sizes, err = numbers(*sizes); err != nil {
		return "", o, fmt.Errorf("-wardens %q: %w", *sizes, err)
	}
	if o.processes, err = numbers(*processes); err != nil {
		return "", o, fmt.Errorf("-processes %q: %w", *processes, err)
	}
	if *systems != "" {
		o.systems = strings.Split(*systems, ",")
	}
	return what, o, o.check(what, f.Args())
}

// numbers reads whole numbers from 1 on with commas between.
func numbers(text string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, errors.New("give numbers from 1 on with commas between")
		}
		all = append(all, n)
	}
	return all, nil
}

// The databases.
const (
	engineRedis    = "redis"
	enginePostgres = "postgres"
)

// soaking takes hours if it is to say anything, and is no part of "all".
var soaking = chapter{"soak", (*bench).soak}

func (o options) chapters() []chapter {
	if o.engine == enginePostgres {
		return pgChapters
	}
	return chapters
}

func (o options) check(what string, rest []string) error {
	known := []string{"all", soaking.name}
	for _, c := range o.chapters() {
		known = append(known, c.name)
	}
	switch {
	case o.engine != engineRedis && o.engine != enginePostgres:
		return fmt.Errorf("unknown -engine %q: choose redis or postgres", o.engine)
	case !slices.Contains(known, what):
		return fmt.Errorf("unknown benchmark %q: choose one of %s", what, strings.Join(known, ", "))
	case len(rest) > 0:
		return fmt.Errorf("%q is one word too many", rest[0])
	case o.runs < 1:
		return fmt.Errorf("-n %d: give a number from 1 on", o.runs)
	case o.wardenBinary == "":
		return errors.New("-spineldb is missing: start this with scripts/bench, which builds it")
	case o.requests < queryConnections:
		return fmt.Errorf("-requests %d: give a number from %d on", o.requests, queryConnections)
	case o.idle < 0 || o.subscribers < 0 || o.readers < 0:
		return errors.New("-idle, -subscribers and -readers are at least 0")
	case o.downAfter < 100*time.Millisecond || o.crashAfter < 10*time.Millisecond:
		return errors.New("-down-after is at least 100ms and -crash-after at least 10ms")
	}
	for _, f := range o.faults {
		if _, ok := faultSignals[f]; !ok {
			return fmt.Errorf("unknown fault %q: choose of %s", f, strings.Join(slices.Sorted(maps.Keys(faultSignals)), ", "))
		}
	}
	return nil
}

// measure runs the wanted chapters and prints their results.
func measure(ctx context.Context, what string, o options, out io.Writer) (err error) {
	root, err := os.MkdirTemp("", "failoverbench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	b := &bench{options: o, out: out, root: root, launch: newLauncher(), dice: rand.New(rand.NewPCG(o.seed, 0))}
	defer b.launch.close()
	if o.keep {
		defer func() { b.say("the logs are in %s\n", root) }()
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	}
	if b.report.Machine, err = b.machine(ctx); err != nil {
		return err
	}
	b.report.Seed = o.seed
	b.say("%s\n", b.report.Machine)
	if o.engine == enginePostgres {
		if err := b.openPostgres(ctx); err != nil {
			return err
		}
		b.say("%s\n", b.postgres.Version)
		defer func() { err = errors.Join(err, b.postgres.Close()) }()
	}
	for _, c := range append(slices.Clone(o.chapters()), soaking) {
		if what != c.name && (what != "all" || c.name == soaking.name) {
			continue
		}
		if err := c.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if o.jsonFile != "" {
		if err := b.report.save(o.jsonFile); err != nil {
			return err
		}
	}
	if !b.report.allHold() {
		return errBarMissed
	}
	return nil
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }
