package failover

import (
	"math/rand/v2"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// TestStepIsPure walks the mind through random attempts, with orders that end
// in any way and nodes that come and go. After each Step no state of before may
// have changed, and the same inputs must have the same outputs. On the way:
// nothing but looks is ordered before a step of this epoch was chosen (S3), and
// no order is given in the Step that proposes.
func TestStepIsPure(t *testing.T) {
	reasons := []warden.Reason{warden.ReasonFailover, warden.ReasonSwitchover, warden.ReasonResume, warden.ReasonRepair, warden.ReasonForced}
	reached := map[Stage]int{}
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := &stageplay{now: warden.Instant(warden.Minute), state: New()}
		p.c = Config{Self: "w1", NewBirth: "B2", Quorum: 2, DownAfter: warden.Second, FailoverTimeout: 5 * warden.Second, ParallelSyncs: 1}
		base := warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone, Primary: "a",
			Wardens: []warden.WardenID{"w1", "w2", "w3"}, Lineage: []string{"L1"}}
		if r.IntN(4) == 0 {
			base.Phase, base.Primary, base.Previous = warden.PhasePromoting, "b", "a"
		}
		p.scene = Scene{Leading: true, Epoch: 2, Base: base, Lineage: base.Lineage, DownFor: 2 * warden.Second, Downs: 2, Answered: 3,
			Want: Want{Reason: reasons[r.IntN(len(reasons))], Primary: base.Primary}}
		w := walk{t: t, r: r, p: p}
		for range 150 {
			w.step()
			reached[p.state.Stage]++
		}
	}
	for _, st := range []Stage{Affirming, Inspecting, Looking, Holding, Draining, Deciding, Claiming, CatchingUp, Fencing, Demoting, Promoting, Publishing, Repointing, GoingBack} {
		if reached[st] == 0 {
			t.Errorf("the walks never reached %q", st)
		}
	}
}

type walk struct {
	t       *testing.T
	r       *rand.Rand
	p       *stageplay
	actions []warden.Action
	chosen  bool // a step of this epoch
	past    []struct {
		state State
		text  string
	}
}

func (w *walk) step() {
	p, r := w.p, w.r
	p.now = p.now.Add(warden.Duration(r.Int64N(int64(40 * warden.Millisecond))))
	var e Event = Tick{}
	p.scene.Chosen = false
	switch {
	case p.scene.Proposing && r.IntN(2) == 0:
		p.scene.Base, p.scene.Proposing, p.scene.Chosen = *p.proposal, false, true
		w.chosen = true
	case len(w.actions) > 0 && r.IntN(4) > 0:
		i := r.IntN(len(w.actions))
		a := w.actions[i]
		w.actions = append(w.actions[:i:i], w.actions[i+1:]...)
		seen := w.observation(a)
		e = ActionDone{ID: a.ID, Asked: p.now, Observation: &seen,
			Result: warden.Result{Outcome: []warden.Outcome{warden.Done, warden.Done, warden.Done, warden.Refused, warden.Unknown}[r.IntN(5)], Position: 1000}}
	}
	p.scene.LeaseUntil = p.now.Add(warden.Second)
	p.scene.Nodes = nil
	for _, id := range []warden.NodeID{"a", "b", "c"} {
		o := w.observation(warden.Action{Node: id})
		p.scene.Nodes = append(p.scene.Nodes, Sighting{ID: id, Seen: &o, SeenAt: p.now, Good: o.Health == warden.HealthGood, Down: r.IntN(6) == 0, Belongs: true})
	}
	w.both(e)
}

// both takes the Step twice, compares, and checks what it orders.
func (w *walk) both(e Event) {
	p := w.p
	before := p.state
	w.past = append(w.past, struct {
		state State
		text  string
	}{before, transcript.Dump(before)})
	s, f := Step(p.c, before, p.scene, e, p.now)
	again, g := Step(p.c, before, p.scene, e, p.now)
	if transcript.Dump(s, f) != transcript.Dump(again, g) {
		w.t.Fatalf("the same inputs have two outputs\n%s\n%s", transcript.Dump(s, f), transcript.Dump(again, g))
	}
	for _, m := range w.past[max(len(w.past)-4, 0):] {
		if got := transcript.Dump(m.state); got != m.text {
			w.t.Fatalf("a state of before has changed\nwas %s\nis  %s", m.text, got)
		}
	}
	for _, a := range f.Act {
		if a.Kind != warden.ActLook && !w.chosen {
			w.t.Fatalf("ordered %s of %s before a step of this epoch was chosen", a.Kind, a.Node)
		}
		if a.Kind == warden.ActPromote && (p.scene.Base.Phase != warden.PhasePromoting || p.scene.Base.Primary != a.Node || p.scene.Base.Epoch != a.Epoch) {
			w.t.Fatalf("ordered to promote %s in epoch %d, chosen is %+v", a.Node, a.Epoch, p.scene.Base)
		}
	}
	p.state = s
	w.actions = append(w.actions, f.Act...)
	if f.Propose != nil {
		if p.scene.Proposing {
			w.t.Fatal("two proposals at a time (A1)")
		}
		next := f.Propose.Clone()
		p.step++
		next.Epoch, next.Step = p.scene.Epoch, p.step
		p.proposal, p.scene.Proposing = &next, true
	}
	if f.Finish != nil {
		// Elected again, for what there is then.
		p.scene.Epoch++
		p.scene.Proposing, p.step, w.chosen, w.actions = false, 0, false, nil
		p.scene.Want = Want{Reason: warden.ReasonSwitchover, Primary: p.scene.Base.Primary}
		if w.r.IntN(2) == 0 {
			p.scene.Want.Reason = warden.ReasonFailover
		}
	}
}

// observation is a look at a node that is mostly what it should be.
func (w *walk) observation(a warden.Action) warden.Observation {
	r := w.r
	base := w.p.scene.Base
	o := warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: base.Primary, LinkUp: true, Lineage: "L1", Priority: 100, Position: 1000 - r.Int64N(3)}
	old := base.Primary
	if base.Phase == warden.PhasePromoting {
		old = base.Previous
	}
	if a.Node == old && r.IntN(8) > 0 || r.IntN(25) == 0 || a.Kind == warden.ActPromote && r.IntN(3) > 0 {
		o.Role, o.Upstream, o.LinkUp = warden.RolePrimary, "", false
	}
	switch r.IntN(20) {
	case 0:
		o.Health = warden.HealthSilent
	case 1:
		o.Lineage = "X"
	case 2, 3:
		o.Priority, o.Position = 0, 2000
	}
	return o
}
