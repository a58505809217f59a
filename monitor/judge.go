package monitor

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// judge gives every node its verdict for this instant.
func (s *State) judge(c Config, now warden.Instant, f *Effects) {
	s.Veto = s.vetoed(c, now, f)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		why, crash := s.downWhy(c, n, now)
		n.Crash = crash
		switch {
		case why != "" && !n.Down:
			n.Down, n.DownAt, n.Why = true, now, why
			f.note("+sdown", n.ID, "")
		case why == "" && n.Down:
			n.Down, n.Why = false, ""
			f.note("-sdown", n.ID, "")
		case why != "":
			n.Why = why
		}
	}
	s.count(c, now, f)
}

// downWhy is the reason why a node is subjectively down, "" when it is up.
func (s *State) downWhy(c Config, n *Node, now warden.Instant) (why string, crash bool) {
	switch {
	case n.Refusing && n.RefusedFor >= c.CrashAfter:
		return fmt.Sprintf("refuses connections for %s", n.RefusedFor), true
	case n.Silence >= c.DownAfter && c.SentinelLife && n.Health.Alive():
		return fmt.Sprintf("answers no PING well for %s (%s)", n.Silence, n.Health), false
	case n.Silence >= c.DownAfter:
		return fmt.Sprintf("silent for %s", n.Silence), false
	case n.UnfitSince != 0 && now.Sub(n.UnfitSince) > c.LifeLimit:
		return fmt.Sprintf("not fit to serve for %s (%s)", now.Sub(n.UnfitSince), n.Health), false
	}
	if n.ID != c.Primary {
		return "", false
	}
	switch {
	case c.RebootDownAfter > 0 && n.Health == warden.HealthLoading && n.UnfitSince != 0 && now.Sub(n.UnfitSince) > c.RebootDownAfter:
		return fmt.Sprintf("restarted and is loading for %s", now.Sub(n.UnfitSince)), false
	case n.Lost != "" && (n.lostHard || now.Sub(n.LostSince) >= c.DownAfter):
		return n.Lost, true
	case c.Confirmed && n.Seen.Role == warden.RoleReplica && now.Sub(n.RoleSince) >= c.DownAfter:
		return "says it is a replica of " + string(n.Seen.Upstream), true
	}
	return "", false
}

// vetoed reports whether a replica's growth contradicts the primary's silence.
func (s *State) vetoed(c Config, now warden.Instant, f *Effects) bool {
	p := s.Find(c.Primary)
	if p == nil || !c.Witness || p.Silence < c.DownAfter || p.Silence >= vetoLimit*c.DownAfter || p.Refusing {
		return false
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
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
func (s *State) count(c Config, now warden.Instant, f *Effects) {
	s.heard = without(s.heard, func(h heard) bool { return now.Sub(h.at) > opinionLife })
	own := s.SaysDown(c)
	s.Agreeing = 0
	if own {
		s.Agreeing = 1
	}
	for _, h := range s.heard {
		if h.birth == c.Birth && h.opinion.Node == c.Primary && h.opinion.Down && slices.Contains(c.Voters, h.from) && h.from != c.Self {
			s.Agreeing++
		}
	}
	odown := own && s.Agreeing >= c.Quorum && c.Birth != ""
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
func (s *State) SaysDown(c Config) bool {
	p := s.Find(c.Primary)
	return p != nil && p.Down && !s.Tilt && !s.Veto
}

// Opinions are what this Warden tells the others: of the primary, and of every
// node that calls itself one. None in TILT.
func Opinions(c Config, s State) []warden.Opinion {
	if s.Tilt {
		return nil
	}
	var out []warden.Opinion
	for i := range s.Nodes {
		n := &s.Nodes[i]
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
func (s *State) Heard(c Config, from warden.WardenID, node warden.NodeID, ok func(warden.Opinion) bool) bool {
	for _, h := range s.heard {
		if h.from == from && h.birth == c.Birth && h.opinion.Node == node && ok(h.opinion) {
			return true
		}
	}
	return false
}

// Belongs reports whether an observation is of the group's lineage.
func (s *State) Belongs(c Config, o *warden.Observation) bool {
	known := func(id string) bool {
		return id != "" && (slices.Contains(c.Lineage, id) || slices.Contains(s.Extra, id))
	}
	return known(o.Lineage) || known(o.LineageBefore)
}

// judgeReturn looks at what the agreed primary holds: the group's data, or
// something else since it came back.
func (s *State) judgeReturn(c Config, p *Node, before *warden.Observation, now warden.Instant) {
	o := p.Seen
	lost, hard := "", false
	switch {
	case o.Role != warden.RolePrimary || len(c.Lineage) == 0:
	case s.Belongs(c, o):
		if p.Lost != "" && p.lostHard && s.othersAhead(c, p, o.Position) {
			return // still behind the replicas it came back to
		}
		if before.RunID != "" && before.RunID != o.RunID && o.Position < before.Position && s.othersAhead(c, p, o.Position) {
			lost, hard = "came back with older data than its replicas have", true
		}
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
func (s *State) othersHold(c Config, p *Node) bool {
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

// othersAhead reports whether a living replica of the lineage has more than
// position.
func (s *State) othersAhead(c Config, p *Node, position int64) bool {
	return s.any(func(n *Node) bool {
		return n.ID != p.ID && n.SeenAt != 0 && !n.Down && !n.Seen.Empty && !n.Seen.Syncing &&
			n.Seen.Role == warden.RoleReplica && n.Seen.Position > position && s.Belongs(c, n.Seen) &&
			n.Seen.Lineage != p.Seen.Lineage
	})
}

// any reports whether some node is as asked for.
func (s *State) any(is func(*Node) bool) bool {
	for i := range s.Nodes {
		if is(&s.Nodes[i]) {
			return true
		}
	}
	return false
}

// extend learns the replication ids that followed from known ones, and those
// of a primary beside which nobody holds older data of the group.
func (s *State) extend(c Config, o *warden.Observation) {
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
func Next(c Config, s State, now warden.Instant) warden.Instant {
	next := now.Add(warden.Second)
	sooner := func(d warden.Duration) {
		if d > 0 {
			next = min(next, now.Add(d))
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		sooner(c.DownAfter - n.Silence)
		if n.Refusing {
			sooner(c.CrashAfter - n.RefusedFor)
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
