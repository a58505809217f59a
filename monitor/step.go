package monitor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Event is what can happen to this mind. The set is closed.
type Event interface{ event() }

// Tick says only that time has passed. Every Step does what a Tick does.
type Tick struct{}

// Looked is a finished look, begun at Asked.
type Looked struct {
	Node        warden.NodeID
	Asked       warden.Instant
	Observation *warden.Observation // kept, and never changed again
}

// Beat is a good answer to the question, asked at Asked, whether a node lives.
type Beat struct {
	Node  warden.NodeID
	Asked warden.Instant
}

// Said is what another Warden thinks.
type Said struct {
	From     warden.WardenID
	Birth    warden.Birth
	Tilt     bool
	Opinions []warden.Opinion
}

func (Tick) event()   {}
func (Looked) event() {}
func (Beat) event()   {}
func (Said) event()   {}

// Step takes one event at the instant now and returns the new state. s is not
// changed.
func Step(c Config, s State, e Event, now warden.Instant) (State, Effects) {
	f := Advance(&c, &s, e, now)
	return s, f
}

// Advance is Step for a caller who made a copy of the old state: s becomes the
// new one, and copies of the old one stay as they are.
func Advance(c *Config, s *State, e Event, now warden.Instant) Effects {
	s.own = false
	veto, tilt := s.Veto, s.Tilt
	var f Effects
	s.roster(c, now)
	s.hint = max(s.index(c.Primary), 0)
	s.passTime(c, now, &f)
	switch e := e.(type) {
	case Looked:
		s.looked(c, e, now, &f)
	case Beat:
		s.beat(e, now)
	case Said:
		s.said(e, now)
	}
	s.leaveTilt(c, now, &f)
	if !s.Tilt {
		s.judge(c, now, &f)
	}
	f.Changed = s.own || s.Veto != veto || s.Tilt != tilt
	return f
}

// roster brings the list of nodes up to date and starts a new primary clean:
// what a node did as a replica is nothing to hold against it as a primary.
func (s *State) roster(c *Config, now warden.Instant) {
	// What the topology has taken over need not be remembered beside it.
	s.Extra = without(s.Extra, func(id string) bool { return slices.Contains(c.Lineage, id) })
	if !s.watches(c.Nodes) {
		s.ownNodes()
		s.Nodes = slices.DeleteFunc(s.Nodes, func(n *Node) bool { return !slices.Contains(c.Nodes, n.ID) })
		for _, id := range c.Nodes {
			if s.Find(id) == nil {
				s.Nodes = append(s.Nodes, &Node{ID: id, Since: now, Seen: nothing, lifeMark: s.witnessed})
			}
		}
		slices.SortFunc(s.Nodes, func(a, b *Node) int { return strings.Compare(string(a.ID), string(b.ID)) })
	}
	if c.Primary != s.primary || c.Confirmed && !s.confirmed {
		if i := s.index(c.Primary); i >= 0 {
			n := s.edit(i)
			n.RoleSince = now
			n.Lost, n.LostSince, n.lostHard = "", 0, false
			if c.Primary != s.primary {
				n.ServedAt = 0
				n.Down, n.Crash, n.Refusing = false, false, false
				n.lifeMark = s.witnessed
			}
		}
		if c.Primary != s.primary {
			s.Odown, s.Agreeing, s.Veto = false, 0, false
			s.Sworn = ""
		}
		s.primary = c.Primary
	}
	s.confirmed = c.Confirmed
}

// watches reports whether exactly these nodes are watched.
func (s *State) watches(ids []warden.NodeID) bool {
	if len(ids) != len(s.Nodes) {
		return false
	}
	for i := range ids {
		if s.Nodes[i].ID != ids[i] {
			return false
		}
	}
	return true
}

// passTime adds witnessed time to every silence, or enters TILT.
func (s *State) passTime(c *Config, now warden.Instant, f *Effects) {
	gap := now.Sub(s.lastStep)
	before := s.lastStep
	s.lastStep = now
	if gap < 0 || gap > TiltTrigger(c.TiltTrigger, c.DownAfter) { // guard: S6
		if !s.Tilt {
			f.note("+tilt", "", fmt.Sprintf("tick %s late", gap))
		}
		s.Tilt, s.TiltAt = true, now
		if gap < 0 {
			// A look of before seems to have been begun after the jump: none counts
			// until the clock is past where it was (simulator seed 88).
			s.TiltAt = before.Add(maxStride)
		}
		for i := range s.Nodes {
			s.edit(i).forgetTime(s.witnessed, now)
		}
		s.heard = nil
		s.Odown, s.Agreeing, s.Veto = false, 0, false
		return
	}
	s.witnessed += min(gap, Stride(c.DownAfter))
}

