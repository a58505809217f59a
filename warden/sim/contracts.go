package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// What each contract checks, and when:
//
//	S1   at every write to a disk: a Warden's register names one grantee (id
//	     and run) per Birth and epoch, in all its lives; promises never fall.
//	     At every vote sent: what it says is on the disk already.
//	S2   at every proposal and accept: one leader run per epoch, one content
//	     per (Epoch, Step), one proposal at a time, the list changes by one
//	     Warden and never in the first step of an epoch; one Birth.
//	S3   at every order that a server obeys: the newest topology that a
//	     majority of its listed Wardens has on disk, up to the order's epoch,
//	     orders just that; and no newer epoch has claimed the server.
//	S4   whenever a topology becomes chosen: it lies on one line of descent
//	     with every other chosen one, and forgets no promotion.
//	S5   at every order given: the giver heard a majority of its list within
//	     the lease.
//	S6   at every vote for a failover, candidacy and order: not within the
//	     second after a pause or a jump of the clock, and a voter has not just
//	     seen the primary well.
//	S7   at every order obeyed: nobody promoted is empty while others are not,
//	     foreign or excluded; nobody foreign and not named is made to follow.
//	S9   whenever the served address changes, and at every write: what is
//	     served or called chosen is chosen, and never goes back.
//	S10  while no Warden runs: no server changes its role, a held one is let go.
//	pause  at every order given: the giver does not know the group as paused.
//	HO   at every order given: no Sentinel has been watching the group for long,
//	     unless it finishes a promotion that was begun.
//	veto   at every decision to promote: the operator's pre_promote command let its
//	     leader decide for that node in this epoch, or an earlier leader did.
//	SW   at the end of a switchover: every acknowledged write is on the new
//	     primary.
//
//	S8   (PostgreSQL with quorum durability) at every acknowledged commit:
//	     enough members of a sync set in force have it, and so has whoever was
//	     promoted since. At every promotion and adoption: it has them all.
//
// L1, L2 and L3 are in calm.go.
type contracts struct {
	world  *World
	ledger ledger
	// bases are the newest topologies among the grants that reached each
	// candidate, with their epoch.
	bases [serverBase]struct {
		epoch  warden.Epoch
		newest warden.Topology
		frozen bool // elected: later grants are not counted any more
	}
	forked    [endpoints]forkPoint
	alone     []standing // S10: how the servers stood when the last Warden stopped
	aloneFrom warden.Instant
	durable   durability
}

// besideGrace is how long what was begun before Sentinels came may go on.
const besideGrace = 5 * warden.Second

// leaseWindow is how long after the last word of a majority an order may be
// given: the lease, counted from when the answer came, and a millisecond.
const leaseWindow = 1001 * warden.Millisecond

// persisted is called after every write to a disk.
func (c *contracts) persisted(p *process, old *warden.Register) {
	r := &p.disk.kept
	same := old.Accepted.Birth == r.Accepted.Birth || old.Accepted.IsZero()
	if same && r.Promise < old.Promise {
		c.world.fail("S1", "%s lowers its promise from %d to %d", p.name, old.Promise, r.Promise)
	}
	if same && old.Accepted.Version.Newer(r.Accepted.Version) {
		c.world.fail("S4", "%s replaces %s by the older %s (rule A2)", p.name, old.Accepted.Version, r.Accepted.Version)
	}
	if r.Accepted.Epoch > r.Promise {
		c.world.fail("S1", "%s accepted %s without a promise (%d)", p.name, r.Accepted.Version, r.Promise)
	}
	c.ledger.granted(p, r)
	if !r.Accepted.IsZero() && !r.Accepted.Equal(old.Accepted) {
		if r.Accepted.Leader == p.id {
			// The leader's own accept may be written before it proposes.
			c.derived(p, &r.Accepted)
		}
		c.ledger.accepted(p, &r.Accepted)
	}
	if !r.Chosen.IsZero() && !r.Chosen.Equal(old.Chosen) && !c.ledger.isChosen(&r.Chosen) {
		c.world.fail("S9", "%s takes %s for chosen, which it is not", p.name, c.world.topologyText(r.Chosen))
	}
}

