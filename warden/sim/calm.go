package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// What the L promises allow.
const (
	failoverSlack = warden.Second             // L1: down_after and this
	leaseLeft     = 1250 * warden.Millisecond // L1: if the leader died too
	leaderDies    = 2 * warden.Second         // L3: a leader that dies half-way
	poll          = 10 * warden.Millisecond
)

// calm heals everything and demands the L promises: first that all arrive at
// one topology (L2), then, with the primary taken away once more, that the
// group is writable in time (L1, L3), then L2 again.
func (w *World) calm(r *Report) {
	w.heal()
	begin := w.now
	w.unpause(begin)
	w.untune(begin)
	w.run(begin.Add(settled))
	w.finishChange()
	if w.failure == nil && w.recoverable() {
		w.settledNow()
		if w.failure == nil && w.mayFailOver() {
			w.takePrimary(r)
		}
	}
	w.run(begin.Add(calmTime))
	w.finishChange()
	if w.failure == nil && w.recoverable() {
		w.settledNow()
	}
}

// finishChange gives a change that was chosen a moment ago time to be heard of: a
// Warden that was forgotten may come back at any time. One change after another
// does not count as calm.
func (w *World) finishChange() {
	for i := 0; i < 3 && w.failure == nil && w.now.Sub(w.check.ledger.chosenAt) < warden.Second; i++ {
		w.run(w.now.Add(warden.Second))
	}
}

// unpause takes an operator's pause back, as often as it needs.
func (w *World) unpause(begin warden.Instant) {
	if t := w.check.ledger.newest(^warden.Epoch(0)); t != nil && t.Settings.Paused {
		w.give(w.anyProcess(), warden.Command{Wish: warden.WishResume})
	}
	if w.now.Sub(begin) < settled/2 {
		w.after(warden.Second, func() { w.unpause(begin) })
	}
}

// recoverable reports whether anybody still has the group's data, in a place
// from which the promises let the Wardens bring it back: the agreed primary,
// or a replica that may be promoted.
func (w *World) recoverable() bool {
	t := w.check.ledger.newest(^warden.Epoch(0))
	if t == nil {
		// No first agreement: it needs the configured primary to be one.
		s := w.servers[0]
		return s.up && s.role == warden.RolePrimary && w.ofLineage(s)
	}
	p := w.serverAt(t.Primary)
	if p.up && w.ofLineage(p) && !p.empty() && w.believes(t, p) && (p.role == warden.RolePrimary || !w.kind.postgres()) {
		return true
	}
	for _, s := range w.servers {
		if w.eligible(s, t) {
			return w.sealable(t)
		}
	}
	return false
}

// eligible reports whether a server could be promoted.
func (w *World) eligible(s *server, t *warden.Topology) bool {
	return s.id != t.Primary && s.up && !s.phantom && s.role == warden.RoleReplica && w.ofLineage(s) && !s.empty() &&
		s.priority > 0 && (s.synced && knows(t, s) || w.vouches(t, s)) && !s.odd
}

// believes reports whether the Wardens take a server's data for the group's.
func (w *World) believes(t *warden.Topology, s *server) bool { return knows(t, s) || w.vouches(t, s) }

// vouches reports whether the operator's word stands for a server's data: it is
// named, and nobody has data with a known id any more.
func (w *World) vouches(t *warden.Topology, s *server) bool {
	return s.reloaded && s.named && !s.empty() && !slices.ContainsFunc(w.servers, func(x *server) bool {
		return x.up && !x.phantom && !x.empty() && knows(t, x)
	})
}

// knows reports whether the Wardens can tell from its replication ids that a
// server's data is the group's. A server that restarted twice as a primary
// while nobody looked has ids that nobody knows.
func knows(t *warden.Topology, s *server) bool { return knowsIDs(t, s.replid, s.before) }

func knowsIDs(t *warden.Topology, id, before string) bool {
	return slices.Contains(t.Lineage, id) || before != "" && slices.Contains(t.Lineage, before)
}

