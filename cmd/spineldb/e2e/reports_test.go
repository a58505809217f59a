package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// reports are those of one Warden, or of all.
func (w *ward) reports() (all []warden.Report) {
	out, err := w.command(w.lab.t.Context(), "reports", groupName, "--json")
	var list struct {
		Reports []warden.Report `json:"reports"`
	}
	if i := strings.IndexByte(out, '{'); err == nil && i >= 0 && json.Unmarshal([]byte(out[i:]), &list) == nil {
		return list.Reports
	}
	return nil
}

// Goal: a failover leaves one report, that of its leader, with what is known of it;
// every Warden finds it, and it and the events are there after a kill -9 of the one
// that wrote it. A failover that the pause keeps from happening is one report.
func TestReportsAndEventsSurviveAKill(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	old := l.nodes[0]
	old.process.kill()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	done := func(r warden.Report) bool {
		return r.Verdict == warden.VerdictDone && r.New == fresh.addr && r.Text == ""
	}
	await(t, "the report of the failover is complete", func() bool { return slices.ContainsFunc(l.wardens[0].reports(), done) })
	all := l.wardens[0].reports()
	r := all[slices.IndexFunc(all, done)]
	promoted := func(o warden.ReportOrder) bool {
		return o.Kind == warden.ActPromote && o.Node == fresh.addr && o.Outcome == warden.Done
	}
	if len(all) != 1 || r.Old != old.addr || r.Cause == "" || len(r.Wardens) != 3 || len(r.Stages) < 5 || !slices.ContainsFunc(r.Orders, promoted) || r.Times != 1 {
		t.Errorf("%d reports; the failover's: %+v", len(all), r)
	}
	writer := l.wardens[slices.IndexFunc(l.wardens, func(w *ward) bool { return w.id() == r.Warden })]
	await(t, "the switch is on the leader's disk", func() bool {
		text, err := os.ReadFile(filepath.Join(writer.dir, "data", "events.log"))
		return err == nil && strings.Contains(string(text), "+switch-master")
	})
	before := writer.allEvents()
	awaitKept := func() bool {
		for _, w := range l.wardens {
			if !slices.ContainsFunc(w.reports(), func(x warden.Report) bool { return x.ID == r.ID && done(x) }) {
				return false
			}
		}
		return true
	}
	await(t, "every Warden finds it", awaitKept)
	writer.process.kill()
	writer.start()
	await(t, "every Warden finds it after the kill", awaitKept)
	after := writer.allEvents()
	switched := func(h happening) bool { return h.Event == "+switch-master" }
	i, k := slices.IndexFunc(before, switched), slices.IndexFunc(after, switched)
	if i < 0 || k < 0 || after[k] != before[i] || len(after) <= k {
		t.Errorf("%d events before the kill and %d after it; the switch was %d and is %d", len(before), len(after), i, k)
	}
	if a := l.wardens[0].order("PAUSE", groupName); a.Verdict != warden.VerdictDone {
		t.Fatalf("pause: %+v", a)
	}
	fresh.process.kill()
	paused := func(r warden.Report) bool {
		return r.Verdict == warden.VerdictRefused && r.Code == "paused" && r.Old == fresh.addr
	}
	await(t, "there is a report of the pause", func() bool { return slices.ContainsFunc(l.wardens[0].reports(), paused) })
}
