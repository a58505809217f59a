package group

import (
	"strings"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// primary is the served primary: agreed, or provisional before that.
func (p *step) primary() warden.NodeID { return served(p.c, p.s) }

func served(c *Config, s *State) warden.NodeID {
	if s.el.Reg.Superseded { // guard: S9
		return "" // the others agreed on something newer without this Warden
	}
	if t := &s.el.Reg.Chosen; !t.IsZero() {
		if c.NameConfirmed && (t.Phase != warden.PhaseDone || refusesWrites(s.mon.Find(t.Primary))) { // guard: S9
			return ""
		}
		return t.Primary
	}
	id, says := provisional(c, s)
	if !says { // guard: S9
		return ""
	}
	return id
}

// refusesWrites reports whether a primary was seen held or fenced.
func refusesWrites(n *monitor.Node) bool {
	return n != nil && n.Health == warden.HealthGood && n.Seen.Role == warden.RolePrimary && n.Seen.ReadOnly
}

// Primary is the address this Warden serves to clients; empty when there is
// nothing to serve.
func Primary(c *Config, s *State) warden.NodeID { return served(c, s) }

// details is Sentinel's way to name an instance in an event.
func details(group warden.GroupName, primary, node warden.NodeID) string {
	master := string(group) + " " + primary.Host() + " " + primary.Port()
	if node == "" || node == primary {
		return "master " + master
	}
	return "slave " + string(node) + " " + node.Host() + " " + node.Port() + " @ " + master
}

// sentinelDetails names another Warden the way Sentinel does.
func (p *step) sentinelDetails(id warden.WardenID, client string) string {
	at := warden.NodeID(client)
	return strings.Join([]string{"sentinel", string(id), at.Host(), at.Port(), "@",
		strings.TrimPrefix(details(p.c.Group, p.named(), ""), "master ")}, " ")
}

// named is the primary that events name: the served one, and before the first
// agreement the provisional one even if it has not said yet that it is one. A
// payload without an address could not be read.
//
// While a promotion is under way it is still the old primary, as clients know
// it from Sentinel.
func (p *step) named() warden.NodeID {
	if t := p.s.el.Reg.Chosen; !t.IsZero() {
		if t.Phase == warden.PhasePromoting && p.s.confirmed != "" {
			return p.s.confirmed
		}
		return t.Primary
	}
	id, _ := provisional(p.c, p.s)
	return id
}

// announce adds an event about a node, or about the group when node is empty.
func (p *step) announce(name string, level warden.Level, node warden.NodeID, extra string) {
	text := details(p.c.Group, p.named(), node)
	if extra != "" {
		text += " " + extra
	}
	p.raw(name, level, node, text)
}

func (p *step) raw(name string, level warden.Level, node warden.NodeID, payload string) {
	payload = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, payload)
	if len(payload) > 1023 {
		payload = payload[:1023]
	}
	p.f.Announce = append(p.f.Announce, warden.Event{Group: p.c.Group, Name: name, Level: level, Payload: payload,
		Node: node, Epoch: p.s.el.Reg.Promise})
}

// notices are the events that are less than warnings.
func level(name string) warden.Level {
	switch name {
	case "+slave", "+sentinel", "+reboot", "-slave-reconf-sent-timeout", "+slave-reconf-sent-be", "+failover-state-send-slaveof-noone", "+failover-state-wait-promotion",
		"+slave-reconf-sent", "+slave-reconf-inprog", "+slave-reconf-done", "+convert-to-slave",
		"+fix-slave-config", "-order-note", "+birth-resumed", "+birth-dead", "-not-elected", "-leader-lost":
		return warden.LevelNotice
	case "+role-change", "-role-change":
		return warden.LevelVerbose
	}
	return warden.LevelWarning
}

func (p *step) monitorNote(n monitor.Note) {
	switch n.Name {
	case "+tilt", "-tilt":
		text := "#tilt mode entered"
		if n.Name == "-tilt" {
			text = "#tilt mode exited"
		}
		p.raw(n.Name, warden.LevelWarning, "", text)
	case "role-change":
		role, word := warden.Role(n.Extra), "slave"
		if role == warden.RolePrimary {
			word = "master"
		}
		name := "-role-change"
		if (role == warden.RolePrimary) == (n.Node == p.primary()) {
			name = "+role-change"
		}
		p.announce(name, warden.LevelVerbose, n.Node, "new reported role is "+word)
	case "+odown", "-odown":
		// Always about a primary, also about one whose promotion is unconfirmed.
		p.raw(n.Name, warden.LevelWarning, n.Node, strings.TrimSpace(details(p.c.Group, n.Node, "")+" "+n.Extra))
	default:
		p.announce(n.Name, level(n.Name), n.Node, n.Extra)
	}
}

