package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// lets are the nodes that the operator's pre_promote command truly let a leader
// promote, in its newest epoch.
type lets struct {
	epoch warden.Epoch
	nodes []warden.NodeID
}

// hookConfig draws a pre_promote command. It has chance of its own, so that the
// other seeds stay what they were, the kept ones among them.
func hookConfig(o Options, c *group.Config) {
	rng := rand.New(rand.NewPCG(o.Seed, 0xa5d))
	if rng.IntN(6) != 0 {
		return
	}
	c.PrePromote = true
	c.PrePromoteTimeout = warden.Duration(200+rng.IntN(2000)) * warden.Millisecond
}

// askHook runs the pre_promote command on the leader's host. In the calm it lets
// everybody be promoted, and soon.
func (o *order) askHook() {
	w, p := o.p.world, o.p
	o.sent = true
	if !w.storming {
		w.afterFor(p, w.between(5*warden.Millisecond, 50*warden.Millisecond), o.letIt)
		return
	}
	d := w.between(5*warden.Millisecond, warden.Second)
	luck := w.rng.IntN(4)
	o.s.vetoed = o.s.vetoed || luck < 2 || d >= o.a.Limit
	switch luck {
	case 0:
		o.laterBy(d, warden.Result{Outcome: warden.Refused, Why: "exit status 1"})
	case 1: // it hangs: the deadline ends it
	default:
		w.afterFor(p, d, o.letIt)
	}
}

// letIt is a yes, if it does not come too late.
func (o *order) letIt() {
	if o.ended {
		return
	}
	l := &o.p.seen.lets
	if l.epoch != o.a.Epoch {
		*l = lets{epoch: o.a.Epoch}
	}
	l.nodes = append(l.nodes, o.a.Node)
	o.end(warden.Result{Outcome: warden.Done}, warden.Observation{}, o.asked)
}

// letsBe is called for every proposal.
func (c *contracts) letsBe(p *process, e *entry) {
	t := &e.topology
	if !p.config.PrePromote || t.Phase != warden.PhasePromoting {
		return
	}
	// Who takes up a decision does not ask again.
	for a := e.parent; a != nil && a.topology.Phase == warden.PhasePromoting; a = a.parent {
		if a.topology.Primary == t.Primary {
			return
		}
	}
	if l := &p.seen.lets; l.epoch != t.Epoch || !slices.Contains(l.nodes, t.Primary) {
		c.world.fail("veto", "%s decides for %s in epoch %d, and pre_promote did not let it", p.name, short(t.Primary), t.Epoch)
	}
}
