package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// What S7 says of PostgreSQL's timelines. In short: of those that the leader
// could see, nobody with an older line is promoted, no standby that went
// another way is sent behind the primary, and no rejoin command is run that
// was not decided.

// sight is what a process last saw of a server's data.
type sight struct {
	at     warden.Instant
	branch int
	fit    bool // a standby that could be promoted
	shown  bool // it once showed its line as a primary
}

// sees notes what a look that just ended saw of a server's data. It stands
// there by now, or did a moment ago.
func (c *contracts) sees(p *process, s *server, began warden.Instant, seen *warden.Observation) {
	fit := seen.Health == warden.HealthGood && seen.Role == warden.RoleReplica && seen.Priority > 0 && s.role == warden.RoleReplica &&
		s.pg.branched < began && seen.Lineage == s.replid && !s.odd
	shown := p.seen.lines[s.index].shown || seen.Health == warden.HealthGood && seen.Role == warden.RolePrimary
	p.seen.lines[s.index] = sight{began, s.branch, fit, shown}
}

// olderLine: nobody is promoted while another, that the leader has just seen
// and nothing speaks against, grew out of its line after a promotion. A fence command
// takes seconds after the decision, in which others may come back.
func (c *contracts) olderLine(o *order, s *server) {
	w := c.world
	t := c.ledger.newest(o.a.Epoch)
	if !w.kind.postgres() || t == nil || o.began.Sub(c.ledger.chosenAt) > 100*warden.Millisecond || t.Reason == warden.ReasonSwitchover || t.Reason == warden.ReasonForced {
		return
	}
	for _, x := range w.servers {
		v := o.p.seen.lines[x.index]
		if x == s || !v.fit || o.began.Sub(v.at) > 300*warden.Millisecond || !x.up || x.branch != v.branch || x.branch == s.branch ||
			x.excludedAt != 0 || x.vetoed || keepsCommits(t) && !(member(t, x.id) && x.sealed() && o.began.Sub(x.pg.sealedSince) > 300*warden.Millisecond) || o.p.seen.refused[x.index] > o.began.Add(-5*warden.Second) || w.sentinels {
			continue
		}
		newer := w.history.lineOf(x.branch, x.offset) != w.history.lineOf(s.branch, s.offset)
		if newer && w.history.contains(x.branch, x.offset, s.branch, s.offset) {
			w.fail("S7", "%s is promoted with line %s at %d while %s has all of it and the newer line %s at %d", s.name, s.replid, s.offset, x.name, x.replid, x.offset)
		}
	}
}

// keepsCommits reports whether a promotion is one that has to keep what was
// acknowledged before.
func keepsCommits(t *warden.Topology) bool {
	return t.Promises() || slices.ContainsFunc(t.PreviousSync, func(s warden.SyncSet) bool { return s.K > 0 })
}

// member reports whether a node keeps acknowledged commits: in a group with
// quorum durability others are not promoted.
func member(t *warden.Topology, id warden.NodeID) bool {
	return slices.ContainsFunc(append(t.Sync[:len(t.Sync):len(t.Sync)], t.PreviousSync...), func(s warden.SyncSet) bool { return s.Name(id) != "" })
}

// divergent: a standby that went another way than the primary is not sent
// behind it without a word, once both could be seen for a while.
func (c *contracts) divergent(o *order, s *server) {
	w := c.world
	u := w.serverAt(o.a.Target)
	if !w.kind.postgres() || s.role == warden.RolePrimary || s.odd || u.odd || !w.ofLineage(s) || !w.ofLineage(u) || u.role != warden.RolePrimary || !u.up ||
		!o.p.seen.lines[u.index].shown {
		return
	}
	const grace = 2 * warden.Second
	if o.began.Sub(u.pg.branched) < grace || o.began.Sub(s.pg.branched) < grace || s.pg.receiver.from != nil || w.now.Sub(s.linkSince) < grace {
		return
	}
	// Two lines with one name that began at the same place look the same to
	// everybody: the limit that docs/promises.md names.
	alike := s.replid == u.replid && slices.Equal(s.pg.forks, u.pg.forks)
	if !alike && !w.history.contains(u.branch, u.offset, s.branch, s.offset) {
		w.fail("S7", "%s is sent behind %s and holds what that one lacks (%s at %d, %s at %d)", s.name, u.name, s.replid, s.offset, u.replid, u.offset)
	}
}

// rejoins: a rejoin command is run only for a node that is not the agreed
// primary, behind the one that is.
func (c *contracts) rejoins(o *order) {
	w := c.world
	t := c.ledger.newest(o.a.Epoch)
	switch {
	case o.a.Kind != group.ActRejoin:
	case t == nil:
		w.fail("S3", "%s rejoins %s; nothing is chosen", o.p.name, o.s.name)
	case t.Phase != warden.PhaseDone || t.Primary != o.a.Target || t.Primary == o.s.id:
		w.fail("S3", "%s rejoins %s behind %s; chosen is %s", o.p.name, o.s.name, short(o.a.Target), w.topologyText(*t))
	}
}

// remade: what a node had is set aside. It is one like the others again.
func (c *contracts) remade(s *server) {
	c.forked[s.index] = forkPoint{}
	if c.durable.head == s.index {
		c.durable.head = -1
	}
}