// forgetTime begins every count of time anew: nobody watched meanwhile.
func (n *Node) forgetTime(witnessed warden.Duration, now warden.Instant) {
	n.lifeMark, n.Refusing = witnessed, false
	n.positionAt, n.GrewAt = 0, 0
	n.AskedAt = 0
	n.RoleSince = now
	if n.UnfitSince != 0 {
		n.UnfitSince = now
	}
	// After a jump backwards what was seen lies in the future.
	for _, at := range []*warden.Instant{&n.Since, &n.GoodAt, &n.AnsweredAt, &n.SeenAt, &n.ServedAt, &n.RoleSince, &n.LostSince, &n.DownAt} {
		*at = min(*at, now)
	}
}

// leaveTilt ends TILT when every node was looked at since it began and the
// calm period is over.
func (s *State) leaveTilt(c *Config, now warden.Instant, f *Effects) {
	if !s.Tilt || now.Sub(s.TiltAt) < c.tiltPeriod() { // guard: S6
		return
	}
	for _, n := range s.Nodes {
		if n.AskedAt <= s.TiltAt { // guard: S6
			return
		}
	}
	s.Tilt = false
	f.note("-tilt", "", "every node was looked at again")
}

func (s *State) said(e Said, now warden.Instant) {
	said := make([]heard, 0, len(s.heard)+1)
	for _, h := range s.heard {
		if h.from != e.From {
			said = append(said, h)
		}
	}
	if !e.Tilt && len(e.Opinions) > 0 {
		said = append(said, heard{from: e.From, at: now, birth: e.Birth, opinions: e.Opinions})
	}
	s.heard = said
}

func (s *State) looked(c *Config, e Looked, now warden.Instant, f *Effects) {
	i := s.index(e.Node)
	if i < 0 || e.Asked > now {
		return // forgotten meanwhile, or begun before the clock jumped back
	}
	n := s.edit(i)
	if e.Asked < n.AskedAt { // guard: S6
		if c.lives(e.Observation.Health) { // old news, but a sign of life
			n.answered(s.witnessed, now)
		}
		return
	}
	n.AskedAt = e.Asked
	o := e.Observation
	if o.Health != n.Health && o.Health == warden.HealthDenied {
		f.note("-node-denied", n.ID, o.Detail)
	}
	n.Health, n.Detail = o.Health, o.Detail
	switch {
	case o.Health == warden.HealthGood:
		s.good(c, n, e, now, f)
		n.UnfitSince = 0
	case o.Health.Alive() && !c.lives(o.Health):
		n.AnsweredAt, n.Refusing = now, false
		return
	case o.Health == warden.HealthDenied:
		// A mistake in a configuration file: it adds to no limit.
		n.UnfitSince = 0
	case o.Health.Alive():
		if n.UnfitSince == 0 {
			n.UnfitSince = now
		}
	case o.Health == warden.HealthRefused:
		if !n.Refusing {
			n.Refusing, n.refusedMark = true, s.witnessed
		}
		return
	default:
		// Silence ends hard evidence: crash_after needs every look refused.
		n.Refusing = false
		return
	}
	n.answered(s.witnessed, now)
}

// beat takes in a sign of life. It is no look: it counts neither against looks
// that were begun earlier nor towards the end of TILT, and a node that was last
// found unfit has to be looked at.
func (s *State) beat(e Beat, now warden.Instant) {
	i := s.index(e.Node)
	if i < 0 || e.Asked > now {
		return
	}
	n := s.edit(i)
	n.answered(s.witnessed, now)
	if n.Health == warden.HealthGood {
		n.GoodAt = now
	}
}

// lives reports whether an answer of this kind is a sign of life.
func (c *Config) lives(h warden.Health) bool {
	if c.SentinelLife {
		return h == warden.HealthGood || h == warden.HealthLoading
	}
	return h.Alive()
}

// answered notes a sign of life.
func (n *Node) answered(witnessed warden.Duration, now warden.Instant) {
	n.AnsweredAt, n.lifeMark, n.Refusing = now, witnessed, false
}

func (s *State) good(c *Config, n *Node, e Looked, now warden.Instant, f *Effects) {
	o := e.Observation
	before := n.Seen
	if before.RunID != "" && o.RunID != "" && before.RunID != o.RunID {
		f.note("+reboot", n.ID, "")
	}
	if before.Role != o.Role || before.Upstream != o.Upstream {
		n.RoleSince = now
		if before.Role != "" && before.Role != o.Role {
			f.note("role-change", n.ID, string(o.Role))
		}
	}
	n.Seen, n.SeenAt, n.GoodAt = o, e.Asked, now
	if n.ID == c.Primary {
		s.judgeReturn(c, n, before, now)
		return
	}
	s.witness(c, n, e)
}

// witness notes growth of a replica's position between two looks that were
// both begun after the primary's last good answer.
func (s *State) witness(c *Config, n *Node, e Looked) {
	p := s.Find(c.Primary)
	o := e.Observation
	if p == nil || o.Role != warden.RoleReplica || o.Upstream != c.Primary || !o.LinkUp {
		n.positionAt = 0
		return
	}
	if n.positionAt > p.GoodAt {
		grown := o.Position - n.position
		if grown > 0 && grown != replicationPing && grown != 2*replicationPing {
			n.GrewAt = e.Asked
		}
	}
	n.position, n.positionAt = o.Position, e.Asked
}
