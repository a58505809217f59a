package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// forkPoint is where a server's data left that of the primary before it.
type forkPoint struct {
	parent int
	offset int64
	at     warden.Instant
	set    bool
}

// standing is how a server stood at a moment.
type standing struct {
	role     warden.Role
	upstream warden.NodeID
	touched  int
}

// takesEffect is called when a server is about to obey an order: S3, S7.
func (c *contracts) takesEffect(o *order) {
	w, s, a := c.world, o.s, &o.a
	if a.Epoch < s.newest {
		w.fail("S3", "%s obeys %s in epoch %d although epoch %d has claimed it", s.name, o.sentence(), a.Epoch, s.newest)
	}
	if a.Kind != group.ActPromote && a.Kind != group.ActFollow {
		return
	}
	t := c.ledger.newest(a.Epoch)
	switch {
	case t == nil:
		w.fail("S3", "%s obeys %s by %s; nothing is chosen", s.name, o.sentence(), o.p.name)
	case a.Kind == group.ActPromote && t.Primary != s.id,
		a.Kind == group.ActFollow && t.Primary != a.Target && !c.catchesUp(t, s, a.Target) && !c.unsure(t, o):
		w.fail("S3", "%s obeys %s by %s; chosen is %s", s.name, o.sentence(), o.p.name, w.topologyText(*t))
	}
	if a.Kind == group.ActPromote {
		c.promotes(o, s)
		return
	}
	c.divergent(o, s)
	if !w.ofLineage(s) && !s.empty() && !s.named && !w.extinct() && o.began.Sub(s.strangeSince) > 2*warden.Second {
		w.fail("S7", "%s is foreign and is made to follow %s", s.name, short(a.Target))
	}
}

// catchesUp reports whether a candidate follows an excluded or vetoed node that has more,
// before it is promoted: the one order to follow somebody who is not chosen.
func (c *contracts) catchesUp(t *warden.Topology, s *server, target warden.NodeID) bool {
	u := c.world.serverAt(target)
	excluded := u.excludedAt != 0 || u.vetoed || warden.TagsOf(t.Settings.Tags, target).NoFailover == warden.Yes
	return t.Phase == warden.PhasePromoting && t.Primary == s.id && excluded && u.offset >= s.offset
}

// unsure reports whether the old primary obeys, late, the chosen demotion that
// its leader took back because it could neither learn how the order ended nor
// claim the node again, which would have killed the session it travels on. A
// majority had accepted that order when it was given, no newer leader has
// claimed the node, and the operator was told that the outcome is unknown.
func (c *contracts) unsure(t *warden.Topology, o *order) bool {
	return t.Reason == warden.ReasonGoBack && t.Epoch == o.a.Epoch && t.Primary == o.s.id && o.ended && o.over.alive
}

// promotes is S7 for a server that is about to become the primary.
func (c *contracts) promotes(o *order, s *server) {
	w := c.world
	c.forked[s.index] = forkPoint{parent: s.branch, offset: s.offset, at: w.now, set: s.role != warden.RolePrimary}
	if s.role == warden.RolePrimary {
		return
	}
	if !c.tooLate(s, o.a.Epoch) {
		c.keeps(s, "is promoted")
	}
	c.olderLine(o, s)
	// What the leader could know when it gave the order, not what became of the
	// node while the order was on its way.
	grace := 3 * warden.Second
	if w.base.FenceCommand {
		grace += w.base.CommandTimeout // it was decided before
	}
	if w.base.PrePromote {
		grace += w.base.PrePromoteTimeout // it was sealed and looked at before
	}
	if ago := o.began.Sub(s.excludedAt); s.priority == 0 && ago > grace {
		w.fail("S7", "%s is promoted and had been excluded for %s when that was ordered", s.name, ago)
	}
	if w.ofLineage(s) && !s.empty() || o.began.Sub(s.strangeSince) < 200*warden.Millisecond {
		return // what became of it after the last look is nobody's fault
	}
	if !w.extinct() {
		w.fail("S7", "%s is promoted, is empty or foreign, and others have the group's data", s.name)
	}
}

// answered is called when an operator's command ends. A switchover that is
// done has lost no acknowledged write.
func (c *contracts) answered(cmd *command) {
	if cmd.wish != warden.WishSwitchover || cmd.answer != warden.VerdictDone {
		return
	}
	t := cmd.p.disk.kept.Newest()
	s := c.world.serverAt(t.Primary)
	f := &c.forked[s.index]
	if t.Reason != warden.ReasonSwitchover || !f.set || f.at < cmd.at || s.restored >= cmd.at {
		return // it was the primary already, or something else came between
	}
	if acked := c.world.history.branches[f.parent].acked; acked > f.offset {
		c.world.fail("SW", "the switchover to %s is done and lost acknowledged writes: offset %d of %d", s.name, f.offset, acked)
	}
	c.world.switched++
}

// abandoned is called when the last Warden stopped. If the group is healthy
// then, nothing may change until one starts.
func (c *contracts) abandoned() {
	c.alone, c.aloneFrom = nil, c.world.now
	if !c.world.healthy() {
		return
	}
	for _, s := range c.world.servers {
		c.alone = append(c.alone, standing{s.role, s.upstream, s.touched})
	}
}

// returned is called right before the first Warden starts again.
func (c *contracts) returned() {
	w := c.world
	for i, was := range c.alone {
		s := w.servers[i]
		if s.touched != was.touched {
			continue
		}
		if s.role != was.role || s.upstream != was.upstream {
			w.fail("S10", "%s became a %s of %q while no Warden ran", s.name, s.role, s.upstream)
		}
		if s.heldUntil.Sub(w.now) > 30*warden.Second {
			w.fail("S10", "%s holds its writes for another %s and no Warden runs", s.name, s.heldUntil.Sub(w.now))
		}
	}
	c.alone = nil
}

// healthy reports whether the chosen primary serves and all follow it, and no
// order is on its way.
func (w *World) healthy() bool {
	t := w.check.ledger.newest(^warden.Epoch(0))
	if t == nil || t.Phase != warden.PhaseDone {
		return false
	}
	for _, s := range w.servers {
		if s.phantom {
			continue
		}
		for _, c := range s.claims {
			if c.underway > 0 {
				return false
			}
		}
		if !s.serving() || s.id == t.Primary && s.role != warden.RolePrimary ||
			s.id != t.Primary && (s.role != warden.RoleReplica || s.upstream != t.Primary || s.link != linkUp) {
			return false
		}
	}
	return true
}
