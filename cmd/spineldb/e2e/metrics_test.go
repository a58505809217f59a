package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// figure is the sum of the series of a metric whose labels contain all words, as
// a Warden shows it by HTTP.
func (w *ward) figure(metric string, words ...string) (sum float64) {
	w.lab.t.Helper()
	a := w.askWeb(w.lab.ctx(20*time.Second), http.MethodGet, "/metrics", "")
	if a.status != http.StatusOK {
		w.lab.t.Fatalf("scrape %s: status %d: %s", w.name, a.status, a.body)
	}
series:
	for _, m := range regexp.MustCompile(`(?m)^`+metric+`(\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(a.body, -1) {
		for _, word := range words {
			if !strings.Contains(m[1], word) {
				continue series
			}
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			w.lab.t.Fatalf("%s of %s: %v", metric, w.name, err)
		}
		sum += v
	}
	return sum
}

// Goal: a drill foretells who is promoted when the primary really dies, and
// changes nothing; afterwards the figures of the three Wardens tell of one
// failover, whose steps the leader has measured.
func TestDrillForetellsTheFailover(t *testing.T) {
	t.Parallel()
	l := startLab(t, withWeb)
	old, excluded := l.nodes[0], l.nodes[1]
	excluded.do("CONFIG", "SET", "replica-priority", "0")
	await(t, "the Wardens know who may not be promoted", func() bool {
		for _, w := range l.wardens {
			if w.figure("warden_node_priority", string(excluded.addr)) != 0 || w.figure("warden_group_failover_possible") != 1 {
				return false
			}
		}
		return true
	})
	before := l.wardens[0].mustView().Topology.Version
	first := l.firstInTurn().id()
	var foretold warden.NodeID
	for _, w := range l.wardens {
		var a warden.Answer
		if err := w.ask(&a, "WARDEN", "DRILL", groupName); err != nil || a.Drill == nil {
			t.Fatalf("drill on %s: %v, %+v", w.name, err, a)
		}
		d := a.Drill
		if !d.Possible || d.Primary != old.addr || d.Voters != len(l.wardens) || d.Leader != first || d.Candidate == "" || d.Candidate == excluded.addr {
			t.Errorf("drill on %s: %+v, want one led by %s", w.name, d, first)
		}
		foretold = d.Candidate
		said := ""
		for _, n := range d.Nodes {
			said += string(n.Node) + " " + n.Why + "\n"
		}
		if !strings.Contains(said, string(excluded.addr)+" excluded by its priority 0") {
			t.Errorf("drill on %s says of the nodes:\n%s", w.name, said)
		}
	}
	if v := l.wardens[0].mustView().Topology.Version; v != before {
		t.Errorf("a drill changed the topology from %s to %s", before, v)
	}
	old.process.kill()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	if fresh.addr != foretold {
		t.Errorf("%s was promoted, but the drills said %s", fresh.addr, foretold)
	}
	l.countOneFailover(old, fresh)
}

// countOneFailover waits until the figures of all Wardens together tell of one
// failover, and compares them.
func (l *lab) countOneFailover(old, fresh *node) {
	t := l.t
	t.Helper()
	count := func(metric string, words ...string) (sum float64) {
		for _, w := range l.wardens {
			sum += w.figure(metric, words...)
		}
		return sum
	}
	await(t, "the end of the failover is counted", func() bool {
		return count("warden_failover_step_seconds_count", `"follow"`) == 1
	})
	for _, c := range []struct {
		metric, label string
		want          float64
	}{
		{"warden_failovers_total", `result="done"`, 1},
		{"warden_failover_step_seconds_count", `"total"`, 1},
		{"warden_failover_step_seconds_count", `"promote"`, 1},
		{"warden_primary_switches_total", "", 3},
		{"warden_node_is_primary", string(fresh.addr), 3},
		{"warden_node_is_primary", string(old.addr), 0},
	} {
		if got := count(c.metric, c.label); got != c.want {
			t.Errorf("all Wardens together: %s with %s is %v, want %v", c.metric, c.label, got, c.want)
		}
	}
	for _, w := range l.wardens {
		if w.figure("warden_store_commit_seconds_count") == 0 || w.figure("warden_look_seconds_count") == 0 {
			t.Errorf("%s timed no commits or no looks", w.name)
		}
	}
}

// Goal: with quorum durability a drill says that what was acknowledged is kept,
// and names one of the standbys. Which one is not held to the failover: both
// may have everything. When no standby is left it finds nobody.
func TestDrillOfPostgres(t *testing.T) {
	t.Parallel()
	pl := startDurable(t)
	old := pl.servers[0]
	drill := func(w *ward) warden.Drill {
		var a warden.Answer
		if err := w.ask(&a, "WARDEN", "DRILL", groupName); err != nil || a.Drill == nil {
			t.Fatalf("drill on %s: %v, %+v", w.name, err, a)
		}
		return *a.Drill
	}
	var foretold warden.NodeID
	for _, w := range pl.wardens {
		d := drill(w)
		if !d.Possible || !d.Keeps || d.Primary != old.Addr || d.Candidate == "" || d.Candidate == old.Addr {
			t.Errorf("drill on %s: %+v", w.name, d)
		}
		foretold = d.Candidate
	}
	old.kill()
	fresh := pl.awaitOther(old, pl.wardens...)
	t.Logf("%s was promoted, the last drill said %s", fresh.Addr, foretold)
	for _, w := range pl.wardens {
		// One standby is left, of a set that was made for two.
		await(t, "a drill on "+w.name+" knows the new primary", func() bool { return drill(w).Primary == fresh.Addr })
	}
	pl.except(old, fresh)[0].kill()
	for _, w := range pl.wardens {
		await(t, "a drill on "+w.name+" finds nobody to promote", func() bool {
			d := drill(w)
			return !d.Possible && !d.Keeps && len(d.Obstacles) > 0
		})
	}
}
