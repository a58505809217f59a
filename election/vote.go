package election

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// vote answers a VoteRequest (V2, V3). A denial raises nothing.
func (s *State) vote(c Config, m warden.Message, sight Sight, now warden.Instant, f *Effects) {
	r := *m.Ask
	if why := s.whyNot(c, m, r, sight, now); why != "" {
		f.send(c, s, m.From, warden.Message{Birth: m.Birth, Vote: &warden.Vote{
			Epoch: r.Epoch, Why: why, Promise: s.Reg.Promise}})
		return
	}
	if s.Reg.Promise != r.Epoch || s.Reg.Grantee != m.From || s.Reg.GranteeRun != m.Run {
		f.note("+vote-for-leader", fmt.Sprintf("%s %d", m.From, r.Epoch), r.Epoch)
	}
	s.promise(c, r.Epoch, m.From, m.Run, now, f)
	f.send(c, s, m.From, warden.Message{Birth: m.Birth, Vote: &warden.Vote{
		Epoch: r.Epoch, Granted: true, Newest: *s.Reg.Newest()}})
}

// promise binds this Warden to an epoch and its leader, and gives up whatever
// it was doing itself in a lower one.
func (s *State) promise(c Config, e warden.Epoch, to warden.WardenID, run warden.Run, now warden.Instant, f *Effects) {
	if e > s.seen {
		s.seen = e
		f.note("+new-epoch", fmt.Sprint(e), e)
	}
	s.Reg.Promise, s.Reg.Grantee, s.Reg.GranteeRun = e, to, run
	s.HoldFor, s.holdRun, s.HoldUntil = to, run, now.Add(voterHold)
	if to != c.Self || run != c.Run {
		s.Stand = nil
		s.lose(fmt.Sprintf("a newer epoch %d is led by %s", e, to.Short()), f)
		s.standAt = 0
	}
}

// whyNot is why a vote is denied, "" when it is granted.
func (s *State) whyNot(c Config, m warden.Message, r warden.VoteRequest, sight Sight, now warden.Instant) string {
	if q := s.Quiet(); q != "" { // guard: S1
		return "this Warden abstains: " + q
	}
	if now.Sub(s.started) < voterHold { // guard: S5
		return "this Warden has just started"
	}
	if why := s.whyNotBirth(c, m, r, sight, now); why != "" {
		return why
	}
	again := r.Epoch == s.Reg.Promise && s.Reg.Grantee == m.From && s.Reg.GranteeRun == m.Run
	switch {
	case r.Epoch < s.Reg.Promise || r.Epoch == s.Reg.Promise && !again: // guard: S1
		return fmt.Sprintf("epoch %d is already promised", s.Reg.Promise)
	case now < s.HoldUntil && (s.HoldFor != m.From || s.holdRun != m.Run): // guard: S5
		return fmt.Sprintf("leader %s holds its lease", s.HoldFor.Short())
	}
	return s.whyNotReason(c, r, sight)
}

// whyNotBirth checks that candidate and voter speak of the same register.
func (s *State) whyNotBirth(c Config, m warden.Message, r warden.VoteRequest, sight Sight, now warden.Instant) string {
	if s.Born() {
		switch {
		case m.Birth != s.Reg.Chosen.Birth: // guard: S2
			return "it speaks of another register of this group"
		case !s.Reg.Newest().Lists(m.From): // guard: S2
			return "the candidate is not in the list of Wardens"
		}
		return ""
	}
	switch {
	case sight.Uninformed != "": // guard: S2
		return "this Warden abstains: " + sight.Uninformed
	case r.Reason != warden.ReasonBirth || m.Birth != "": // guard: S2
		return "this Warden has no register of this group yet"
	case !slices.Contains(r.List, c.Self) || !slices.Contains(r.List, m.From): // guard: S2
		return "the proposed list of Wardens is not complete"
	case r.Primary != sight.Provisional: // guard: S9
		return fmt.Sprintf("this Warden takes %s for the primary", sight.Provisional)
	case !sight.ProvisionalSays: // guard: S9
		return fmt.Sprintf("this Warden does not hear %s say that it is primary", r.Primary)
	}
	for _, p := range s.Peers {
		if !slices.Contains(r.List, p.ID) && s.recent(p, now) { // guard: S2
			return "the proposed list lacks Warden " + p.ID.Short()
		}
	}
	return ""
}

