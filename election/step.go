package election

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// Event is what can happen to this mind. The set is closed.
type Event interface{ event() }

// Tick says only that time has passed.
type Tick struct{}

// Heard is a message of another Warden.
type Heard struct{ Message warden.Message }

// Store tells whether the store works.
type Store struct{ Works bool }

// ConflictHeard says that our own id is used from another address.
type ConflictHeard struct{ Where string }

func (Tick) event()          {}
func (Heard) event()         {}
func (Store) event()         {}
func (ConflictHeard) event() {}

// Effects of a Step. The group adds what only it knows and passes them on.
type Effects struct {
	// Send are messages; From, Run, Group and Birth are filled in already.
	Send []Envelope
	// Chosen is set when a proposal of ours was chosen in this Step.
	Chosen bool
	// Learned is set when the newest chosen topology changed, ours included.
	Learned bool
	// Elected and Lost mark the beginning and an unwanted end of leading.
	Elected bool
	Lost    string
	Notes   []Note
}

// Envelope is one message to one Warden.
type Envelope struct {
	To      warden.WardenID
	Message warden.Message
}

// Note is something that happened, for the group to announce.
type Note struct {
	Name  string
	Text  string
	Epoch warden.Epoch
}

func (f *Effects) note(name, text string, e warden.Epoch) {
	f.Notes = append(f.Notes, Note{name, text, e})
}

// send addresses a message that s sends.
func (f *Effects) send(c Config, s *State, to warden.WardenID, m warden.Message) {
	if to == c.Self {
		return
	}
	m.Group, m.From, m.Run = c.Group, c.Self, c.Run
	if m.Birth == "" {
		m.Birth = s.Reg.Chosen.Birth
	}
	f.Send = append(f.Send, Envelope{To: to, Message: m})
}

// Step takes one event at the instant now. want is what this Warden would do
// if it led; sight is its own evidence. s is not changed.
func Step(c Config, s State, e Event, want Want, sight Sight, now warden.Instant) (State, Effects) {
	f := Advance(c, &s, e, want, sight, now)
	return s, f
}

// Advance is Step for a caller who made a copy of the old state: s becomes the
// new one, and copies of the old one stay as they are.
func Advance(c Config, s *State, e Event, want Want, sight Sight, now warden.Instant) Effects {
	s.share()
	var f Effects
	s.rewind(now)
	if s.Stand != nil && sight.Tilt {
		// Before anything that is heard now makes it ask once more.
		s.giveUp(c, "this Warden is in TILT", now, &f)
	}
	switch e := e.(type) {
	case Heard:
		if e.Message.From != c.Self && e.Message.Group == c.Group { // guard: S2
			s.heard(c, e.Message, sight, now, &f)
		}
	case Store:
		s.Mute = !e.Works
	case ConflictHeard:
		if s.Frozen == "" {
			f.note("-id-conflict", "this Warden's id is also used at "+e.Where, 0)
		}
		s.Frozen = "its id is also used at " + e.Where
	}
	s.common(c, now)
	s.leading(c, sight, now, &f)
	f.Elected = f.Elected && s.Lead != nil
	if f.Lost == "" {
		// A leader's want is the one it was elected for: when it has just lost
		// the lead, only the next Step knows what is wanted now.
		s.turn(c, want, sight, now, &f)
	}
	return f
}

func (s *State) heard(c Config, m warden.Message, sight Sight, now warden.Instant, f *Effects) {
	p := s.hear(m, now)
	switch {
	case m.Status != nil:
		s.status(c, p, m, sight, now, f)
	case m.Ask != nil:
		s.vote(c, m, sight, now, f)
	case m.Vote != nil:
		s.voted(c, m, now, f)
	case m.Propose != nil:
		s.accept(c, m, sight, now, f)
	case m.Accept != nil:
		s.accepted(c, m, now, f)
	case m.Learn != nil:
		s.learn(c, m.Learn.Topology, m.From, f)
	case m.Renew != nil:
		s.renew(c, m, sight, now, f)
	case m.Renewed != nil:
		s.renewed(c, m, now)
	}
}

