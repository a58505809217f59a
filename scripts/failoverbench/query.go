package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

const (
	// queryConnections ask at the same time, each its next question when it has
	// the answer to the last one.
	queryConnections = 50
	// queryLimit bounds one round, whatever number of requests it has.
	queryLimit = 5 * time.Minute
)

// pace is what one round of questions measured.
type pace struct {
	rps      float64 // requests per second
	p50, p99 float64 // ms
	cpu      float64 // of the monitor, in µs per request; negative: not known
}

// query asks one monitor of each system for the primary, as fast as it answers,
// with the load generator that comes with Redis.
func (b *bench) query(ctx context.Context) error {
	b.say("\nquery: SENTINEL get-master-addr-by-name, %d connections, one question at a time on each, %d a round\n", queryConnections, b.requests)
	values := map[string][]pace{}
	err := b.trial(ctx, ours, 0, func(ctx context.Context, we *rig) error {
		return b.trial(ctx, sentinel, 0, func(ctx context.Context, they *rig) error {
			rigs := map[string]*rig{ours: we, sentinel: they}
			for i := -1; i < b.runs; i++ { // the first round warms up
				for _, system := range order(max(i, 0)) {
					p, err := b.ask(ctx, rigs[system].monitors[0])
					if err != nil {
						return fmt.Errorf("ask %s: %w", system, err)
					}
					if i >= 0 {
						b.say("    %-8s %.0f requests/s, p50 %.3f ms, p99 %.3f ms, CPU %.2f µs (load %s)\n", system, p.rps, p.p50, p.p99, p.cpu, load())
						values[system] = append(values[system], p)
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	b.say("\n")
	b.note(querySeries(values))
	b.judge(queryBars(values)...)
	return nil
}

// ask runs one round against one monitor.
func (b *bench) ask(ctx context.Context, m *process) (pace, error) {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	before, errBefore := cpuTime(m.cmd.Process.Pid)
	out, err := exec.CommandContext(ctx, b.loadBinary, "-h", "127.0.0.1", "-p", strconv.Itoa(m.port), "-c", strconv.Itoa(queryConnections),
		"-n", strconv.Itoa(b.requests), "--csv", "SENTINEL", "get-master-addr-by-name", groupName).Output()
	if err != nil {
		return pace{}, fmt.Errorf("run %s: %w: is it installed (redis-tools)?", b.loadBinary, err)
	}
	after, errAfter := cpuTime(m.cmd.Process.Pid)
	p, err := readPace(out)
	p.cpu = -1
	if errBefore == nil && errAfter == nil {
		p.cpu = (after - before).Seconds() * 1e6 / float64(b.requests)
	}
	return p, err
}

// readPace reads what redis-benchmark prints: a line of names and one of values.
func readPace(out []byte) (pace, error) {
	lines, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil {
		return pace{}, fmt.Errorf("read result: %w", err)
	}
	if len(lines) != 2 {
		return pace{}, fmt.Errorf("read result: %d lines, want 2: is it redis-benchmark 7?", len(lines))
	}
	var p pace
	var errs []error
	for name, to := range map[string]*float64{"rps": &p.rps, "p50_latency_ms": &p.p50, "p99_latency_ms": &p.p99} {
		i := slices.Index(lines[0], name)
		if i < 0 {
			errs = append(errs, fmt.Errorf("read result: there is no %s", name))
			continue
		}
		if *to, err = strconv.ParseFloat(lines[1][i], 64); err != nil || *to <= 0 || math.IsInf(*to, 0) {
			errs = append(errs, fmt.Errorf("read result: %s is %q", name, lines[1][i]))
		}
	}
	return p, errors.Join(errs...)
}

func querySeries(values map[string][]pace) []Series {
	var series []Series
	for _, kind := range []struct {
		name, unit string
		of         func(pace) float64
	}{
		{"rps", "requests/s", func(p pace) float64 { return p.rps }},
		{"p50", "µs", func(p pace) float64 { return 1000 * p.p50 }},
		{"p99", "µs", func(p pace) float64 { return 1000 * p.p99 }},
		{"CPU", "µs a request", func(p pace) float64 { return p.cpu }},
	} {
		for _, system := range order(0) {
			s := Series{Chapter: "query", Kind: kind.name, System: system, Unit: kind.unit}
			for _, p := range values[system] {
				s.Values = append(s.Values, kind.of(p))
			}
			series = append(series, s)
		}
	}
	return series
}

// queryBars compare the two systems round by round, because what else the
// machine does changes from round to round and falls on both.
func queryBars(values map[string][]pace) []Bar {
	var rate, slowest []float64
	for i, we := range values[ours] {
		they := values[sentinel][i]
		rate = append(rate, percent(we.rps, they.rps))
		slowest = append(slowest, percent(we.p99, they.p99))
	}
	slices.Sort(rate)
	slices.Sort(slowest)
	return []Bar{
		atLeast("requests per second in % of Sentinel's, median of the rounds", median(rate), 100),
		atMost("p99 in % of Sentinel's, median of the rounds", median(slowest), 100),
	}
}
