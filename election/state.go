package election

import (
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Times of the lease and of turns. They are part of the protocol between
// Wardens: voterHold must be longer than leaseLife by more than a message
// takes, in every release that may run beside this one.
const (
	leaseLife    = 1 * warden.Second         // leader: from the sending of an answered round
	voterHold    = 1250 * warden.Millisecond // voter: from its own last answer
	renewEvery   = 250 * warden.Millisecond
	turnStep     = 40 * warden.Millisecond  // between two ranks, at least
	turnMost     = 400 * warden.Millisecond // and at most, see step
	attemptLife  = 300 * warden.Millisecond // a candidate gives up and waits for its turn, at least
	askAgain     = 60 * warden.Millisecond  // to those that denied or did not answer
	proposeAgain = 100 * warden.Millisecond
	// quietAfter a released lease lets everybody look again before somebody
	// stands for what has just been done.
	quietAfter = 600 * warden.Millisecond
)

// Config is what the mind is told on every Step.
type Config struct {
	Group  warden.GroupName
	Self   warden.WardenID
	Run    warden.Run
	Quorum int
	// Wardens is the configured number of them, 0 when unknown.
	Wardens       int
	HelloInterval warden.Duration
	// Turn turns the order in which Wardens try: where many groups fail at once
	// not all of them should wait for the same one. It is the same on all Wardens.
	Turn uint64
	// Lag is by how much this Warden's steps are late now.
	Lag warden.Duration
}

// Sight is what this Warden sees for itself at this instant; the voter's own
// evidence. Other minds fill it.
type Sight struct {
	// PrimaryDown: this Warden holds the agreed primary for subjectively down
	// (and is not in TILT, and no witness vetoes).
	PrimaryDown bool
	Odown       bool
	Tilt        bool
	// Adoptable is the node this Warden sees as a primary to adopt, if any.
	Adoptable warden.NodeID
	// Provisional is the primary this Warden would propose at the first
	// agreement, and ProvisionalSays that it says of itself it is one.
	Provisional     warden.NodeID
	ProvisionalSays bool
	// Uninformed is why this Warden may not take part in a first agreement, ""
	// when it may.
	Uninformed string
	// Beside: real Redis Sentinels decide about this group now.
	Beside bool
}

// Want is what this Warden would do if it led. The zero value wants nothing.
type Want struct {
	Reason  warden.Reason
	Primary warden.NodeID     // the node it is about
	List    []warden.WardenID // first agreement: the list proposed
	Lost    []warden.WardenID // recover: the Wardens given up
	Warden  warden.WardenID   // join, forget: the one that comes or goes
	To      warden.NodeID     // switchover, failover: the operator's choice
	// Settings are the new ones, of a change of settings; never changed.
	Settings *warden.Settings
}

// Is reports whether two wants are for the same thing.
func (w Want) Is(o Want) bool {
	return w.Reason == o.Reason && w.Primary == o.Primary && w.Warden == o.Warden && w.To == o.To && sameSettings(w.Settings, o.Settings)
}

func sameSettings(a, b *warden.Settings) bool {
	return a == b || a != nil && b != nil && a.Equal(b)
}

// quorum is how many Wardens have to agree besides a majority (A3). A change of
// settings needs a majority only, or a quorum that was set too high could never
// be lowered again.
func (w Want) quorum(configured int) int {
	switch w.Reason {
	case warden.ReasonPause, warden.ReasonUnpause, warden.ReasonSettings:
		return 0
	}
	return configured
}

// noStatus stands for the status of a Warden that has told none yet.
var noStatus = &warden.Status{}

// Peer is another Warden as heard in this group.
type Peer struct {
	ID       warden.WardenID
	Run      warden.Run
	At       warden.Instant // its last message of any kind
	Since    warden.Instant // first heard
	Birth    warden.Birth
	Status   *warden.Status // its newest, never nil and never changed
	CommonAt warden.Instant // since when a majority of the list hears it (0: it does not)
}

type grant struct {
	from   warden.WardenID
	newest warden.Topology
}

// Denial is why a Warden denied its vote.
type Denial struct {
	From    warden.WardenID
	Why     string
	promise warden.Epoch
}

// Candidacy is a running attempt to be elected.
type Candidacy struct {
	Epoch   warden.Epoch
	Want    Want
	Since   warden.Instant
	askedAt warden.Instant
	grants  []grant
	denials []Denial
}

type ack struct {
	from warden.WardenID
	ok   bool
	down bool
}

// Leadership is what this Warden holds while it leads.
type Leadership struct {
	Epoch warden.Epoch
	Want  Want
	Since warden.Instant
	// Base is the adopted base, then the last step of ours that was chosen.
	Base warden.Topology
	// Own: a step of this epoch has been chosen.
	Own        bool
	LeaseUntil warden.Instant
	Voters     []warden.WardenID // who granted
	// StoodAt is when they were asked, Denials are of those who said no; to be shown.
	StoodAt    warden.Instant
	Denials    []Denial
	step       uint64
	proposal   warden.Topology // zero: none under way
	proposedAt warden.Instant  // first sending
	resentAt   warden.Instant
	// acks of the newest proposal, also after it was chosen (A4).
	acks []ack
	// away are voters that have promised a higher epoch.
	away      []warden.WardenID
	round     uint64
	roundAt   warden.Instant
	roundAcks []warden.WardenID
}

// Proposing reports whether a proposal is under way.
func (l *Leadership) Proposing() bool { return l != nil && !l.proposal.IsZero() }

// Downs counts the answers to the newest proposal that say the primary is
// down (A4); Answered counts all answers.
func (l *Leadership) Downs() (downs, answered int) {
	for _, a := range l.acks {
		answered++
		if a.down {
			downs++
		}
	}
	return downs, answered
}

// Answer is a Warden's answer to the newest proposal: that it has accepted it, and
// whether it finds the primary down (A4).
type Answer struct {
	From warden.WardenID
	Down bool
}

// Answers are those that accept the newest proposal.
func (l *Leadership) Answers() []Answer {
	var out []Answer
	for _, a := range l.acks {
		if a.ok {
			out = append(out, Answer{a.from, a.down})
		}
	}
	return out
}

// State is the mind's memory. Reg is the durable part.
type State struct {
	Reg warden.Register
	// Peers are sorted by ID. States share the list: see ownPeers.
	Peers   []Peer
	Stand   *Candidacy
	Lead    *Leadership
	Mute    bool // the store does not work: neither vote nor lead
	Frozen  string
	started warden.Instant
	// The voter's side of the lease.
	HoldFor   warden.WardenID
	holdRun   warden.Run
	HoldUntil warden.Instant
	// Turns.
	seen     warden.Epoch
	want     Want
	standAt  warden.Instant
	quietTil warden.Instant
	// round is how long votes take now: from the asking to the first answer. It is
	// measured with the attempt of epoch stood, begun at stoodAt; 0: that had its
	// first answer.
	round   warden.Duration
	stood   warden.Epoch
	stoodAt warden.Instant
	// deadSince is since when a majority of the list was heard to have left.
	deadSince warden.Instant
	failed    int // attempts in vain for the present want
	// Denials are the last attempt's, for explain.
	Denials []string
	// known changes of the set of Wardens, for the first agreement.
	calmSince warden.Instant
	lastStep  warden.Instant
	// In this Step, Stand and Lead are nobody else's already.
	standOwn, leadOwn bool
}

// New is the memory of a Warden that has just started with reg on its disk.
func New(reg warden.Register, now warden.Instant) State {
	s := State{Reg: reg.Clone(), started: now, calmSince: now, seen: reg.Promise}
	s.seen = max(s.seen, reg.Accepted.Epoch, reg.Chosen.Epoch)
	if reg.Promise == 0 {
		// Nobody can hold a lease from a voter that never voted.
		s.started = now.Add(-voterHold)
	}
	return s
}

// share begins a Step: what the state points at may belong to older states too.
// Most Steps change none of it, so that it is copied right before a change: see
// ownStand, ownLead and ownPeers.
func (s *State) share() { s.standOwn, s.leadOwn = false, false }

// ownStand is the candidacy, ready to be changed.
func (s *State) ownStand() *Candidacy {
	if !s.standOwn {
		c := *s.Stand
		c.grants, c.denials = slices.Clone(c.grants), slices.Clone(c.denials)
		s.Stand, s.standOwn = &c, true
	}
	return s.Stand
}

// ownLead is the leadership, ready to be changed.
func (s *State) ownLead() *Leadership {
	if !s.leadOwn {
		l := *s.Lead
		l.acks, l.roundAcks = slices.Clone(l.acks), slices.Clone(l.roundAcks)
		s.Lead, s.leadOwn = &l, true
	}
	return s.Lead
}

// ownPeers copies the list of peers. Most Steps change none of them, so it is
// called right before a change.
func (s *State) ownPeers() { s.Peers = slices.Clone(s.Peers) }

// rewind keeps the memory sane when the clock jumped backwards: nothing that
// happened lies in the future, and no wait is longer than it can be.
func (s *State) rewind(now warden.Instant) {
	if now < s.lastStep {
		s.HoldUntil = min(s.HoldUntil, now.Add(voterHold))
		s.quietTil = min(s.quietTil, now.Add(quietAfter))
		s.standAt, s.calmSince, s.started = 0, min(s.calmSince, now), min(s.started, now)
		s.ownPeers()
		for i := range s.Peers {
			p := &s.Peers[i]
			p.At, p.Since, p.CommonAt = min(p.At, now), min(p.Since, now), min(p.CommonAt, now)
		}
	}
	s.lastStep = now
}

// Born reports whether a topology is known to be chosen.
func (s *State) Born() bool { return !s.Reg.Chosen.IsZero() }

// Quiet reports whether this Warden keeps out of the group's decisions, and
// why.
func (s *State) Quiet() string {
	switch {
	case s.Mute:
		return "its store cannot be written"
	case s.Reg.Superseded:
		return "it was given up as lost by recover"
	case s.Reg.Left:
		return "it has left this group"
	case s.Frozen != "":
		return s.Frozen
	}
	return ""
}

// Peer is what was heard of a Warden, nil when nothing was.
func (s *State) Peer(id warden.WardenID) *Peer {
	// A handful of peers: a plain walk beats a search that copies them.
	for i := range s.Peers {
		if s.Peers[i].ID == id {
			return &s.Peers[i]
		}
	}
	return nil
}

func (s *State) hear(m warden.Message, now warden.Instant) *Peer {
	s.ownPeers()
	p := s.Peer(m.From)
	if p == nil {
		s.Peers = append(s.Peers, Peer{ID: m.From, Since: now, Status: noStatus})
		slices.SortFunc(s.Peers, func(a, b Peer) int { return strings.Compare(string(a.ID), string(b.ID)) })
		p = s.Peer(m.From)
		s.calmSince = now
	}
	if p.Run != m.Run {
		p.Run = m.Run
	}
	p.At = now
	if m.Status != nil {
		p.Birth = m.Birth
	}
	return p
}

// hearLimit is how old a Warden's last message may be for it to be heard.
func hearLimit(c Config) warden.Duration {
	return max(3*c.HelloInterval, 3*warden.Second)
}

// Hears are the Wardens heard lately, sorted.
func (s *State) Hears(c Config, now warden.Instant) []warden.WardenID {
	var out []warden.WardenID
	for i := range s.Peers {
		if p := &s.Peers[i]; now.Sub(p.At) <= hearLimit(c) {
			out = append(out, p.ID)
		}
	}
	return out
}

// HearsMajority reports whether a majority of the listed Wardens was heard
// lately, this one included: whether HeardAgo is at most StaleAfter.
func (s *State) HearsMajority(c Config, now warden.Instant) bool {
	list, n := s.Reg.Chosen.Wardens, 0
	for _, id := range list {
		if id == c.Self {
			n++
		} else if p := s.Peer(id); p != nil && now.Sub(p.At) <= StaleAfter(c) {
			n++
		}
	}
	return n >= len(list)/2+1
}

// HearsAll reports whether every listed Warden was heard lately. False before
// there is a list.
func (s *State) HearsAll(c Config, now warden.Instant) bool {
	for _, id := range s.Reg.Chosen.Wardens {
		if p := s.Peer(id); id != c.Self && (p == nil || now.Sub(p.At) > StaleAfter(c)) {
			return false
		}
	}
	return len(s.Reg.Chosen.Wardens) > 0
}

// HeardAgo is the age of the last moment at which a majority of the listed
// Wardens had been heard; negative when never.
func (s *State) HeardAgo(c Config, now warden.Instant) warden.Duration {
	list := s.Reg.Chosen.Wardens
	need := len(list)/2 + 1
	var ats []warden.Instant
	for _, id := range list {
		if id == c.Self {
			ats = append(ats, now)
		} else if p := s.Peer(id); p != nil {
			ats = append(ats, p.At)
		}
	}
	if len(ats) < need || need == 0 {
		return -1
	}
	slices.Sort(ats)
	return now.Sub(ats[len(ats)-need])
}

// Leader is the Warden whose lease this one's vote upholds now, if any.
func (s *State) Leader(c Config, now warden.Instant) warden.WardenID {
	if s.Lead != nil {
		return c.Self
	}
	if now < s.HoldUntil {
		return s.HoldFor
	}
	return ""
}

// CalmSince is when the set of known Wardens last grew.
func (s *State) CalmSince() warden.Instant { return s.calmSince }

// StaleAfter is the age from which what was heard of the others is stale.
func StaleAfter(c Config) warden.Duration { return hearLimit(c) }
