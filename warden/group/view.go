package group

import (
	"slices"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

func age(now, at warden.Instant) warden.Duration {
	if at == 0 {
		return -1
	}
	return now.Sub(at)
}

// Epoch is the epoch of the agreed topology; 0 before the first agreement.
func Epoch(s *State) warden.Epoch { return s.el.Reg.Chosen.Epoch }

// Outline is what a View begins with: all but nodes, other Wardens, and Explain.
// It changes nothing.
func Outline(c *Config, s *State, now warden.Instant) warden.GroupView {
	p := step{file: c, c: Effective(c, s), s: s, now: now}
	c = p.c
	ec := p.electionConfig()
	t := &s.el.Reg.Chosen
	v := warden.GroupView{
		Name: c.Group, At: now, Primary: served(c, s), Provisional: t.IsZero(), Topology: *t,
		HeardAgo: s.el.HeardAgo(ec, now), StaleAfter: election.StaleAfter(ec), MovedAgo: age(now, s.lastMove), MovedFor: s.moved.reason, MovedIn: s.moved.epoch, Quorum: c.Quorum, DownAfter: c.DownAfter, FailoverTimeout: c.FailoverTimeout,
		ParallelSyncs: c.ParallelSyncs, Promise: s.el.Reg.Promise, Grantee: s.el.Reg.Grantee, Leading: s.el.Lead != nil,
		Leader: s.el.Leader(ec, now), Tilt: s.mon.Tilt, Mute: s.el.Mute, Paused: t.Settings.Paused,
	}
	v.Agreed = p.majorityHeard()
	if s.mon.Tilt {
		v.TiltFor = max(now.Sub(s.mon.TiltAt), 0)
	}
	if l := s.el.Lead; l != nil {
		v.Failover, v.LeadsFor = sentinelState(s.fo.Stage), l.Want.Reason
		v.Forced = l.Want.Reason == warden.ReasonForced || l.Want.Reason == warden.ReasonSwitchover
	}
	return v
}

// View is everything that can be shown of the group, at the instant now. It
// changes nothing.
func View(c Config, s State, now warden.Instant) warden.GroupView {
	s.unshare()
	p := step{file: &c, c: Effective(&c, &s), s: &s, now: now}
	v := Outline(&c, &s, now)
	v.Nodes = slices.Grow(v.Nodes, len(s.mon.Nodes))
	for _, n := range s.mon.Nodes {
		v.Nodes = append(v.Nodes, p.nodeView(n, v.Primary))
	}
	slices.SortStableFunc(v.Nodes, func(a, b warden.NodeView) int {
		switch {
		case a.Primary == b.Primary:
			return 0
		case a.Primary:
			return -1
		}
		return 1
	})
	v.Peers = p.peerViews(p.electionConfig())
	v.Explain = Explain(c, s, now)
	return v
}

// sentinelState is a stage under the name Sentinel's clients know.
func sentinelState(st failover.Stage) string {
	switch st {
	case failover.Inspecting, failover.Reclaiming, failover.Looking, failover.Asking, failover.Withdrawing, failover.Holding, failover.Draining, failover.Resolving, failover.Sealing:
		return "select_slave"
	case failover.Deciding, failover.Claiming, failover.CatchingUp, failover.Fencing, failover.Demoting:
		return "send_slaveof_noone"
	case failover.Promoting, failover.Publishing:
		return "wait_promotion"
	}
	return ""
}

func (p *step) nodeView(n *monitor.Node, primary warden.NodeID) warden.NodeView {
	s, now := p.s, p.now
	tags := warden.TagsOf(p.c.Tags, n.ID)
	o := tags.Wish(*n.Seen).Clone()
	o.Health, o.Detail = n.Health, n.Detail
	v := warden.NodeView{
		Node: n.ID, Primary: n.ID == primary, Observation: o, ObservedAgo: age(now, n.SeenAt), Down: n.Down, Why: p.why(n),
		Disconnected: n.Health == warden.HealthSilent || n.Health == warden.HealthRefused || n.Health == "",
		GoodAgo:      age(now, n.GoodAt), AnsweredAgo: age(now, n.AnsweredAt), RoleFor: age(now, n.RoleSince),
		Tags: tags, Foreign: slices.Contains(s.foreign, n.ID), Stranded: slices.Contains(s.stranded, n.ID),
	}
	if n.Down {
		v.DownAgo = now.Sub(n.DownAt)
	}
	if n.Health == warden.HealthSilent || n.Health == warden.HealthRefused {
		v.WaitingFor = s.mon.Silence(n)
	}
	if n.ID == s.el.Reg.Chosen.Primary {
		v.Agreeing, v.Odown = s.mon.Agreeing, s.mon.Odown
		if s.mon.Odown {
			v.OdownAgo = now.Sub(s.mon.OdownAt)
		}
	} else if m := s.mon.Find(primary); m != nil && m.Seen.Lineage == o.Lineage && o.Lineage != "" {
		v.Lag = max(m.Seen.Position-o.Position, 0)
	}
	if s.el.Lead != nil && n.ID == s.fo.Candidate && s.fo.Stage != failover.Idle && s.fo.Stage != failover.Repointing {
		v.Promoted = true
	}
	v.Reconfiguring = s.fo.Reconfiguring(n.ID)
	v.Rebooted = p.c.RebootDownAfter > 0 && v.Primary && n.Health == warden.HealthLoading
	v.ScriptKilled = slices.Contains(s.unblocked, n.ID)
	return v
}

// why says why a node is subjectively down.
func (p *step) why(n *monitor.Node) string { return monitor.Why(p.monitorConfig(), &p.s.mon, n, p.now) }

func (p *step) peerViews(ec election.Config) []warden.PeerView {
	s, now := p.s, p.now
	t := s.el.Reg.Chosen
	var out []warden.PeerView
	for _, id := range p.everybody() {
		q := s.el.Peer(id)
		v := warden.PeerView{ID: id, Listed: t.Lists(id), HeardAgo: -1, Down: true}
		if q != nil {
			v.HeardAgo, v.Client, v.Serves = now.Sub(q.At), q.Status.Client, q.Status.Primary
			v.Down = v.HeardAgo > election.StaleAfter(ec)
			if v.Down {
				v.DownAgo = v.HeardAgo
			}
			v.SaysDown = s.mon.Heard(p.monitorConfig(), id, t.Primary, func(o warden.Opinion) bool { return o.Down })
		}
		if q == nil && !v.Listed {
			continue // an address of a Warden that may not watch this group
		}
		if s.el.Reg.Grantee == id {
			v.Vote, v.VoteEpoch = id, s.el.Reg.Promise
		}
		out = append(out, v)
	}
	return out
}
