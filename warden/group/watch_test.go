package group

import (
	"testing"

	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

// Goal: a sign of life is enough for a node that is as it should be while nothing
// goes on, and for no other.
func TestWhenASignOfLifeIsEnough(t *testing.T) {
	const now = warden.Instant(100 * warden.Second)
	primary := warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Lineage: "L"}
	replica := warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: "a:1", LinkUp: true, Lineage: "L"}
	changed := func(change func(*warden.Observation)) warden.Observation {
		o := replica
		change(&o)
		return o
	}
	for _, test := range []struct {
		what           string
		change         func(c *Config, s *State)
		second         warden.Observation
		first, another bool
	}{
		{what: "all is well", second: replica, first: true, another: true},
		{what: "the replica's link is down", second: changed(func(o *warden.Observation) { o.LinkUp = false }), first: true},
		{what: "it copies everything", second: changed(func(o *warden.Observation) { o.Syncing = true }), first: true},
		{what: "it follows another", second: changed(func(o *warden.Observation) { o.Upstream = "c:1" }), first: true},
		{what: "it is a primary", second: primary, first: true},
		{what: "it is loading", second: warden.Observation{Health: warden.HealthLoading}, first: true},
		{what: "nothing was agreed", change: func(_ *Config, s *State) { s.el.Reg.Chosen = warden.Topology{} }, second: replica},
		{what: "a promotion is not finished", change: func(_ *Config, s *State) { s.el.Reg.Chosen.Phase = warden.PhasePromoting }, second: replica},
		{what: "the topology is newer than the looks", change: func(_ *Config, s *State) { s.learnedAt = now }, second: replica},
		{what: "an operator waits", change: func(_ *Config, s *State) { s.commands = make([]command, 1) }, second: replica},
		{what: "Sentinels decide", change: func(_ *Config, s *State) { s.sentinels = []string{"s1"} }, second: replica},
		{what: "another Warden says down", change: func(_ *Config, s *State) { s.mon.Agreeing = 1 }, second: replica},
		{what: "this Warden stood still", change: func(_ *Config, s *State) { s.mon.Tilt = true }, second: replica},
	} {
		c := &Config{Self: "w1", Primary: "a:1", Quorum: 1, DownAfter: 3 * warden.Second, CrashAfter: 3 * warden.Second}
		reg := warden.Register{Nodes: []warden.NodeID{"a:1", "b:1"}}
		reg.Chosen = warden.Topology{Birth: "B", Version: warden.Version{Epoch: 1, Step: 1}, Primary: "a:1", Phase: warden.PhaseDone,
			Wardens: []warden.WardenID{"w1"}, Lineage: []string{"L"}}
		s := New(*c, reg, now)
		mc := monitor.Config{Self: "w1", Birth: "B", Primary: "a:1", Confirmed: true, Quorum: 1, DownAfter: c.DownAfter, CrashAfter: c.CrashAfter,
			LifeLimit: warden.Minute, Voters: reg.Chosen.Wardens, Lineage: reg.Chosen.Lineage, Nodes: reg.Nodes}
		for id, o := range map[warden.NodeID]*warden.Observation{"a:1": &primary, "b:1": &test.second} {
			monitor.Advance(&mc, &s.mon, monitor.Looked{Node: id, Asked: now, Observation: o}, now)
		}
		if test.change != nil {
			test.change(c, &s)
		}
		var got [2]bool
		for i, w := range Watch(c, &s, now) {
			got[i] = w.Full != 0
			if w.Full != 0 && w.Full != warden.Second {
				t.Errorf("%s: the last whole look at %s may be %s old", test.what, w.Node, w.Full)
			}
		}
		if want := [2]bool{test.first, test.another}; got != want {
			t.Errorf("%s: a sign of life is enough of %v, want %v", test.what, got, want)
		}
	}
}
