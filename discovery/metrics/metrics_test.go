package metrics

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

// Goal: what a Warden sees of groups, nodes and Wardens is shown as it is, and
// what is not known is left out rather than shown as zero.
func TestState(t *testing.T) {
	b := newBench(t, sample("pg"))
	b.want(map[string]float64{
		"warden_groups": 1,
		"warden_tilt":   0,
		fmt.Sprintf(`warden_build_info{goversion="%s",version="1.2.3"}`, runtime.Version()): 1,
		`warden_group_agreed{group="pg"}`:                                1,
		`warden_group_agreed_age_seconds{group="pg"}`:                    .25,
		`warden_group_quorum{group="pg"}`:                                2,
		`warden_group_down_opinions{group="pg"}`:                         1,
		`warden_group_wardens_listed{group="pg"}`:                        3,
		`warden_group_wardens_heard{group="pg"}`:                         2,
		`warden_group_wardens_needed{group="pg"}`:                        2,
		`warden_group_wardens_silent{group="pg"}`:                        1,
		`warden_group_sentinels{group="pg"}`:                             1,
		`warden_group_failover_possible{group="pg"}`:                     0, // a real Sentinel decides
		`warden_group_epoch{group="pg"}`:                                 8,
		`warden_group_topology_step{group="pg"}`:                         3,
		`warden_group_promised_epoch{group="pg"}`:                        9,
		`warden_group_sync_required{group="pg"}`:                         1,
		`warden_group_sync_members{group="pg"}`:                          2,
		`warden_group_sync_members_streaming{group="pg"}`:                1,
		`warden_group_sync_changing{group="pg"}`:                         0,
		`warden_group_down_after_seconds{group="pg"}`:                    5,
		`warden_node_is_primary{group="pg",node="10.0.0.1:5432"}`:        1,
		`warden_node_sdown{group="pg",node="10.0.0.1:5432"}`:             1,
		`warden_node_takes_writes{group="pg",node="10.0.0.1:5432"}`:      1,
		`warden_node_lag_bytes{group="pg",node="10.0.0.1:5432"}`:         none,
		`warden_node_lag_bytes{group="pg",node="10.0.0.2:5432"}`:         400,
		`warden_node_position_bytes{group="pg",node="10.0.0.2:5432"}`:    600,
		`warden_node_link_down_seconds{group="pg",node="10.0.0.2:5432"}`: 0,
		`warden_node_sync_member{group="pg",node="10.0.0.2:5432"}`:       1,
		`warden_node_lag_bytes{group="pg",node="10.0.0.3:5432"}`:         none, // another line of data
		`warden_node_link_down_seconds{group="pg",node="10.0.0.3:5432"}`: 7,
		`warden_node_needs_rejoin{group="pg",node="10.0.0.3:5432"}`:      1,
		`warden_node_up{group="pg",node="10.0.0.3:5432"}`:                0,
		`warden_node_good_age_seconds{group="pg",node="10.0.0.3:5432"}`:  none, // never
		`warden_peer_silent{group="pg",warden="33333333"}`:               1,
		`warden_peer_heard_age_seconds{group="pg",warden="33333333"}`:    none,
		`warden_peer_heard_age_seconds{group="pg",warden="22222222"}`:    .1,
		`warden_peer_serves_another{group="pg",warden="22222222"}`:       1,
		`warden_peer_serves_another{group="pg",warden="33333333"}`:       0,
		`warden_group_moved_age_seconds{group="pg"}`:                     60,
		`warden_peer_says_down{group="pg",warden="22222222"}`:            1,
		`warden_peer_listed{group="pg",warden="44444444"}`:               none, // a real Sentinel
	})
	b.want(map[string]float64{`warden_primary_switches_total{group="pg"}`: 0}) // there before the first one
	b.want(map[string]float64{`warden_failovers_total{group="pg",reason="failover",result="no_candidate"}`: 0})
}

