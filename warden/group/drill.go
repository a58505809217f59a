package group

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// drill says what would happen if the primary died now. It changes nothing.
func (p *step) drill() warden.Drill {
	s, t := p.s, &p.s.el.Reg.Chosen
	d := warden.Drill{Group: p.c.Group, Primary: t.Primary, Lacks: -1, Listed: len(t.Wardens), Quorum: p.c.Quorum,
		Crash: p.c.DownAfter, Silence: p.c.DownAfter, FailoverTimeout: p.c.FailoverTimeout, Nodes: []warden.DrillNode{}}
	if p.c.CrashAfter > 0 {
		d.Crash = min(p.c.CrashAfter, d.Crash)
	}
	refuse := func(format string, args ...any) { d.Obstacles = append(d.Obstacles, fmt.Sprintf(format, args...)) }
	if t.IsZero() {
		refuse("the Wardens have not agreed on this group yet")
		return d
	}
	d.Majority = t.Majority()
	for _, id := range t.Wardens {
		if p.mayVote(id) {
			d.Voters++
		}
	}
	d.Leader, d.Turn = s.el.Next(p.electionConfig(), p.mayVote)
	if d.Voters < d.Majority || d.Voters < p.c.Quorum {
		refuse("%d of %d listed Wardens could vote, and a majority (%d) and the quorum (%d) are needed", d.Voters, d.Listed, d.Majority, d.Quorum)
	}
	p.drillObstacles(t, refuse)
	p.drillChoice(t, &d, refuse)
	p.drillNotes(t, &d)
	d.Possible = len(d.Obstacles) == 0
	return d
}

// mayVote reports whether a Warden could find the primary down and vote now, as
// far as this one knows.
func (p *step) mayVote(id warden.WardenID) bool {
	s := p.s
	if id == p.c.Self {
		return s.el.Quiet() == "" && !s.mon.Tilt
	}
	q := s.el.Peer(id)
	return q != nil && slices.Contains(s.el.Hears(p.electionConfig(), p.now), id) && !q.Status.Tilt && !q.Status.Mute && !q.Status.Left
}

// drillObstacles are those that have nothing to do with who could be promoted.
func (p *step) drillObstacles(t *warden.Topology, refuse func(string, ...any)) {
	if t.Settings.Paused {
		refuse("the group is paused: nothing would be done before it is resumed")
	}
	if p.besideSentinels() {
		refuse("%s about this group: the Wardens would follow", p.sentinelsDecide())
	}
	if t.Phase != warden.PhaseDone {
		refuse("a change of the primary is not finished: it comes first")
	}
}

func (p *step) drillChoice(t *warden.Topology, d *warden.Drill, refuse func(string, ...any)) {
	looks := make([]failover.Look, len(p.s.mon.Nodes))
	for i, n := range p.s.mon.Nodes {
		looks[i] = failover.Look{Node: n.ID, Done: n.Health != "", Seen: wished(p.c.Tags, n.ID, n.Seen)}
		if n.Health != warden.HealthGood {
			looks[i].Seen = &warden.Observation{Health: n.Health, Detail: n.Detail}
		}
	}
	r := failover.Rehearse(p.failoverConfig(), t, looks, p.scene(false).Lineage)
	d.Candidate, d.Lacks, d.Keeps = r.Candidate, r.Lacks, r.Kept && r.Short == "" && r.Candidate != ""
	if r.Short != "" {
		refuse("%s", r.Short)
	}
	if r.Candidate == "" {
		refuse("no node could be promoted")
	}
	for _, n := range p.s.mon.Nodes {
		d.Nodes = append(d.Nodes, warden.DrillNode{Node: n.ID, Chosen: n.ID == r.Candidate, Why: r.Why(n.ID)})
	}
	if r.Furthest != "" {
		d.Notes = append(d.Notes, fmt.Sprintf("%s would catch up from %s first, which has more data and may not be promoted", r.Candidate, r.Furthest))
	}
}

// drillNotes say what would not stop a failover, and change its course.
func (p *step) drillNotes(t *warden.Topology, d *warden.Drill) {
	s := p.s
	note := func(format string, args ...any) { d.Notes = append(d.Notes, fmt.Sprintf(format, args...)) }
	if n := s.mon.Find(t.Primary); n == nil || n.Down || n.Health != warden.HealthGood {
		note("%s does not answer well now: this may be no drill for long", t.Primary)
	}
	if left := p.c.FailoverCooldown - p.now.Sub(s.lastMove); s.lastMove != 0 && left > 0 {
		note("failover_cooldown would hold it back for another %s", left)
	}
	if p.c.PrePromote {
		note("pre_promote is asked first, for at most %s each time: a veto, or no answer, leads to the next best node", p.c.PrePromoteTimeout)
	}
	if p.c.FenceCommand {
		must := "and goes on if that fails"
		if p.c.FenceRequired {
			must = "and nobody is promoted if that fails"
		}
		note("fence_command runs before the promotion for at most %s, %s", p.c.CommandTimeout, must)
	}
}
