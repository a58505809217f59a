package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// runCommand runs one of the operator's programs on the leader's host.
func (o *order) runCommand() {
	w := o.p.world
	o.sent = true
	if o.a.Kind == group.ActFence {
		o.runFence()
		return
	}
	w.check.rejoins(o)
	d := w.between(300*warden.Millisecond, 2*warden.Second)
	if w.storming && w.chance(0.15) {
		o.laterBy(d, warden.Result{Outcome: warden.Refused, Why: "exit status 1"})
		return
	}
	s, life := o.s, o.p.life
	s.pg.mending = true
	s.crash()
	w.after(d, func() {
		s.pg.mending = false
		if o.p.life != life && w.chance(0.5) {
			return // it died with the Warden, half-way
		}
		u := w.serverAt(o.a.Target)
		r := warden.Result{Outcome: warden.Done}
		if s.up || !s.remakeFrom(u) {
			r = warden.Result{Outcome: warden.Refused, Why: "nothing to copy from"}
			s.start(withRecent)
		}
		if o.p.up && o.p.life == life {
			w.afterFor(o.p, 0, func() { o.end(r, warden.Observation{}, o.asked) })
		}
	})
}

// runFence cuts the power of a node. In the calm it always works.
func (o *order) runFence() {
	w := o.p.world
	d := w.between(10*warden.Millisecond, 200*warden.Millisecond)
	r := warden.Result{Outcome: warden.Done}
	if w.storming {
		switch w.rng.IntN(6) {
		case 0:
			r = warden.Result{Outcome: warden.Refused, Why: "exit status 1"}
		case 1:
			d = 3 * warden.Second
		}
	}
	w.afterFor(o.p, d, func() {
		if r.Outcome == warden.Done && o.s.up {
			o.s.crash()
			if w.storming {
				w.inStorm(w.lasting(), func() { o.s.start(withRecent) })
			}
		}
		o.end(r, warden.Observation{}, o.asked)
	})
}

// laterBy ends an order after a while.
func (o *order) laterBy(d warden.Duration, r warden.Result) {
	o.p.world.afterFor(o.p, d, func() { o.end(r, warden.Observation{}, o.asked) })
}

// remakeFrom makes a node that is down a standby with a copy of another's data.
// What only it had is set aside, and so is the name it had as a member.
func (s *server) remakeFrom(u *server) bool {
	w := s.world
	if s.up || !u.serving() || u == s || u.shy {
		return false
	}
	s.copyFrom(u)
	s.lost = w.now
	sessions := s.pg.sessions
	s.pg = postgres{sessions: sessions, epoch: max(s.pg.epoch, u.pg.epoch)}
	s.inherit(u)
	s.role, s.upstream = warden.RoleReplica, u.id
	s.promotedBy, s.heldUntil = 0, 0
	s.remember()
	s.start(withRecent)
	w.check.remade(s)
	return true
}

// remakeLater is an operator who builds a lost node anew as a standby of the
// primary, as soon as there is one.
func (w *World) remakeLater(s *server, d warden.Duration) {
	w.inStorm(d, func() {
		if s.up {
			return
		}
		if t := w.check.ledger.newest(^warden.Epoch(0)); t != nil && t.Phase == warden.PhaseDone {
			if u := w.serverAt(t.Primary); u.role == warden.RolePrimary && !u.pg.readOnly && s.remakeFrom(u) {
				return
			}
		}
		w.remakeLater(s, warden.Second)
	})
}

// breakPostgres is what some faults are for PostgreSQL; false: as for others.
func (w *World) breakPostgres(k faultKind, s *server) bool {
	switch k {
	case nodeReturnsEmpty:
		// The disk is lost; it does not start until somebody builds it anew.
		s.crash()
		w.remakeLater(s, w.lasting())
		return true
	case nodeReturnsOld:
		if w.kind != KindQuorum {
			return false
		}
		// Members keep their data (S8): instead, replay stands still (C4).
		if s.role != warden.RoleReplica {
			w.crashAndReturn(s, withRecent)
			return true
		}
		s.pg.paused = true
		w.inStorm(w.lasting(), func() { s.pg.paused = false })
		return true
	}
	return false
}

// promoteByHand is an outsider's promotion.
func (s *server) promoteByHand() {
	if s.world.kind.postgres() {
		s.beginPromotion(0, 0)
		return
	}
	s.promote()
}

// followByHand is an outsider's re-pointing.
func (s *server) followByHand(target warden.NodeID, member string) {
	switch {
	case !s.world.kind.postgres():
		s.follow(target)
	case s.role == warden.RoleReplica:
		s.turn(target, member)
	}
}
