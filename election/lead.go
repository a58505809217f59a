package election

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// voters are the Wardens whose answers the leader counts now: the list of the
// proposal under way, or of the base.
func (l *Leadership) voters() []warden.WardenID {
	if l.Proposing() {
		return l.proposal.Wardens
	}
	if l.Base.IsZero() {
		return l.Want.List
	}
	return l.Base.Wardens
}

// leading keeps the lease, and gives up leading when it is over.
func (s *State) leading(c Config, sight Sight, now warden.Instant, f *Effects) {
	l := s.Lead
	if l == nil {
		return
	}
	switch {
	case s.Quiet() != "": // guard: S1
		s.lose(s.Quiet(), f)
		return
	case sight.Tilt: // guard: S6
		s.lose("this Warden is in TILT", f)
		return
	case now >= l.LeaseUntil: // guard: S5
		s.lose("no majority answered in time", f)
		s.HoldUntil = 0
		return
	}
	if len(l.voters()) <= 1 && len(l.Want.Lost) == 0 {
		l = s.ownLead()
		l.LeaseUntil = now.Add(leaseLife)
	}
	if l.Proposing() && now.Sub(l.resentAt) >= proposeAgain {
		s.resend(c, now, f)
	}
	if now.Sub(l.roundAt) >= renewEvery {
		l = s.ownLead()
		l.round++
		l.roundAt, l.roundAcks = now, []warden.WardenID{c.Self}
		s.HoldUntil = now.Add(voterHold)
		f.Send = slices.Grow(f.Send, len(l.voters()))
		for _, id := range l.voters() {
			f.send(c, s, id, warden.Message{Birth: l.birth(), Renew: &warden.Renew{Epoch: l.Epoch, Round: l.round, Reason: l.Want.Reason}})
		}
	}
}

// birth is the Birth that the leader speaks about: that of its proposal at the
// first agreement and at a recovery.
func (l *Leadership) birth() warden.Birth {
	if l.Proposing() {
		return l.proposal.Birth
	}
	return l.Base.Birth
}

func (s *State) lose(why string, f *Effects) {
	if s.Lead != nil {
		f.Lost = why
		f.note("-leader-lost", why, s.Lead.Epoch)
		s.Lead = nil
	}
}

// Release ends leading: the last message of the epoch gives the lease back.
func Release(c Config, s State, now warden.Instant) (State, Effects) {
	s.share()
	var f Effects
	l := s.Lead
	if l == nil {
		return s, f
	}
	for _, id := range sortedUnion(l.voters(), l.Voters...) {
		f.send(c, &s, id, warden.Message{Renew: &warden.Renew{Epoch: l.Epoch, Reason: l.Want.Reason, Release: true}})
	}
	s.Lead, s.HoldUntil = nil, 0
	s.quietTil = now.Add(quietAfter)
	s.standAt = 0
	return s, f
}

// Propose asks the voters to accept t as the leader's next step. Epoch, Step,
// Group, Leader and LeaderRun are filled in. It reports false, and does
// nothing, when a proposal is under way (A1) or the list of Wardens may not
// change yet (R1, R2).
func Propose(c Config, s State, t warden.Topology, sight Sight, now warden.Instant) (State, Effects, bool) {
	var f Effects
	l := s.Lead
	if l == nil || l.Proposing() || !listMayChange(l, t) { // guard: S2
		return s, f, false
	}
	s.share()
	l = s.ownLead()
	l.step++
	t = t.Clone()
	t.Group, t.Epoch, t.Step, t.Leader, t.LeaderRun = c.Group, l.Epoch, l.step, c.Self, c.Run
	l.proposal, l.proposedAt = t, now
	down := sight.PrimaryDown
	l.acks = nil
	if t.Lists(c.Self) {
		// The leader is a voter like any other; its own answer is the register.
		s.Reg.Accepted = t.Clone()
		l.acks = []ack{{c.Self, true, down}}
	}
	s.resend(c, now, &f)
	s.chosen(c, now, &f)
	return s, f, true
}

// listMayChange enforces R1 and R2.
func listMayChange(l *Leadership, t warden.Topology) bool {
	if l.Base.IsZero() || len(l.Want.Lost) > 0 || slices.Equal(l.Base.Wardens, t.Wardens) {
		return true
	}
	if !l.Own { // guard: S2
		return false
	}
	diff := 0
	for _, id := range sortedUnion(l.Base.Wardens, t.Wardens...) {
		if l.Base.Lists(id) != t.Lists(id) {
			diff++
		}
	}
	return diff == 1 // guard: S2
}

