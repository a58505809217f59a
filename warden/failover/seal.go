package failover

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// binding reports whether acknowledged writes are promised to survive: then
// nobody is promoted before enough members are sealed. An operator who takes
// durability = "quorum" from the configuration gives the promise up.
func (r *run) binding() bool { return r.c.Durable && r.sc.Base.Promises() }

// keepWrites is advance for the stages that groups of PostgreSQL have beside
// the others, and reports whether this is one of them.
func (r *run) keepWrites() bool {
	switch r.s.Stage {
	case Resolving:
		r.resolved()
	case Sealing:
		r.sealing()
	case Widening:
		if r.chosen {
			r.enter(Naming)
		}
	case Naming:
		r.naming()
	case Arming:
		r.arming()
	case Narrowing:
		if r.chosen {
			r.finish(warden.VerdictDone, "", "")
		}
	case Withdrawing:
		if r.chosen {
			r.enter(Holding)
		}
	default:
		return false
	}
	return true
}

// resolve has it agreed that members are sealed (S3). Beside a promotion that
// may have happened the topology says so already: it is not done.
func (r *run) resolve() {
	s := r.s
	s.Looks, s.sealed = nil, false
	if s.held && r.sc.Base.Phase == warden.PhaseSealing {
		r.enter(Sealing) // it was agreed before the hold
		return
	}
	reason := s.Want.Reason
	if r.sc.Base.Phase != warden.PhaseDone {
		reason = r.sc.Base.Reason
	}
	r.propose(Resolving, reason, func(t *warden.Topology) {
		if t.Phase == warden.PhaseDone {
			t.Phase = warden.PhaseSealing
		}
	})
}

// resolved: the sealing is chosen, if enough still find the primary down.
func (r *run) resolved() {
	s := r.s
	if r.chosen {
		s.StageAt = r.now
	} else if r.sc.Proposing || r.proposed { // guard: S3
		return
	}
	if doubt, settled := r.doubted(); doubt != "" { // guard: S6
		if settled {
			r.unresolve(doubt)
		}
		return
	}
	r.enter(Sealing)
}

// unresolve gives the sealing up. A promotion that may have happened stays the
// topology's word.
func (r *run) unresolve(why string) {
	if r.sc.Base.Phase == warden.PhasePromoting {
		r.finish(warden.VerdictRefused, "not-sealed", why)
		return
	}
	r.goBack(why)
}

// sealing seals the members, all at once, until enough of every set are.
func (r *run) sealing() {
	s := r.s
	for _, id := range r.sealable() {
		if r.lookAt(id) == nil && r.counts(id) {
			s.Looks = append(slices.Clip(s.Looks), Look{Node: id, Seen: nothing})
			s.ordered = true
			r.seal(id)
		}
	}
	short := r.short()
	if short == "" && s.pollAt == 0 {
		s.pollAt = r.now.Add(sealGrace)
	}
	switch {
	case short == "" && r.sealsComing() && (r.now < s.pollAt || !r.anySealed()):
		// More to choose from, and more members for whom is chosen. A set that
		// nothing could be acknowledged by needs no seal, but a candidate.
	case short == "":
		r.say("enough members are sealed")
		s.sealed = true
		r.choose()
	case !r.anyWaiting(warden.ActSeal) && !r.anyWaiting(warden.ActClaim):
		r.say("%s", short)
		r.note("-seal-failed", "", short)
		r.unresolve(short)
	}
}

// seal seals one member. One that somebody else has made a primary receives from
// nobody any more; it is only claimed and looked at.
func (r *run) seal(id warden.NodeID) {
	if n := r.sc.node(id); n != nil && n.Good && !n.Down && n.Seen.Role == warden.RolePrimary {
		r.act(warden.ActClaim, id, "", claimLimit)
		return
	}
	r.act(warden.ActSeal, id, "", sealLimit)
}

// sealsComing reports whether a member that answered lately is being sealed.
func (r *run) sealsComing() bool {
	return slices.ContainsFunc(r.s.pending, func(p pending) bool {
		n := r.sc.node(p.node)
		return (p.kind == warden.ActSeal || p.kind == warden.ActClaim) && n != nil && n.Good && !n.Down && !n.Refusing
	})
}

// counts reports whether a node, as it was last seen, is the member that it is
// counted as.
func (r *run) counts(id warden.NodeID) bool {
	b := &r.sc.Base
	name, n := b.MemberName(id), r.sc.node(id)
	return name == "" || n == nil || n.Seen.Role != warden.RoleReplica || answersTo(b, n.Seen, name)
}

// known reports whether a sealed node was, as far as that can be told, the member
// that it is counted as.
func (r *run) known(id warden.NodeID, o *warden.Observation) bool {
	name := r.sc.Base.MemberName(id)
	return name == "" || o.Role != warden.RoleReplica || o.Member == "" || o.Member == name
}

