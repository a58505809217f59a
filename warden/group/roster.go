package group

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// trusted are the nodes that the operator vouches for, besides the configured primary.
func trusted(c *Config, s *State) []warden.NodeID {
	if c.TrustsMet {
		return s.el.Reg.Nodes // what is configured is met as soon as it is heard of
	}
	return c.Nodes
}

// roster is what the list of nodes to watch depends on. The slices in it are
// replaced, never changed, so that their first elements tell them apart.
type roster struct {
	met, named        *warden.NodeID
	metLen, namedLen  int
	primary, previous warden.NodeID
	configured        warden.NodeID
}

func first(ids []warden.NodeID) *warden.NodeID {
	if len(ids) == 0 {
		return nil
	}
	return &ids[0]
}

// nodes are all nodes to watch, sorted: those of the topology, those met, and
// those configured (the configured primary only until a topology names one).
func nodes(c *Config, s *State) []warden.NodeID {
	s.watch, s.watchKey = roll(c, s)
	return s.watch
}

// roll is nodes for those who may not change s.
func roll(c *Config, s *State) ([]warden.NodeID, roster) {
	t := &s.el.Reg.Chosen
	key := roster{met: first(s.el.Reg.Nodes), metLen: len(s.el.Reg.Nodes), named: first(c.Nodes), namedLen: len(c.Nodes),
		primary: t.Primary, previous: t.Previous}
	if t.IsZero() {
		key.configured = c.Primary
	}
	if s.watch != nil && key == s.watchKey {
		return s.watch, key
	}
	out := slices.Clone(s.el.Reg.Nodes)
	out = append(out, c.Nodes...)
	for _, id := range []warden.NodeID{key.configured, t.Primary, t.Previous} {
		if id != "" {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), key
}

// provisional is the primary before the first agreement: the configured one,
// or whom that one follows; and whether it says it is a primary.
func provisional(c *Config, s *State) (warden.NodeID, bool) {
	id := c.Primary
	if n := s.mon.Find(id); n != nil && n.SeenAt != 0 && n.Seen.Role == warden.RoleReplica && n.Seen.Upstream != "" {
		id = n.Seen.Upstream
	}
	n := s.mon.Find(id)
	return id, n != nil && n.Health == warden.HealthGood && n.Seen.Role == warden.RolePrimary && !n.Down
}

// members remembers the nodes that belong to the group, so that they are known
// after a restart even if the primary is dead by then.
func (p *step) members() {
	s := p.s
	add := func(id warden.NodeID) {
		if id != "" && !s.el.Mute && len(s.el.Reg.Nodes) < maxNodes && !slices.Contains(s.el.Reg.Nodes, id) {
			s.el.Reg.Nodes = append(slices.Clone(s.el.Reg.Nodes), id)
			slices.Sort(s.el.Reg.Nodes)
			p.stale()
			if id != p.primary() {
				p.announce("+slave", warden.LevelNotice, id, "")
			}
		}
	}
	mc := p.monitorConfig()
	if s.el.Reg.Chosen.IsZero() {
		if n := s.mon.Find(p.c.Primary); n != nil && n.Seen.Role == warden.RoleReplica {
			add(n.Seen.Upstream)
		}
	}
	n := s.mon.Find(mc.Primary)
	if n == nil || n.SeenAt == 0 {
		return
	}
	add(n.ID)
	switch {
	case n.Seen.Role == warden.RolePrimary && n.Lost == "":
		for _, r := range n.Seen.Replicas {
			add(r.Node)
		}
	case n.Seen.Role == warden.RoleReplica && mc.Confirmed:
		add(n.Seen.Upstream) // perhaps to be adopted
	}
}
