package main

import (
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Every Warden tells every other one what it sees each two seconds, and no more
// while nothing happens; a failover takes a handful of delays, however many
// Wardens there are.
func TestParliamentAgrees(t *testing.T) {
	for _, n := range []int{3, 5} {
		a, err := newParliament(n).measure()
		if err != nil {
			t.Fatal(err)
		}
		if want := float64(n*(n-1)) / 2; a.messages < 0.9*want || a.messages > 1.5*want {
			t.Errorf("%d Wardens: %.1f messages a second, want about %.1f", n, a.messages, want)
		}
		if a.first <= 0 || a.last < a.first || a.last > 50*time.Millisecond || a.change == 0 {
			t.Errorf("%d Wardens: %+v", n, a)
		}
	}
}

// One Warden of three agrees on nothing, so the measurement can fail.
func TestParliamentNeedsAMajority(t *testing.T) {
	p := newParliament(3)
	p.members = p.members[:1]
	p.queue = moments{p.queue[0]}
	if a, err := p.measure(); err == nil {
		t.Errorf("one of three Wardens agrees with itself: %+v", a)
	}
}

func TestMassBars(t *testing.T) {
	topology := func(primary warden.NodeID, epoch warden.Epoch) warden.Topology {
		return warden.Topology{Primary: primary, Version: warden.Version{Epoch: epoch}}
	}
	before := map[warden.GroupName]warden.Topology{"a": topology("x:1", 1), "b": topology("x:2", 1)}
	for name, test := range map[string]struct {
		after map[warden.GroupName]warden.Topology
		holds [2]bool
	}{
		"each once":    {map[warden.GroupName]warden.Topology{"a": topology("y:1", 2), "b": topology("y:2", 3)}, [2]bool{true, true}},
		"not at all":   {map[warden.GroupName]warden.Topology{"a": topology("x:1", 1), "b": topology("y:2", 2)}, [2]bool{false, true}},
		"again, again": {map[warden.GroupName]warden.Topology{"a": topology("y:1", 9), "b": topology("y:2", 2)}, [2]bool{true, false}},
	} {
		bars := massBars(before, test.after)
		if got := [2]bool{bars[0].Holds, bars[1].Holds}; got != test.holds {
			t.Errorf("%s: %+v", name, bars)
		}
	}
}
