package monitor

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// judge gives every node its verdict for this instant.
func (s *State) judge(c *Config, now warden.Instant, f *Effects) {
	s.Veto = s.vetoed(c, now, f)
	for i, n := range s.Nodes {
		why, crash := s.cause(c, n, now)
		down := why != up
		if down == n.Down && crash == n.Crash {
			continue
		}
		was := n.Down
		n = s.edit(i)
		n.Down, n.Crash = down, crash
		switch {
		case down && !was:
			n.DownAt = now
			f.note("+sdown", n.ID, "")
		case !down && was:
			f.note("-sdown", n.ID, "")
		}
	}
	s.count(c, now, f)
}

// cause is why a node is subjectively down.
type cause int8

const (
	up cause = iota
	refuses
	silent
	unwell // answers no PING well, as Sentinel counts
	unfit
	loading
	lost
	replica
)

// cause judges a node; crash says that there is hard evidence.
func (s *State) cause(c *Config, n *Node, now warden.Instant) (why cause, crash bool) {
	switch {
	case n.Refusing && s.RefusedFor(n) >= c.CrashAfter: // guard: L1
		return refuses, true
	case s.Silence(n) >= c.DownAfter && c.SentinelLife && n.Health.Alive():
		return unwell, false
	case s.Silence(n) >= c.DownAfter: // guard: L1
		return silent, false
	case n.UnfitSince != 0 && now.Sub(n.UnfitSince) > c.LifeLimit: // guard: L1
		return unfit, false
	}
	if n.ID != c.Primary {
		return up, false
	}
	switch {
	case c.RebootDownAfter > 0 && n.Health == warden.HealthLoading && n.UnfitSince != 0 && now.Sub(n.UnfitSince) > c.RebootDownAfter:
		return loading, false
	case n.Lost != "" && (n.lostHard || now.Sub(n.LostSince) >= c.DownAfter):
		return lost, true
	case c.Confirmed && n.Seen.Role == warden.RoleReplica && n.SeenAt > n.RoleSince && now.Sub(n.RoleSince) >= c.DownAfter &&
		now.Sub(n.SeenAt) < c.DownAfter: // what it was before it fell silent proves nothing
		return replica, true
	}
	return up, false
}

// Why says why a node is subjectively down; "" when it is up.
func Why(c *Config, s *State, n *Node, now warden.Instant) string {
	if !n.Down {
		return ""
	}
	why, _ := s.cause(c, n, now)
	switch why {
	case refuses:
		return fmt.Sprintf("refuses connections for %s", s.RefusedFor(n))
	case silent:
		return fmt.Sprintf("silent for %s", s.Silence(n))
	case unwell:
		return fmt.Sprintf("answers no PING well for %s (%s)", s.Silence(n), n.Health)
	case unfit:
		return fmt.Sprintf("not fit to serve for %s (%s)", now.Sub(n.UnfitSince), n.Health)
	case loading:
		return fmt.Sprintf("restarted and is loading for %s", now.Sub(n.UnfitSince))
	case lost:
		return n.Lost
	case replica:
		return "says it is a replica of " + string(n.Seen.Upstream)
	}
	return "it was down before this Warden began to distrust its clock"
}

// vetoed reports whether a replica's growth contradicts the primary's silence.
func (s *State) vetoed(c *Config, now warden.Instant, f *Effects) bool {
	p := s.Find(c.Primary)
	if p == nil || !c.Witness || s.Silence(p) < c.DownAfter || s.Silence(p) >= vetoLimit*c.DownAfter || p.Refusing { // guard: S6
		return false
	}
	for _, n := range s.Nodes {
		if n.GrewAt > p.GoodAt && now.Sub(n.GrewAt) < growthLife {
			if !s.Veto {
				f.note("+odown-veto", c.Primary, "seen alive by "+string(n.ID))
			}
			return true
		}
	}
	return false
}

// count counts the opinions and gives the objective verdict.
func (s *State) count(c *Config, now warden.Instant, f *Effects) {
	s.heard = without(s.heard, func(h heard) bool { return now.Sub(h.at) > opinionLife })
	own := s.SaysDown(c)
	s.Agreeing = 0
	if own {
		s.Agreeing = 1
	}
	for i := range s.heard {
		h := &s.heard[i]
		if h.birth == c.Birth && h.from != c.Self && h.says(c.Primary, isDown) && slices.Contains(c.Voters, h.from) { // guard: S5
			s.Agreeing++
		}
	}
	odown := own && s.Agreeing >= c.Quorum && c.Birth != "" // guard: S5
	switch {
	case odown && !s.Odown:
		s.Odown, s.OdownAt = true, now
		f.note("+odown", c.Primary, fmt.Sprintf("#quorum %d/%d", s.Agreeing, c.Quorum))
	case !odown && s.Odown:
		s.Odown = false
		f.note("-odown", c.Primary, "")
	}
}

