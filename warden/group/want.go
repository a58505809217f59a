package group

import (
	"slices"
	"strings"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// monitorConfig is what the monitor is told, made once per Step until
// something it depends on changes (stale).
func (p *step) monitorConfig() *monitor.Config {
	if !p.mcMade {
		monitorConfig(p.c, p.s, &p.mc)
		p.mcMade = true
	}
	return &p.mc
}

// stale forgets what was derived from the parts of the state that change.
func (p *step) stale() { p.mcMade, p.fcMade, p.seen = false, false, nil }

func monitorConfig(c *Config, s *State, m *monitor.Config) {
	t := &s.el.Reg.Chosen
	*m = monitor.Config{
		DownAfter: c.DownAfter, CrashAfter: c.CrashAfter, LifeLimit: c.FailoverTimeout, Quorum: c.Quorum, Witness: c.ReplicaWitness,
		SentinelLife: c.SentinelLife, RebootDownAfter: c.RebootDownAfter, TiltTrigger: c.TiltTrigger, TiltPeriod: c.TiltPeriod,
		Self: c.Self, Birth: t.Birth, Primary: t.Primary, Confirmed: t.Phase != warden.PhasePromoting, Voters: t.Wardens, Lineage: t.Lineage,
		Configured: c.Primary, Named: trusted(c, s),
	}
	if c.SentinelLife {
		m.LifeLimit = forEver // Sentinel never tires of a server that loads
	}
	m.Nodes = nodes(c, s)
	if t.IsZero() {
		m.Primary, _ = provisional(c, s)
	}
}

func (p *step) electionConfig() election.Config {
	return election.Config{Group: p.c.Group, Self: p.c.Self, Run: p.c.Run, Quorum: p.c.Quorum,
		Wardens: p.c.Wardens, HelloInterval: p.c.HelloInterval, Turn: p.c.Turn, Lag: p.s.lag}
}

// failoverConfig is what the failover mind is told, made once per Step like
// monitorConfig.
func (p *step) failoverConfig() *failover.Config {
	if p.fcMade {
		return &p.fc
	}
	p.fcMade = true
	c := p.leaderConfig()
	p.fc = failover.Config{Self: c.Self, NewBirth: c.NewBirth, Quorum: c.Quorum, DownAfter: c.DownAfter,
		FailoverTimeout: c.FailoverTimeout, ParallelSyncs: c.ParallelSyncs, PriorityFirst: c.PriorityFirst, HandsOff: p.besideSentinels(),
		Named: trusted(c, p.s), Policy: c.Policy}
	if slices.Contains(p.s.el.Reg.Nodes, c.Primary) {
		p.fc.Primary = c.Primary
	}
	return &p.fc
}

// leaderConfig is the configuration with the settings of the base that a leader
// writes on from: they are a part of all it proposes. Who does not lead has none
// but the chosen ones.
func (p *step) leaderConfig() *Config {
	if l := p.s.el.Lead; l != nil && !l.Base.IsZero() && !l.Base.Settings.Equal(&p.s.el.Reg.Chosen.Settings) {
		return tuned(p.file, &l.Base.Settings)
	}
	return p.c
}

func (p *step) sight() election.Sight {
	s := p.s
	mc := p.monitorConfig()
	v := election.Sight{PrimaryDown: s.mon.SaysDown(mc), Odown: s.mon.Odown, Tilt: s.mon.Tilt, Adoptable: p.adoptable()}
	v.Provisional, v.ProvisionalSays = provisional(p.c, s)
	v.Uninformed, v.Beside = p.uninformed(), p.besideSentinels()
	if v.Beside && v.Adoptable == "" {
		v.Adoptable = p.promotedBySentinels()
	}
	return v
}

// sightings is what the failover mind is shown of the nodes.
func (p *step) sightings() []failover.Sighting {
	if p.seen != nil {
		return p.seen
	}
	mc, fc, tags := p.monitorConfig(), p.failoverConfig(), p.leaderConfig().Tags
	out := make([]failover.Sighting, 0, len(p.s.mon.Nodes))
	for _, n := range p.s.mon.Nodes {
		out = append(out, failover.Sighting{ID: n.ID, Seen: wished(tags, n.ID, n.Seen), SeenAt: n.SeenAt, Good: n.Health == warden.HealthGood,
			Down: n.Down, Refusing: n.Refusing, Belongs: p.s.mon.Belongs(mc, n.Seen), Halfway: p.halfway(n),
			NoSlot: p.s.fo.WantsSlot(fc, &p.s.el.Reg.Chosen, n.ID, n.Seen, p.now)})
	}
	p.seen = out
	return out
}

// halfway reports whether a rejoin may have stopped half-way on a node: the command
// failed here, or the node needs a rejoin and went down, and whoever ran the
// command then may be gone.
func (p *step) halfway(n *monitor.Node) bool {
	if p.s.fo.Rejoined(n.ID) != nil {
		return p.s.fo.Halfway(n.ID)
	}
	return n.Down && p.now.Sub(n.DownAt) >= halfwayAfter && slices.Contains(p.s.stranded, n.ID)
}

func (p *step) scene(chosen bool) failover.Scene {
	s := p.s
	sc := failover.Scene{Chosen: chosen, Nodes: p.sightings(), Lineage: s.el.Reg.Chosen.Lineage}
	if len(s.mon.Extra) > 0 {
		sc.Lineage = append(slices.Clip(sc.Lineage), s.mon.Extra...)
	}
	if s.mon.Sworn != "" {
		sc.Lineage = append(slices.Clip(sc.Lineage), s.mon.Sworn)
	}
	if n := s.mon.Find(s.el.Reg.Chosen.Primary); n != nil && n.Down {
		sc.DownFor = max(s.mon.Silence(n), p.now.Sub(n.DownAt))
		if n.ServedAt != 0 {
			// It may have answered since, as somebody else.
			sc.DownFor = max(sc.DownFor, p.now.Sub(n.ServedAt))
		}
	}
	l := s.el.Lead
	if l == nil {
		return sc
	}
	sc.Leading, sc.Epoch, sc.Base, sc.Proposing, sc.LeaseUntil = true, l.Epoch, l.Base, l.Proposing(), l.LeaseUntil
	sc.Downs, sc.Answered = l.Downs()
	sc.Voters = l.Voters
	w := l.Want
	sc.Want = failover.Want{Reason: w.Reason, Primary: w.Primary, List: w.List, Lost: w.Lost, Warden: w.Warden, To: w.To, Settings: w.Settings}
	return sc
}

// want is what this Warden would do if it led now: the most pressing thing.
func (p *step) want() election.Want {
	s := p.s
	if s.el.Lead != nil {
		return s.el.Lead.Want
	}
	if s.el.Quiet() != "" {
		return election.Want{}
	}
	if !s.el.Born() {
		return p.wantBirth()
	}
	t := &s.el.Reg.Chosen
	cmd, commanded := p.commandWant()
	if !p.majorityHeard() && !(commanded && cmd.Reason == warden.ReasonRecover) { // guard: S5
		return election.Want{} // standing alone only fills disks and logs (S5)
	}
	if commanded && cmd.Reason != warden.ReasonSwitchover && cmd.Reason != warden.ReasonForced {
		return cmd
	}
	w := p.wantChange(t)
	finishing := w.Reason == warden.ReasonResume && t.Phase == warden.PhaseDone
	if t.Settings.Paused && !finishing { // the newest decision may be to end the pause
		p.wouldHave(w, "the group is paused")
		w = election.Want{}
	}
	w = p.leftToSentinels(w)
	if w.Reason == "" && commanded {
		w = cmd
	}
	if w.Reason == "" {
		if id := s.el.Newcomer(p.electionConfig(), p.now); id != "" {
			w = election.Want{Reason: warden.ReasonJoin, Warden: id}
		}
	}
	if p.heldBack(w.Reason) && w.Reason != "" && !commanded {
		return election.Want{}
	}
	return w
}

// majorityHeard reports whether a majority of the listed Wardens was heard
// lately: without one nothing can be agreed.
func (p *step) majorityHeard() bool {
	return !p.s.el.Reg.Superseded && p.s.el.HearsMajority(p.electionConfig(), p.now)
}

// wantChange is the change of nodes that the sight of them asks for.
func (p *step) wantChange(t *warden.Topology) election.Want {
	s := p.s
	switch {
	case s.mon.Tilt:
		return election.Want{}
	case s.mon.Odown:
		if p.cooling(t) {
			return election.Want{}
		}
		return election.Want{Reason: warden.ReasonFailover, Primary: t.Primary}
	case t.Phase != warden.PhaseDone || s.el.Reg.Accepted.Birth == t.Birth && s.el.Reg.Accepted.Version.Newer(t.Version):
		return election.Want{Reason: warden.ReasonResume}
	}
	if id := p.adoptable(); id != "" {
		return election.Want{Reason: warden.ReasonAdopt, Primary: id}
	}
	if p.looked || s.mended.of != t.Version || p.now.Sub(s.mended.at) >= thinkEvery || p.now < s.mended.at {
		s.mended = mending{of: t.Version, at: p.now}
		if p.needsRepair(t) {
			s.mended.want = warden.ReasonRepair
		} else if p.wantsSync(t) {
			s.mended.want = warden.ReasonSync
		}
	}
	return election.Want{Reason: s.mended.want}
}

// mending is what a finished topology asks to be mended, as it was thought of last.
// That costs too much for every Step, and changes only by what is seen and by time.
type mending struct {
	of   warden.Version
	at   warden.Instant
	want warden.Reason
}

// thinkEvery bounds how often that is thought about between looks.
const thinkEvery = 100 * warden.Millisecond

// cooling reports whether failover_cooldown holds a failover back.
func (p *step) cooling(t *warden.Topology) bool {
	return p.s.lastMove != 0 && p.now.Sub(p.s.lastMove) < p.c.FailoverCooldown && t.Phase == warden.PhaseDone
}

// wantsSync reports whether the sync set is not as it should be.
func (p *step) wantsSync(t *warden.Topology) bool {
	if !p.c.Durable && len(t.Sync) == 0 {
		if n := p.s.mon.Find(t.Primary); n == nil || n.Seen.Waits == "" {
			return false
		}
	}
	return failover.WantsSync(p.failoverConfig(), p.s.fo, t, p.sightings(), p.now)
}

// needsRepair reports whether some node is or follows the wrong thing, or the
// primary's replication id is not written down yet.
func (p *step) needsRepair(t *warden.Topology) bool {
	p.admitted(t)
	p.strand(t)
	if !p.suspicious(t) {
		return p.unrecorded(t)
	}
	for _, ft := range failover.Faults(p.failoverConfig(), t, p.sightings(), p.s.learnedAt) {
		if ft.Foreign {
			p.foreignNode(ft.Node)
		} else if !failover.HeldBack(p.s.fo, ft.Node, p.now) {
			return true
		}
	}
	return p.unrecorded(t)
}

// suspicious is a quick look for what Faults would judge: most Steps end here.
func (p *step) suspicious(t *warden.Topology) bool {
	primary := p.s.mon.Find(t.Primary)
	stalling := primary != nil && primary.Seen.NoDemote // its replicas copy nothing by themselves
	for _, n := range p.s.mon.Nodes {
		switch {
		case n.Down || n.Health != warden.HealthGood:
			if p.c.RejoinCommand && p.halfway(n) {
				return true
			}
		case n.ID == t.Primary && n.Seen.ReadOnly:
			return true
		case n.ID != t.Primary && (n.Seen.From != "" || n.Seen.NoSlot || warden.TagsOf(p.c.Tags, n.ID).ReplicateFrom != ""):
			return true
		case stalling && n.ID != t.Primary && n.Seen.Role == warden.RoleReplica && !n.Seen.LinkUp:
			return true // perhaps stalled
		case n.ID != t.Primary && (n.Seen.Role != warden.RoleReplica || n.Seen.Upstream != t.Primary || len(t.Sync) > 0 && n.Seen.Member != t.MemberName(n.ID)):
			return true
		}
	}
	return false
}

// strand says which nodes no order can bring behind the primary, once, and when
// they are behind it after all.
func (p *step) strand(t *warden.Topology) {
	s := p.s
	primary := s.mon.Find(t.Primary)
	if primary == nil || primary.SeenAt == 0 || !primary.Seen.NoDemote {
		return
	}
	for _, n := range s.mon.Nodes {
		if n.Health != warden.HealthGood || n.SeenAt < s.learnedAt {
			continue
		}
		// It may have been stranded, and be the one that was promoted.
		was, is := slices.Contains(s.stranded, n.ID), n.ID != t.Primary && failover.Stranded(primary.Seen, n.Seen)
		switch {
		case is && !was:
			s.stranded = append(slices.Clip(s.stranded), n.ID)
			why := "its data left the primary's line"
			if n.Seen.NeedsRejoin {
				why = "it was a primary and is fenced"
			}
			p.announce("+needs-rejoin", warden.LevelWarning, n.ID, why)
		case was && !is:
			s.stranded = slices.DeleteFunc(slices.Clone(s.stranded), func(id warden.NodeID) bool { return id == n.ID })
			p.announce("-needs-rejoin", warden.LevelNotice, n.ID, "")
		}
	}
}

// toldStranded takes in which nodes another Warden knows to need a rejoin, where
// they are down for this one. It may die with its rejoin_command, which has stopped
// the server by then.
func (p *step) toldStranded(st *warden.Status) {
	s := p.s
	if st.Chosen != s.el.Reg.Chosen.Version {
		return // it may speak of another primary
	}
	for _, id := range st.Stranded {
		if n := s.mon.Find(id); n != nil && n.Down && id != s.el.Reg.Chosen.Primary && !slices.Contains(s.stranded, id) {
			s.stranded = append(slices.Clip(s.stranded), id)
			p.announce("+needs-rejoin", warden.LevelWarning, id, "another Warden has seen it")
		}
	}
}

// unrecorded reports whether the primary has a replication id that is not
// written down in the topology yet.
func (p *step) unrecorded(t *warden.Topology) bool {
	n := p.s.mon.Find(t.Primary)
	return n != nil && n.Health == warden.HealthGood && n.Seen.Role == warden.RolePrimary && n.SeenAt > p.s.learnedAt &&
		n.Seen.Lineage != "" && !slices.Contains(t.Lineage, n.Seen.Lineage) &&
		(slices.Contains(p.s.mon.Extra, n.Seen.Lineage) || n.Seen.Lineage == p.s.mon.Sworn)
}

// admitted takes back that a node is foreign when it has the group's data by
// now: it was named or emptied, and has copied the primary. Until then clients
// are not told of it.
func (p *step) admitted(t *warden.Topology) {
	s := p.s
	for _, id := range s.foreign {
		n := s.mon.Find(id)
		if n != nil && n.Health == warden.HealthGood && n.Seen.Role == warden.RoleReplica && n.Seen.Upstream == t.Primary &&
			n.Seen.LinkUp && s.mon.Belongs(p.monitorConfig(), n.Seen) {
			s.foreign = slices.DeleteFunc(slices.Clone(s.foreign), func(have warden.NodeID) bool { return have == id })
		}
	}
}

func (p *step) foreignNode(id warden.NodeID) {
	if !slices.Contains(p.s.foreign, id) {
		p.s.foreign = append(p.s.foreign, id)
		p.announce("-foreign-node", warden.LevelWarning, id, "its data is not this group's: left alone; empty it or name it in nodes to let it follow")
	}
}

// adoptable is a node that the agreed primary itself says it replicates from,
// that says it is primary, in the same lineage: an operator's own change.
func (p *step) adoptable() warden.NodeID {
	s := p.s
	t := &s.el.Reg.Chosen
	id := warden.NodeID("")
	if p.c.Durable && t.Promises() {
		return "" // it has to be looked at sealed: by a failover
	}
	if n := s.mon.Find(t.Primary); n != nil && t.Phase == warden.PhaseDone && n.SeenAt > s.learnedAt &&
		n.Health == warden.HealthGood && n.Seen.Role == warden.RoleReplica {
		b := s.mon.Find(n.Seen.Upstream)
		if b != nil && b.Health == warden.HealthGood && b.SeenAt > s.learnedAt && b.Seen.Role == warden.RolePrimary && !b.Seen.Empty &&
			s.mon.Belongs(p.monitorConfig(), b.Seen) && p.now.Sub(n.RoleSince) >= adoptAfter && p.now.Sub(b.RoleSince) >= adoptAfter {
			id = b.ID
		}
	}
	return id
}

// wantBirth stands for the first agreement when the set of known Wardens has
// been calm for a hello interval, or is as large as configured.
func (p *step) wantBirth() election.Want {
	s := p.s
	primary, says := provisional(p.c, s)
	if !says || s.mon.Tilt || p.uninformed() != "" { // guard: S9
		return election.Want{}
	}
	list := []warden.WardenID{p.c.Self}
	same := 1
	for _, q := range s.el.Peers {
		if p.now.Sub(q.At) > 5*warden.Second+2*p.c.HelloInterval {
			continue
		}
		list = append(list, q.ID)
		if q.Status.Primary == primary || q.Status.Primary == "" || q.Birth != "" {
			// One that speaks of a Birth speaks of what was agreed, not of what
			// it is configured with.
			same++
		}
	}
	slices.SortFunc(list, func(a, b warden.WardenID) int { return strings.Compare(string(a), string(b)) })
	calm := p.now.Sub(s.el.CalmSince()) >= p.c.HelloInterval
	full := p.c.Wardens > 0 && len(list) >= p.c.Wardens
	need := max(p.c.Quorum, max(len(list), p.c.Wardens)/2+1)
	if (!calm && !full) || len(list) < need || len(list) == 1 && !p.c.Alone { // guard: S2
		return election.Want{}
	}
	if same < need { // guard: S9
		p.primaryConflict(primary)
		return election.Want{}
	}
	return election.Want{Reason: warden.ReasonBirth, Primary: primary, List: list}
}

func (p *step) primaryConflict(primary warden.NodeID) {
	if p.s.crossed != string(primary) {
		p.s.crossed = string(primary)
		p.announce("-primary-conflict", warden.LevelWarning, primary, "the Wardens are configured with different primaries and no majority is for one: correct the configuration files")
	}
}

// wouldHave says once what was kept from being done, and why.
func (p *step) wouldHave(w election.Want, why string) {
	if w.Reason == "" || w.Is(p.s.wouldSaid) {
		if w.Reason == "" {
			p.s.wouldSaid = w
		}
		return
	}
	p.s.wouldSaid = w
	name := "+would-" + string(w.Reason)
	p.announce(name, warden.LevelWarning, "", why)
}
