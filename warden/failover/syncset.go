package failover

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// Absence is since when a member has not been seen streaming from the primary.
type Absence struct {
	Name  string
	Since warden.Instant
}

// Absences are the members that the primary p, just looked at, does not stream
// to, for State.Absent. One that is down for us is absent too: a primary streams
// to a silent standby for a minute, and who cannot be reached cannot be sealed.
func Absences(s *State, t *warden.Topology, p *warden.Observation, down func(warden.NodeID) bool, now warden.Instant) []Absence {
	if !t.Promises() || p.Role != warden.RolePrimary {
		return nil
	}
	var absent []Absence
	for _, m := range t.NewestSync().Members {
		if streams(p, m.Name) && !down(m.Node) {
			continue
		}
		since := now
		for _, a := range s.Absent {
			if a.Name == m.Name {
				since = a.Since
			}
		}
		absent = append(absent, Absence{m.Name, since})
	}
	return absent
}

func streams(p *warden.Observation, name string) bool {
	return slices.ContainsFunc(p.Replicas, func(r warden.Replica) bool { return r.Name == name && r.Online })
}

// WantsSync reports whether the sync set, or what the primary waits for, is not
// as it should be.
func WantsSync(c *Config, s *State, t *warden.Topology, nodes []Sighting, now warden.Instant) bool {
	r := run{c: c, s: s, sc: &Scene{Nodes: nodes, Base: *t}, now: now}
	if t.Phase != warden.PhaseDone || r.heldBack(t.Primary) || r.waits() == nil {
		return false
	}
	if !c.Durable && len(t.Sync) == 0 {
		// It waits by what was set before quorum durability was given up. What an
		// operator sets is his own.
		return warden.OurRule(r.sc.node(t.Primary).Seen.Waits)
	}
	next, changes := r.nextSync()
	return len(t.Sync) == 2 || changes || !next.Rule(t.Primary).Is(*r.waits())
}

// waits is what the agreed primary waits for; nil while that is not known.
func (r *run) waits() *string {
	p := r.sc.node(r.sc.Base.Primary)
	if p == nil || !p.Good || p.Down || !serves(p.Seen) {
		return nil
	}
	return &p.Seen.Waits
}

// nextSync is the sync set that the sight of the nodes asks for, and whether it
// is another one than the newest.
func (r *run) nextSync() (warden.SyncSet, bool) {
	now := r.sc.Base.NewestSync()
	if !r.c.Durable {
		return warden.SyncSet{}, len(r.sc.Base.Sync) > 0
	}
	keep := r.lasting(now)
	next := warden.SyncSet{K: max(r.c.SyncStandbys, 1), Members: keep}
	for _, n := range r.spares(now) {
		if size := r.c.SyncGroupSize; size > 0 && len(next.Members) >= size {
			break
		}
		name := warden.MemberName(r.sc.Base.Group, n.ID, warden.Version{Epoch: max(r.s.Epoch, r.sc.Base.Epoch), Step: r.sc.Base.Step})
		next.Members = append(next.Members, warden.Member{Node: n.ID, Name: name})
	}
	switch {
	case len(next.Members) >= next.K:
	case now.K == 0:
		// Nothing is promised yet, or any more: that begins when it can be kept.
		return now, false
	case r.c.SyncStrict && len(next.Members) < now.K:
		return now, false // rather block than promise less; to name others would not help
	case r.c.SyncStrict:
		next.K = now.K
	default:
		next.K = len(next.Members)
	}
	slices.SortFunc(next.Members, func(a, b warden.Member) int { return cmp.Compare(a.Node, b.Node) })
	return next, !next.Equal(now)
}

// lasting are the members that stay: not those gone for longer than is waited
// for, nor those that can be none.
func (r *run) lasting(now warden.SyncSet) (keep []warden.Member) {
	p := r.sc.node(r.sc.Base.Primary)
	since := func(m warden.Member) warden.Instant {
		for _, a := range r.s.Absent {
			if a.Name == m.Name {
				return a.Since
			}
		}
		return r.now
	}
	for _, m := range now.Members {
		n := r.sc.node(m.Node)
		out := m.Node == r.sc.Base.Primary || n != nil && n.Good && (n.Seen.NoSync || n.Seen.From != "" || p != nil && Stranded(p.Seen, n.Seen) ||
			n.Seen.Role == warden.RoleReplica && !answersTo(&r.sc.Base, n.Seen, m.Name))
		if !out && r.now.Sub(since(m)) <= r.c.MemberTimeout {
			keep = append(keep, m)
		}
	}
	return keep
}

