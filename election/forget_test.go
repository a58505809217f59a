package election

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal (R4): a Warden that is forgotten a moment after its death, while all
// still count as having heard it lately, does not join again; one that speaks
// again does.
func TestForgottenMustBeHeardAnew(t *testing.T) {
	base := warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone,
		Primary: "a", Wardens: []warden.WardenID{"w1", "w2", "w3"}, Leader: "w2", LeaderRun: 1}
	without := base.Clone()
	without.Version = warden.Version{Epoch: 2, Step: 2}
	without.Wardens = []warden.WardenID{"w1", "w2"}

	c := Config{Group: "g", Self: "w1", Run: 1, Quorum: 2, HelloInterval: helloEvery}
	now := warden.Instant(warden.Minute)
	s := New(warden.Register{Promise: 1, Accepted: base, Chosen: base}, now)
	tell := func(m warden.Message) {
		m.Group, m.Run, m.Birth = "g", 1, "B1"
		s, _ = Step(c, s, Heard{m}, Want{}, Sight{}, now)
	}
	status := func(from warden.WardenID, hears ...warden.WardenID) {
		tell(warden.Message{From: from, Status: &warden.Status{Chosen: s.Reg.Chosen.Version, Hears: hears}})
	}
	status("w3", "w1", "w2")
	status("w2", "w1", "w3")
	tell(warden.Message{From: "w2", Learn: &warden.Learn{Topology: without}})
	if s.Reg.Chosen.Lists("w3") {
		t.Fatal("w3 was not forgotten")
	}
	// w2 has heard w3 lately, too, and says so for as long as that is true.
	for range 2 * hearLimit(c) / helloEvery {
		now = now.Add(helloEvery)
		status("w2", "w1", "w3")
		if id := s.Newcomer(c, now); id != "" {
			t.Fatalf("%s is to join again, but has said nothing since it was forgotten", id)
		}
	}
	for range 3 {
		now = now.Add(helloEvery)
		status("w3", "w1", "w2")
		status("w2", "w1", "w3")
	}
	if id := s.Newcomer(c, now); id != "w3" {
		t.Errorf("the newcomer is %q, want w3, which speaks again", id)
	}
	if !slices.Contains(s.Hears(c, now), "w3") {
		t.Error("w3 is not heard")
	}
}
