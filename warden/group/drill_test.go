package group

import (
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// drilled is one Warden of three that agreed on a:1, has looked at the nodes and
// heard the others; change is done to all that first.
func drilled(t *testing.T, change func(h *house, agreed *warden.Topology, heard *[]warden.Status)) (warden.Drill, *house) {
	t.Helper()
	h := newHouse(t, 1, nil)
	agreed := firstAgreement()
	heard := []warden.Status{{Chosen: agreed.Version}, {Chosen: agreed.Version}}
	h.nodes[0].Position, h.nodes[2].Position = 150, 120
	change(h, &agreed, &heard)
	c := h.config[0]
	s := New(c, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: nodeNames}, h.now)
	for i, st := range heard {
		from := []warden.WardenID{"w2", "w3"}[i]
		s, _ = Step(c, s, Heard{Message: warden.Message{Group: "g", From: from, Run: 1, Birth: agreed.Birth, Status: &st}}, h.now)
	}
	for i, id := range nodeNames {
		seen := h.look(i)
		s, _ = Step(c, s, Looked{Node: id, Asked: h.now, Observation: &seen}, h.now)
	}
	before := transcript.Dump(s.el.Reg)
	next, f := Step(c, s, Commanded{ID: 7, Command: warden.Command{Group: "g", Wish: warden.WishDrill}}, h.now)
	if len(f.Answers) != 1 || f.Answers[0].ID != 7 || f.Answers[0].Answer.Drill == nil {
		t.Fatalf("answers %+v", f.Answers)
	}
	if len(f.Act) > 0 || len(f.Announce) > 0 || f.Persist != nil || len(next.commands) > 0 || transcript.Dump(next.el.Reg) != before {
		t.Errorf("a drill does something: %+v", f)
	}
	return *f.Answers[0].Answer.Drill, h
}

// Goal: a drill of a sound group names who would lead, who would be promoted and
// why nobody else, what would be lost, and when it would be noticed.
func TestDrill(t *testing.T) {
	d, h := drilled(t, func(h *house, _ *warden.Topology, _ *[]warden.Status) {
		for i := range h.config {
			h.config[i].DownAfter, h.config[i].CrashAfter = 5*warden.Second, warden.Second
		}
	})
	if !d.Possible || len(d.Obstacles) > 0 || d.Candidate != "c:1" || d.Lacks != 30 || d.Keeps || d.Voters != 3 || d.Majority != 2 || d.Quorum != 2 {
		t.Errorf("drill %+v", d)
	}
	if d.Crash != warden.Second || d.Silence != 5*warden.Second || d.FailoverTimeout != h.config[0].FailoverTimeout {
		t.Errorf("noticed after %s or %s, over after %s", d.Crash, d.Silence, d.FailoverTimeout)
	}
	want := []warden.DrillNode{
		{Node: "a:1", Why: "it is the primary to be replaced"},
		{Node: "b:1", Why: "position 100 is 20 bytes behind"},
		{Node: "c:1", Chosen: true, Why: "chosen at position 120, priority 100"},
	}
	if !slices.Equal(d.Nodes, want) {
		t.Errorf("nodes %+v, want %+v", d.Nodes, want)
	}
	// The next epoch is 2, so that the turns begin with the third of three.
	if d.Leader != "w3" || d.Turn != 0 {
		t.Errorf("%s has the first turn, after %s", d.Leader, d.Turn)
	}
}

// Goal: whatever would stop a failover is an obstacle of the drill, in words.
func TestDrillObstacles(t *testing.T) {
	type change = func(h *house, agreed *warden.Topology, heard *[]warden.Status)
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"alone": {func(_ *house, _ *warden.Topology, heard *[]warden.Status) { *heard = nil }, "1 of 3 listed Wardens could vote"},
		"quorum": {func(h *house, _ *warden.Topology, heard *[]warden.Status) {
			h.config[0].Quorum, *heard = 3, (*heard)[:1]
		}, "the quorum (3)"},
		"mute others": {func(_ *house, _ *warden.Topology, heard *[]warden.Status) {
			(*heard)[0].Mute, (*heard)[1].Tilt = true, true
		}, "1 of 3 listed Wardens could vote"},
		"paused":       {func(_ *house, agreed *warden.Topology, _ *[]warden.Status) { agreed.Settings.Paused = true }, "the group is paused"},
		"unfinished":   {func(_ *house, agreed *warden.Topology, _ *[]warden.Status) { agreed.Phase = warden.PhasePromoting }, "is not finished"},
		"no agreement": {func(_ *house, agreed *warden.Topology, _ *[]warden.Status) { *agreed = warden.Topology{} }, "have not agreed"},
		"nobody left": {func(h *house, _ *warden.Topology, _ *[]warden.Status) {
			h.nodes[1].Health, h.nodes[2].Priority = warden.HealthSilent, 0
		}, "no node could be promoted"},
		"too few members": {func(h *house, agreed *warden.Topology, _ *[]warden.Status) {
			durable(h, agreed)
			h.nodes[1].Health, h.nodes[2].Health = warden.HealthSilent, warden.HealthSilent
		}, "0 of 2 members are sealed and 2 are needed"},
	} {
		d, _ := drilled(t, c.change)
		if d.Possible || !strings.Contains(strings.Join(d.Obstacles, "\n"), c.want) {
			t.Errorf("%s: possible %v, obstacles %q, want one with %q", name, d.Possible, d.Obstacles, c.want)
		}
	}
}

// durable gives the group a sync set of one of b and c.
func durable(h *house, agreed *warden.Topology) {
	h.config[0].Durable, h.config[0].SyncStandbys = true, 1
	agreed.Sync = []warden.SyncSet{{K: 1, Members: []warden.Member{{Node: "b:1", Name: "mb"}, {Node: "c:1", Name: "mc"}}}}
	h.nodes[1].Member, h.nodes[2].Member = "mb", "mc"
}

// Goal: with quorum durability a drill promotes the member with the most, says
// that acknowledged writes are kept, and counts on answering members alone.
func TestDrillOfAcknowledgedWrites(t *testing.T) {
	d, _ := drilled(t, func(h *house, agreed *warden.Topology, _ *[]warden.Status) { durable(h, agreed) })
	if !d.Possible || !d.Keeps || d.Candidate != "c:1" {
		t.Errorf("drill %+v", d)
	}
	d, _ = drilled(t, func(h *house, agreed *warden.Topology, _ *[]warden.Status) {
		durable(h, agreed)
		h.nodes[2].Health = warden.HealthSilent
	})
	if d.Possible || d.Keeps {
		t.Errorf("one of two members is gone, and any of them may have the only copy: %+v", d)
	}
}

// Goal: what would change the course of a failover is noted.
func TestDrillNotes(t *testing.T) {
	d, _ := drilled(t, func(h *house, _ *warden.Topology, _ *[]warden.Status) {
		h.config[0].FenceCommand, h.config[0].FenceRequired, h.config[0].CommandTimeout = true, true, 10*warden.Second
		h.config[0].PrePromote, h.config[0].PrePromoteTimeout = true, 3*warden.Second
		h.nodes[2].Priority = 0
	})
	notes := strings.Join(d.Notes, "\n")
	if d.Candidate != "b:1" || !strings.Contains(notes, "b:1 would catch up from c:1 first") || !strings.Contains(notes, "pre_promote is asked first, for at most 3s") || !strings.Contains(notes, "at most 10s, and nobody is promoted if that fails") {
		t.Errorf("%s would be promoted, with the notes %q", d.Candidate, d.Notes)
	}
}
