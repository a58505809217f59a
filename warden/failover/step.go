package failover

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Step takes one event at the instant now. s is not changed.
func Step(c Config, s State, sc Scene, e Event, now warden.Instant) (State, Effects) {
	f := Advance(&c, &s, &sc, e, now)
	return s, f
}

// Advance is Step for a caller who made a copy of the old state: s becomes the
// new one, and copies of the old one stay as they are.
func Advance(c *Config, s *State, sc *Scene, e Event, now warden.Instant) Effects {
	s.unshare()
	var f Effects
	r := run{c: c, s: s, sc: sc, f: &f, now: now, chosen: sc.Chosen}
	if !sc.Leading {
		if s.Stage != Idle {
			r.say("leadership lost while %s", s.Stage)
			s.remember()
			*s = s.lasting()
		}
		return f
	}
	if s.Epoch != sc.Epoch {
		r.begin()
	} else if done, ok := e.(ActionDone); ok {
		r.actionDone(done)
	}
	// A stage may be over at once; a bound keeps a mistake from looping.
	for i := 0; i < 8 && f.Finish == nil && s.Stage != Idle; i++ {
		at := s.Stage
		r.advance()
		if s.Stage == at {
			break
		}
	}
	return f
}

// lasting is what of the memory outlives an attempt.
func (s *State) lasting() State {
	return State{nextID: s.nextID, confirmed: nothing, Retry: s.Retry, Absent: s.Absent, slots: s.slots, Last: s.Last, Moved: s.Moved}
}

// begin starts what this leader was elected for.
func (r *run) begin() {
	w, b, s := r.sc.Want, &r.sc.Base, r.s
	*s = s.lasting()
	s.Epoch, s.Want, s.Since = r.sc.Epoch, w, r.now
	r.open()
	r.say("elected in epoch %d for %s by %s", r.sc.Epoch, w.Reason, shorts(r.sc.Voters))
	if !b.IsZero() {
		r.say("base %s: %s is the primary (%s)", b.Version, b.Primary, b.Phase)
	}
	switch {
	case w.Reason == warden.ReasonBirth:
		r.birth()
	case w.Reason == warden.ReasonRecover:
		r.recover()
	case b.Settings.Paused && orders(w.Reason): // guard: pause
		// It was paused by a leader that this Warden had not heard of.
		r.propose(Affirming, b.Reason, nil)
	case w.Reason == warden.ReasonPause || w.Reason == warden.ReasonUnpause:
		r.propose(Changing, w.Reason, func(t *warden.Topology) {
			t.Settings.Paused = w.Reason == warden.ReasonPause
			t.Settings.Revision++
		})
	case w.Reason == warden.ReasonSettings:
		r.configure()
	case (w.Reason == warden.ReasonFailover || w.Reason == warden.ReasonForced) && b.Primary == w.Primary:
		s.Old = w.Primary
		if r.binding() && !r.c.PrePromote {
			r.resolve()
		} else {
			r.look()
		}
	case b.Phase == warden.PhasePromoting:
		r.propose(Affirming, b.Reason, nil)
	case w.Reason == warden.ReasonAdopt && b.Primary != w.Primary:
		s.Old, s.Candidate = b.Primary, w.Primary
		r.publish(warden.ReasonAdopt)
	default:
		r.propose(Affirming, w.Reason, nil)
	}
}

// configure proposes other settings, if nobody changed them since they were read.
// What else a former leader left in the base stays as it is.
func (r *run) configure() {
	next, b := r.s.Want.Settings, &r.sc.Base
	switch {
	case next == nil || next.Revision != b.Settings.Revision+1: // guard: settings
		r.finish(warden.VerdictRefused, "changed", fmt.Sprintf("the settings are of revision %d by now: read them again", b.Settings.Revision))
	case next.Quorum > len(b.Wardens): // guard: S5
		// The list has become shorter since the operator was told yes.
		r.finish(warden.VerdictRefused, "quorum", fmt.Sprintf("quorum is to be %d, and the list has %d Wardens by now", next.Quorum, len(b.Wardens)))
	default:
		r.propose(Changing, warden.ReasonSettings, func(t *warden.Topology) { t.Settings = *next })
	}
}