func (r *run) anySealed() bool {
	return slices.ContainsFunc(r.s.Looks, func(l Look) bool { return l.Sealed })
}

// sealable are the members of all sets, without the primary to be replaced.
func (r *run) sealable() []warden.NodeID {
	var out []warden.NodeID
	for _, set := range r.sc.Base.Sync {
		for _, m := range set.Members {
			if !slices.Contains(out, m.Node) && m.Node != r.s.Old {
				out = append(out, m.Node)
			}
		}
	}
	if r.s.inspected && r.sc.Base.Phase == warden.PhasePromoting && !slices.Contains(r.s.excluded, r.sc.Base.Primary) {
		out = append(out, r.sc.Base.Primary) // never promoted: it has everything, and may be taken after all
	}
	return out
}

// short says which set has too few sealed members, "" when every one has enough.
func (r *run) short() string {
	for _, set := range r.sc.Base.Sync {
		n := 0
		for _, m := range set.Members {
			if l := r.lookAt(m.Node); l != nil && l.Sealed {
				n++
			}
		}
		if n < set.Seals() { // guard: S8
			return fmt.Sprintf("%d of %d members are sealed and %d are needed (%s): acknowledged writes could be lost", n, len(set.Members), set.Seals(), set)
		}
	}
	return ""
}

// sealDone: a member was sealed, or not. One that is a primary by now, made so
// by somebody else, receives from nobody either.
func (r *run) sealDone(p pending, d ActionDone) {
	r.s.ownLooks()
	l := r.lookAt(p.node)
	if r.s.Stage != Sealing || l == nil {
		return
	}
	o := d.Observation
	seen := d.Result.Outcome == warden.Done && o.Health == warden.HealthGood
	*l = Look{Node: p.node, Asked: d.Asked, Done: true, Seen: o, // guard: S8
		Sealed: seen && r.ours(o) && r.known(p.node, o) && (o.Role == warden.RolePrimary || o.Role == warden.RoleReplica && o.Sealed)}
	if !l.Sealed {
		r.say("%s is not sealed: %s", p.node, why(d))
	}
}

// keeps reports whether the choice has everything that was acknowledged: what
// any sealed member has, or can take it over first.
func (r *run) keeps(ch Choice) string {
	best := r.lookAt(ch.Candidate)
	for i := range r.s.Looks {
		x := &r.s.Looks[i]
		if !x.Sealed || x.Node == ch.Candidate || x.Node == ch.Furthest {
			continue
		}
		ask := Ask{Lineage: r.sc.Lineage}
		mine, its := lineageRank(ask, *best), lineageRank(ask, *x)
		if its > mine || its == mine && x.Seen.Position > max(best.Seen.Position, ch.FurthestPosition) || ch.Already && Diverged(best.Seen, x.Seen) { // guard: S8
			return fmt.Sprintf("%s has acknowledged writes that %s may lack", x.Node, ch.Candidate)
		}
	}
	return ""
}

// inherit is what the candidate's topology says of acknowledged writes: who
// keeps those it will take, and what it has of those before.
func (r *run) inherit(t *warden.Topology) {
	if !r.c.Durable {
		t.Sync, t.PreviousSync, t.Floor = nil, nil, warden.Fork{}
		return
	}
	if len(t.Sync) == 0 {
		return
	}
	next := t.NewestSync()
	if n := len(t.PreviousSync); n > 0 && t.PreviousSync[n-1].K > 0 {
		next = t.PreviousSync[n-1] // a candidate that was given up is a member as before
	}
	next = next.Without(r.s.Candidate)
	if !r.c.SyncStrict {
		next.K = min(next.K, len(next.Members))
	}
	t.Sync, t.Floor = []warden.SyncSet{next}, warden.Fork{} // nothing was promised before, unless members were sealed
	if l := r.lookAt(r.s.Candidate); l != nil && r.s.sealed {
		t.Floor = warden.Fork{Lineage: l.Seen.Lineage, End: max(l.Seen.Position, r.s.target)}
	}
}

// unseal lets the members receive again, from the primary that stays. What it
// does not reach is found and mended later.
func (r *run) unseal() {
	p := r.sc.node(r.sc.Base.Primary)
	for _, l := range r.s.Looks {
		if p != nil && Stranded(p.Seen, l.Seen) || !r.ours(l.Seen) {
			continue // it went another way and is not sent behind anybody
		}
		if l.Sealed && l.Seen.Role == warden.RoleReplica && l.Node != r.sc.Base.Primary {
			r.follow(l.Node, r.sc.Base.Primary, orderLimit)
		}
	}
}