// SaysDown is this Warden's opinion of the primary, as it may be told and
// counted: subjectively down, not in TILT, not vetoed by a witness.
func (s *State) SaysDown(c *Config) bool {
	p := s.Find(c.Primary)
	return p != nil && p.Down && !s.Tilt && !s.Veto // guard: S6
}

// Opinions appends to out what this Warden tells the others: of the primary, and
// of every node that calls itself one. None in TILT.
func Opinions(c *Config, s *State, out []warden.Opinion) []warden.Opinion {
	if s.Tilt {
		return out
	}
	for _, n := range s.Nodes {
		if n.ID != c.Primary && (n.Seen.Role != warden.RolePrimary || n.Down) || n.SeenAt == 0 && !n.Down {
			continue
		}
		o := warden.Opinion{Node: n.ID, Down: n.Down}
		if n.ID == c.Primary {
			o.Down = s.SaysDown(c)
		}
		if n.Down {
			o.Crash = n.Crash
		} else {
			o.Role, o.Upstream, o.Lineage = n.Seen.Role, n.Seen.Upstream, s.Belongs(c, n.Seen)
		}
		out = append(out, o)
	}
	return out
}

// Heard reports whether the named Warden lately said of a node what ok wants.
func (s *State) Heard(c *Config, from warden.WardenID, node warden.NodeID, ok func(warden.Opinion) bool) bool {
	for i := range s.heard {
		if h := &s.heard[i]; h.from == from && h.birth == c.Birth && h.says(node, ok) {
			return true
		}
	}
	return false
}

// OpinionOf is what the named Warden lately said of a node.
func (s *State) OpinionOf(c *Config, from warden.WardenID, node warden.NodeID) (opinion warden.Opinion, ok bool) {
	s.Heard(c, from, node, func(o warden.Opinion) bool {
		opinion, ok = o, true
		return true
	})
	return opinion, ok
}

// says reports whether there is an opinion of the node as ok wants it.
func (h *heard) says(node warden.NodeID, ok func(warden.Opinion) bool) bool {
	for i := range h.opinions {
		if o := &h.opinions[i]; o.Node == node && ok(*o) {
			return true
		}
	}
	return false
}

func isDown(o warden.Opinion) bool { return o.Down }

// Belongs reports whether an observation is of the group's lineage.
func (s *State) Belongs(c *Config, o *warden.Observation) bool {
	known := func(id string) bool {
		return id != "" && (slices.Contains(c.Lineage, id) || slices.Contains(s.Extra, id))
	}
	return known(o.Lineage) || known(o.LineageBefore) // guard: S7
}

// judgeReturn looks at what the agreed primary holds: the group's data, or
// something else since it came back.
func (s *State) judgeReturn(c *Config, p *Node, before *warden.Observation, now warden.Instant) {
	o := p.Seen
	lost, hard := "", false
	switch {
	case o.Role != warden.RolePrimary || len(c.Lineage) == 0:
	case s.Belongs(c, o):
		if p.Lost != "" && p.lostHard && s.othersAhead(c, p, o.Position) {
			return // still behind the replicas it came back to
		}
		// Before it was the agreed primary it may have come back with less and been
		// chosen all the same.
		came := p.ServedAt != 0 && before.RunID != "" && before.RunID != o.RunID
		if came && o.Position < before.Position && s.othersAhead(c, p, o.Position) {
			lost, hard = "came back with older data than its replicas have", true
		}
	case c.Birth != "" && s.vouched(c, p):
		s.Sworn = o.Lineage
	case s.othersHold(c, p):
		// Waiting would only let the replicas copy it over their own data.
		lost, hard = "came back as another server", true
		if o.Empty {
			lost = "came back empty"
		}
	}
	if lost == "" {
		p.Lost, p.LostSince, p.lostHard = "", 0, false
		if o.Role == warden.RolePrimary && s.Belongs(c, o) {
			p.ServedAt = now
		}
		if o.Role == warden.RolePrimary && c.Birth != "" && (s.Belongs(c, o) || s.alone(p)) {
			s.extend(c, o)
		}
		return
	}
	if p.Lost != lost {
		p.Lost, p.LostSince, p.lostHard = lost, now, hard
	}
}