// Goal: a group without quorum durability has no figures of it, and a failover
// is possible only with enough Wardens and nothing in its way.
func TestFailoverPossible(t *testing.T) {
	plain := sample("g")
	plain.Topology.Sync, plain.Peers = nil, plain.Peers[:2]
	for name, c := range map[string]struct {
		change func(*warden.GroupView)
		want   float64
	}{
		"two of three":    {func(*warden.GroupView) {}, 1},
		"quorum of three": {func(v *warden.GroupView) { v.Quorum = 3 }, 0},
		"one of three":    {func(v *warden.GroupView) { v.Peers[0].Down = true }, 0},
		"paused":          {func(v *warden.GroupView) { v.Paused = true }, 0},
		"mute":            {func(v *warden.GroupView) { v.Mute = true }, 0},
		"tilt":            {func(v *warden.GroupView) { v.Tilt = true }, 0},
		"no agreement":    {func(v *warden.GroupView) { v.Topology = warden.Topology{} }, 0},
	} {
		v := plain
		v.Peers = slices.Clone(plain.Peers)
		c.change(&v)
		b := newBench(t, v)
		b.want(map[string]float64{`warden_group_failover_possible{group="g"}`: c.want, `warden_group_sync_required{group="g"}`: none})
		if t.Failed() {
			t.Fatalf("case %s", name)
		}
	}
}

// Goal: a failover that this Warden leads is measured step by step, by its events.
func TestStepsOfAFailover(t *testing.T) {
	b := newBench(t, sample("g"))
	leads := func(reason warden.Reason) {
		b.Set(func(d *directorytest.Directory) { d.Views[0].Leading, d.Views[0].LeadsFor = reason != "", reason })
	}
	tell := func(name string, after warden.Duration) {
		b.Set(func(d *directorytest.Directory) { d.Clock = d.Clock.Add(after) })
		b.Observe(warden.Event{Group: "g", Name: name})
	}
	tell("+odown", 0)
	tell("+try-failover", 40*warden.Millisecond)
	tell("+vote-for-leader", 0)
	leads(warden.ReasonFailover)
	tell("+elected-leader", 4*warden.Millisecond)
	tell("+failover-state-select-slave", 0)
	tell("+selected-slave", 2*warden.Millisecond)
	tell("+failover-state-send-slaveof-noone", 6*warden.Millisecond)
	tell("+failover-state-wait-promotion", 3*warden.Millisecond)
	tell("+promoted-slave", 8*warden.Millisecond)
	tell("+switch-master", warden.Millisecond)
	tell("+failover-end", 20*warden.Millisecond)
	leads("")
	have := b.series()
	for step, want := range map[string]float64{"turn": .04, "elect": .004, "choose": .002, "decide": .006, "claim": .003, "promote": .008, "publish": .001, "follow": .02, "total": .064} {
		sum, count := have[fmt.Sprintf(`warden_failover_step_seconds_sum{step=%q}`, step)], have[fmt.Sprintf(`warden_failover_step_seconds_count{step=%q}`, step)]
		if count != 1 || sum < want-1e-9 || sum > want+1e-9 {
			t.Errorf("step %s: %v s in %v times, want %v once", step, sum, count, want)
		}
	}
	b.want(map[string]float64{
		`warden_failovers_total{group="g",reason="failover",result="done"}`: 1,
		`warden_elections_total{group="g",result="elected"}`:                1,
		`warden_votes_total{group="g"}`:                                     1,
		`warden_primary_switches_total{group="g"}`:                          1,
		`warden_events_total{event="+selected-slave",group="g"}`:            1,
		`warden_events_total{event="other",group="g"}`:                      none,
	})
}

