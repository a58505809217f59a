package group

import (
	"math/rand/v2"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
	"github.com/spineldb/warden/warden/transcript"
)

// house is three Wardens' minds of one group, three nodes that do what they are
// told, and a network that loses, repeats and reorders.
type house struct {
	t      *testing.T
	rng    *rand.Rand
	now    warden.Instant
	config []Config
	state  []State
	disk   []warden.Register
	post   []Envelope
	orders [3][]Action
	nodes  []warden.Observation
	past   []remembered
	stages map[failover.Stage]int
}

type remembered struct {
	state State
	text  string
}

var nodeNames = []warden.NodeID{"a:1", "b:1", "c:1"}

// firstAgreement is what three Wardens agree on first: a:1 is the primary.
func firstAgreement() warden.Topology {
	return warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone,
		Primary: "a:1", Wardens: []warden.WardenID{"w1", "w2", "w3"}, Lineage: []string{"L1"}}
}

func newHouse(t *testing.T, seed uint64, stages map[failover.Stage]int) *house {
	h := &house{t: t, rng: rand.New(rand.NewPCG(seed, 4)), now: warden.Instant(warden.Minute), stages: stages}
	for _, id := range []warden.WardenID{"w1", "w2", "w3"} {
		c := Config{Group: "g", Self: id, Run: 1, NewBirth: "B-" + warden.Birth(id), Primary: nodeNames[0], Quorum: 2, Wardens: 3, DownAfter: 300 * warden.Millisecond,
			CrashAfter: 300 * warden.Millisecond, FailoverTimeout: 5 * warden.Second, HelloInterval: 500 * warden.Millisecond, ParallelSyncs: 1, ReplicaWitness: true}
		h.config = append(h.config, c)
		h.state = append(h.state, New(c, warden.Register{}, h.now))
		h.disk = append(h.disk, warden.Register{})
	}
	for i := range nodeNames {
		o := warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: nodeNames[0], LinkUp: true, Lineage: "L1", Position: 100, Priority: 100, RunID: "r"}
		if i == 0 {
			o.Role, o.Upstream, o.LinkUp = warden.RolePrimary, "", false
			o.Replicas = []warden.Replica{{Node: nodeNames[1], Online: true}, {Node: nodeNames[2], Online: true}}
		}
		h.nodes = append(h.nodes, o)
	}
	return h
}

// TestStepIsPure lets three minds live through first agreement, failovers,
// commands and disks that fail. After each Step no state of before may have
// changed, and the same inputs must have the same outputs. On the way: what is
// to be persisted is what the state holds, exactly when it changed; messages
// are from oneself, to others; times to wake lie ahead.
func TestStepIsPure(t *testing.T) {
	stages := map[failover.Stage]int{}
	for seed := range uint64(3) {
		h := newHouse(t, seed, stages)
		for i := range h.state {
			h.step(i, PeersKnown{IDs: []warden.WardenID{"w1", "w2", "w3"}})
		}
		for range 1800 {
			h.now = h.now.Add(warden.Duration(h.rng.Int64N(int64(8 * warden.Millisecond))))
			i := h.rng.IntN(3)
			h.step(i, h.event(i))
			if h.rng.IntN(400) == 0 {
				h.nodes[h.rng.IntN(3)].Health = warden.HealthSilent
			}
			if h.rng.IntN(200) == 0 {
				h.nodes[h.rng.IntN(3)].Health = warden.HealthGood
			}
		}
	}
	for _, st := range []failover.Stage{failover.Changing, failover.Looking, failover.Deciding, failover.Claiming, failover.Promoting, failover.Publishing, failover.Repointing} {
		if stages[st] == 0 {
			t.Errorf("no leader was ever %s: this test has not been anywhere (%v)", st, stages)
		}
	}
}

// event is the next thing that happens to a Warden.
func (h *house) event(i int) Event {
	rng := h.rng
	if rng.IntN(3) > 0 {
		for range 6 {
			if len(h.post) == 0 {
				break
			}
			n := rng.IntN(len(h.post))
			if e := h.post[n]; e.To == h.config[i].Self {
				if rng.IntN(10) > 0 {
					h.post = append(h.post[:n:n], h.post[n+1:]...)
				}
				return Heard{e.Message}
			}
		}
	}
	if n := len(h.orders[i]); n > 0 && rng.IntN(4) > 0 {
		a := h.orders[i][0]
		h.orders[i] = h.orders[i][1:]
		return h.obey(a)
	}
	switch rng.IntN(120) {
	case 0:
		wishes := []warden.Wish{warden.WishFailover, warden.WishSwitchover, warden.WishPause, warden.WishResume, warden.WishReset, warden.WishConfigure, warden.WishSettings}
		cmd := warden.Command{Group: "g", Wait: true, Wish: wishes[rng.IntN(len(wishes))]}
		if cmd.Wish == warden.WishConfigure {
			cmd.Items = []warden.SettingItem{{Name: "down_after", Value: []string{"500ms", "2s"}[rng.IntN(2)], Unset: rng.IntN(3) == 0},
				{Node: nodeNames[rng.IntN(3)], Name: "nofailover", Value: "true", Unset: rng.IntN(2) == 0}}
		}
		return Commanded{ID: rng.Uint64(), Command: cmd}
	case 1:
		return StoreFailed{Why: "disk full"}
	case 2, 3, 4:
		return StoreWorks{}
	case 5:
		return LinkEnded{Node: nodeNames[rng.IntN(3)], Why: "reset"}
	case 6:
		return KnockFailed{Node: nodeNames[rng.IntN(3)], Why: []string{"", "refused"}[rng.IntN(2)]}
	}
	if rng.IntN(2) == 0 {
		n := rng.IntN(3)
		seen := h.look(n)
		return Looked{Node: nodeNames[n], Asked: h.now.Add(-warden.Millisecond), Observation: &seen}
	}
	return Tick{}
}