func (p *step) electionNote(n election.Note) {
	switch n.Name {
	case "+new-epoch", "+vote-for-leader":
		p.raw(n.Name, warden.LevelWarning, "", n.Text)
	case "+try-failover", "+elected-leader":
		p.announce(n.Name, warden.LevelWarning, "", "")
	default:
		p.announce(n.Name, level(n.Name), "", n.Text)
	}
}

func (p *step) failoverNote(n failover.Note) {
	p.announce(n.Name, level(n.Name), n.Node, n.Text)
}

// learned tells what the newest chosen topology changed. It runs after the
// state that answers queries has changed.
func (p *step) learned(had *warden.Topology) {
	s, t := p.s, &p.s.el.Reg.Chosen
	s.learnedAt = p.now
	p.monitor(monitor.Tick{})
	p.changes(had, t)
	switch t.Phase {
	case warden.PhaseDone:
		p.forgetDecisions()
	case warden.PhasePromoting:
		s.moving = move{t.Primary, t.Reason, t.Epoch}
	}
	if t.Phase != warden.PhaseDone || s.confirmed == t.Primary {
		return
	}
	old := s.confirmed
	s.confirmed = t.Primary
	if old == "" {
		p.announce("+first-agreement", warden.LevelWarning, "", "with "+plural(len(t.Wardens), "Warden"))
		return
	}
	s.lastMove = p.now
	s.moved = move{t.Primary, t.Reason, t.Epoch}
	if s.moving.to == t.Primary && !moves(t.Reason) {
		s.moved = s.moving // its leader died, and what is learned here is the next one's first step
	}
	if t.Leader != p.c.Self {
		client := ""
		if q := s.el.Peer(t.Leader); q != nil {
			client = q.Status.Client
		}
		p.raw("+config-update-from", warden.LevelWarning, "", p.sentinelDetails(t.Leader, client))
	}
	p.raw("+switch-master", warden.LevelWarning, t.Primary,
		strings.Join([]string{string(p.c.Group), old.Host(), old.Port(), t.Primary.Host(), t.Primary.Port()}, " "))
	for _, id := range nodes(p.c, s) {
		if id != t.Primary {
			p.announce("+slave", warden.LevelNotice, id, "")
		}
	}
	if t.Reason == warden.ReasonFailover {
		p.flapping()
	}
}

// moves reports whether a step for this reason makes another node the primary.
func moves(r warden.Reason) bool {
	switch r {
	case warden.ReasonFailover, warden.ReasonForced, warden.ReasonSwitchover, warden.ReasonAdopt:
		return true
	}
	return false
}

// changes announces what a step changed besides the primary.
func (p *step) changes(had, t *warden.Topology) {
	if had.Birth != t.Birth {
		return
	}
	switch {
	case t.Settings.Paused && !had.Settings.Paused:
		p.announce("+paused", warden.LevelWarning, "", "")
	case !t.Settings.Paused && had.Settings.Paused:
		p.announce("+resumed", warden.LevelWarning, "", "")
	}
	if text := t.Settings.Since(&had.Settings); text != "" {
		p.announce("+settings", warden.LevelWarning, "", text)
	}
	if len(t.Sync) == 1 && !(len(had.Sync) == 1 && had.Sync[0].Equal(t.Sync[0])) {
		p.announce("+sync-set", warden.LevelNotice, "", t.Sync[0].String())
	}
	if had.NewestSync().K > 0 && t.NewestSync().K == 0 {
		why := "durability was given up"
		if p.c.Durable {
			why = "too few members are left"
		}
		p.announce("-sync-degraded", warden.LevelWarning, "", why+": acknowledged writes may be on the primary alone")
	}
	for _, id := range t.Wardens {
		if !had.Lists(id) {
			p.announce("+warden-joined", warden.LevelWarning, "", string(id))
		}
	}
	for _, id := range had.Wardens {
		if !t.Lists(id) {
			p.announce("+warden-forgotten", warden.LevelWarning, "", string(id))
		}
	}
}

// flapping warns at the third automatic failover within ten minutes.
func (p *step) flapping() {
	s := p.s
	recent := s.failovers[:0:0]
	for _, at := range s.failovers {
		if p.now.Sub(at) < flapWindow {
			recent = append(recent, at)
		}
	}
	s.failovers = append(recent, p.now)
	if len(s.failovers) >= flapCount {
		p.announce("-failover-flapping", warden.LevelWarning, "", plural(len(s.failovers), "failover")+" within "+flapWindow.String())
	}
}
