package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// rosterInterval is how often new Wardens are looked for, and how long a lost
// one is left alone.
const rosterInterval = 3 * time.Second

// allKept asks a Warden for all events that it has kept.
const allKept = 1 << 30

// events is the action of `events [GROUP]`.
func (p *program) events(c *cli.Context) error {
	group, t, err := groupAndTarget(c)
	if err != nil {
		return err
	}
	last := c.Int("last")
	if last < 0 || last > remote.CatchUp {
		return exit.WrongUsage("--last is %d: write a number from 0 to %d", last, remote.CatchUp)
	}
	since := c.Duration("since")
	if since < 0 || since > 0 && c.IsSet("last") {
		return exit.WrongUsage("--since is the time before now, as in 2h30m, and goes in the place of --last")
	}
	begin := int64(0)
	if since > 0 {
		last, begin = allKept, time.Now().Add(-since).UnixMilli()
	}
	reports, err := t.Survey(c.Context)
	if err != nil {
		return err
	}
	if names := remote.GroupsOf(reports); group != "" && !slices.Contains(names, warden.GroupName(group)) {
		return exit.With(exit.Refused, "there is no group %q: choose one of %s", wording.Shown(group), joinNames(names))
	}
	show := func(h remote.Event) error {
		if h.UnixMS < begin || group != "" && h.Group != warden.GroupName(group) {
			return nil
		}
		return p.showEvent(t, h)
	}
	if c.Bool("once") {
		return p.pastEvents(c.Context, t, reports, last, show)
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	return p.followEvents(ctx, t, reports, last, show)
}

// pastEvents shows the last events of all Wardens in the order of their time.
func (p *program) pastEvents(ctx context.Context, t target, reports []remote.Report, last int, show func(remote.Event) error) error {
	var all []remote.Event
	for _, r := range reports {
		if r.Error != "" {
			_, _ = fmt.Fprintf(p.errs, "warning: Warden %s at %s: %s\n", r.Name(), r.Server, r.Error)
			continue
		}
		past, err := t.History(ctx, r, last)
		if err != nil {
			return exit.With(exit.Unreachable, "ask %s for events: %s", r.Server, remote.Why(err))
		}
		all = append(all, past...)
	}
	sortEvents(all)
	for _, h := range all {
		if err := show(h); err != nil {
			return err
		}
	}
	return nil
}

// sortEvents orders by time, and one Warden's own events by their numbers.
func sortEvents(all []remote.Event) {
	slices.SortStableFunc(all, func(a, b remote.Event) int {
		if a.UnixMS != b.UnixMS || a.Warden != b.Warden {
			return cmp.Compare(a.UnixMS, b.UnixMS)
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
}

// follower follows one Warden's events.
type follower struct {
	told    *remote.Progress
	running bool // owned by followEvents
}

// followEvents merges the events of all Wardens until ctx ends. Wardens that
// appear later are followed too, and lost ones are tried again.
func (p *program) followEvents(ctx context.Context, t target, reports []remote.Report, last int, show func(remote.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	in := make(chan remote.Batch)
	followed := map[string]*follower{}
	start := func(r remote.Report, last int) {
		f := followed[r.Server]
		if f == nil {
			f = &follower{told: remote.NewProgress(last)}
			followed[r.Server] = f
		}
		if f.running || r.Error != "" {
			return
		}
		f.running = true
		wait.Go(func() { t.Follow(ctx, r, f.told, in) })
	}
	for _, r := range reports {
		start(r, last)
	}
	ticker := time.NewTicker(rosterInterval)
	defer ticker.Stop()
	rosters := make(chan []remote.Report, 1)
	asking := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if !asking {
				asking = true
				wait.Go(func() {
					found, _ := t.Survey(ctx) // none: nothing new this time
					rosters <- found
				})
			}
		case found := <-rosters:
			asking = false
			for _, r := range found {
				start(r, remote.CatchUp)
			}
		case s := <-in:
			if s.Lost != "" {
				followed[s.From.Server].running = false
				_, _ = fmt.Fprintf(p.errs, "warning: events of Warden %s at %s stopped: %s; trying again\n", s.From.Name(), s.From.Server, s.Lost)
			}
			for _, h := range s.Events {
				if err := show(h); err != nil {
					return err
				}
			}
		}
	}
}

// showEvent prints one event on one line.
func (p *program) showEvent(t target, h remote.Event) error {
	if t.json {
		return p.printJSON(h)
	}
	paint := map[warden.Level]terminal.Tone{warden.LevelWarning: terminal.Bad, warden.LevelNotice: terminal.Warn, warden.LevelVerbose: terminal.Faint}[h.Level]
	when := time.UnixMilli(h.UnixMS).Format("2006-01-02 15:04:05.000")
	_, err := fmt.Fprintf(p.out, "%s  %s  %s  %s\n", when, remote.Report{ID: h.Warden, Server: h.Server}.Name(), p.paint(paint, fmt.Sprintf("%-24s", wording.Shown(h.Event))), wording.Shown(h.Payload))
	return err
}
