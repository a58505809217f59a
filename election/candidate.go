package election

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// recentLimit is how long a Warden that fell silent still counts as known at
// the first agreement.
const recentLimit = 30 * warden.Second

func (s *State) recent(p Peer, now warden.Instant) bool { return now.Sub(p.At) <= recentLimit }

// list is a candidate's own list: that of its newest topology, or at the first
// agreement all it knows.
func (s *State) list(c Config, w Want) []warden.WardenID {
	if t := s.Reg.Newest(); s.Born() || !t.IsZero() {
		return t.Wardens
	}
	return w.List
}

// turn stands for election when there is something to do, nobody leads, and
// it is this Warden's turn.
func (s *State) turn(c Config, want Want, sight Sight, now warden.Instant, f *Effects) {
	if s.Stand != nil {
		s.standing(c, want, now, f)
		return
	}
	if s.Lead != nil || want.Reason == "" || s.Quiet() != "" || !slices.Contains(s.list(c, want), c.Self) {
		s.want, s.standAt = Want{}, 0
		return
	}
	if sight.Tilt { // guard: S6
		return // a Warden that distrusts its clock starts nothing
	}
	if !want.Is(s.want) || s.standAt == 0 {
		if !want.Is(s.want) {
			s.failed = 0
		}
		s.want = want
		s.standAt = now.Add(s.wait(c, want, 0))
	}
	if s.HoldFor != c.Self || s.holdRun != c.Run {
		// Somebody leads, or may: after its lease the turns begin anew.
		if free := s.HoldUntil; now < free {
			s.standAt = max(s.standAt, free.Add(s.wait(c, want, 0)))
		}
	}
	if now.Sub(s.started) < voterHold {
		s.standAt = max(s.standAt, s.started.Add(voterHold))
	}
	if !failing(want.Reason) {
		s.standAt = max(s.standAt, s.quietTil)
	}
	if now >= s.standAt {
		s.stand(c, want, now, f)
	}
}

// wait is how long a candidate waits for its turn, by so many turns longer.
func (s *State) wait(c Config, want Want, more int) warden.Duration {
	return warden.Duration(rank(s.list(c, want), c.Self, s.seen+1+warden.Epoch(c.Turn))+more) * s.step(c.Lag)
}

// step is the time between two turns. Whoever is first has to be heard of before
// the next one tries, or all stand at once and nobody wins: on a machine with too
// much to do, that takes as long as votes took lately, or as work is late.
func (s *State) step(lag warden.Duration) warden.Duration {
	return min(max(turnStep, s.round, 2*lag), turnMost)
}

// life is how long an attempt goes on: long enough for two rounds as they are now.
func (s *State) life() warden.Duration {
	return max(attemptLife, 2*min(s.round, turnMost))
}

// timed measures the time that votes take by the first answer to each attempt,
// also where it comes too late. A better time is believed by halves.
func (s *State) timed(e warden.Epoch, now warden.Instant) {
	if e == 0 || e != s.stood {
		return
	}
	s.stood = 0
	if took := now.Sub(s.stoodAt); took > s.round {
		s.round = took
	} else {
		s.round = (s.round + max(took, 0)) / 2
	}
}

// stand begins an attempt: a new epoch, promised to oneself on disk before
// anybody is asked (V1).
func (s *State) stand(c Config, want Want, now warden.Instant, f *Effects) {
	e := max(s.seen, s.Reg.Promise) + 1
	s.seen = e
	s.Reg.Promise, s.Reg.Grantee, s.Reg.GranteeRun = e, c.Self, c.Run
	s.standOwn = true
	s.Stand = &Candidacy{Epoch: e, Want: want, Since: now, grants: []grant{{c.Self, s.Reg.Newest().Clone()}}}
	s.standAt = 0
	s.stood, s.stoodAt = e, now
	f.note("+new-epoch", fmt.Sprint(e), e)
	if failing(want.Reason) {
		f.note("+try-failover", string(want.Reason), e)
	}
	f.note("+vote-for-leader", fmt.Sprintf("%s %d", c.Self, e), e)
	s.ask(c, now, f)
	s.countVotes(c, now, f)
}

