package group

import "github.com/spineldb/warden/warden"

// Watched is one node to keep a link to.
type Watched struct {
	Node warden.NodeID
	// Every is how often to look at it, Deadline each look's limit.
	Every    warden.Duration
	Deadline warden.Duration
}

// Paces of looking.
const (
	paceMost  = warden.Second
	paceLeast = 50 * warden.Millisecond
	paceHot   = 100 * warden.Millisecond
	paceCrash = 20 * warden.Millisecond
)

// Gaze is what Watch depends on: while it is the same, so is the list. It holds
// for one configuration.
type Gaze struct {
	first    *warden.NodeID // of the list of nodes, which is never changed in place
	nodes    int
	hot      bool
	refusing uint64 // bits of the nodes that are looked at even faster
	// As they are agreed on.
	down, crash warden.Duration
}

// GazeOf is the present Gaze; comparing two costs less than a Watch.
func GazeOf(c *Config, s *State, now warden.Instant) Gaze {
	c = Effective(c, s)
	ids, _ := roll(c, s)
	g := Gaze{first: first(ids), nodes: len(ids), hot: hot(c, s, now), down: c.DownAfter, crash: c.CrashAfter}
	for i, n := range s.mon.Nodes {
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

// Watch is the list of nodes to look at now, sorted, and how often: calmly
// while all is well, every 100 ms when the primary has been silent for half of
// down_after (replicas are witnesses then) or something is being changed, and
// faster where refused connections are to be told from a short restart.
func Watch(c *Config, s *State, now warden.Instant) []Watched {
	c = Effective(c, s)
	most := paceMost
	if c.LookEvery > 0 {
		most = c.LookEvery
	}
	pace := min(max(c.DownAfter/4, paceLeast), most)
	deadline := min(max(c.DownAfter/2, 200*warden.Millisecond), 2*warden.Second)
	if hot(c, s, now) {
		pace = min(pace, paceHot)
	}
	ids, _ := roll(c, s)
	out := make([]Watched, 0, len(ids))
	for _, id := range ids {
		w := Watched{Node: id, Every: pace, Deadline: deadline}
		if n := s.mon.Find(id); n != nil && n.Refusing && !n.Down {
			w.Every = min(w.Every, max(c.CrashAfter/4, paceCrash))
		}
		out = append(out, w)
	}
	return out
}
