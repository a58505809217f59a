package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/chaos/history"
)

// seconds is a record in which the given writes were acknowledged, each one
// second after the one before. A write is "NODE TENURE".
func seconds(writes ...string) *record {
	r := &record{}
	for i, w := range writes {
		node, tenure, _ := strings.Cut(w, " ")
		at := time.Duration(i+1) * time.Second
		r.writes = append(r.writes, &history.Write{Token: w, Node: node, Tenure: tenure, Sent: at - time.Millisecond, Done: at, Outcome: history.Acknowledged})
	}
	r.settled = time.Hour
	return r
}

// tokens are those of a record, without some.
func (r *record) tokens(but ...string) map[string]bool {
	out := map[string]bool{}
	for _, w := range r.writes {
		out[w.Token] = true
	}
	for _, t := range but {
		delete(out, t)
	}
	return out
}

// Goal: in an asynchronous group an old primary may acknowledge beside the new
// one while a fault is at it and as long afterwards as L2 says; not without a
// fault, not later, and not once all is well.
func TestJudgeAsync(t *testing.T) {
	both := []string{"node-1 1", "node-2 2", "node-1 1", "node-2 2"} // the third, at 3 s, is the old one's
	for name, c := range map[string]struct {
		writes   []string
		troubles []trouble
		settled  time.Duration
		lost     []string
		wrong    string
	}{
		"no fault, no second primary": {writes: []string{"node-1 1", "node-2 2"}},
		"cut off":                     {writes: both, troubles: []trouble{{from: time.Second, to: 2 * time.Second, hosts: []string{"node-1"}}}},
		"two Wardens cut off":         {writes: both, troubles: []trouble{{from: 1, hosts: []string{"warden-1"}}, {from: 1, hosts: []string{"warden-2"}}}},
		"once all is well":            {writes: both, troubles: []trouble{{from: time.Second, to: 2 * time.Second, hosts: []string{"node-1"}}}, settled: 2 * time.Second, wrong: "two primaries"},
		"lost in the last tenure":     {writes: both[:2], lost: []string{"node-2 2"}, wrong: "never replaced"},
		"lost before":                 {writes: both[:2], lost: []string{"node-1 1"}},
		"one tenure, two nodes":       {writes: []string{"node-1 1", "node-2 1"}, wrong: "both acknowledged"},
	} {
		r := seconds(c.writes...)
		if r.troubles = c.troubles; c.settled != 0 {
			r.settled = c.settled
		}
		expectVerdict(t, name, judgeAsync(r, r.tokens(c.lost...), "2"), c.wrong)
	}
	// The same a minute later, when the fault is long over, or was another one's.
	for name, host := range map[string]string{"long ago": "node-1", "one Warden is no majority": "warden-1", "somebody else": "node-3"} {
		r := seconds(both...)
		for _, w := range r.writes {
			w.Sent, w.Done = w.Sent+time.Minute, w.Done+time.Minute
		}
		r.troubles = []trouble{{from: time.Second, to: 2 * time.Second, hosts: []string{host}}}
		expectVerdict(t, name, judgeAsync(r, r.tokens(), "2"), "two primaries")
	}
}

// Goal: in a quorum group nothing excuses a loss, a second primary or a stale read.
func TestJudgeQuorum(t *testing.T) {
	for name, c := range map[string]struct {
		writes []string
		lost   []string
		ops    []history.Op
		wrong  string
	}{
		"all there":           {writes: []string{"node-1 1", "node-2 2"}},
		"one lost":            {writes: []string{"node-1 1", "node-2 2"}, lost: []string{"node-1 1"}, wrong: "acknowledged and lost"},
		"an older timeline":   {writes: []string{"node-2 2", "node-1 1"}, wrong: "two primaries"},
		"one line, two nodes": {writes: []string{"node-1 1", "node-2 1"}, wrong: "both acknowledged"},
		"a lost register": {ops: []history.Op{
			{Key: "r", Kind: history.Put, Value: 7, Sent: 1, Done: 2, Outcome: history.Acknowledged},
			{Key: "r", Kind: history.Get, Sent: 3, Done: 4, Outcome: history.Acknowledged},
		}, wrong: "no order explains"},
	} {
		r := seconds(c.writes...)
		r.ops = c.ops
		r.troubles = []trouble{{from: 1, hosts: []string{"node-1", "node-2", "warden-1", "warden-2"}}}
		expectVerdict(t, name, judgeQuorum(r, r.tokens(c.lost...), timelines), c.wrong)
	}
}

func expectVerdict(t *testing.T, name string, j judgement, wrong string) {
	t.Helper()
	all := strings.Join(j.wrong, "\n")
	if (wrong == "") != (all == "") || !strings.Contains(all, wrong) {
		t.Errorf("%s: want %q, got %q", name, wrong, all)
	}
}