// derived notes what a leader's proposal was derived from.
func (c *contracts) derived(p *process, t *warden.Topology) {
	base := *p.disk.earlier.Newest()
	if b := &c.bases[p.index]; b.epoch == t.Epoch && (b.newest.Version.Newer(base.Version) || base.IsZero()) {
		base = b.newest
	}
	if base.Version == t.Version {
		base = warden.Topology{}
	}
	c.ledger.proposed(p, t, base)
}

// sent is called for every message that a process sends.
func (c *contracts) sent(p *process, e *group.Envelope) {
	m := &e.Message
	switch {
	case m.Vote != nil && m.Vote.Granted:
		r := &p.disk.kept
		if r.Promise != m.Vote.Epoch || r.Grantee != e.To {
			c.world.fail("S1", "%s tells %s a vote in epoch %d; on its disk is %d for %s", p.name, c.world.nameOf(e.To),
				m.Vote.Epoch, r.Promise, c.world.nameOf(r.Grantee))
		}
		c.ledger.told(p, e, r.GranteeRun)
		if q := c.world.process(e.To); q != nil && p.seen.asked[q.index].Epoch == m.Vote.Epoch {
			c.freshEvidence(p, "votes", &p.seen.asked[q.index])
		}
	case m.Ask != nil:
		if p.disk.kept.Promise < m.Ask.Epoch {
			c.world.fail("S1", "%s stands in epoch %d; its promise on disk is %d (rule V1)", p.name, m.Ask.Epoch, p.disk.kept.Promise)
		}
		c.freshEvidence(p, "stands", m.Ask)
	case m.Propose != nil:
		c.derived(p, &m.Propose.Topology)
	case m.Accept != nil && m.Accept.OK:
		if p.disk.kept.Accepted.Version != m.Accept.Version {
			c.world.fail("S1", "%s tells that it accepted %s; on its disk is %s", p.name, m.Accept.Version, p.disk.kept.Accepted.Version)
		}
	}
}

// freshEvidence is S6 for votes and candidacies.
func (c *contracts) freshEvidence(p *process, does string, ask *warden.VoteRequest) {
	if ask.Reason != warden.ReasonFailover {
		return
	}
	w := c.world
	s := w.serverAt(ask.Primary)
	if calm := w.now.Sub(p.seen.disturbed); calm < warden.Second {
		w.fail("S6", "%s %s for a failover %s after its clock was disturbed", p.name, does, calm)
	}
	if p.seen.looked[s.index] < p.seen.disturbed && p.seen.looked[s.index] != 0 {
		w.fail("S6", "%s %s for a failover; it looked at %s at %s, its clock was disturbed at %s", p.name, does, s.name,
			p.seen.looked[s.index].Sub(origin), p.seen.disturbed.Sub(origin))
	}
	known := group.Effective(&p.config, p.state)
	limit := min(known.DownAfter, known.CrashAfter) - 50*warden.Millisecond
	if ago := w.now.Sub(p.seen.good[s.index]); p.seen.good[s.index] != 0 && ago < limit {
		w.fail("S6", "%s %s for a failover; it saw %s well %s ago", p.name, does, s.name, ago)
	}
}

// delivered is called before a process hears a message.
func (c *contracts) delivered(p *process, m *warden.Message) {
	q := c.world.process(m.From)
	if q == nil {
		return
	}
	p.seen.heard[q.index] = c.world.now
	switch {
	case m.Ask != nil:
		p.seen.asked[q.index] = *m.Ask
	case m.Vote != nil && m.Vote.Granted:
		b := &c.bases[p.index]
		if m.Vote.Epoch > b.epoch {
			b.epoch, b.newest, b.frozen = m.Vote.Epoch, warden.Topology{}, false
		}
		if m.Vote.Epoch == b.epoch && !b.frozen && (b.newest.IsZero() || m.Vote.Newest.Version.Newer(b.newest.Version)) {
			b.newest = m.Vote.Newest
		}
	}
}

// elected is called when a process announces that it leads.
func (c *contracts) elected(p *process) { c.bases[p.index].frozen = true }