// electors are all that a candidate asks: its own list, and that of the newest
// topology among the grants, because that is where the votes are counted (V4).
func (s *State) electors(c Config) []warden.WardenID {
	base := s.Stand.base()
	return sortedUnion(s.list(c, s.Stand.Want), base.Wardens...)
}

// ask asks every elector that has not granted yet.
func (s *State) ask(c Config, now warden.Instant, f *Effects) {
	s.ownStand().askedAt = now
	for _, id := range s.electors(c) {
		s.askOne(c, id, f)
	}
}

func (s *State) askOne(c Config, id warden.WardenID, f *Effects) {
	st := s.Stand
	if slices.Contains(s.electors(c), id) && !slices.ContainsFunc(st.grants, func(g grant) bool { return g.from == id }) {
		f.send(c, s, id, warden.Message{Ask: &warden.VoteRequest{
			Epoch: st.Epoch, Reason: st.Want.Reason, Primary: st.Want.Primary, List: st.Want.List, Lost: st.Want.Lost}})
	}
}

// standing goes on with an attempt, or gives it up.
func (s *State) standing(c Config, want Want, now warden.Instant, f *Effects) {
	st := s.Stand
	switch {
	case !want.Is(st.Want):
		s.giveUp(c, "there is nothing to do any more", now, f)
	case s.Quiet() != "":
		s.giveUp(c, s.Quiet(), now, f)
	case now.Sub(st.Since) >= s.life():
		s.giveUp(c, "not enough votes", now, f)
	case now.Sub(st.askedAt) >= askAgain:
		s.ask(c, now, f)
	}
}

// giveUp ends an attempt and gives the votes back, so that nobody waits for a
// leader that does not exist.
func (s *State) giveUp(c Config, why string, now warden.Instant, f *Effects) {
	st, electors := s.Stand, s.electors(c)
	s.Stand = nil
	s.Denials = nil
	for _, d := range st.denials {
		s.Denials = append(s.Denials, d.From.Short()+": "+d.Why)
	}
	for _, id := range electors {
		f.send(c, s, id, warden.Message{Renew: &warden.Renew{Epoch: st.Epoch, Reason: st.Want.Reason, Release: true}})
	}
	if failing(st.Want.Reason) {
		f.note("-failover-abort-not-elected", why, st.Epoch)
	} else {
		f.note("-not-elected", why, st.Epoch)
	}
	s.want = st.Want
	s.failed++
	s.standAt = now.Add(s.wait(c, st.Want, 1) + patience(s.failed))
	if !failing(st.Want.Reason) {
		s.standAt = s.standAt.Add(quietAfter)
	}
}

// patience is what repeated attempts in vain add to a candidate's wait: none at
// first, because opinions settle within milliseconds; in the end seconds, so
// that what cannot win neither fills disks nor logs.
func patience(failed int) warden.Duration {
	return min(max(warden.Duration(failed-3), 0)*200*warden.Millisecond, 2*warden.Second)
}

// voted takes in a vote.
func (s *State) voted(c Config, m warden.Message, now warden.Instant, f *Effects) {
	v := *m.Vote
	s.timed(v.Epoch, now)
	st := s.Stand
	if st == nil || v.Epoch != st.Epoch || m.Birth != s.Reg.Chosen.Birth { // guard: S2
		s.seen = max(s.seen, v.Promise)
		return
	}
	st = s.ownStand()
	drop := func(id warden.WardenID) {
		st.denials = slices.DeleteFunc(st.denials, func(d Denial) bool { return d.From == id })
	}
	drop(m.From)
	if !v.Granted { // guard: S2
		s.seen = max(s.seen, v.Promise)
		st.denials = append(st.denials, Denial{m.From, v.Why, v.Promise})
		if v.Promise > st.Epoch {
			s.giveUp(c, fmt.Sprintf("epoch %d is promised elsewhere", v.Promise), now, f)
		}
		return
	}
	if !slices.ContainsFunc(st.grants, func(g grant) bool { return g.from == m.From }) {
		before := s.electors(c)
		st.grants = append(st.grants, grant{m.From, v.Newest.Clone()})
		for _, id := range s.electors(c) {
			if !slices.Contains(before, id) {
				s.askOne(c, id, f)
			}
		}
	}
	s.countVotes(c, now, f)
}