func (h *house) look(n int) warden.Observation {
	o := h.nodes[n].Clone()
	if o.Health != warden.HealthGood {
		o = warden.Observation{Health: o.Health}
	}
	return o
}

// obey does what a node is told, sometimes only half.
func (h *house) obey(a Action) Event {
	n := 0
	for i, id := range nodeNames {
		if id == a.Node {
			n = i
		}
	}
	o := &h.nodes[n]
	done := ActionDone{ID: a.ID, Node: a.Node, Asked: h.now, Result: warden.Result{Outcome: warden.Done, Position: o.Position}}
	if o.Health != warden.HealthGood {
		done.Result = warden.Result{Outcome: warden.Unknown, Why: "no answer"}
		done.Observation = warden.Observation{Health: warden.HealthSilent}
		return done
	}
	switch a.Kind {
	case ActPromote:
		if o.Role != warden.RolePrimary {
			o.LineageBefore, o.Lineage = o.Lineage, o.Lineage+"+"
		}
		o.Role, o.Upstream, o.LinkUp = warden.RolePrimary, "", false
	case ActFollow:
		o.Role, o.Upstream, o.LinkUp = warden.RoleReplica, a.Target, true
		for i, id := range nodeNames {
			if id == a.Target {
				o.Lineage, o.LineageBefore = h.nodes[i].Lineage, h.nodes[i].LineageBefore
			}
		}
	}
	if h.rng.IntN(10) == 0 {
		done.Result = warden.Result{Outcome: []warden.Outcome{warden.Refused, warden.Unknown}[h.rng.IntN(2)], Why: "so it said"}
	}
	if a.Kind == ActLook || a.Kind == ActClaim || a.Kind == ActPromote {
		done.Observation = h.look(n)
	}
	return done
}

// step is one Step, taken twice.
func (h *house) step(i int, e Event) {
	c, before := h.config[i], h.state[i]
	h.past = append(h.past, remembered{before, transcript.Dump(before)})
	s, f := Step(c, before, e, h.now)
	again, g := Step(c, before, e, h.now)
	if transcript.Dump(s, f) != transcript.Dump(again, g) {
		h.t.Fatalf("%#v: the same inputs have two outputs\n%s\n%s", e, transcript.Dump(s, f), transcript.Dump(again, g))
	}
	View(c, s, h.now)
	Watch(&c, &s, h.now)
	for _, m := range h.past[max(len(h.past)-3, 0):] {
		if got := transcript.Dump(m.state); got != m.text {
			h.t.Fatalf("%#v changed a state of before\nwas %s\nis  %s", e, m.text, got)
		}
	}
	h.check(i, s, f)
	h.state[i] = s
	h.stages[s.fo.Stage]++
	h.post = append(h.post, f.Send...)
	if len(h.post) > 80 {
		h.post = h.post[len(h.post)-80:]
	}
	for _, a := range f.Act {
		if a.Kind != ActMark && a.Kind != ActDrop {
			h.orders[i] = append(h.orders[i], a)
		}
	}
}

func (h *house) check(i int, s State, f Effects) {
	switch {
	case f.Persist == nil && !s.el.Reg.Equal(h.disk[i]):
		h.t.Fatalf("a register that changed is not persisted: %+v, on disk %+v", s.el.Reg, h.disk[i])
	case f.Persist != nil && !f.Persist.Equal(s.el.Reg):
		h.t.Fatalf("another register is persisted than the state holds: %+v, %+v", *f.Persist, s.el.Reg)
	case f.Persist != nil:
		h.disk[i] = f.Persist.Clone()
	}
	for _, e := range f.Send {
		if e.To == h.config[i].Self || e.Message.From != h.config[i].Self || e.Message.Run != 1 || e.Message.Group != "g" || e.Message.Kind() == "empty" {
			h.t.Fatalf("sent to %s: %+v", e.To, e.Message)
		}
	}
	if f.Wake <= h.now {
		h.t.Fatalf("wake at %s, now is %s", f.Wake, h.now)
	}
}
