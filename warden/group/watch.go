package group

import (
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

// Watched is one node to keep a link to.
type Watched struct {
	Node warden.NodeID
	// Every is how often to look at it, Deadline each look's limit.
	Every    warden.Duration
	Deadline warden.Duration
	// Full is how old the last whole look may be: while it is younger, a sign of
	// life (Beat) does for a look. 0: every look is a whole one.
	Full warden.Duration
}

// Paces of looking.
const (
	paceMost  = warden.Second
	paceLeast = 50 * warden.Millisecond
	paceHot   = 100 * warden.Millisecond
	paceCrash = 20 * warden.Millisecond
	// fullMost bounds Watched.Full: what nobody tells (a role changed by hand) is
	// seen and set right within the 10 s of promise L2.
	fullMost = 5 * warden.Second
)

// Gaze is what Watch depends on: while it is the same, so is the list. It holds
// for one configuration.
type Gaze struct {
	first    *warden.NodeID // of the list of nodes, which is never changed in place
	nodes    int
	hot      bool
	refusing uint64 // bits of the nodes that are looked at even faster
	settled  uint64 // bits of the nodes of which a sign of life is enough
	// As they are agreed on.
	down, crash warden.Duration
}

// GazeOf is the present Gaze; comparing two costs less than a Watch.
func GazeOf(c *Config, s *State, now warden.Instant) Gaze {
	c = Effective(c, s)
	ids, _ := roll(c, s)
	g := Gaze{first: first(ids), nodes: len(ids), hot: hot(c, s, now), down: c.DownAfter, crash: c.CrashAfter}
	calm := !g.hot && calm(s)
	for i, n := range s.mon.Nodes {
		if calm && settled(s, n) {
			g.settled |= 1 << (i % 64)
		}
		if n.Refusing && !n.Down {
			g.refusing |= 1 << (i % 64)
		}
	}
	return g
}

// hot reports whether every look may matter now.
func hot(c *Config, s *State, now warden.Instant) bool {
	t := &s.el.Reg.Chosen
	if s.el.Lead != nil || t.Phase == warden.PhasePromoting || now < s.el.HoldUntil || s.mon.Odown {
		return true
	}
	p := s.mon.Find(t.Primary)
	// A veto lives from one sight of growth to the next, so looks stay frequent.
	return p != nil && (s.mon.Silence(p) >= c.DownAfter/2 || p.Refusing) && (!p.Down || s.mon.Veto)
}

// calm reports whether nothing is going on of which more has to be known of the
// nodes than that they live. hot has to be asked beside it.
func calm(s *State) bool {
	return s.el.Born() && s.el.Reg.Chosen.Phase == warden.PhaseDone && !s.mon.Tilt && s.mon.Agreeing == 0 &&
		len(s.commands) == 0 && len(s.sentinels) == 0
}

// settled reports whether a node was found to be just what it should be, since
// that was agreed.
func settled(s *State, n *monitor.Node) bool {
	o, primary := n.Seen, s.el.Reg.Chosen.Primary
	if n.Health != warden.HealthGood || n.Down || n.Refusing || n.Lost != "" || n.SeenAt <= s.learnedAt {
		return false
	}
	if n.ID == primary {
		return o.Role == warden.RolePrimary
	}
	return o.Role == warden.RoleReplica && o.Upstream == primary && o.LinkUp && !o.Syncing
}

// Watch is the list of nodes to look at now, sorted, and how often: calmly
// while all is well, every 100 ms when the primary has been silent for half of
// down_after (replicas are witnesses then) or something is being changed, and
// faster where refused connections are to be told from a short restart. While all
// is well a sign of life does for most looks.
func Watch(c *Config, s *State, now warden.Instant) []Watched {
	c = Effective(c, s)
	most := paceMost
	if c.LookEvery > 0 {
		most = c.LookEvery
	}
	pace := min(max(c.DownAfter/4, paceLeast), most)
	deadline := min(max(c.DownAfter/2, 200*warden.Millisecond), 2*warden.Second)
	hot := hot(c, s, now)
	if hot {
		pace = min(pace, paceHot)
	}
	calm := !hot && calm(s)
	ids, _ := roll(c, s)
	out := make([]Watched, 0, len(ids))
	for _, id := range ids {
		w := Watched{Node: id, Every: pace, Deadline: deadline}
		n := s.mon.Find(id)
		switch {
		case n == nil:
		case n.Refusing && !n.Down:
			w.Every = min(w.Every, max(c.CrashAfter/4, paceCrash))
		case calm && settled(s, n):
			w.Full = min(c.DownAfter/3, fullMost)
		}
		out = append(out, w)
	}
	return out
}