// looked is called before a process is told what a look saw.
func (c *contracts) looked(p *process, server int, began warden.Instant, seen *warden.Observation) {
	s := c.world.servers[server]
	if began < p.seen.looked[server] {
		return // an older look that was answered late proves nothing about now
	}
	p.seen.looked[server] = began
	if c.world.kind.postgres() {
		c.sees(p, s, began, seen)
	}
	// A primary whose replication ids this Warden has no record of proves
	// nothing to it: it may be anybody (S7), and is rightly held for lost.
	known := slices.Contains(p.disk.kept.Chosen.Lineage, seen.Lineage) || slices.Contains(p.disk.kept.Chosen.Lineage, seen.LineageBefore)
	if seen.Health == warden.HealthGood && seen.Role == warden.RolePrimary && !seen.NeedsRejoin && c.world.ofLineage(s) && !s.odd && !seen.Empty && known {
		p.seen.good[server] = c.world.now
		return
	}
	if seen.Health == warden.HealthGood {
		p.seen.good[server] = 0 // alive, and not the primary it should be
	}
}

// ordered is called for every order and claim that a process gives: S5, S6.
func (c *contracts) ordered(p *process, a *group.Action) {
	w := c.world
	calm := w.now.Sub(p.seen.disturbed)
	if a.Kind == group.ActRelease {
		return // lets go, changes nothing
	}
	if calm < warden.Second && a.Kind != group.ActClaim {
		w.fail("S6", "%s orders %s of %s %s after its clock was disturbed", p.name, a.Kind, short(a.Node), calm)
	}
	if p.disk.kept.Chosen.Settings.Paused && a.Kind != group.ActClaim {
		w.fail("pause", "%s orders %s of %s and knows that the group is paused", p.name, a.Kind, short(a.Node))
	}
	if since := p.seen.beside; since != 0 && w.now.Sub(since) > besideGrace && p.disk.kept.Newest().Phase == warden.PhaseDone && a.Kind != group.ActClaim {
		w.fail("HO", "%s orders %s of %s and knows since %s that Sentinels decide", p.name, a.Kind, short(a.Node), w.now.Sub(since))
	}
	list := p.disk.kept.Newest().Wardens
	if len(list) == 0 {
		w.fail("S5", "%s orders %s of %s without a topology", p.name, a.Kind, short(a.Node))
		return
	}
	n := 0
	for _, id := range list {
		if q := w.process(id); q == p || q != nil && w.now.Sub(p.seen.heard[q.index]) <= leaseWindow {
			n++
		}
	}
	if n < len(list)/2+1 && calm > 6*warden.Second {
		w.fail("S5", "%s orders %s of %s and heard %d of %d Wardens within the lease", p.name, a.Kind, short(a.Node), n, len(list))
	}
}

// stepped is called after every step: S9.
func (c *contracts) stepped(p *process) {
	id := p.serves()
	if id == p.seen.served {
		return
	}
	p.seen.served = id
	w := c.world
	v := outlineMind(&p.config, p.state, p.clock())
	if w.steps%8 == 0 { // the whole of it now and then: it must not fail either
		v = viewMind(p.config, *p.state, p.clock())
	}
	switch {
	case v.Primary != id:
		w.fail("S9", "%s serves %s and shows %s", p.name, short(id), short(v.Primary))
	case v.Topology.IsZero():
		if id != "" && !v.Provisional {
			w.fail("S9", "%s serves %s without a topology and does not call it provisional", p.name, short(id))
		}
	case !c.ledger.isChosen(&v.Topology):
		w.fail("S9", "%s serves %s, which is not chosen", p.name, w.topologyText(v.Topology))
	case id != "" && id != v.Topology.Primary:
		w.fail("S9", "%s serves %s; the topology says %s", p.name, short(id), short(v.Topology.Primary))
	case p.seen.version.Newer(v.Topology.Version):
		w.fail("S9", "%s goes back from %s to %s", p.name, p.seen.version, v.Topology.Version)
	}
	p.seen.version = v.Topology.Version
}