// settledNow is L2.
func (w *World) settledNow() {
	t := w.check.ledger.newest(^warden.Epoch(0))
	if t == nil {
		w.fail("L2", "nothing is agreed")
		return
	}
	for _, p := range w.processes {
		if !p.up {
			continue
		}
		v := viewMind(p.config, *p.state, p.clock())
		if !v.Topology.Equal(*t) {
			w.fail("L2", "%s publishes %s; chosen is %s", p.name, w.topologyText(v.Topology), w.topologyText(*t))
		}
		if v.Primary != t.Primary || !v.Agreed {
			w.fail("L2", "%s serves %q, agreed %v; the primary is %s", p.name, short(v.Primary), v.Agreed, short(t.Primary))
		}
	}
	if t.Phase != warden.PhaseDone {
		w.fail("L2", "the change is not finished: %s", w.topologyText(*t))
	}
	primary := w.serverAt(t.Primary)
	if !primary.serving() {
		w.fail("L2", "the primary %s does not serve", primary.name)
	} else if primary.role != warden.RolePrimary {
		w.fail("L2", "%s should be the primary and is a replica of %s", primary.name, short(primary.upstream))
	} else if primary.pg.readOnly {
		w.fail("L2", "the primary %s takes no writes, fenced for %q", primary.name, short(primary.pg.fencedBy))
	}
	for _, s := range w.servers {
		if s != primary && s.serving() && w.canFollow(s, t) && !w.forgotten(s) && !w.fencedOnly(s, primary) && (s.role != warden.RoleReplica || s.upstream != t.Primary) {
			w.fail("L2", "%s should follow %s and is a %s of %q", s.name, primary.name, s.role, short(s.upstream))
		}
	}
}

// forgotten reports whether no Warden knows of a server: because none ever met
// it, or an operator's RESET dropped it while it could not be reached.
func (w *World) forgotten(s *server) bool {
	for _, p := range w.processes {
		if p.up && p.watchedServer(s.index) != nil {
			return false
		}
	}
	return !s.met || w.faults[commandReset] > 0
}

// canFollow reports whether the promises let a server be made to follow.
func (w *World) canFollow(s *server, t *warden.Topology) bool {
	return !s.phantom && (w.ofLineage(s) && knows(t, s) || s.empty() || s.named)
}

// mayFailOver reports whether L1 applies: a candidate, a majority, no pause.
func (w *World) mayFailOver() bool {
	t := w.check.ledger.newest(^warden.Epoch(0))
	if t == nil || t.Settings.Paused || t.Settings.Tune() || !w.serverAt(t.Primary).serving() {
		return false
	}
	up := 0
	for _, p := range w.processes {
		if t.Lists(p.id) {
			up++
		}
	}
	if up-1 < t.Majority() || up-1 < w.base.Quorum || len(t.Wardens) != up {
		return false
	}
	for _, s := range w.servers {
		if w.eligible(s, t) && s.link == linkUp && s.upstream == t.Primary {
			return w.enoughMembers(t)
		}
	}
	return false
}

// takePrimary takes the primary away and waits until the group is writable.
func (w *World) takePrimary(r *Report) {
	t := w.check.ledger.newest(^warden.Epoch(0)).Clone()
	old := w.serverAt(t.Primary)
	began := w.now
	limit := w.base.DownAfter + failoverSlack
	contract := "L1"
	if w.rng.IntN(3) == 0 {
		old.hang()
	} else {
		old.crash()
	}
	switch w.rng.IntN(3) {
	case 0:
		w.processes[w.rng.IntN(len(w.processes))].crash("together with the primary")
		limit += leaseLeft
	case 1:
		contract = "L3"
		limit += leaseLeft + leaderDies
		w.after(w.base.CrashAfter+w.between(0, 300*warden.Millisecond), func() { w.crashLeader() })
	}
	if w.trace != nil {
		w.note("*", "%s is taken away; writable within %s is demanded", old.name, limit)
	}
	r.Failover = true
	for w.failure == nil && w.now.Sub(began) <= limit {
		w.run(w.now.Add(poll))
		if s := w.writable(); s != nil && s != old {
			r.Writable = w.now.Sub(began)
			return
		}
	}
	w.fail(contract, "the group is not writable %s after its primary died (down_after %s)", limit, w.base.DownAfter)
}

// crashLeader kills a Warden that leads now.
func (w *World) crashLeader() {
	for _, p := range w.processes {
		if p.up && outlineMind(&p.config, p.state, p.clock()).Leading {
			p.crash("while it leads")
			return
		}
	}
}

// writable is the server that a majority of the running Wardens serves as the
// primary and that takes writes.
func (w *World) writable() *server {
	for _, s := range w.servers {
		if !s.serving() || s.role != warden.RolePrimary || w.now < s.heldUntil || !w.takesCommits(s) {
			continue
		}
		n := 0
		for _, p := range w.processes {
			if p.up && p.serves() == s.id {
				n++
			}
		}
		if n > len(w.processes)/2 {
			return s
		}
	}
	return nil
}
