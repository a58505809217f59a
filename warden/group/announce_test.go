package group

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: an event about another Warden that is heard before any node was looked
// at still names the primary, as subscribers split the payload into words.
func TestSentinelIsNamedWithThePrimary(t *testing.T) {
	h := newHouse(t, 1, nil)
	status := warden.Message{Group: "g", From: "w2", Run: 1, Status: &warden.Status{Client: "10.0.0.2:26379"}}
	_, f := Step(h.config[0], h.state[0], Heard{Message: status}, h.now)
	for _, e := range f.Announce {
		if e.Name == "+sentinel" {
			if want := "sentinel w2 10.0.0.2 26379 @ g a 1"; e.Payload != want {
				t.Errorf("payload %q, want %q", e.Payload, want)
			}
			return
		}
	}
	t.Errorf("no +sentinel among %v", f.Announce)
}

// Goal: where only who takes writes is named, nobody is while writes are being
// stopped, or while the primary was seen to refuse them; else the topology's primary.
func TestOnlyWhoTakesWritesIsNamed(t *testing.T) {
	h := newHouse(t, 1, nil)
	for _, c := range []struct {
		phase    warden.Phase
		readOnly bool
		want     warden.NodeID
	}{
		{warden.PhaseDone, false, "a:1"},
		{warden.PhaseDone, true, ""},
		{warden.PhaseSealing, false, ""},
		{warden.PhasePromoting, false, ""},
	} {
		agreed := firstAgreement()
		agreed.Phase = c.phase
		seen := h.nodes[0]
		seen.ReadOnly = c.readOnly
		for _, confirmed := range []bool{true, false} {
			config, want := h.config[0], c.want
			config.NameConfirmed = confirmed
			if !confirmed {
				want = "a:1"
			}
			s := New(config, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed}, h.now)
			s, _ = Step(config, s, Looked{Node: "a:1", Asked: h.now, Observation: &seen}, h.now)
			if got := Primary(&config, &s); got != want {
				t.Errorf("%s, read-only %v, only who takes writes %v: named %q, want %q", c.phase, c.readOnly, confirmed, got, want)
			}
		}
	}
}

// Goal: why the primary was changed, and in which epoch that was decided, is known
// also to a Warden that hears of the end only from the leader after the one that
// made the change, which died.
func TestMovedFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		heard  []warden.Topology
		reason warden.Reason
		epoch  warden.Epoch
	}{
		{"the end was heard", []warden.Topology{
			{Version: warden.Version{Epoch: 3, Step: 2}, Phase: warden.PhasePromoting, Primary: "b:1", Reason: warden.ReasonSwitchover},
			{Version: warden.Version{Epoch: 3, Step: 3}, Phase: warden.PhaseDone, Primary: "b:1", Reason: warden.ReasonSwitchover},
			{Version: warden.Version{Epoch: 4, Step: 1}, Phase: warden.PhaseDone, Primary: "b:1", Reason: warden.ReasonRepair}}, warden.ReasonSwitchover, 3},
		{"the next leader's first step was heard", []warden.Topology{
			{Version: warden.Version{Epoch: 3, Step: 2}, Phase: warden.PhasePromoting, Primary: "b:1", Reason: warden.ReasonSwitchover},
			{Version: warden.Version{Epoch: 4, Step: 1}, Phase: warden.PhaseDone, Primary: "b:1", Reason: warden.ReasonRepair}}, warden.ReasonSwitchover, 3},
		{"another leader finished", []warden.Topology{
			{Version: warden.Version{Epoch: 3, Step: 2}, Phase: warden.PhasePromoting, Primary: "b:1", Reason: warden.ReasonFailover},
			{Version: warden.Version{Epoch: 4, Step: 2}, Phase: warden.PhaseDone, Primary: "b:1", Reason: warden.ReasonFailover}}, warden.ReasonFailover, 4},
		{"it came to something else", []warden.Topology{
			{Version: warden.Version{Epoch: 3, Step: 2}, Phase: warden.PhasePromoting, Primary: "c:1", Reason: warden.ReasonSwitchover},
			{Version: warden.Version{Epoch: 4, Step: 1}, Phase: warden.PhaseDone, Primary: "b:1", Reason: warden.ReasonRepair}}, warden.ReasonRepair, 4},
		{"nothing has moved", []warden.Topology{
			{Version: warden.Version{Epoch: 3, Step: 1}, Phase: warden.PhaseDone, Primary: "a:1", Reason: warden.ReasonRepair}}, "", 0},
	} {
		h := newHouse(t, 1, nil)
		config, agreed := h.config[0], warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone,
			Primary: "a:1", Wardens: []warden.WardenID{"w1", "w2", "w3"}, Lineage: []string{"L1"}}
		s := New(config, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed}, h.now)
		for _, step := range c.heard {
			next := agreed.Clone()
			next.Version, next.Phase, next.Primary, next.Reason, next.Leader, next.LeaderRun = step.Version, step.Phase, step.Primary, step.Reason, "w2", 1
			s, _ = Step(config, s, Heard{Message: warden.Message{Group: "g", From: "w2", Run: 1, Birth: "B1", Learn: &warden.Learn{Topology: next}}}, h.now)
		}
		if v := Outline(&config, &s, h.now); v.MovedFor != c.reason || v.MovedIn != c.epoch || v.Topology.Version != c.heard[len(c.heard)-1].Version {
			t.Errorf("%s: moved for %q in %d, at %s; want %q in %d", c.name, v.MovedFor, v.MovedIn, v.Topology.Version, c.reason, c.epoch)
		}
	}
}
