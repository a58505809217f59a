package group

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: hellos become rare while every Warden of the list is heard, and come
// as often as before when one is missing.
func TestHelloEvery(t *testing.T) {
	c := Config{Group: "g", Self: "w1", Primary: "a:1", Quorum: 2, DownAfter: warden.Second, CrashAfter: warden.Second,
		FailoverTimeout: warden.Minute, HelloInterval: 2 * warden.Second, HelloCalm: 10 * warden.Second}
	reg := warden.Register{Promise: 1, Chosen: warden.Topology{Group: "g", Birth: "b", Version: warden.Version{Epoch: 1, Step: 1},
		Phase: warden.PhaseDone, Primary: "a:1", Wardens: []warden.WardenID{"w1", "w2"}}}
	reg.Accepted = reg.Chosen
	now := warden.Instant(warden.Minute)
	s := New(c, reg, now)
	every := func(e Event) warden.Duration {
		var f Effects
		s, f = Step(c, s, e, now)
		return f.HelloEvery
	}
	if got := every(Tick{}); got != 2*warden.Second {
		t.Errorf("w2 was not heard yet: every %s, want 2s", got)
	}
	heard := Heard{Message: warden.Message{Group: "g", From: "w2", Run: 1, Birth: "b", Status: &warden.Status{Chosen: reg.Chosen.Version}}}
	if got := every(heard); got != 10*warden.Second {
		t.Errorf("w2 was heard: every %s, want 10s", got)
	}
	now = now.Add(warden.Minute)
	if got := every(Tick{}); got != 2*warden.Second {
		t.Errorf("w2 is silent: every %s, want 2s", got)
	}
	c.HelloCalm = 0
	if got := every(Tick{}); got != 0 {
		t.Errorf("without HelloCalm: every %s, want no wish", got)
	}
}
