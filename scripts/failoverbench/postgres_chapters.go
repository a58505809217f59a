package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// pgChapters are the benchmarks of PostgreSQL.
var pgChapters = []chapter{
	{"failover", (*bench).pgFailover},
	{"crash", (*bench).pgCrash},
	{"switchover", (*bench).pgSwitchover},
}

// openPostgres finds PostgreSQL and makes the cluster that all servers are
// copies of, with the rights that docs/postgresql.md tells operators to give.
func (b *bench) openPostgres(ctx context.Context) (err error) {
	page, err := os.ReadFile(b.pageFile)
	if err != nil {
		return fmt.Errorf("read the grants: %w: name docs/postgresql.md with -page", err)
	}
	grants, err := postgreslab.Grants(page)
	if err != nil {
		return fmt.Errorf("read the grants: %w", err)
	}
	b.postgres, err = postgreslab.Open(ctx, postgreslab.Options{SQL: grants + postgreslab.Table})
	return err
}

// directory makes a directory for one trial.
func (b *bench) directory(name string) (string, error) {
	dir, err := os.MkdirTemp(b.root, name+"-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	return dir, nil
}

// write writes the configuration of monitor i.
func (r *rig) write(i int, text string) error {
	if err := os.WriteFile(r.configFile(i), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// runsOf is how many trials a system gets: Patroni's take long.
func (b *bench) runsOf(system string) int {
	if strings.HasPrefix(system, patroniDefault) {
		return min(b.runs, b.patroniRuns)
	}
	return b.runs
}

// pgFailover measures a killed and a stopped primary under a writing client.
func (b *bench) pgFailover(ctx context.Context) error {
	systems := b.pgSystems()
	b.say("\nfailover of PostgreSQL: down_after %s, quorum 2 of 3 Wardens, a primary and two standbys, a write each %s\n", b.downAfter, pgPace)
	if err := patroniInstalled(); err != nil {
		b.say("  without Patroni: %v\n", err)
	}
	write, lost, late := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for i := range b.runs {
		for _, kind := range b.faults {
			for _, system := range systems {
				if i >= b.runsOf(system) {
					continue
				}
				var o pgOutage
				err := b.pgTrial(ctx, system, 0, func(ctx context.Context, r pgRig) (err error) {
					o, err = pgStrike(ctx, r, kind)
					return err
				})
				if err != nil {
					return err
				}
				key := kind + " " + system
				write[key], lost[key] = append(write[key], ms(o.write)), append(lost[key], float64(o.lost))
				late[key] = append(late[key], float64(o.late))
				b.say("    %-10s %s: written after %.1f ms, lost %d of %d, acknowledged after waking %d (load %s)\n", system, kind, ms(o.write), o.lost, o.acked, o.late, load())
			}
		}
	}
	b.say("\nfrom the fault to the first acknowledged write, all of it\n")
	b.note(b.pgSeries("failover", "ms", b.faults, systems, write))
	b.say("\nacknowledged writes that the new primary does not have\n")
	b.note(b.pgSeries("lost", "writes", b.faults, systems, lost))
	if _, ok := late["stop "+systems[0]]; ok {
		b.say("\nwrites that two sessions of before were acknowledged by the old primary after it had woken up\n")
		b.note(b.pgSeries("late", "writes", []string{"stop"}, systems, late))
	}
	for _, kind := range b.faults {
		for _, system := range systems {
			if !strings.HasPrefix(system, patroniDefault) {
				b.judge(below(kind+", "+system+": median, in ms", b.report.find("failover", kind, system).Median, ms(b.downAfter)+300))
			}
			if system == oursQuorum {
				b.judge(none(kind+", "+system+": most writes lost", b.report.find("lost", kind, system).Max))
			}
			if system == oursQuorum && kind == "stop" {
				b.judge(none(kind+", "+system+": most acknowledged after waking", b.report.find("late", kind, system).Max))
			}
		}
	}
	return nil
}

// pgSeries makes series of values by fault and system.
func (b *bench) pgSeries(chapter, unit string, kinds, systems []string, values map[string][]float64) []Series {
	var series []Series
	for _, kind := range kinds {
		for _, system := range systems {
			series = append(series, Series{Chapter: chapter, Kind: kind, System: system, Unit: unit, Values: values[kind+" "+system]})
		}
	}
	return series
}

// pgCrash measures a killed primary with the short limit for hard evidence.
func (b *bench) pgCrash(ctx context.Context) error {
	b.say("\ncrash of PostgreSQL: kill -9 of all its processes, crash_after %s, down_after %s\n", b.crashAfter, b.downAfter)
	values := map[string][]float64{}
	systems := b.pgOurs()
	for range b.runs {
		for _, system := range systems {
			var o pgOutage
			err := b.pgTrial(ctx, system, b.crashAfter, func(ctx context.Context, r pgRig) (err error) {
				o, err = pgStrike(ctx, r, "kill")
				return err
			})
			if err != nil {
				return err
			}
			values["kill "+system] = append(values["kill "+system], ms(o.write))
			values["lost "+system] = append(values["lost "+system], float64(o.lost))
			b.say("    %-10s written after %.1f ms, lost %d of %d (load %s)\n", system, ms(o.write), o.lost, o.acked, load())
		}
	}
	b.say("\nfrom the kill to the first acknowledged write, all of it\n")
	b.note(b.pgSeries("crash", "ms", []string{"kill"}, systems, values))
	for _, system := range systems {
		b.judge(below(system+": median, in ms", b.report.find("crash", "kill", system).Median, 500))
	}
	b.note(b.pgSeries("crash", "writes", []string{"lost"}, systems, values))
	if slices.Contains(systems, oursQuorum) {
		b.judge(none("quorum: most writes lost", b.report.find("crash", "lost", oursQuorum).Max))
	}
	return nil
}

// pgSwitchover measures planned changes under a writing client.
func (b *bench) pgSwitchover(ctx context.Context) error {
	b.say("\nswitchover of PostgreSQL: a write each %s, WARDEN SWITCHOVER\n", pgPace)
	values := map[string][]float64{}
	systems := b.pgOurs()
	for range b.runs {
		for _, system := range systems {
			var gap time.Duration
			var lost, refused int
			var errs map[string]int
			err := b.pgTrial(ctx, system, 0, func(ctx context.Context, r pgRig) (err error) {
				gap, lost, refused, errs, err = r.(*pgWardens).handOver(ctx)
				return err
			})
			if err != nil {
				return err
			}
			values["gap "+system], values["lost "+system] = append(values["gap "+system], ms(gap)), append(values["lost "+system], float64(lost))
			b.say("    %-10s longest gap %.1f ms, lost %d, refused orders %d, errors of the client %v (load %s)\n", system, ms(gap), lost, refused, errs, load())
		}
	}
	b.say("\nlongest time without an acknowledged write; acknowledged writes that are missing afterwards\n")
	b.note(b.pgSeries("switchover", "ms", []string{"gap"}, systems, values))
	b.note(b.pgSeries("switchover", "writes", []string{"lost"}, systems, values))
	for _, system := range systems {
		b.judge(below(system+": longest gap, median in ms", b.report.find("switchover", "gap", system).Median, 500),
			none(system+": most writes lost", b.report.find("switchover", "lost", system).Max))
	}
	return nil
}

// handOver orders a change under writing and checks what became of it.
func (r *pgWardens) handOver(ctx context.Context) (gap time.Duration, lost, refused int, errs map[string]int, err error) {
	old := r.all[0].Addr
	// A write may be held for longer than a failed one is waited for.
	w := postgreslab.Write(postgreslab.WriterOptions{Where: r.where(), Pace: pgPace, Patience: stickyLimit, Role: postgreslab.Client})
	defer w.Stop()
	if err := pgUntil(ctx, "the client writes", func() bool { return len(w.Acks()) > 100 }); err != nil {
		return 0, 0, 0, nil, err
	}
	at, refused, err := r.order(ctx)
	if err != nil {
		return 0, 0, 0, nil, err
	}
	err = pgUntil(ctx, "the client writes to another server", func() bool {
		acks := w.Acks()
		return acks[len(acks)-1].Node != old
	})
	if err == nil {
		err = pause(ctx, settleSpan)
	}
	if err != nil {
		return 0, 0, 0, nil, err
	}
	acks := w.Stop()
	for i := 1; i < len(acks); i++ {
		if acks[i].At.After(at) {
			gap = max(gap, acks[i].At.Sub(acks[i-1].At))
		}
	}
	_, lost, err = pgLost(ctx, r, acks)
	return gap, lost, refused, w.Errors(), err
}

// statusOf reads Patroni's answer about one node: its role and state.
func statusOf(text []byte) (role, state string) {
	var s struct {
		Role  string `json:"role"`
		State string `json:"state"`
	}
	if json.Unmarshal(text, &s) != nil {
		return "", ""
	}
	return s.Role, s.State
}

// nodeOf is a node of this machine.
func nodeOf(port int) warden.NodeID { return warden.MakeNode("127.0.0.1", port) }

// inside is a path in a trial's own part of the lab, owned by its account.
func (b *bench) inside(name string) (string, error) {
	dir := filepath.Join(b.postgres.Dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	return dir, b.postgres.Own(dir)
}
