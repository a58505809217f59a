package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// waitStep is between two looks of an adapter at an order that takes its time.
const waitStep = 10 * warden.Millisecond

var done = warden.Result{Outcome: warden.Done}

// obeyPostgres performs an order at a server of PostgreSQL. A result without an
// outcome means that it takes its time.
func (w *World) obeyPostgres(o *order) warden.Result {
	s := o.s
	primary := s.role == warden.RolePrimary
	switch o.a.Kind {
	case group.ActPromote:
		return s.obeyPromote(o)
	case group.ActFollow:
		if o.a.Target == s.id || o.a.Target == "" {
			return warden.Result{Outcome: warden.Refused, Why: "it cannot follow itself"}
		}
		if primary {
			s.fence(o.a.Target)
			return done
		}
		if o.a.Sync != nil {
			s.obeyRule(*o.a.Sync)
		}
		s.turn(o.a.Target, o.a.Name)
		return done
	case group.ActHold:
		if !primary {
			return warden.Result{Outcome: warden.Refused, Why: "it is a standby"}
		}
		s.obeyHold(o.a.Limit)
		return warden.Result{Outcome: warden.Done, Position: s.offset}
	case group.ActRelease:
		s.obeyRelease()
	case group.ActSeal:
		return s.obeySeal(o)
	case group.ActWait:
		return s.obeyWait(o)
	}
	return done
}

// obeyPromote begins a promotion, or lets a primary write again. What it is to
// wait for counts from its first commit on: so it is armed with that before.
func (s *server) obeyPromote(o *order) warden.Result {
	w := s.world
	if o.a.Sync != nil {
		s.obeyRule(*o.a.Sync)
	}
	begun := false
	o.done = func() (warden.Result, bool) {
		switch {
		case w.now < s.pg.armedAt:
			return warden.Result{}, false
		case s.role == warden.RolePrimary:
			if !begun {
				s.pg.readOnly, s.pg.fencedBy, s.heldUntil = false, "", 0
				w.check.promoted(s, o.a.Epoch)
			}
			return done, true
		case !begun:
			begun = true
			d := w.between(0, promotion)
			if w.storming && w.chance(0.1) {
				d = w.between(promotion, 2*warden.Second) // much to replay
			}
			s.beginPromotion(d, o.a.Epoch)
		}
		return warden.Result{}, false
	}
	if r, over := o.done(); over {
		return r
	}
	return warden.Result{}
}

// fence takes writes away from a primary for the sake of another. A superuser
// that is connected goes on.
func (s *server) fence(by warden.NodeID) {
	s.pg.readOnly, s.pg.fencedBy, s.heldUntil = true, by, 0
	s.endSessions()
}

// turn writes primary_conninfo to the file of a standby and reloads.
func (s *server) turn(target warden.NodeID, member string) {
	w := s.world
	if s.upstream == target && s.pg.member == member {
		return
	}
	s.upstream, s.pg.member = target, member
	s.pg.turnsAt = w.now.Add(w.between(0, turning))
}

// obeyHold stops writes; what was under way is ended, not acknowledged.
func (s *server) obeyHold(limit warden.Duration) {
	w := s.world
	if w.sabotage.HoldForEver {
		limit = 1000 * warden.Second
	}
	if w.sabotage.HoldNothing || s.pg.fencedBy != "" {
		return
	}
	s.pg.readOnly, s.heldUntil = true, w.now.Add(limit)
	until, session := s.heldUntil, s.runID
	w.after(limit, func() {
		// A session of its own waits for the end. A restart ends that too, and
		// then the hold stays in the file.
		if s.heldUntil == until && s.runID == session && s.up {
			s.letGo()
		}
	})
}

func (s *server) letGo() {
	s.heldUntil = 0
	if s.pg.fencedBy == "" {
		s.pg.readOnly = false
	}
}

// obeyRelease ends a hold. A fence goes too if that for whose sake it was made
// is still a standby: the switchover was given up.
func (s *server) obeyRelease() {
	w := s.world
	if w.sabotage.HoldForEver {
		return
	}
	if by := s.pg.fencedBy; by != "" {
		u := w.serverAt(by)
		if !u.serving() || u.role == warden.RolePrimary || u.pg.promotesAt != 0 || !w.reaches(s, u) {
			return
		}
		s.pg.fencedBy = ""
	}
	s.pg.readOnly, s.heldUntil = false, 0
}

// obeySeal has a standby receive from nobody. That is done when its receiver is
// gone, and not before: the setting alone seals nothing (C4).
func (s *server) obeySeal(o *order) warden.Result {
	w := s.world
	if s.role == warden.RolePrimary || s.pg.promotesAt != 0 {
		return warden.Result{Outcome: warden.Refused, Why: "it is a primary"}
	}
	if s.upstream != "" {
		s.pg.sealOrdered = s.offset
	}
	s.turn("", s.pg.member)
	if s.pg.paused && !s.pg.heldUp && w.chance(0.7) {
		// Replay is resumed, and what held it up is ended.
		w.after(w.between(0, warden.Second), func() { s.pg.paused = false })
	}
	if w.sabotage.TrustSettings {
		return done
	}
	sealedAt := warden.Instant(0)
	o.done = func() (warden.Result, bool) {
		switch {
		case !s.sealed():
			sealedAt = 0
		case sealedAt == 0:
			sealedAt = w.now
		case w.now.Sub(sealedAt) >= 100*warden.Millisecond && w.now >= s.pg.readBy:
			s.pg.sealedSince = w.now
			return done, true
		}
		return warden.Result{}, false
	}
	return warden.Result{}
}

// obeyWait changes what a primary waits for. That is done when every walsender
// has read it, so that nothing is answered by an older rule any more, and when
// all that was answered before is where the new rule wants it.
func (s *server) obeyWait(o *order) warden.Result {
	if s.role != warden.RolePrimary || len(o.a.Rules) == 0 {
		return warden.Result{Outcome: warden.Refused, Why: "it is no primary"}
	}
	s.obeyRule(o.a.Rules[len(o.a.Rules)-1])
	record := int64(-1) // written after that, and to be flushed by all who count
	o.done = func() (warden.Result, bool) {
		if s.world.sabotage.TrustShow {
			return done, true
		}
		if !s.waitsBy() {
			return warden.Result{}, false
		}
		if record < 0 {
			record = s.offset
		}
		return done, s.everywhere(record)
	}
	return warden.Result{}
}

// await looks again and again until an order that takes its time has ended, or
// its session has.
func (o *order) await() {
	w := o.p.world
	o.over.underway++
	w.after(waitStep, o.lookAgain)
}

func (o *order) lookAgain() {
	w := o.p.world
	o.over.underway--
	switch {
	case !o.over.alive || !o.s.up:
		w.toProcess(o.p, o.s, o.broken)
		return
	case o.s.hung:
		o.over.underway++
		o.s.waiting = append(o.s.waiting, o.lookAgain)
		return
	}
	if r, over := o.done(); over {
		o.answer(r)
		return
	}
	if !o.ended {
		o.await()
	}
}
