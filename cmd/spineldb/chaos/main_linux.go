package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// options are what the command line says.
type options struct {
	engine, durability   string
	rounds               int
	seed                 uint64
	storm                time.Duration
	spineldb, repository string
	demand, keep, quiet  bool
	planOnly             bool
}

func main() {
	o := options{}
	flag.StringVar(&o.engine, "engine", engineRedis, "redis or postgres")
	flag.StringVar(&o.durability, "durability", "quorum", "of PostgreSQL: quorum or async")
	flag.IntVar(&o.rounds, "rounds", 1, "how many rounds, each with the next seed")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()%1e9), "of the first round; a seed replays its schedule")
	flag.DurationVar(&o.storm, "storm", 12*time.Second, "how long faults begin")
	flag.BoolVar(&o.demand, "demand", false, "demand of an asynchronous group what it does not promise, to see the judges at work")
	flag.StringVar(&o.spineldb, "spineldb", "", "the program under test")
	flag.StringVar(&o.repository, "repository", ".", "where docs/ is")
	flag.BoolVar(&o.keep, "keep", false, "keep the logs of all rounds, not of bad ones alone")
	flag.BoolVar(&o.quiet, "quiet", false, "one line for each round")
	flag.BoolVar(&o.planOnly, "plan", false, "print the schedules and play nothing")
	flag.Parse()
	code, err := o.stage()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func (o options) stage() (int, error) {
	switch os.Getenv(stageVariable) {
	case stageFirst:
		return firstProcess()
	case stageWork:
		redis.SetLogger(silent{}) // connections that break are what this is about
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return o.work(ctx, os.Getenv(dirVariable))
	}
	if err := o.check(); err != nil {
		return 2, err
	}
	if o.planOnly {
		for i := range uint64(o.rounds) {
			fmt.Println("seed", o.seed+i)
			for _, f := range plan(o.seed+i, o.engine, o.storm) {
				fmt.Println("  ", f)
			}
		}
		return 0, nil
	}
	return cage(o.keep)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func (o options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("%q is not understood: see -h", flag.Arg(0))
	case o.engine != engineRedis && o.engine != enginePostgres:
		return fmt.Errorf("there is no engine %q: redis or postgres", o.engine)
	case o.durability != "quorum" && o.durability != "async":
		return fmt.Errorf("there is no durability %q: quorum or async", o.durability)
	case o.rounds < 1 || o.storm < 4*time.Second:
		return errors.New("there is at least one round, and a storm takes 4s at least")
	case o.spineldb == "":
		return errors.New("which program is to be tested? Give --spineldb, or start scripts/chaos")
	}
	_, err := os.Stat(o.spineldb)
	return err
}

func (o options) newEngine(ctx context.Context, dir string) (engine, error) {
	if o.engine == enginePostgres {
		return newPostgresEngine(ctx, o, dir)
	}
	return redisEngine{o}, nil
}

// totals are of all rounds.
type totals struct {
	rounds, bad, stuck, helped, slow int
	longest                          time.Duration
	judgement
	done, drawn map[kind]int // faults
}

// work plays the rounds. The exit code is 1 if a promise was broken.
func (o options) work(ctx context.Context, dir string) (code int, err error) {
	e, err := o.newEngine(ctx, dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	t := totals{done: map[kind]int{}, drawn: map[kind]int{}}
	for i := range o.rounds {
		seed := o.seed + uint64(i)
		place := filepath.Join(dir, fmt.Sprintf("seed-%d", seed))
		began := time.Now()
		r := newRound(e, o, seed, place)
		result, err := r.run(ctx)
		if ctx.Err() != nil {
			return 1, errors.New("interrupted")
		}
		if err != nil {
			return 1, fmt.Errorf("seed %d: %w", seed, errors.Join(err, save(place, dir)))
		}
		o.tell(i, seed, result, time.Since(began))
		t.add(result)
		if len(result.wrong)+len(result.stuck)+len(result.byHand) > 0 || o.keep {
			if err := errors.Join(r.keep(result), save(place, dir)); err != nil {
				return 1, err
			}
		}
		if err := os.RemoveAll(place); err != nil {
			return 1, fmt.Errorf("remove the files of a round: %w", err)
		}
	}
	fmt.Println(t)
	if t.bad+t.stuck > 0 {
		return 1, nil
	}
	return 0, nil
}

func (o options) tell(i int, seed uint64, x outcome, took time.Duration) {
	verdict := x.verdict()
	done := 0
	for _, f := range x.reports {
		if f.done() {
			done++
		}
	}
	fmt.Printf("%s round %d of %d, seed %d: %s; %d of %d faults done; all well %.1fs after; %s (%.0fs)\n",
		o.engine, i+1, o.rounds, seed, verdict, done, len(x.reports), x.settled.Seconds(), x.summary, took.Seconds())
	if !o.quiet || verdict != "ok" {
		for _, f := range x.reports {
			fmt.Println("  ", f)
		}
	}
	for i, lines := range [][]string{x.wrong, x.stuck, x.byHand, x.notes} {
		for _, line := range lines {
			fmt.Println("   "+[]string{"BROKEN:", "STUCK:", "by hand:", "note:"}[i], strings.ReplaceAll(line, "\n", "\n      "))
		}
	}
}

// verdict is one word for a round.
func (x outcome) verdict() string {
	switch {
	case len(x.wrong) > 0:
		return "BROKEN"
	case len(x.stuck) > 0:
		return "STUCK"
	case len(x.byHand) > 0:
		return "ok with help"
	default:
		return "ok"
	}
}

func (t *totals) add(x outcome) {
	t.rounds++
	for _, f := range x.reports {
		t.drawn[f.Kind]++
		if f.done() {
			t.done[f.Kind]++
		}
	}
	if len(x.wrong) > 0 {
		t.bad++
	}
	if len(x.stuck) > 0 {
		t.stuck++
	}
	if len(x.byHand) > 0 {
		t.helped++
	}
	if x.settled > settleBar {
		t.slow++
	}
	t.longest = max(t.longest, x.settled)
	t.acknowledged += x.acknowledged
	t.lost += x.lost
	t.doubled += x.doubled
	t.ordered += x.ordered
	t.notes = append(t.notes, x.notes...)
}

func (t totals) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds, in %d a promise about data was broken, %d stuck, %d needed help; %d writes acknowledged, %d lost, %d by an old primary beside a new one; %d operations in order\n",
		t.rounds, t.bad, t.stuck, t.helped, t.acknowledged, t.lost, t.doubled, t.ordered)
	fmt.Fprintf(&b, "all well at most %.1fs after a storm, in %d rounds later than %s\nfaults done, of those drawn:", t.longest.Seconds(), t.slow, settleBar)
	for _, w := range weights {
		fmt.Fprintf(&b, " %s %d/%d", w.kind, t.done[w.kind], t.drawn[w.kind])
	}
	if len(t.notes) > 0 {
		fmt.Fprintf(&b, "\n%d notes", len(t.notes))
	}
	return b.String()
}

// save moves the files of a round to where they stay after the program, and says
// where that is.
func save(place, dir string) error {
	if _, err := os.Stat(place); err != nil {
		return nil // there is nothing to save
	}
	target := fmt.Sprintf("%s-%s", dir, filepath.Base(place))
	if err := os.Rename(place, target); err != nil {
		return fmt.Errorf("keep the files of the round: %w", err)
	}
	fmt.Println("   kept in", target)
	return nil
}
