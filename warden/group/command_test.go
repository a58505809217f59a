package group

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/warden"
)

// lonely is a Warden that has agreed with others and hears none of them.
func lonely(t warden.Topology) (Config, State, warden.Instant) {
	now := warden.Instant(warden.Minute)
	c := Config{Group: "g", Self: "w1", Run: 1, NewBirth: "B2", Primary: "a:1", Quorum: 2, DownAfter: warden.Second, CrashAfter: warden.Second,
		FailoverTimeout: 10 * warden.Second, HelloInterval: warden.Second, ParallelSyncs: 1}
	t.Group, t.Birth, t.Phase, t.Primary, t.Lineage = "g", "B1", warden.PhaseDone, "a:1", []string{"L1"}
	t.Version, t.Leader, t.LeaderRun = warden.Version{Epoch: 1, Step: 1}, "w1", 1
	return c, New(c, warden.Register{Promise: 1, Accepted: t, Chosen: t}, now), now
}

// TestDoneAlreadyNeedsAMajority: who hears nobody does not know what is agreed
// now, and does not tell an operator that it is so already.
func TestDoneAlreadyNeedsAMajority(t *testing.T) {
	c, s, now := lonely(warden.Topology{Wardens: []warden.WardenID{"w1", "w2", "w3"}, Settings: warden.Settings{Paused: true}})
	_, f := Step(c, s, Commanded{ID: 7, Command: warden.Command{Group: "g", Wish: warden.WishPause}}, now)
	if len(f.Answers) != 1 || f.Answers[0].Answer.Code != "not-agreed" {
		t.Errorf("the answers are %+v", f.Answers)
	}
}

// TestForgetKeepsAQuorum: no Warden is forgotten without which nothing could be
// agreed any more.
func TestForgetKeepsAQuorum(t *testing.T) {
	c, s, now := lonely(warden.Topology{Wardens: []warden.WardenID{"w1", "w2"}})
	_, f := Step(c, s, Commanded{ID: 7, Command: warden.Command{Group: "g", Wish: warden.WishForget, Wardens: []warden.WardenID{"w2"}}}, now)
	if len(f.Answers) != 1 || f.Answers[0].Answer.Verdict != warden.VerdictRefused || f.Answers[0].Answer.Code != "quorum" {
		t.Errorf("the answers are %+v", f.Answers)
	}
}

// TestPrimaryConflict: three Wardens that are configured with three primaries
// agree on none of them, and say so once.
func TestPrimaryConflict(t *testing.T) {
	c, _, now := lonely(warden.Topology{})
	s := New(c, warden.Register{}, now)
	said := 0
	for range 40 {
		now = now.Add(100 * warden.Millisecond)
		seen := warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Lineage: "L1", Position: 10, Priority: 100}
		events := []Event{Looked{Node: "a:1", Asked: now, Observation: &seen}}
		for from, primary := range map[warden.WardenID]warden.NodeID{"w2": "b:1", "w3": "c:1"} {
			events = append(events, Heard{Message: warden.Message{Group: "g", From: from, Run: 1, Status: &warden.Status{Primary: primary}}})
		}
		for _, e := range events {
			var f Effects
			s, f = Step(c, s, e, now)
			for _, x := range f.Announce {
				if x.Name == "-primary-conflict" {
					said++
				}
			}
			if slices.ContainsFunc(f.Send, func(e Envelope) bool { return e.Message.Ask != nil }) {
				t.Fatal("it stands for a first agreement that most of the others do not want")
			}
		}
	}
	if said != 1 {
		t.Errorf("the conflict is said %d times", said)
	}
}