// whyNotReason asks the voter's own eyes (V3).
func (s *State) whyNotReason(c Config, r warden.VoteRequest, sight Sight) string {
	t := s.Reg.Chosen
	if sight.Beside && (r.Reason == warden.ReasonFailover || r.Reason == warden.ReasonForced ||
		r.Reason == warden.ReasonSwitchover || r.Reason == warden.ReasonRepair || r.Reason == warden.ReasonSync) {
		return "real Sentinels decide about this group"
	}
	switch r.Reason {
	case warden.ReasonFailover:
		switch {
		case sight.Tilt: // guard: S6
			return "this Warden is in TILT"
		case r.Primary != t.Primary: // guard: S4
			return fmt.Sprintf("the primary is %s", t.Primary)
		case t.Settings.Paused: // guard: pause
			return "the group is paused"
		case !sight.PrimaryDown: // guard: S6
			return fmt.Sprintf("this Warden does not find %s down", t.Primary)
		}
	case warden.ReasonAdopt:
		if sight.Tilt || sight.Adoptable != r.Primary { // guard: S7
			return fmt.Sprintf("this Warden does not see %s as the primary", r.Primary)
		}
	case warden.ReasonSwitchover:
		if sight.PrimaryDown { // guard: SW
			return fmt.Sprintf("this Warden finds %s down", t.Primary)
		}
	case warden.ReasonRepair, warden.ReasonJoin, warden.ReasonSync:
		if sight.Odown { // guard: L1
			return fmt.Sprintf("%s is objectively down", t.Primary)
		}
	case warden.ReasonRecover:
		if slices.Contains(r.Lost, c.Self) { // guard: S2
			return "this Warden is not lost"
		}
	}
	return ""
}

// failing reports whether a reason moves the primary, or may have to: a leader
// of another kind must not hold up a failover.
func failing(r warden.Reason) bool {
	switch r {
	case warden.ReasonFailover, warden.ReasonForced, warden.ReasonResume, warden.ReasonAdopt,
		warden.ReasonSwitchover, warden.ReasonRecover:
		return true
	}
	return false
}

// accept answers a Proposal (A2, A4).
func (s *State) accept(c Config, m warden.Message, sight Sight, now warden.Instant, f *Effects) {
	t := m.Propose.Topology
	no := s.whyNotAccept(c, m, t)
	if no == "" {
		old := s.Reg.Chosen.Primary
		s.Reg.Accepted = t.Clone()
		voted := s.Reg.Promise == t.Epoch && (s.Reg.Grantee != m.From || s.Reg.GranteeRun != m.Run)
		s.promise(c, t.Epoch, m.From, m.Run, now, f)
		if voted {
			// The vote of this epoch went to somebody else: it is spent (S1).
			s.Reg.Grantee, s.Reg.GranteeRun = "", 0 // guard: S1
		}
		f.send(c, s, m.From, warden.Message{Birth: t.Birth, Accept: &warden.Accepted{
			Version: t.Version, OK: true, Down: sight.PrimaryDown && old != "" && (t.Previous == old || t.Primary == old)}})
		return
	}
	f.send(c, s, m.From, warden.Message{Birth: t.Birth, Accept: &warden.Accepted{
		Version: t.Version, Why: no, Promise: s.Reg.Promise}})
}

func (s *State) whyNotAccept(c Config, m warden.Message, t warden.Topology) string {
	if q := s.Quiet(); q != "" { // guard: S1
		return "this Warden abstains: " + q
	}
	have := s.Reg.Newest()
	switch {
	case t.Leader != m.From || t.LeaderRun != m.Run || t.Group != c.Group: // guard: S2
		return "the sender did not write this topology"
	case s.Born() && t.Birth != s.Reg.Chosen.Birth && t.Replaces != s.Reg.Chosen.Birth: // guard: S2
		return "it belongs to another register of this group"
	case !t.Lists(c.Self): // guard: S2
		return "this Warden is not in its list"
	case t.Epoch < s.Reg.Promise: // guard: S1
		return fmt.Sprintf("epoch %d is promised", s.Reg.Promise)
	case t.Equal(s.Reg.Accepted):
		return "" // the same content again is answered yes
	case !t.Version.Newer(have.Version): // guard: S4
		return fmt.Sprintf("topology %s is held already", have.Version)
	}
	return ""
}