// spares are the nodes that could join, the closest behind the primary first.
func (r *run) spares(now warden.SyncSet) []*Sighting {
	p := r.sc.node(r.sc.Base.Primary)
	var out []*Sighting
	for i := range r.sc.Nodes {
		n := &r.sc.Nodes[i]
		if n.ID == r.sc.Base.Primary || !n.Good || n.Down || n.Seen.NoSync || n.Seen.From != "" || n.Seen.Sealed || !n.Seen.LinkUp || now.Name(n.ID) != "" || r.heldBack(n.ID) ||
			n.Seen.Lineage != p.Seen.Lineage || !n.Belongs || !r.follows(p, n) {
			continue
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b *Sighting) int { return cmp.Compare(b.Seen.Position, a.Seen.Position) })
	return out
}

// arrange begins to change the sync set, goes on with a change that another
// leader began, or only makes the primary wait as it should.
func (r *run) arrange() {
	b := &r.sc.Base
	if len(b.Sync) == 2 {
		r.say("the sync set was being changed: %s to %s", b.Sync[0], b.Sync[1])
		r.enter(Naming)
		return
	}
	next, changes := r.nextSync()
	if !changes {
		if w := r.waits(); w != nil && len(b.Sync) > 0 && !b.NewestSync().Rule(b.Primary).Is(*w) {
			r.note("-sync-names-changed", b.Primary, "it waits by what no Warden has set; it is put back")
		}
		r.enter(Naming)
		return
	}
	before := b.NewestSync()
	r.s.widened = true
	r.say("the sync set is to change: %s to %s", before, next)
	r.propose(Widening, warden.ReasonSync, func(t *warden.Topology) {
		t.Sync = []warden.SyncSet{before, next}
		if before.K == 0 {
			t.Floor = warden.Fork{} // of a promise that was given up
		}
	})
}

// naming gives the members their names, and waits until they are seen under
// them: whoever joins is to count from the first commit on.
func (r *run) naming() {
	s, b := r.s, &r.sc.Base
	p := r.sc.node(b.Primary)
	if r.waits() == nil {
		r.finish(warden.VerdictUnknown, "primary-lost", fmt.Sprintf("%s does not answer as the primary: the sync set stays as it is", b.Primary))
		return
	}
	late := r.now.Sub(s.StageAt) > namingLimit
	ready := true
	for _, m := range b.NewestSync().Members {
		n := r.sc.node(m.Node)
		if n == nil || !n.Good || n.Down || n.Seen.Role != warden.RoleReplica || Stranded(p.Seen, n.Seen) || r.heldBack(n.ID) ||
			!answersTo(b, n.Seen, m.Name) {
			continue
		}
		named := n.Seen.Member == m.Name && n.Seen.Upstream == b.Primary && n.Seen.Waits != ""
		switch {
		case r.waiting(warden.ActFollow, m.Node):
			ready = false
		case !named && !slices.Contains(s.excluded, m.Node):
			ready = false
			s.excluded = append(s.excluded, m.Node) // asked once
			r.follow(m.Node, b.Primary, orderLimit)
		case !named || !streams(p.Seen, m.Name):
			ready = ready && late
		}
	}
	if ready || late && !r.anyWaiting(warden.ActFollow) {
		r.named(p.Seen)
	}
}

// named: the members were told their names. A primary that were made to wait
// for names that too few carry would stop; and who does not carry his keeps
// nothing, but has to be sealed by that name. Then the set before stays, if that can
// still be done.
func (r *run) named(p *warden.Observation) {
	next := r.sc.Base.NewestSync()
	carried, absent := r.carried(), r.absentees(p)
	switch {
	case r.s.widened && carried < next.K:
		r.say("%d of %d members stream under their names and %d have to: %s stays", carried, len(next.Members), next.K, r.sc.Base.Sync[0])
		r.later(r.sc.Base.Primary)
	case r.s.widened && len(absent) > 0:
		for _, m := range absent {
			r.say("%s was to join and does not stream as %s: %s stays", m.Node, m.Name, r.sc.Base.Sync[0])
			r.later(m.Node)
		}
	case carried < next.K && next.Rule(r.sc.Base.Primary).Is(p.Waits):
		r.unfilled()
		return
	default:
		r.enter(Arming)
		return
	}
	r.propose(Narrowing, warden.ReasonSync, func(t *warden.Topology) { t.Sync = t.Sync[:1] })
}