// base is the newest topology among the grants (V4, S4).
func (st *Candidacy) base() warden.Topology {
	var base warden.Topology
	for _, g := range st.grants {
		if base.IsZero() || g.newest.Version.Newer(base.Version) { // guard: S4
			base = g.newest
		}
	}
	return base
}

// countVotes adopts the newest base among the grants and counts the votes in
// the list of that base, anew with each answer (V4).
func (s *State) countVotes(c Config, now warden.Instant, f *Effects) {
	st := s.Stand
	base := st.base()
	var from []warden.WardenID
	for _, g := range st.grants {
		from = append(from, g.from)
	}
	if len(st.Want.Lost) > 0 {
		s.countRecovery(c, base, from, now, f)
		return
	}
	list, need := base.Wardens, needed(base.Wardens, st.Want.quorum(c.Quorum))
	if !s.Born() {
		if base.IsZero() {
			list = st.Want.List
		}
		need = neededAtBirth(list, c.Quorum, c.Wardens)
	}
	if !slices.Contains(list, c.Self) { // guard: S2
		s.giveUp(c, "a newer list of Wardens lacks this one", now, f) // R3
		return
	}
	if count(list, from) >= need { // guard: S5
		s.elected(c, base, from, now, f)
	}
}

// countRecovery: every Warden that is not given up must have granted.
func (s *State) countRecovery(c Config, base warden.Topology, from []warden.WardenID, now warden.Instant, f *Effects) {
	for _, id := range base.Wardens {
		if !slices.Contains(from, id) && !slices.Contains(s.Stand.Want.Lost, id) { // guard: S2
			return
		}
	}
	s.elected(c, base, from, now, f)
}

func (s *State) elected(c Config, base warden.Topology, from []warden.WardenID, now warden.Instant, f *Effects) {
	st := s.Stand
	s.Stand, s.Denials, s.failed = nil, nil, 0
	s.leadOwn = true
	s.Lead = &Leadership{Epoch: st.Epoch, Want: st.Want, Since: now, Base: base.Clone(), Voters: slices.Clone(from), StoodAt: st.Since, Denials: st.denials,
		LeaseUntil: st.Since.Add(leaseLife), roundAt: st.Since}
	s.HoldFor, s.holdRun, s.HoldUntil = c.Self, c.Run, now.Add(voterHold)
	f.Elected = true
	f.note("+elected-leader", fmt.Sprintf("%s with %d votes", st.Want.Reason, len(from)), st.Epoch)
}

// Next is the instant at which this mind may have to do something by itself.
func Next(s *State, want Want, now warden.Instant) warden.Instant {
	next := now.Add(warden.Second)
	at := func(i warden.Instant) {
		if i > now {
			next = min(next, i)
		} else if i != 0 {
			next = min(next, now.Add(5*warden.Millisecond))
		}
	}
	switch {
	case s.Stand != nil:
		at(s.Stand.askedAt.Add(askAgain))
		at(s.Stand.Since.Add(s.life()))
	case s.Lead != nil:
		at(s.Lead.roundAt.Add(renewEvery))
		at(s.Lead.LeaseUntil)
		if s.Lead.Proposing() {
			at(s.Lead.resentAt.Add(proposeAgain))
		}
	case want.Reason != "" && s.standAt != 0:
		at(s.standAt)
	}
	return next
}
