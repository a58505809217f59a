package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

// While real Redis Sentinels watch the group, they decide and the Wardens
// follow: two deciders are never safe. What a Warden may do then is agree for
// the first time, take over what the Sentinels did, and finish what it began
// before they came (docs/decisions/0012-beside-real-sentinels.md).

// besideSentinels reports whether real Sentinels watch this group now.
func (p *step) besideSentinels() bool { return len(p.s.sentinels) > 0 }

// sentinelsWatch takes in which Sentinels watch the group.
func (p *step) sentinelsWatch(ids []string) {
	before := p.besideSentinels()
	p.s.sentinels = slices.Clone(ids)
	switch {
	case !before && p.besideSentinels():
		p.announce("+beside-sentinels", warden.LevelWarning, "", p.sentinelsDecide()+", the Wardens follow")
	case before && !p.besideSentinels():
		p.announce("-beside-sentinels", warden.LevelWarning, "", "the Wardens decide")
	}
}

// sentinelsDecide says who decides.
func (p *step) sentinelsDecide() string {
	if len(p.s.sentinels) == 1 {
		return "a real Sentinel decides"
	}
	return fmt.Sprintf("%d real Sentinels decide", len(p.s.sentinels))
}

// leftToSentinels is what of a want remains while Sentinels decide.
func (p *step) leftToSentinels(w election.Want) election.Want {
	if !p.besideSentinels() {
		return w
	}
	if w.Reason == warden.ReasonFailover {
		if id := p.promotedBySentinels(); id != "" {
			return election.Want{Reason: warden.ReasonAdopt, Primary: id}
		}
	}
	switch w.Reason {
	case warden.ReasonFailover:
		p.wouldHave(w, p.sentinelsDecide())
		return election.Want{}
	case warden.ReasonRepair, warden.ReasonSync:
		return election.Want{}
	}
	return w
}

// promotedBySentinels is the one node that became a primary while the agreed
// one is down: it has a replication id that followed from the group's.
func (p *step) promotedBySentinels() warden.NodeID {
	s, t := p.s, p.s.el.Reg.Chosen
	if !s.mon.Odown || t.Phase != warden.PhaseDone {
		return ""
	}
	id, found := warden.NodeID(""), 0
	for _, n := range s.mon.Nodes {
		promoted := n.ID != t.Primary && n.Health == warden.HealthGood && !n.Down && n.Seen.Role == warden.RolePrimary && !p.emptied(n) &&
			n.SeenAt > s.learnedAt && p.now.Sub(n.RoleSince) >= adoptAfter && !slices.Contains(t.Lineage, n.Seen.Lineage)
		if promoted && s.mon.Belongs(p.monitorConfig(), n.Seen) {
			id = n.ID
			found++
		}
	}
	if found != 1 {
		return ""
	}
	return id
}

// emptied reports whether a node holds nothing and another one may hold data. A
// group that nobody has written to is empty everywhere.
func (p *step) emptied(n *monitor.Node) bool {
	return n.Seen.Empty && slices.ContainsFunc(p.s.mon.Nodes, func(m *monitor.Node) bool {
		return m.ID != n.ID && (m.SeenAt == 0 || !m.Seen.Empty)
	})
}

// uninformed is why this Warden may not take part in a first agreement, ""
// when it may: it has lost the register of an earlier life, and hears too few
// of the others it knew then. A Sentinel at its place has no register.
func (p *step) uninformed() string {
	others := p.c.Expected - 1
	if others < 1 || p.s.el.Born() {
		return ""
	}
	heard := len(p.s.el.Hears(p.electionConfig(), p.now)) + len(p.s.sentinels)
	if heard >= others/2+1 {
		return ""
	}
	return fmt.Sprintf("it has lost its register and hears %d of the %s it knew", heard, plural(others, "other"))
}

// peerMoved tells of a Warden that is heard under another client address.
func (p *step) peerMoved(id warden.WardenID, client string) {
	q := p.s.el.Peer(id)
	if q == nil || client == "" || q.Status.Client == "" || q.Status.Client == client {
		return
	}
	at := warden.NodeID(client)
	p.announce("+sentinel-address-switch", warden.LevelNotice, "", fmt.Sprintf("ip %s port %s for %s", at.Host(), at.Port(), id))
}

// silentPeers tells which Wardens fell silent and which are heard again.
func (p *step) silentPeers() {
	s := p.s
	if s.mon.Tilt {
		return // it may be this Warden that stood still
	}
	limit := election.StaleAfter(p.electionConfig())
	for i := range s.el.Peers {
		q := &s.el.Peers[i]
		was, is := slices.Contains(s.silent, q.ID), p.now.Sub(q.At) > limit
		switch {
		case is && !was:
			s.silent = append(slices.Clip(s.silent), q.ID)
			p.raw("+sdown", warden.LevelWarning, "", p.sentinelDetails(q.ID, q.Status.Client))
		case was && !is:
			id := q.ID
			s.silent = slices.DeleteFunc(slices.Clone(s.silent), func(x warden.WardenID) bool { return x == id })
			p.raw("-sdown", warden.LevelWarning, "", p.sentinelDetails(q.ID, q.Status.Client))
		}
	}
}

// unblock ends a script that keeps a node from answering, once while it is
// down, as Sentinel does.
func (p *step) unblock() {
	s := p.s
	s.unblocked = slices.DeleteFunc(s.unblocked, func(id warden.NodeID) bool {
		n := s.mon.Find(id)
		return n == nil || !n.Down
	})
	if s.mon.Tilt || s.el.Reg.Chosen.Settings.Paused || p.besideSentinels() {
		return
	}
	for _, n := range s.mon.Nodes {
		if runsScript(n) && !slices.Contains(s.unblocked, n.ID) {
			s.unblocked = append(s.unblocked, n.ID)
			p.f.Act = append(p.f.Act, Action{Kind: warden.ActUnblock, Node: n.ID})
		}
	}
}

func runsScript(n *monitor.Node) bool {
	return n.Down && n.Health == warden.HealthBusy && strings.HasPrefix(n.Detail, "BUSY")
}