// resend sends the proposal to all that have not answered yes.
func (s *State) resend(c Config, now warden.Instant, f *Effects) {
	l := s.ownLead()
	l.resentAt = now
	f.Send = slices.Grow(f.Send, len(l.proposal.Wardens))
	for _, id := range l.proposal.Wardens {
		if !slices.ContainsFunc(l.acks, func(a ack) bool { return a.from == id && a.ok }) {
			f.send(c, s, id, warden.Message{Birth: l.proposal.Birth, Propose: &warden.Proposal{Topology: l.proposal}})
		}
	}
}

// accepted takes in an answer to a proposal. Answers that come after the
// choice still tell an opinion (A4).
func (s *State) accepted(c Config, m warden.Message, now warden.Instant, f *Effects) {
	a := *m.Accept
	l := s.Lead
	s.seen = max(s.seen, a.Promise)
	if l == nil || a.Version != (warden.Version{Epoch: l.Epoch, Step: l.step}) { // guard: S2
		return
	}
	if a.Promise > l.Epoch {
		// One that was cut off and stood in vain deposes nobody: the lead is
		// lost when those that are left can choose nothing any more.
		l = s.ownLead()
		l.away = sortedUnion(l.away, m.From)
		if list := l.voters(); len(list)-count(list, l.away) < s.required(c, list) {
			s.lose(fmt.Sprintf("%s has promised epoch %d", m.From.Short(), a.Promise), f)
			s.HoldUntil = 0
		}
		return
	}
	l = s.ownLead()
	l.acks = slices.DeleteFunc(l.acks, func(b ack) bool { return b.from == m.From })
	if a.OK {
		l.acks = append(l.acks, ack{m.From, true, a.Down})
	}
	s.chosen(c, now, f)
}

// chosen counts the accepts (A3) and tells everybody when it is so.
func (s *State) chosen(c Config, now warden.Instant, f *Effects) {
	l := s.Lead
	if l == nil || !l.Proposing() {
		return
	}
	var yes []warden.WardenID
	for _, a := range l.acks {
		if a.ok {
			yes = append(yes, a.from)
		}
	}
	if count(l.proposal.Wardens, yes) < s.required(c, l.proposal.Wardens) { // guard: S5
		return
	}
	l = s.ownLead()
	t := l.proposal
	l.Base, l.Own, l.proposal = t, true, warden.Topology{}
	l.LeaseUntil = max(l.LeaseUntil, l.proposedAt.Add(leaseLife))
	s.struckOff(t)
	s.Reg.Chosen = t.Clone()
	s.HoldUntil = now.Add(voterHold)
	f.Chosen, f.Learned = true, true
	s.tell(c, t, f)
}

// required is how many of the list have to accept the proposal under way.
func (s *State) required(c Config, list []warden.WardenID) int {
	switch l := s.Lead; {
	case len(l.Want.Lost) > 0 && l.proposal.Replaces != "": // guard: S2
		return len(list) // a recovery: all of them
	case !s.Born(): // guard: S2
		return neededAtBirth(list, c.Quorum, c.Wardens)
	}
	return needed(list, s.Lead.Want.quorum(c.Quorum))
}

// tell sends a chosen topology to all Wardens known (step 3, learn).
func (s *State) tell(c Config, t warden.Topology, f *Effects) {
	to := append(make([]warden.WardenID, 0, len(t.Wardens)+len(s.Peers)), t.Wardens...)
	for _, p := range s.Peers {
		to = append(to, p.ID)
	}
	slices.Sort(to)
	to = slices.Compact(to)
	f.Send = slices.Grow(f.Send, len(to))
	for _, id := range to {
		f.send(c, s, id, warden.Message{Birth: t.Birth, Learn: &warden.Learn{Topology: t}})
	}
}

// renewed counts the answers to a renewing round.
func (s *State) renewed(c Config, m warden.Message, now warden.Instant) {
	l := s.Lead
	r := *m.Renewed
	if l == nil || r.Epoch != l.Epoch || r.Round != l.round || !r.OK || slices.Contains(l.roundAcks, m.From) { // guard: S5
		return
	}
	l = s.ownLead()
	l.roundAcks = append(l.roundAcks, m.From)
	list := l.voters()
	need := len(list)/2 + 1
	if count(list, l.roundAcks) >= need { // guard: S5
		l.LeaseUntil = max(l.LeaseUntil, l.roundAt.Add(leaseLife))
	}
}
