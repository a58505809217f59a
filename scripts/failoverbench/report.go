package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	Machine string   `json:"machine"`
	Seed    uint64   `json:"seed"`
	Series  []Series `json:"series"`
	Bars    []Bar    `json:"bars"`
}

func (r report) allHold() bool {
	for _, b := range r.Bars {
		if !b.Holds {
			return false
		}
	}
	return true
}

func (r report) save(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// machine describes where and with what this runs.
func (b *bench) machine(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	version, err := exec.CommandContext(ctx, b.serverBinary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: install redis or name it with -redis-server", b.serverBinary, err)
	}
	redis := "redis-server"
	for _, word := range strings.Fields(string(version)) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			redis += " " + v
		}
	}
	return fmt.Sprintf("%s, %s, %s/%s, %d CPUs, load %s", redis, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load()), nil
}

// load is the load average of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	word, _, _ := strings.Cut(string(text), " ")
	return word
}

// note takes in what was measured and prints it as a table.
func (b *bench) note(series []Series) {
	b.say("  %-12s %-9s %5s %9s %9s %9s %9s\n", "", "system", "runs", "min", "median", "p90", "max")
	for _, s := range series {
		s = s.summed()
		b.report.Series = append(b.report.Series, s)
		b.say("  %-12s %-9s %5d %9.1f %9.1f %9.1f %9.1f  %s\n", s.Kind, s.System, len(s.Values), s.Min, s.Median, s.P90, s.Max, s.Unit)
	}
}

// judge takes in bars and prints them.
func (b *bench) judge(bars ...Bar) {
	for _, bar := range bars {
		word := "holds "
		if !bar.Holds {
			word = "MISSED"
		}
		b.say("  %s  %s: %.1f (limit %.4g)\n", word, bar.Text, bar.Value, bar.Limit)
	}
	b.report.Bars = append(b.report.Bars, bars...)
}

// find is the series of a chapter that were noted, by kind and system.
func (r report) find(chapter, kind, system string) Series {
	for _, s := range r.Series {
		if s.Chapter == chapter && s.Kind == kind && s.System == system {
			return s
		}
	}
	panic(fmt.Sprintf("no series %s %s %s", chapter, kind, system))
}