// birth proposes the first topology; a base another leader left is kept whole.
func (r *run) birth() {
	w := r.sc.Want
	r.propose(Changing, warden.ReasonBirth, func(t *warden.Topology) {
		if !r.sc.Base.IsZero() {
			return
		}
		*t = warden.Topology{Birth: r.newBirth(), Phase: warden.PhaseDone, Primary: w.Primary, Wardens: w.List, Reason: warden.ReasonBirth}
		if n := r.sc.node(w.Primary); n != nil {
			*t = t.WithLineage(n.Seen.LineageBefore, n.Seen.Lineage)
		}
	})
}

// newBirth is a Birth of this run and epoch: no two attempts share one.
func (r *run) newBirth() warden.Birth {
	return warden.Birth(fmt.Sprintf("%s-%d", r.c.NewBirth, r.s.Epoch))
}

// recover gives the list without the lost a new Birth.
func (r *run) recover() {
	w := r.sc.Want
	r.propose(Changing, warden.ReasonRecover, func(t *warden.Topology) {
		t.Replaces, t.Birth = t.Birth, r.newBirth()
		t.Wardens = slices.DeleteFunc(t.Wardens, func(id warden.WardenID) bool { return slices.Contains(w.Lost, id) })
	})
}

// advance does what the stage still has to do, and moves on when it is over.
func (r *run) advance() {
	s := r.s
	if s.Stage != Repointing && r.now.Sub(s.Since) > r.c.FailoverTimeout {
		r.note("-failover-abort-timeout", "", "")
		r.finish(warden.VerdictUnknown, "timeout", "failover_timeout is over: another leader goes on")
		return
	}
	if r.keepWrites() {
		return
	}
	switch s.Stage {
	case Affirming:
		if r.chosen { // guard: S3
			r.affirmed()
		}
	case Changing:
		if r.chosen { // guard: S3
			r.changed()
		}
	case Inspecting:
		r.claim(s.Candidate)
	case Reclaiming:
		r.claim(s.Old)
	case Looking:
		r.looking()
	case Asking:
		r.asking()
	case Holding:
		if !s.held && !r.waiting(warden.ActHold, s.Old) {
			r.act(warden.ActHold, s.Old, "", holdLimit)
		}
	case Draining:
		r.drain()
	case Deciding:
		r.decided()
	case Claiming:
		r.claim(s.Candidate)
	case CatchingUp:
		r.catchUp()
	case Fencing:
		r.fence()
	case Demoting:
		r.demote()
	case Promoting:
		r.promote()
	case Publishing:
		if r.chosen { // guard: S3
			r.published()
		}
	case Repointing:
		r.repoint()
	case GoingBack:
		if r.chosen { // guard: S9
			r.note("-failover-abort", "", s.cancel)
			r.unseal()
			verdict := warden.VerdictRefused
			if s.unsure {
				verdict = warden.VerdictUnknown
			}
			r.finish(verdict, "cancelled", s.cancel)
		}
	}
}

// orders reports whether a leader elected for this gives orders to nodes, which
// nobody may while the group is paused.
func orders(reason warden.Reason) bool {
	switch reason {
	case warden.ReasonFailover, warden.ReasonForced, warden.ReasonSwitchover, warden.ReasonAdopt, warden.ReasonRepair,
		warden.ReasonResume, warden.ReasonSync:
		return true
	}
	return false
}

