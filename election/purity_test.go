package election

import (
	"math/rand/v2"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// chamber is a few Wardens whose messages come in any order, twice or never.
type chamber struct {
	t       *testing.T
	rng     *rand.Rand
	now     warden.Instant
	configs []Config
	states  []State
	post    []Envelope
	// past are earlier states with what they were.
	past []remembered
	// chosen are all topologies that a leader learned to be chosen.
	chosen  []warden.Topology
	elected int
}

type remembered struct {
	state State
	text  string
}

// TestStepIsPure plays random votes and checks after each Step that no state
// of before has changed and that the same inputs have the same outputs; and on
// the way that promises only rise (S1) and one (Epoch, Step) has one content (S2).
func TestStepIsPure(t *testing.T) {
	elected, chosen := 0, 0
	for seed := range uint64(12) {
		c := &chamber{t: t, rng: rand.New(rand.NewPCG(seed, 2)), now: warden.Instant(warden.Minute)}
		ids := []warden.WardenID{"w1", "w2", "w3"}
		base := warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone, Primary: "a", Wardens: ids}
		for _, id := range ids {
			c.configs = append(c.configs, Config{Group: "g", Self: id, Run: 1, Quorum: 2, HelloInterval: warden.Second})
			reg := warden.Register{Promise: 1, Accepted: base, Chosen: base}
			if seed%5 == 0 {
				reg = warden.Register{}
			}
			c.states = append(c.states, New(reg, c.now))
		}
		for range 600 {
			c.now = c.now.Add(warden.Duration(c.rng.Int64N(int64(12 * warden.Millisecond))))
			c.turn(c.rng.IntN(3))
		}
		elected, chosen = elected+c.elected, chosen+len(c.chosen)
	}
	if elected < 30 || chosen < 30 {
		t.Errorf("only %d leaders were elected and %d topologies chosen: this test has not been anywhere", elected, chosen)
	}
}

// turn lets one Warden do one thing.
func (c *chamber) turn(i int) {
	cfg, s := c.configs[i], c.states[i]
	sight := Sight{PrimaryDown: c.rng.IntN(10) > 0, Odown: c.rng.IntN(4) > 0, Tilt: c.rng.IntN(100) == 0, Provisional: "a", ProvisionalSays: true}
	want := Want{Reason: warden.ReasonFailover, Primary: s.Reg.Chosen.Primary}
	if !s.Born() {
		want = Want{Reason: warden.ReasonBirth, Primary: "a", List: []warden.WardenID{"w1", "w2", "w3"}}
	}
	e := c.event(i)
	c.both(i, func() (State, Effects) { return Step(cfg, s, e, want, sight, c.now) })
	s = c.states[i]
	if s.Lead == nil {
		return
	}
	switch c.rng.IntN(4) {
	case 0:
		c.both(i, func() (State, Effects) { return Release(cfg, s, c.now) })
	case 1, 2:
		t := s.Lead.Base.Clone()
		if t.IsZero() {
			t = warden.Topology{Birth: "B1", Phase: warden.PhaseDone, Wardens: []warden.WardenID{"w1", "w2", "w3"}}
		}
		t.Primary = []warden.NodeID{"a", "b", "c"}[c.rng.IntN(3)]
		c.both(i, func() (State, Effects) {
			s, f, _ := Propose(cfg, s, t, sight, c.now)
			return s, f
		})
	}
}

// event is a message from the post, which may stay in it to come again.
func (c *chamber) event(i int) Event {
	for range 6 {
		if len(c.post) == 0 {
			break
		}
		n := c.rng.IntN(len(c.post))
		e := c.post[n]
		if e.To != c.configs[i].Self {
			continue
		}
		if c.rng.IntN(8) > 0 {
			c.post = append(c.post[:n:n], c.post[n+1:]...)
		}
		return Heard{e.Message}
	}
	if c.rng.IntN(100) == 0 {
		return Store{Works: c.rng.IntN(8) > 0}
	}
	return Tick{}
}

// both takes a Step twice, compares, and keeps the outcome.
func (c *chamber) both(i int, step func() (State, Effects)) {
	before := c.states[i]
	c.past = append(c.past, remembered{before, transcript.Dump(before)})
	s, f := step()
	again, g := step()
	if transcript.Dump(s, f) != transcript.Dump(again, g) {
		c.t.Fatalf("the same inputs have two outputs\n%s\n%s", transcript.Dump(s, f), transcript.Dump(again, g))
	}
	for _, m := range c.past[max(len(c.past)-4, 0):] {
		if got := transcript.Dump(m.state); got != m.text {
			c.t.Fatalf("a state of before has changed\nwas %s\nis  %s", m.text, got)
		}
	}
	if s.Reg.Promise < before.Reg.Promise {
		c.t.Fatalf("promise %d after %d", s.Reg.Promise, before.Reg.Promise)
	}
	if a, b := before.Reg.Accepted, s.Reg.Accepted; a.Birth == b.Birth && a.Version.Newer(b.Version) {
		c.t.Fatalf("accepted %s after %s", b.Version, a.Version)
	}
	if f.Elected {
		c.elected++
	}
	if f.Chosen {
		for _, t := range c.chosen {
			if t.Version == s.Reg.Chosen.Version && t.Birth == s.Reg.Chosen.Birth && !t.Equal(s.Reg.Chosen) {
				c.t.Fatalf("%s was chosen with two contents: %+v and %+v", t.Version, t, s.Reg.Chosen)
			}
		}
		c.chosen = append(c.chosen, s.Reg.Chosen)
	}
	c.states[i] = s
	c.post = append(c.post, f.Send...)
	if len(c.post) > 60 {
		c.post = c.post[len(c.post)-60:] // the others are lost
	}
}
