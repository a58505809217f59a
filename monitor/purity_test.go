package monitor

import (
	"math/rand/v2"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// TestStepIsPure feeds random events and checks after each that the state that
// was given is as it was, one step and three steps later too (nothing is
// shared), and that the same inputs have the same outputs.
func TestStepIsPure(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := Config{DownAfter: 2 * warden.Second, CrashAfter: 500 * warden.Millisecond, LifeLimit: 5 * warden.Second, Quorum: 2, Witness: true,
			Self: "w1", Birth: "B1", Primary: "a", Confirmed: true, Voters: []warden.WardenID{"w1", "w2", "w3"}, Lineage: []string{"L1"},
			Nodes: []warden.NodeID{"a", "b", "c"}}
		now := warden.Instant(warden.Minute)
		s := New(now)
		type memory struct {
			state State
			text  string
		}
		var past []memory
		for range 300 {
			now = now.Add(warden.Duration(rng.Int64N(int64(200 * warden.Millisecond))))
			if rng.IntN(60) == 0 {
				now = now.Add(warden.Duration(rng.Int64N(int64(5*warden.Second))) - 2*warden.Second)
			}
			if rng.IntN(40) == 0 {
				c.Primary = c.Nodes[rng.IntN(3)]
				c.Confirmed = rng.IntN(3) > 0
			}
			e := randomEvent(rng, now)
			past = append(past, memory{s, transcript.Dump(s)})
			next, f := Step(c, s, e, now)
			again, g := Step(c, s, e, now)
			if transcript.Dump(next, f) != transcript.Dump(again, g) {
				t.Fatalf("seed %d: the same inputs have two outputs\n%s\n%s", seed, transcript.Dump(next, f), transcript.Dump(again, g))
			}
			for _, m := range past[max(len(past)-3, 0):] {
				if got := transcript.Dump(m.state); got != m.text {
					t.Fatalf("seed %d: %#v changed a state of before\nwas %s\nis  %s", seed, e, m.text, got)
				}
			}
			Opinions(&c, &next, nil)
			Next(&c, &next, now)
			s = next
		}
	}
}

func randomEvent(rng *rand.Rand, now warden.Instant) Event {
	nodes := []warden.NodeID{"a", "b", "c", "x"}
	switch rng.IntN(4) {
	case 0:
		return Tick{}
	case 1:
		e := Said{From: []warden.WardenID{"w2", "w3", "w9"}[rng.IntN(3)], Birth: []warden.Birth{"B1", "B2"}[rng.IntN(2)], Tilt: rng.IntN(5) == 0}
		for range rng.IntN(3) {
			e.Opinions = append(e.Opinions, warden.Opinion{Node: nodes[rng.IntN(4)], Down: rng.IntN(2) == 0})
		}
		return e
	}
	healths := []warden.Health{warden.HealthGood, warden.HealthGood, warden.HealthSilent, warden.HealthRefused, warden.HealthLoading, warden.HealthDenied}
	return Looked{Node: nodes[rng.IntN(4)], Asked: now.Add(-warden.Duration(rng.Int64N(int64(300 * warden.Millisecond)))),
		Observation: &warden.Observation{Health: healths[rng.IntN(6)], Role: []warden.Role{warden.RolePrimary, warden.RoleReplica}[rng.IntN(2)],
			Upstream: nodes[rng.IntN(4)], LinkUp: rng.IntN(2) == 0, Position: rng.Int64N(1000), Empty: rng.IntN(9) == 0,
			Lineage: []string{"L1", "L2", "X"}[rng.IntN(3)], LineageBefore: []string{"", "L1", "L2"}[rng.IntN(3)], RunID: []string{"r1", "r2"}[rng.IntN(2)]}}
}