// affirmed: the leader's first step is chosen; now for what it is here for.
func (r *run) affirmed() {
	s, w, b := r.s, r.s.Want, &r.sc.Base
	if b.Settings.Paused && orders(w.Reason) { // guard: pause
		r.finish(warden.VerdictRefused, "paused", "the group is paused: resume it first")
		return
	}
	if b.Phase == warden.PhasePromoting && w.Reason != warden.ReasonJoin && w.Reason != warden.ReasonForget { // guard: S4
		s.Old, s.Candidate = b.Previous, b.Primary
		r.enter(Inspecting)
		return
	}
	if b.Phase == warden.PhaseSealing && w.Reason != warden.ReasonJoin && w.Reason != warden.ReasonForget {
		s.Old = b.Primary
		r.goBack("writes were being stopped for a change that is not needed any more")
		return
	}
	switch w.Reason {
	case warden.ReasonSync:
		r.arrange()
	case warden.ReasonSwitchover:
		if b.Primary != w.Primary {
			r.finish(warden.VerdictRefused, "changed", fmt.Sprintf("the primary is %s by now", b.Primary))
			return
		}
		s.Old = b.Primary
		r.look()
	case warden.ReasonJoin:
		r.propose(Changing, w.Reason, func(t *warden.Topology) {
			if !t.Lists(w.Warden) {
				t.Wardens = append(t.Wardens, w.Warden)
				slices.Sort(t.Wardens)
			}
		})
	case warden.ReasonForget:
		if b.Lists(w.Warden) && len(b.Wardens) <= r.c.Quorum { // guard: S5
			// The list has become shorter since the operator was told yes.
			r.finish(warden.VerdictRefused, "quorum", "nothing could be agreed any more without it: lower quorum first")
			return
		}
		r.propose(Changing, w.Reason, func(t *warden.Topology) {
			t.Wardens = slices.DeleteFunc(t.Wardens, func(id warden.WardenID) bool { return id == w.Warden })
		})
	default:
		r.enter(Repointing)
	}
}

// changed: a change of list or settings is chosen.
func (r *run) changed() {
	reason := r.s.Want.Reason
	if (reason == warden.ReasonBirth || reason == warden.ReasonRecover) && r.sc.Base.Phase == warden.PhaseDone {
		r.enter(Repointing)
		return
	}
	r.finish(warden.VerdictDone, "", "")
}

// look asks every node for a fresh look, all at once.
func (r *run) look() {
	s := r.s
	s.Looks, s.sealed = nil, false
	s.pending = slices.DeleteFunc(slices.Clone(s.pending), func(p pending) bool { return p.kind == warden.ActLook })
	r.enter(Looking)
	for _, n := range r.sc.Nodes {
		s.Looks = append(s.Looks, Look{Node: n.ID, Seen: nothing})
		r.act(warden.ActLook, n.ID, "", lookLimit(r.c))
	}
}

// looking waits for the looks. Nodes that are down anyway are waited for only a
// moment, or while nobody else can be promoted: one that was cut off itself finds
// nodes down that answer again by now, and may have more than all others.
func (r *run) looking() {
	s := r.s
	if r.now.Sub(s.StageAt) < lookLimit(r.c)+50*warden.Millisecond {
		some, late := false, false
		for _, l := range s.Looks {
			n := r.sc.node(l.Node)
			switch {
			case l.Done:
				some = some || good(l) && l.Node != s.Old
			case n != nil && !n.Down && !n.Refusing:
				return
			case l.Node != s.Old:
				late = true
			}
		}
		if late && (!some || r.now.Sub(s.StageAt) < downGrace) {
			return
		}
	}
	r.choose()
}

// shorts are Warden ids, short, in one line.
func shorts(ids []warden.WardenID) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.Short()
	}
	return strings.Join(out, ", ")
}

// decide proposes the promotion; nothing is ordered before it is chosen (S3).
func (r *run) decide() {
	s := r.s
	reason := s.Want.Reason
	if reason != warden.ReasonSwitchover && reason != warden.ReasonForced {
		reason = warden.ReasonFailover
	}
	previous := s.Old
	if previous == s.Candidate { // demoted already, and its successor refused
		previous = r.sc.Base.Primary
	}
	r.propose(Deciding, reason, func(t *warden.Topology) {
		if l := r.lookAt(s.Candidate); l != nil {
			// Once promoted the candidate shows its present id only as the one
			// before: without this nobody could tell it from a stranger.
			*t = t.WithLineage(l.Seen.LineageBefore, l.Seen.Lineage)
		}
		if t.Phase != warden.PhasePromoting || t.Primary == s.Old {
			t.PreviousSync = t.Sync
		}
		t.Phase, t.Primary, t.Previous = warden.PhasePromoting, s.Candidate, previous
		r.inherit(t)
	})
}

