package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/terminal"
)

// printer prints plain lines. moment may be called at the same time as the
// rest.
type printer struct {
	out   io.Writer
	brush terminal.Brush

	mu      sync.Mutex
	waiting []moment
}

// plainHold is how long a line waits for others that belong before it.
const plainHold = 150 * time.Millisecond

// moment takes one line of the story.
func (d *printer) moment(m moment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, m)
}

// tell prints the lines that have waited long enough, until ctx ends; then all.
func (d *printer) tell(ctx context.Context) {
	ticker := time.NewTicker(plainHold / 3)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			d.flush(now.Add(-plainHold))
		case <-ctx.Done():
			d.flush(time.Now().Add(time.Hour))
			return
		}
	}
}

// flush prints the lines up to a moment.
func (d *printer) flush(until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	later := d.waiting[:0:0]
	for _, m := range inOrder(d.waiting) {
		if m.at.After(until) {
			later = append(later, m)
			continue
		}
		_, _ = fmt.Fprintf(d.out, "%s  %-6s  %s\n", d.brush.Paint(terminal.Faint, fmt.Sprintf("%10s", since(m.since))), m.who, d.brush.Paint(m.tone, m.text))
	}
	d.waiting = later
}

// hint prints what to do while everything is left running.
func (d *printer) hint(lines []string) {
	d.flush(time.Now())
	_, _ = fmt.Fprintf(d.out, "\neverything is left running until Ctrl-C; try:\n\n  %s\n\n", strings.Join(lines, "\n  "))
}

// frame leaves the last picture of the live view where it can be read.
func (d *printer) frame(p picture, f *os.File) {
	width, _, ok := terminal.Size(f)
	if !ok {
		width = 80
	}
	p.hint = nil
	for _, r := range layOut(p, width, 1000) {
		_, _ = fmt.Fprintln(d.out, r.text(d.brush, width))
	}
}

// since prints a distance from the act's beginning.
func since(d time.Duration) string { return fmt.Sprintf("%+.3fs", d.Seconds()) }

// round prints a duration to three digits or so.
func round(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// inOrder are the moments in the order of their time. Wardens are heard one
// after the other, so they arrive a little out of it.
func inOrder(all []moment) []moment {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b moment) int { return cmp.Compare(a.at.UnixMilli(), b.at.UnixMilli()) })
	return all
}

// result prints what was measured; its last line is for scripts.
func (d *printer) result(p picture, t tally, s planned) {
	var b strings.Builder
	if !p.marks[markKill].IsZero() && !p.marks[markFirstWrite].IsZero() {
		b.WriteString("\n" + d.brush.Paint(terminal.Bold, "  the failover") + "\n\n")
		for _, r := range d.steps(p) {
			b.WriteString(r + "\n")
		}
	}
	if s.done {
		fmt.Fprintf(&b, "\n%s\n\n  %s to %s in %s; the longest wait between two acknowledged writes was %s\n",
			d.brush.Paint(terminal.Bold, "  the switchover"), s.from, s.to, round(s.took), round(s.longest))
	}
	fmt.Fprintf(&b, "\n  %d writes were not made while there was no primary", p.failed)
	if t.unknown > 0 {
		fmt.Fprintf(&b, "; %d got no answer, %d of these arrived all the same", t.unknown, t.arrived)
	}
	verdict := terminal.Good
	if t.lost > 0 {
		verdict = terminal.Bad
	}
	fmt.Fprintf(&b, "\n\n%s\n", d.brush.Paint(verdict, fmt.Sprintf("acknowledged %d, lost %d", t.acked, t.lost)))
	_, _ = io.WriteString(d.out, b.String())
}

// markNames say what each mark means.
func markNames() [marks]string {
	return [marks]string{"kill -9", "first Warden finds it down (SDOWN)", "enough of them agree (ODOWN)", "one is elected by votes",
		"decision on disk at a majority", "promotion done, and seen to be", "first write acknowledged"}
}

// steps are the rows of the table of times, with a bar for each step. The
// first step is a waiting time that the operator chose, so bars are drawn for
// the others.
func (d *printer) steps(p picture) []string {
	const widest = 24
	kill := p.marks[markKill]
	var longest time.Duration
	before := p.marks[markSdown]
	for _, k := range marksInOrder(p) {
		if at := p.marks[k]; k > markSdown && !at.IsZero() && !before.IsZero() {
			longest, before = max(longest, at.Sub(before)), at
		}
	}
	var rows []string
	before = kill
	for _, k := range marksInOrder(p) {
		row := fmt.Sprintf("  %-36s %8s", markNames()[k], "-")
		if at := p.marks[k]; !at.IsZero() {
			step := at.Sub(before)
			before = at
			row = fmt.Sprintf("  %-36s %8s", markNames()[k], millis(at.Sub(kill)))
			switch {
			case k == markSdown:
				row += d.brush.Paint(terminal.Faint, fmt.Sprintf("   down_after is %s", p.downAfter))
			case k > markSdown && longest > 0:
				bar := strings.Repeat("█", max(1, int(step*widest/longest)))
				row += fmt.Sprintf("   %s %s", d.brush.Paint(accent, bar), d.brush.Paint(terminal.Faint, "+"+millis(step)))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// marksInOrder are the marks by time, those not reached last. A client can be
// faster than the Warden that looks whether the promotion is done.
func marksInOrder(p picture) []mark {
	var all []mark
	for k := range marks {
		all = append(all, k)
	}
	slices.SortStableFunc(all, func(a, b mark) int {
		switch x, y := p.marks[a], p.marks[b]; {
		case x.IsZero() || y.IsZero():
			return 0
		default:
			return cmp.Compare(x.UnixMilli(), y.UnixMilli())
		}
	})
	return all
}

// millis prints whole milliseconds.
func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
