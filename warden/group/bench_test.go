package group

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// BenchmarkStep is one Step of an idle group: five nodes, three Wardens, a
// healthy primary that is looked at. Most Steps that a Warden ever takes are
// like this one.
func BenchmarkStep(b *testing.B) {
	c, s, now, looks := idleGroup(b)
	b.Run("looked", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			Step(c, s, looks[i%len(looks)], now)
		}
	})
	b.Run("tick", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			Step(c, s, Tick{}, now)
		}
	})
}

// idleGroup is a Warden in the midst of calm, the moment, and what it sees
// next of each of five nodes.
func idleGroup(b testing.TB) (Config, State, warden.Instant, []Looked) {
	names := []warden.NodeID{"a:1", "b:1", "c:1", "d:1", "e:1"}
	c := Config{Group: "g", Self: "w1", Run: 1, NewBirth: "B2", Primary: names[0], Quorum: 2, DownAfter: 2 * warden.Second,
		CrashAfter: 2 * warden.Second, FailoverTimeout: 10 * warden.Second, HelloInterval: 2 * warden.Second, ParallelSyncs: 1, ReplicaWitness: true}
	t := warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 3, Step: 2}, Phase: warden.PhaseDone, Primary: names[0],
		Previous: names[1], Wardens: []warden.WardenID{"w1", "w2", "w3"}, Lineage: []string{"L1"}, Leader: "w2", LeaderRun: 1, Reason: warden.ReasonFailover}
	now := warden.Instant(warden.Minute)
	s := New(c, warden.Register{Promise: 3, Grantee: "w2", GranteeRun: 1, Accepted: t, Chosen: t, Nodes: names, Lineage: []string{}}, now)
	primary := warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Position: 1000, Lineage: "L1", RunID: "r", Priority: 100}
	replica := warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: names[0], LinkUp: true, Position: 1000,
		Lineage: "L1", RunID: "r", Priority: 100}
	for _, id := range names[1:] {
		primary.Replicas = append(primary.Replicas, warden.Replica{Node: id, Online: true, Position: 1000})
	}
	var looks []Looked
	for round := range 20 {
		now = now.Add(100 * warden.Millisecond)
		looks = looks[:0]
		for i, id := range names {
			o := replica
			if i == 0 {
				o = primary
			}
			looks = append(looks, Looked{Node: id, Asked: now, Observation: &o})
			s, _ = Step(c, s, looks[i], now)
		}
		for _, id := range t.Wardens[1:] {
			st := &warden.Status{Chosen: t.Version, Primary: names[0], Hears: []warden.WardenID{"w1"},
				Opinions: []warden.Opinion{{Node: names[0], Role: warden.RolePrimary, Lineage: true}}}
			if round%5 == 0 {
				s, _ = Step(c, s, Heard{Message: warden.Message{Group: "g", From: id, Run: 1, Birth: "B1", Status: st}}, now)
			}
		}
	}
	for i := range looks {
		looks[i].Asked = now.Add(100 * warden.Millisecond)
	}
	now = now.Add(101 * warden.Millisecond)
	if v := View(c, s, now); !v.Agreed || v.Primary != names[0] || len(v.Nodes) != len(names) {
		b.Fatalf("the group is not calm: %v %s %d", v.Agreed, v.Primary, len(v.Nodes))
	}
	return c, s, now, looks
}