// decided: the promotion is chosen. If too few still say down, and nothing was
// ordered, the change is taken back (H9).
func (r *run) decided() {
	s := r.s
	if r.chosen {
		s.StageAt = r.now
		r.say("%s is the decision of a majority; %d of %d answers so far find %s down", s.Candidate, r.sc.Downs, r.sc.Answered, s.Old)
	} else if r.sc.Proposing || r.proposed { // guard: S3
		return
	}
	if doubt, settled := r.doubted(); doubt != "" { // guard: S6
		if settled {
			r.goBack(doubt)
		}
		return
	}
	if s.held && !s.demoted { // guard: SW
		if s.holdUntil.Sub(r.now) < holdMargin { // guard: SW
			r.goBack("the hold on writes would end too soon")
			return
		}
		r.enter(Demoting)
		return
	}
	r.enter(Claiming)
}

// doubted says that too few of those who accepted still find the primary down,
// "" if enough do; settled: all have said what they find, or had the time to.
// Once an order was given there is no doubting any more (H9).
func (r *run) doubted() (doubt string, settled bool) {
	s := r.s
	if s.Want.Reason != warden.ReasonFailover || s.ordered || r.sc.Downs >= r.c.Quorum {
		return "", true
	}
	return fmt.Sprintf("only %d of %d Wardens still find %s down", r.sc.Downs, r.c.Quorum, s.Old),
		r.sc.Answered >= len(r.sc.Base.Wardens) || r.now.Sub(s.StageAt) >= opinionWait
}

// goBack takes the change back by an accepted topology.
func (r *run) goBack(why string) {
	s, old := r.s, r.s.Old
	s.cancel = why
	r.say("going back to %s: %s", old, why)
	r.propose(GoingBack, warden.ReasonGoBack, func(t *warden.Topology) {
		if n := r.sc.node(old); n != nil && r.believed(old, n.Seen) && n.Seen.Role == warden.RolePrimary {
			*t = t.WithLineage(n.Seen.LineageBefore, n.Seen.Lineage) // the candidate's line is not the newest any more
		}
		if t.Phase == warden.PhasePromoting {
			// It waits by these still: nobody told it otherwise.
			t.Sync, t.PreviousSync = t.PreviousSync, nil
		}
		t.Phase, t.Primary, t.Previous = warden.PhaseDone, old, ""
	})
}

// publish proposes the finished change.
func (r *run) publish(reason warden.Reason) {
	s := r.s
	r.propose(Publishing, reason, func(t *warden.Topology) {
		*t = t.WithLineage(s.confirmed.LineageBefore, s.confirmed.Lineage)
		if t.Primary != s.Candidate {
			r.inherit(t) // adopted
		}
		if len(t.Sync) > 0 && !t.NewestSync().Rule(s.Candidate).Is(s.confirmed.Waits) {
			t.Sync = append([]warden.SyncSet{{}}, t.NewestSync()) // nobody made it wait: nothing is promised until then
		}
		t.Phase, t.Primary, t.PreviousSync = warden.PhaseDone, s.Candidate, nil
		if s.Old != s.Candidate {
			t.Previous = s.Old
		}
	})
}

// published: learned and served from now on.
func (r *run) published() {
	s := r.s
	r.say("%s is agreed as the primary", s.Candidate)
	r.account(func(a *Account) { a.Published = true })
	if s.held {
		r.release()
	}
	if !r.c.HandsOff {
		r.note("+failover-state-reconf-slaves", "", "")
	}
	r.enter(Repointing)
}