// renew goes on holding the vote for the leader, unless it stands in the way
// of a failover (H2c).
func (s *State) renew(c Config, m warden.Message, sight Sight, now warden.Instant, f *Effects) {
	r := *m.Renew
	a := s.Reg.Accepted
	mine := s.Reg.Promise == r.Epoch && (s.Reg.Grantee == m.From && s.Reg.GranteeRun == m.Run ||
		a.Epoch == r.Epoch && a.Leader == m.From && a.LeaderRun == m.Run)
	if r.Release {
		if mine && s.HoldFor == m.From {
			s.HoldUntil = 0
			s.quietTil = now.Add(quietAfter)
			s.standAt = 0
		}
		return
	}
	ok := mine && s.Quiet() == "" && (failing(r.Reason) || !(sight.PrimaryDown && sight.Odown)) // guard: S5
	if ok {
		s.HoldFor, s.holdRun, s.HoldUntil = m.From, m.Run, now.Add(voterHold)
	} else if mine && s.HoldFor == m.From && s.HoldUntil != 0 {
		s.HoldUntil = 0
		s.standAt = 0 // the turns begin at once, not after the lease
	}
	f.send(c, s, m.From, warden.Message{Birth: m.Birth, Renewed: &warden.Renewed{Epoch: r.Epoch, Round: r.Round, OK: ok}})
}

// learn takes over a topology that its leader knows to be chosen.
func (s *State) learn(c Config, t warden.Topology, from warden.WardenID, f *Effects) {
	if t.IsZero() || t.Group != c.Group || s.Mute { // guard: S1
		return // what cannot be written down is learned when the store works again
	}
	s.seen = max(s.seen, t.Epoch)
	have := s.Reg.Chosen
	switch {
	case s.Reg.Superseded: // guard: S2
		return
	case have.IsZero():
		if s.Reg.Accepted.Birth != t.Birth {
			s.Reg.Accepted = warden.Topology{}
		}
	case t.Birth == have.Birth:
		if s.Reg.Left && from != c.Self {
			if p := s.Peer(from); p != nil && !p.Status.Left {
				s.Reg.Left = false
				f.note("+birth-resumed", "found alive at "+from.Short(), t.Epoch)
			}
		}
		if !t.Version.Newer(have.Version) { // guard: S9
			return
		}
	case t.Replaces == have.Birth:
		if !t.Lists(c.Self) {
			s.Reg.Superseded = true
			s.Stand = nil
			s.lose("this Warden was given up as lost", f)
			f.note("-superseded", "this Warden was given up as lost by recover; remove its data_dir to let it join anew", t.Epoch)
			return
		}
	case have.Replaces == t.Birth: // guard: S2
		return // a peer that does not know of the recovery yet
	default:
		if s.Frozen == "" {
			f.note("-register-conflict", fmt.Sprintf("birth %.8s here, %.8s at %s", have.Birth, t.Birth, from.Short()), t.Epoch)
		}
		s.Frozen = fmt.Sprintf("two first agreements met: %.8s here and %.8s at %s", have.Birth, t.Birth, from.Short())
		s.Stand = nil
		s.lose(s.Frozen, f)
		return
	}
	s.struckOff(t)
	s.Reg.Chosen = t.Clone()
	f.Learned = true
}

// struckOff forgets what the Wardens said that t lists no more: each has to be
// heard anew before it is a newcomer. One that died a moment before it was
// forgotten would still pass for heard, and join again, dead (R4).
func (s *State) struckOff(t warden.Topology) {
	for i := range s.Peers {
		if id := s.Peers[i].ID; s.Reg.Chosen.Lists(id) && !t.Lists(id) {
			s.ownPeers()
			s.Peers[i].Birth, s.Peers[i].CommonAt = "", 0
		}
	}
}
