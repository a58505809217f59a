package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// steadyDownAfter is the default of both systems: a node is then looked at
	// every second by both.
	steadyDownAfter = 30 * time.Second
	// steadyRest passes between the moment a monitor knows everything and the
	// measurement: what a start costs is not what is measured.
	steadyRest = 15 * time.Second
)

// usage is what one monitor took to watch over groups in which nothing happens.
type usage struct {
	groups  int
	cpu     float64 // seconds of processor time per minute
	memory  float64 // resident, MB
	peak    float64 // the most it was, MB
	threads int
	files   int
}

// steady measures one monitor of each system over a number of healthy groups.
// Each has a herd to itself while it is measured; the nodes stay the same.
func (b *bench) steady(ctx context.Context) error {
	b.say("\nsteady: one monitor, groups of a primary and a replica in which nothing happens, down_after %s, measured for %s each\n", steadyDownAfter, b.measured)
	most := 0
	for _, n := range b.groups {
		most = max(most, n)
	}
	h, err := b.newHerd(ctx, most, realGroups, 1)
	if err != nil {
		return err
	}
	values := map[string][]usage{}
	for i, groups := range b.groups {
		for _, system := range order(i) {
			u, err := h.watch(ctx, system, groups)
			if err != nil {
				return fmt.Errorf("%s with %d groups: %w", system, groups, errors.Join(err, h.close()))
			}
			b.say("    %-8s %3d groups: %.2f CPU s/min, %.1f MB (%.1f at most), %d threads, %d files (load %s)\n",
				system, groups, u.cpu, u.memory, u.peak, u.threads, u.files, load())
			values[system] = append(values[system], u)
		}
	}
	if err := h.close(); err != nil {
		return err
	}
	b.steadyTable(values)
	b.judge(steadyBars(values)...)
	return nil
}

// watch measures one monitor.
func (h *herd) watch(ctx context.Context, system string, groups int) (usage, error) {
	posts, err := h.post(system, 1, groups, steadyDownAfter)
	if err != nil {
		return usage{}, err
	}
	defer relieve(posts)
	soon, cancel := context.WithTimeout(ctx, 2*setupLimit)
	defer cancel()
	if err := h.settled(soon, posts, groups); err != nil {
		return usage{}, fmt.Errorf("wait for the monitor: %w", err)
	}
	if err := pause(ctx, steadyRest); err != nil {
		return usage{}, err
	}
	pid := posts[0].cmd.Process.Pid
	before, err := cpuTime(pid)
	if err != nil {
		return usage{}, err
	}
	began := time.Now()
	if err := pause(ctx, h.b.measured); err != nil {
		return usage{}, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return usage{}, err
	}
	u, err := resources(pid)
	u.groups = groups
	u.cpu = (after - before).Seconds() * float64(time.Minute) / float64(time.Since(began))
	if err != nil {
		return usage{}, err
	}
	return u, h.informed(posts[0], 1, groups)
}

func (b *bench) steadyTable(values map[string][]usage) {
	b.say("\n  %-9s %7s %12s %10s %10s %8s %6s\n", "system", "groups", "CPU s/min", "MB", "MB at most", "threads", "files")
	for i := range values[ours] {
		for _, system := range order(0) {
			u := values[system][i]
			b.say("  %-9s %7d %12.2f %10.1f %10.1f %8d %6d\n", system, u.groups, u.cpu, u.memory, u.peak, u.threads, u.files)
			for _, s := range []struct {
				kind, unit string
				value      float64
			}{{"CPU", "s/min", u.cpu}, {"memory", "MB", u.memory}, {"threads", "threads", float64(u.threads)}, {"files", "files", float64(u.files)}} {
				b.report.Series = append(b.report.Series, Series{Chapter: "steady", Kind: fmt.Sprintf("%s, %d groups", s.kind, u.groups), System: system,
					Unit: s.unit, Values: []float64{s.value}}.summed())
			}
		}
	}
}

// steadyBars: with many groups no more processor time than Sentinel, and at
// most twice its memory. With few groups the figures are too small to matter.
func steadyBars(values map[string][]usage) []Bar {
	var bars []Bar
	for i, we := range values[ours] {
		they := values[sentinel][i]
		if we.groups >= 100 {
			bars = append(bars, atMost(fmt.Sprintf("%d groups: processor time in %% of Sentinel's", we.groups), percent(we.cpu, they.cpu), 100))
		}
		if we.groups >= 500 {
			bars = append(bars, atMost(fmt.Sprintf("%d groups: memory in %% of Sentinel's", we.groups), percent(we.memory, they.memory), 200))
		}
	}
	return bars
}