// status answers a peer that is behind with what is chosen.
func (s *State) status(c Config, p *Peer, m warden.Message, sight Sight, now warden.Instant, f *Effects) {
	p.Status = m.Status
	// After other settings were agreed a moment ago there may be nothing to do.
	idle := s.Stand != nil && s.Stand.Want.Reason == warden.ReasonFailover && !sight.PrimaryDown
	if s.Stand != nil && !m.Status.Left && !idle {
		// What it sees has changed: whoever denied may grant now.
		s.askOne(c, m.From, f)
	}
	t := s.Reg.Chosen
	if s.Reg.Left && s.birthIsDead(c, now) {
		f.note("+birth-dead", "a majority has left: a new first agreement may be made", t.Epoch)
		s.Reg = warden.Register{Promise: s.Reg.Promise, Grantee: s.Reg.Grantee, GranteeRun: s.Reg.GranteeRun, Nodes: s.Reg.Nodes}
		return
	}
	if s.Reg.Left && m.Birth == t.Birth && !m.Status.Left {
		// Only a group that is watched again has a mind that could hear this.
		s.Reg.Left = false
		f.note("+birth-resumed", "found alive at "+m.From.Short(), t.Epoch)
	}
	if t.IsZero() || s.Reg.Left || s.Reg.Superseded {
		return
	}
	if m.Birth != t.Birth || t.Version.Newer(m.Status.Chosen) {
		f.send(c, s, m.From, warden.Message{Learn: &warden.Learn{Topology: t}})
	}
}

// common keeps, for every Warden that is not listed, since when a majority of
// the list has heard it.
func (s *State) common(c Config, now warden.Instant) {
	t := &s.Reg.Chosen
	if t.IsZero() {
		return
	}
	for i := range s.Peers {
		p := &s.Peers[i]
		common := !t.Lists(p.ID) && s.heardByMajority(c, p, now)
		if common == (p.CommonAt != 0) {
			continue
		}
		s.ownPeers()
		if p = &s.Peers[i]; common {
			p.CommonAt = now
		} else {
			p.CommonAt = 0
		}
	}
}

func (s *State) heardByMajority(c Config, p *Peer, now warden.Instant) bool {
	fresh := func(p *Peer) bool { return p != nil && now.Sub(p.At) <= hearLimit(c) }
	if !fresh(p) || p.Birth != s.Reg.Chosen.Birth || p.Status.Left || p.Status.Mute { // guard: S5
		return false
	}
	n := 0
	for _, id := range s.Reg.Chosen.Wardens {
		if id == c.Self {
			n++
			continue
		}
		if q := s.Peer(id); fresh(q) && slices.Contains(q.Status.Hears, p.ID) {
			n++
		}
	}
	return n >= s.Reg.Chosen.Majority() // guard: S5
}

// Newcomer is an unlisted Warden that a majority has heard for a hello
// interval (R4), "" when there is none.
func (s *State) Newcomer(c Config, now warden.Instant) warden.WardenID {
	for i := range s.Peers {
		if p := &s.Peers[i]; p.CommonAt != 0 && now.Sub(p.CommonAt) >= c.HelloInterval {
			return p.ID
		}
	}
	return ""
}

// birthIsDead waits two hello intervals before it believes that a Birth is
// dead: whoever of its list still lives has spoken by then, and one that is
// re-monitored a moment after another must not outlive what it accepted.
func (s *State) birthIsDead(c Config, now warden.Instant) bool {
	if !s.deadBirth(c) {
		s.deadSince = 0
		return false
	}
	if s.deadSince == 0 {
		s.deadSince = now
	}
	return now.Sub(s.deadSince) >= 2*c.HelloInterval // guard: S2
}

// deadBirth reports whether a majority of the listed Wardens, as far as heard,
// has left: then the Birth is dead and a new one may be made.
func (s *State) deadBirth(c Config) bool {
	t := &s.Reg.Chosen
	n := 0
	for _, id := range t.Wardens {
		if id == c.Self && s.Reg.Left {
			n++
		} else if p := s.Peer(id); p != nil && p.Birth == t.Birth && p.Status.Left {
			n++
		}
	}
	return n >= t.Majority() // guard: S2
}