// Goal: every way in which an attempt ends is counted once, under its name.
func TestResultsOfAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		want   string
	}{
		"not elected":          {[]string{"+odown", "+try-failover", "-failover-abort-not-elected"}, `reason="failover",result="not_elected"`},
		"unknown":              {[]string{"+try-failover", "-failover-abort-not-elected"}, `reason="unknown",result="not_elected"`},
		"nobody to promote":    {[]string{"+try-failover", "+elected-leader", "-failover-abort-no-good-slave", "-leader-lost"}, `reason="switchover",result="no_candidate"`},
		"too few sealed":       {[]string{"+try-failover", "+elected-leader", "-seal-failed"}, `reason="switchover",result="sealed_too_few"`},
		"called off":           {[]string{"+try-failover", "+elected-leader", "-failover-abort"}, `reason="switchover",result="cancelled"`},
		"lost":                 {[]string{"+try-failover", "+elected-leader", "-leader-lost"}, `reason="switchover",result="unfinished"`},
		"another one did it":   {[]string{"+try-failover", "+elected-leader", "+config-update-from", "+switch-master", "+failover-end"}, `reason="switchover",result="unfinished"`},
		"silently over":        {[]string{"+try-failover", "+elected-leader", "+try-failover"}, `reason="switchover",result="unfinished"`},
		"no end of following":  {[]string{"+try-failover", "+elected-leader", "+switch-master", "-leader-lost"}, `reason="switchover",result="done"`},
		"somebody else's":      {[]string{"+config-update-from", "+switch-master", "+failover-end"}, ""},
		"recovered":            {[]string{"+try-failover", "+elected-leader", "+failover-end", "-leader-lost"}, `reason="switchover",result="done"`},
		"no move of a primary": {[]string{"+elected-leader", "+slave-reconf-sent", "-leader-lost"}, ""},
	} {
		v := sample("g")
		v.LeadsFor = warden.ReasonSwitchover
		b := newBench(t, v)
		for _, e := range c.events {
			b.Observe(warden.Event{Group: "g", Name: e})
		}
		var found []string
		for s, n := range b.series() {
			if strings.HasPrefix(s, "warden_failovers_total{") && n > 0 {
				found = append(found, fmt.Sprintf("%s %v", s, n))
			}
		}
		want := fmt.Sprintf(`warden_failovers_total{group="g",%s} 1`, c.want)
		if c.want == "" && len(found) != 0 || c.want != "" && !slices.Equal(found, []string{want}) {
			t.Errorf("%s: counted %q, want %q", name, found, want)
		}
	}
}

// Goal: a primary that was down long ago, and was replaced by another leader, is
// not counted among what an operator orders later.
func TestOldNewsIsNotMeasured(t *testing.T) {
	b := newBench(t, sample("g"))
	b.Observe(warden.Event{Group: "g", Name: "+odown"})
	b.Observe(warden.Event{Group: "g", Name: "+config-update-from"})
	b.Observe(warden.Event{Group: "g", Name: "+switch-master"})
	b.Set(func(d *directorytest.Directory) {
		d.Clock = d.Clock.Add(1000 * warden.Second)
		d.Views[0].LeadsFor = warden.ReasonSwitchover
	})
	for _, e := range []string{"+try-failover", "+elected-leader", "+switch-master"} {
		b.Observe(warden.Event{Group: "g", Name: e})
	}
	b.want(map[string]float64{
		`warden_failover_step_seconds_count{step="turn"}`:                     none,
		`warden_failover_step_seconds_sum{step="total"}`:                      0,
		`warden_failovers_total{group="g",reason="switchover",result="done"}`: 1,
	})
}

// Goal: the directory is asked without holding anything, since it has locks under
// which others announce.
func TestDirectoryIsAskedWithoutLocks(t *testing.T) {
	b := newBench(t, sample("g"))
	b.Observe(warden.Event{Group: "g", Name: "+try-failover"})
	b.Asked = func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Observe(warden.Event{Group: "g", Name: "+sdown"})
			b.Observe(warden.Event{Group: "other", Name: "+switch-master"})
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("an event waits for the answer of the directory")
		}
	}
	b.Observe(warden.Event{Group: "g", Name: "+elected-leader"})
	b.text()
}