// absentees are who is to join the set and does not stream under the name that is
// for him.
func (r *run) absentees(p *warden.Observation) (out []warden.Member) {
	sets := r.sc.Base.Sync
	if len(sets) < 2 {
		return nil
	}
	for _, m := range sets[1].Members {
		if !slices.Contains(sets[0].Members, m) && !streams(p, m.Name) {
			out = append(out, m)
		}
	}
	return out
}

// carried is how many members of the newest set stream under their names.
func (r *run) carried() (n int) {
	p := r.sc.node(r.sc.Base.Primary)
	for _, m := range r.sc.Base.NewestSync().Members {
		if p != nil && streams(p.Seen, m.Name) {
			n++
		}
	}
	return n
}

// unfilled: the primary waits, as it should, for more members than there are.
// What keeps them away may be for a repair to mend.
func (r *run) unfilled() {
	b := &r.sc.Base
	r.later(b.Primary)
	r.finish(warden.VerdictUnknown, "not-filled", fmt.Sprintf("%s waits for %s, and only %d of them stream", b.Primary, b.NewestSync(), r.carried()))
}

func (r *run) anyWaiting(kind warden.ActionKind) bool {
	return slices.ContainsFunc(r.s.pending, func(p pending) bool { return p.kind == kind })
}

// arming makes the primary wait by the newest set.
func (r *run) arming() {
	s, b := r.s, &r.sc.Base
	switch {
	case r.waiting(warden.ActWait, b.Primary):
	case r.waits() == nil, s.promotions >= maxPromotions:
		r.later(b.Primary)
		r.finish(warden.VerdictUnknown, "not-confirmed", fmt.Sprintf("it could not be confirmed that %s waits for %s", b.Primary, b.NewestSync()))
	case s.promotions > 0 && r.carried() < b.NewestSync().K:
		r.unfilled()
	case r.now >= s.pollAt:
		s.promotions++
		a := r.act(warden.ActWait, b.Primary, "", waitLimit)
		for _, set := range b.Sync {
			a.Rules = append(a.Rules, *set.Rule(b.Primary))
		}
		if len(a.Rules) == 0 {
			a.Rules = []warden.SyncRule{{}}
		}
	}
}

// waitDone: the primary waits by the newest set, or it is not sure.
func (r *run) waitDone(p pending, d ActionDone) {
	s := r.s
	if s.Stage != Arming {
		return
	}
	if d.Result.Outcome != warden.Done {
		r.say("%s: waiting for %s is %s %s", p.node, r.sc.Base.NewestSync(), d.Result.Outcome, d.Result.Why)
		s.pollAt = r.now.Add(retryClaim)
		return
	}
	r.say("%s waits for %s", p.node, r.sc.Base.NewestSync())
	if len(r.sc.Base.Sync) < 2 {
		r.finish(warden.VerdictDone, "", "")
		return
	}
	r.propose(Narrowing, warden.ReasonSync, func(t *warden.Topology) {
		t.Sync = t.Sync[1:]
		if t.Sync[0].K == 0 && !r.c.Durable {
			t.Sync = nil
		}
	})
}

// called reports whether a replica carries the name it has to: a member its
// own, everybody else none. Without sync sets names are the operator's matter.
func (r *run) called(t *warden.Topology, n *Sighting) bool {
	return len(t.Sync) == 0 || n.Seen.Member == nameFor(t, n)
}

// nameFor is the name that a node has to carry: none if it is no member, or is
// not the one that was given the name.
func nameFor(t *warden.Topology, n *Sighting) string {
	if name := t.MemberName(n.ID); answersTo(t, n.Seen, name) {
		return name
	}
	return ""
}

// answersTo reports whether a node is still the one that was given a name. A
// seal takes the name off; but one that streams without it was built anew, and
// does not hold what it was counted for: it has to join again, under another.
func answersTo(t *warden.Topology, seen *warden.Observation, name string) bool {
	joins := len(t.Sync) == 2 && !slices.ContainsFunc(t.Sync[0].Members, func(m warden.Member) bool { return m.Name == name })
	return joins || seen.Member == name || seen.Role == warden.RoleReplica && seen.Member == "" && (seen.Sealed || seen.Upstream == "")
}

// enlist gives the order to follow what belongs to a member: its name, and the
// rule by which it would wait as a primary.
func (r *run) enlist(a *warden.Action) {
	t := &r.sc.Base
	if len(t.Sync) == 0 {
		return
	}
	if n := r.sc.node(a.Node); n != nil {
		a.Name = nameFor(t, n)
	}
	a.Sync = t.NewestSync().Rule(a.Node)
}
