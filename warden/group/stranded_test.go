package group

import (
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// Goal: a node that needed a rejoin and became the primary after all needs none.
func TestPrimaryNeedsNoRejoin(t *testing.T) {
	h := newHouse(t, 1, nil)
	agreed := firstAgreement()
	s := New(h.config[0], warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: []warden.NodeID{"a:1", "b:1"}}, h.now)
	s.stranded = []warden.NodeID{"a:1", "b:1"}
	var said []string
	look := func(node warden.NodeID, o warden.Observation) {
		h.now = h.now.Add(100 * warden.Millisecond)
		var f Effects
		s, f = Step(h.config[0], s, Looked{Node: node, Asked: h.now, Observation: &o}, h.now)
		for _, a := range f.Announce {
			said = append(said, a.Name+" "+string(a.Node))
		}
	}
	peer := warden.Message{Group: "g", From: "w2", Run: 1, Birth: "B1", Status: &warden.Status{Chosen: agreed.Version}}
	s, _ = Step(h.config[0], s, Heard{Message: peer}, h.now)
	primary, fenced := h.nodes[0], h.nodes[0]
	primary.NoDemote, fenced.NoDemote, fenced.NeedsRejoin = true, true, true
	look("a:1", primary)
	look("b:1", fenced)
	if !slices.Contains(said, "-needs-rejoin a:1") || slices.Contains(said, "-needs-rejoin b:1") {
		t.Errorf("said %q, want that the primary needs no rejoin and the other does", said)
	}
}

// Goal: explain tells what the rejoin command said last and when it is run again,
// and a reload of the configuration ends the wait.
func TestFailedRejoinIsExplained(t *testing.T) {
	h := newHouse(t, 1, nil)
	c := h.config[0]
	c.RejoinCommand = true
	agreed := firstAgreement()
	s := New(c, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: []warden.NodeID{"a:1", "b:1"}}, h.now)
	s, _ = Step(c, s, Tick{}, h.now) // now there are nodes
	s.stranded = []warden.NodeID{"b:1"}
	says := func(want string) {
		t.Helper()
		if said := strings.Join(Explain(c, s, h.now), "\n"); !strings.Contains(said, want) {
			t.Errorf("explain does not say %q:\n%s", want, said)
		}
	}
	says("b:1 needs a rejoin: no order can bring it behind a:1 (the rejoin_command is run by the leader).")
	fo := *s.fo
	fo.Retry = []failover.Retry{{Node: "b:1", At: h.now.Add(9500 * warden.Millisecond), Failures: 2, Rejoin: true, Why: "refused exit code 1: no room"}}
	s.fo = &fo
	says("failed, here 2 times by now: refused exit code 1: no room; it is tried again in 10s, and at once after a SIGHUP")
	c.Load++
	s, _ = Step(c, s, Tick{}, h.now)
	says("no room; it is tried again now")
	if fo.Retry[0].At == 0 {
		t.Error("the state of before has changed")
	}
	c.RejoinCommand = false
	says("(pg_rewind or pg_basebackup, or a rejoin_command)")
}

// Goal: a node that needs a rejoin and stays down is taken for one where a rejoin
// stopped half-way, by Wardens that did not run it; the one that did counts its tries.
func TestStrandedAndDown(t *testing.T) {
	h := newHouse(t, 1, nil)
	c := h.config[0]
	s := New(c, warden.Register{}, h.now)
	p := step{file: &c, c: &c, s: &s, now: h.now}
	n := &monitor.Node{ID: "b:1", Down: true, DownAt: h.now.Add(-halfwayAfter)}
	if p.halfway(n) {
		t.Error("it does not need a rejoin")
	}
	s.stranded = []warden.NodeID{"b:1"}
	if !p.halfway(n) {
		t.Error("it needs a rejoin and has been down for long enough")
	}
	n.DownAt++
	if p.halfway(n) {
		t.Error("it may only be restarted")
	}
	n.DownAt--
	for failures, want := range map[int]bool{1: true, 20: false} {
		fo := failover.New()
		fo.Retry = []failover.Retry{{Node: "b:1", Failures: failures, Rejoin: true}}
		s.fo = &fo
		if p.halfway(n) != want {
			t.Errorf("after %d failed tries: %v, want %v", failures, !want, want)
		}
	}
}

// Goal: what only one Warden has seen of a node before a rejoin stopped it the
// others know as well, while they find it down. It may be the only one that dies.
func TestStrandedIsTold(t *testing.T) {
	h := newHouse(t, 1, nil)
	c := h.config[0]
	agreed := firstAgreement()
	older := agreed.Version
	older.Epoch--
	for name, x := range map[string]struct {
		down    bool
		chosen  warden.Version
		learned bool
	}{
		"down here too":             {true, agreed.Version, true},
		"it answers: own eyes tell": {false, agreed.Version, false},
		"of another topology":       {true, older, false},
	} {
		s := New(c, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: []warden.NodeID{"a:1", "b:1"}}, h.now)
		s, _ = Step(c, s, Tick{}, h.now)
		b := *s.mon.Find("b:1")
		b.Down = x.down
		s.mon.Nodes = []*monitor.Node{s.mon.Find("a:1"), &b}
		said := warden.Message{Group: "g", From: "w2", Run: 1, Birth: "B1", Status: &warden.Status{Chosen: x.chosen, Stranded: []warden.NodeID{"b:1", "x:1"}}}
		next, f := Step(c, s, Heard{Message: said}, h.now)
		announced := slices.ContainsFunc(f.Announce, func(e warden.Event) bool { return e.Name == "+needs-rejoin" })
		told := slices.ContainsFunc(f.Send, func(e Envelope) bool {
			return e.Message.Status != nil && slices.Contains(e.Message.Status.Stranded, "b:1")
		})
		if learned := slices.Equal(next.stranded, []warden.NodeID{"b:1"}); learned != x.learned || announced != x.learned || told != x.learned || len(s.stranded) > 0 {
			t.Errorf("%s: it knows of %v, announced %v, told %v", name, next.stranded, announced, told)
		}
	}
}