// Goal: looks and commits are counted by result, and only answers are timed.
func TestLooksAndCommits(t *testing.T) {
	b := newBench(t, sample("g"))
	const node = "10.0.0.1:5432"
	b.Looked("g", node, warden.HealthGood, 2*warden.Millisecond)
	b.Looked("g", node, warden.HealthLoading, 4*warden.Millisecond)
	b.Looked("g", node, warden.HealthSilent, warden.Second)
	b.Committed(3*time.Millisecond, nil)
	b.Committed(time.Second, errors.New("no space left on device"))
	b.want(map[string]float64{
		`warden_node_looks_total{group="g",node="10.0.0.1:5432",result="good"}`:  1,
		`warden_node_looks_total{group="g",node="10.0.0.1:5432",result="alive"}`: 1,
		`warden_node_looks_total{group="g",node="10.0.0.1:5432",result="none"}`:  1,
		`warden_look_seconds_count{group="g"}`:                                   2,
		`warden_look_seconds_sum{group="g"}`:                                     .006,
		`warden_store_commit_seconds_count`:                                      1,
		`warden_store_commit_seconds_sum`:                                        .003,
		`warden_store_failures_total`:                                            1,
		`warden_records_lost_total{kind="events"}`:                               3,
		`warden_records_lost_total{kind="reports"}`:                              0,
	})
}

// Goal: nodes and groups that are gone leave nothing behind, and names that
// nobody knows do not become labels.
func TestBoundedCardinality(t *testing.T) {
	b := newBench(t, sample("stays"), sample("goes"))
	for _, g := range []warden.GroupName{"stays", "goes"} {
		b.Observe(warden.Event{Group: g, Name: "+switch-master"})
		b.Observe(warden.Event{Group: g, Name: "+try-failover"})
		b.Looked(g, "10.0.0.1:5432", warden.HealthGood, warden.Millisecond)
		b.Looked(g, "10.0.0.3:5432", warden.HealthGood, warden.Millisecond)
	}
	for i := range 500 {
		b.Observe(warden.Event{Group: "stays", Name: fmt.Sprintf("+made-up-%d", i)})
	}
	b.text()
	b.Set(func(d *directorytest.Directory) { d.Views = d.Views[:1]; d.Views[0].Nodes = d.Views[0].Nodes[:2] })
	b.text() // what is gone is forgotten now, and shown no more from the next scrape on
	for s := range b.series() {
		if strings.Contains(s, "goes") || strings.Contains(s, "10.0.0.3") || strings.Contains(s, "made-up") {
			t.Errorf("%s is still there", s)
		}
	}
	b.want(map[string]float64{
		`warden_events_total{event="other",group="stays"}`:                          500,
		`warden_node_looks_total{group="stays",node="10.0.0.1:5432",result="good"}`: 1,
		`warden_primary_switches_total{group="stays"}`:                              1,
	})
}

// Goal: scrapes, events and looks at the same time disturb one another in
// nothing (this test is for the race detector).
func TestConcurrentUse(t *testing.T) {
	b := newBench(t, sample("g"))
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for range 50 {
				b.Observe(warden.Event{Group: "g", Name: "+odown"})
				b.Observe(warden.Event{Group: "g", Name: "+try-failover"})
				b.Looked("g", "10.0.0.1:5432", warden.HealthGood, warden.Millisecond)
				b.Committed(time.Millisecond, nil)
				b.Set(func(d *directorytest.Directory) { d.Me.Tilt = i == 1 })
				w := httptest.NewRecorder()
				b.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
				if w.Code != http.StatusOK {
					t.Errorf("scrape: status %d: %s", w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	b.want(map[string]float64{`warden_events_total{event="+try-failover",group="g"}`: 150})
}

// Goal: metrics are read, never written.
func TestOnlyReads(t *testing.T) {
	b := newBench(t)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/metrics", strings.NewReader("x")))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("metrics without a directory were made")
	}
}

// Goal: the list of events that are counted by name is that of the documentation.
func TestEventNames(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "\n## Events\n")
	page, _, _ = strings.Cut(page, "\n## ")
	documented := 0
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range regexp.MustCompile("`([+-][a-z-]+)`").FindAllStringSubmatch(cells[1], -1) {
			documented++
			if !slices.Contains(eventNames, m[1]) {
				t.Errorf("docs/operations.md lists %s: add it to eventNames", m[1])
			}
		}
	}
	if documented < 80 || len(eventNames) > 200 {
		t.Errorf("%d events are documented and %d are counted", documented, len(eventNames))
	}
}