// othersHold reports whether some other node has data of the known lineage.
func (s *State) othersHold(c *Config, p *Node) bool {
	return s.any(func(n *Node) bool {
		return n.ID != p.ID && n.SeenAt != 0 && !n.Down && !n.Seen.Empty && !n.Seen.Syncing && s.Belongs(c, n.Seen)
	})
}

// alone reports whether every other node answers and holds nothing, or a copy
// of what the primary p holds: only then is it sure that nobody holds the
// group's older data. A node whose ids are unknown may hold it too: it may
// have been restarted unseen, as p was.
func (s *State) alone(p *Node) bool {
	return !s.any(func(n *Node) bool {
		copied := n.Seen.Empty || n.Seen.Lineage == p.Seen.Lineage
		return n.ID != p.ID && (n.Health != warden.HealthGood || n.Down || n.Seen.Syncing || !copied)
	})
}

// vouched reports whether the agreed primary p, whose replication id nobody knows,
// is taken by its name for what it was: it read its data from an append-only file
// when it started, the operator named it, and of the others each is down or holds
// nothing of the newest line that is known. Who comes back later with that has missed
// what p took since.
func (s *State) vouched(c *Config, p *Node) bool {
	named := p.ID == c.Configured || slices.Contains(c.Named, p.ID)
	if !named || !p.Seen.Reloaded || p.Seen.Empty || p.Seen.Lineage == "" { // guard: S7
		return false
	}
	return !s.any(func(n *Node) bool {
		known := n.Health != warden.HealthGood || n.Seen.Syncing || !n.Seen.Empty && s.newest(c, n.Seen)
		return !n.Down && known // guard: S7
	})
}

// newest reports whether an observation is of the newest line that is written down,
// or of one that followed from it.
func (s *State) newest(c *Config, o *warden.Observation) bool {
	return max(s.line(c, o.Lineage), s.line(c, o.LineageBefore)) >= max(len(c.Lineage)-1, 0)
}

// line is how new a known replication id is, -1 for an unknown one.
func (s *State) line(c *Config, id string) int {
	if i := slices.Index(c.Lineage, id); i >= 0 {
		return i
	}
	if i := slices.Index(s.Extra, id); i >= 0 {
		return len(c.Lineage) + i
	}
	return -1
}

// othersAhead reports whether a living replica of the lineage has more than
// position, on a line no older than that from which p went on: positions of
// lines that were left say nothing (simulator seed 35255).
func (s *State) othersAhead(c *Config, p *Node, position int64) bool {
	mine := s.line(c, p.Seen.LineageBefore)
	if mine < 0 {
		mine = s.line(c, p.Seen.Lineage) // it grew out of none: it was written down as it is
	}
	return s.any(func(n *Node) bool {
		if theirs := max(s.line(c, n.Seen.Lineage), s.line(c, n.Seen.LineageBefore)); theirs < mine {
			return false
		}
		return n.ID != p.ID && n.SeenAt != 0 && !n.Down && !n.Seen.Empty && !n.Seen.Syncing &&
			n.Seen.Role == warden.RoleReplica && n.Seen.Position > position && s.Belongs(c, n.Seen) &&
			n.Seen.Lineage != p.Seen.Lineage
	})
}

// any reports whether some node is as asked for.
func (s *State) any(is func(*Node) bool) bool {
	for _, n := range s.Nodes {
		if is(n) {
			return true
		}
	}
	return false
}

// extend learns the replication ids that followed from known ones, and those
// of a primary beside which nobody holds older data of the group.
func (s *State) extend(c *Config, o *warden.Observation) {
	for _, id := range []string{o.LineageBefore, o.Lineage} {
		if id != "" && !slices.Contains(c.Lineage, id) && !slices.Contains(s.Extra, id) {
			s.Extra = append(slices.Clip(s.Extra), id)
		}
	}
	if n := len(s.Extra); n > maxExtraLineage {
		s.Extra = s.Extra[n-maxExtraLineage:]
	}
}

// Next is the instant at which a verdict may change by itself.
func Next(c *Config, s *State, now warden.Instant) warden.Instant {
	next := now.Add(warden.Second)
	sooner := func(d warden.Duration) {
		if d > 0 {
			next = min(next, now.Add(d))
		}
	}
	for _, n := range s.Nodes {
		sooner(c.DownAfter - s.Silence(n))
		if n.Refusing {
			sooner(c.CrashAfter - s.RefusedFor(n))
		}
		if n.ID == c.Primary && n.Lost != "" {
			sooner(n.LostSince.Add(c.DownAfter).Sub(now))
		}
		if n.GrewAt != 0 {
			sooner(n.GrewAt.Add(growthLife).Sub(now))
		}
	}
	return next
}
