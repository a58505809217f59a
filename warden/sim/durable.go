package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// durability is what S8 knows: which commits were acknowledged while a sync
// set was in force, and who is the primary by the Wardens' last order.
type durability struct {
	// kept are the furthest acknowledged commits, by branch.
	kept []commitAt
	// head is the server that was last made a primary, -1: nobody can say.
	head int
	// acks counts acknowledged commits under a set in force, blocked how often
	// a promotion was checked against them.
	acks, promotions int
}

// commitAt is a position on a branch of data.
type commitAt struct {
	branch int
	offset int64
}

// inForce are the sync sets that the newest chosen topology promises for s as
// the primary; none if one of them promises nothing.
func (c *contracts) inForce(s *server) []warden.SyncSet {
	for i := len(c.ledger.chosen) - 1; i >= 0; i-- {
		t := &c.ledger.chosen[i].topology
		if t.Primary != s.id {
			continue
		}
		if !promises(t) {
			return nil
		}
		return t.Sync
	}
	return nil
}

// promises reports whether by a topology acknowledged commits are kept.
func promises(t *warden.Topology) bool {
	return len(t.Sync) > 0 && t.Settings.Durable != warden.No && !slices.ContainsFunc(t.Sync, func(s warden.SyncSet) bool { return s.K == 0 })
}

// acknowledged is called when a client is told that its commit is done: S8.
// Enough members of a set in force have it, and no newer primary lacks it.
func (c *contracts) acknowledged(s *server, at int64) {
	w, sets := c.world, c.inForce(s)
	if len(sets) == 0 || !w.ofLineage(s) || s.void {
		return // another server at the address is not the group
	}
	d := &c.durable
	d.acks++
	if d.head >= 0 {
		head := w.servers[d.head]
		if head != s && !w.history.contains(head.branch, head.offset, s.branch, at) {
			w.fail("S8", "%s acknowledges a commit at %d after %s was promoted, which does not have it", s.name, at, head.name)
		}
	}
	if !w.lostDisks(sets) && !slices.ContainsFunc(sets, func(set warden.SyncSet) bool { return c.holders(s, set, at) >= set.K }) {
		w.fail("S8", "%s acknowledges a commit at %d that not enough members of any agreed sync set have: %v%s", s.name, at, sets, c.whoHas(sets))
	}
	for i := range d.kept {
		if d.kept[i].branch == s.branch {
			d.kept[i].offset = max(d.kept[i].offset, at)
			return
		}
	}
	d.kept = append(d.kept, commitAt{s.branch, at})
}

// lostDisks reports whether a member lost its data lately: what it said before
// that may still be on its way.
func (w *World) lostDisks(sets []warden.SyncSet) bool {
	for _, set := range sets {
		for _, m := range set.Members {
			if s := w.serverAt(m.Node); s.lost != 0 && w.now.Sub(s.lost) < senderLimit {
				return true
			}
		}
	}
	return false
}

// holders counts the members of a set that have a commit of s on their disks.
// Under which name they are known by now does not matter: one may have streamed
// under its agreed name, and follow another primary without one since.
func (c *contracts) holders(s *server, set warden.SyncSet, at int64) int {
	n := 0
	for _, m := range set.Members {
		x := c.world.serverAt(m.Node)
		if x != s && c.world.history.contains(x.branch, x.offset, s.branch, at) {
			n++
		}
	}
	return n
}

// keeps is S8 for a server that is about to be, or is agreed as, the primary.
func (c *contracts) keeps(s *server, does string) {
	w, d := c.world, &c.durable
	if w.kind != KindQuorum || w.forced() {
		return
	}
	d.promotions++
	for _, k := range d.kept {
		if !w.history.contains(s.branch, s.offset, k.branch, k.offset) {
			w.fail("S8", "%s %s at %d and lacks a commit that was acknowledged at %d of %s", s.name, does, s.offset, k.offset,
				w.branchText(k.branch))
		}
	}
}

// forced reports whether the newest decision is an operator's forced order,
// after which nothing is promised about what was before.
func (w *World) forced() bool {
	t := w.check.ledger.newest(^warden.Epoch(0))
	return t != nil && t.Reason == warden.ReasonForced
}

// promoted is called when a server has become a primary, or one that was
// fenced takes writes again, by an order or a topology of an epoch.
func (c *contracts) promoted(s *server, by warden.Epoch) {
	if !c.tooLate(s, by) {
		c.durable.head, s.void = s.index, false
	}
}

// tooLate reports whether what a server does by the order of an epoch makes no
// primary of it any more: one that hung obeys a leader long gone, and waits for
// members that nobody leaves to it (simulator seed 591).
func (c *contracts) tooLate(s *server, by warden.Epoch) bool {
	t := c.ledger.newest(^warden.Epoch(0))
	return t != nil && t.Epoch > by && t.Primary != s.id
}

// changed is called when a topology became chosen. After a forced order what
// was acknowledged before counts no more; else its primary has all of it.
func (c *contracts) changed(t *warden.Topology) {
	w := c.world
	if w.kind != KindQuorum {
		return
	}
	if t.Reason == warden.ReasonForced {
		c.durable.kept, c.durable.head = nil, -1
		return
	}
	if !promises(t) {
		c.durable.kept = nil // agreed, and everybody can see it
		for _, s := range w.servers {
			s.void = s.id != t.Primary // what standbys answer it only now is not promised either
		}
	}
	s := w.serverAt(t.Primary)
	if d := &c.durable; t.Phase == warden.PhaseDone && d.head != s.index && s.role == warden.RolePrimary && w.ofLineage(s) {
		if d.head >= 0 {
			c.keeps(s, "is agreed as the primary")
		}
		c.promoted(s, t.Epoch)
	}
}

// branchText names a branch by who holds it.
func (w *World) branchText(branch int) string {
	for _, s := range w.servers {
		if s.branch == branch {
			return s.name + " (" + s.replid + ")"
		}
	}
	return "a line that nobody has any more"
}

// whoHas says where the members of sync sets stand.
func (c *contracts) whoHas(sets []warden.SyncSet) (text string) {
	for _, set := range sets {
		for _, m := range set.Members {
			x := c.world.serverAt(m.Node)
			text += ", " + x.name + " as " + x.pg.lastName + " at " + itoa(uint64(x.offset)) + " of " + x.replid
			if x.pg.lastName != m.Name {
				text += " (agreed: " + m.Name + ")"
			}
		}
	}
	return text
}
