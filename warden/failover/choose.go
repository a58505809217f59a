package failover

import (
	"fmt"

	"github.com/spineldb/warden/warden"
)

// choose decides whom to promote, or that there is nobody.
func (r *run) choose() {
	s := r.s
	switchover := s.Want.Reason == warden.ReasonSwitchover && !s.demoted && s.Old == s.Want.Primary && !s.held
	if s.inspected && r.oldServes() {
		r.enter(Reclaiming)
		return
	}
	if r.binding() && !s.sealed && !switchover { // guard: S8
		if !r.askEarly() {
			r.resolve()
		}
		return
	}
	if switchover {
		if l := r.lookAt(s.Old); l == nil || !good(*l) || l.Seen.Role != warden.RolePrimary {
			r.finish(warden.VerdictRefused, "no-primary", fmt.Sprintf("%s does not answer as a primary: a switchover needs it alive, use failover", s.Old))
			return
		}
	}
	ch := Choose(r.ask(switchover))
	for _, line := range ch.Reasons {
		r.say("%s", line)
	}
	r.weighed(ch)
	if lacks := ""; s.sealed && ch.Candidate != "" {
		if lacks = r.keeps(ch); lacks != "" { // guard: S8
			r.say("%s", lacks)
			r.unresolve(lacks)
			return
		}
	}
	if ch.Candidate == "" && len(s.vetoed) > 0 {
		r.allVetoed(Choice{})
		return
	}
	if ch.Candidate == "" {
		r.note("-failover-abort-no-good-slave", "", "")
		if s.sealed {
			r.unresolve("no sealed member can be promoted")
			return
		}
		r.finish(warden.VerdictRefused, "no-good-replica", "no replica can be promoted")
		return
	}
	if r.unasked(ch) { // guard: veto
		r.askAbout(ch.Candidate)
		return
	}
	s.Candidate, s.furthest, s.target = ch.Candidate, ch.Furthest, ch.FurthestPosition
	r.note("+selected-slave", ch.Candidate, "")
	r.sayLoss()
	switch {
	case ch.Already && serves(r.lookAt(ch.Candidate).Seen):
		s.confirmed = r.lookAt(ch.Candidate).Seen
		r.publish(warden.ReasonAdopt)
	case switchover:
		r.hold()
	default:
		r.decide()
	}
}

// ask is what the choice is made from. linked: only replicas with a standing
// link to the old primary.
func (r *run) ask(linked bool) Ask {
	s := r.s
	oldToo := s.demoted || s.inspected
	if l := r.lookAt(s.Old); l != nil && good(*l) && l.Seen.Role == warden.RoleReplica {
		oldToo = true // a primary that came back as a replica is one like the others
	}
	ask := Ask{Looks: s.Looks, Old: s.Old, OldToo: oldToo, Exclude: s.excluded, Linked: linked, Previous: r.sc.Base.Previous,
		Lineage: r.sc.Lineage, DownFor: r.sc.DownFor, DownAfter: r.c.DownAfter, PriorityFirst: r.c.PriorityFirst}
	if s.Want.Reason == warden.ReasonSwitchover || s.Want.Reason == warden.ReasonForced {
		ask.To = s.Want.To
	}
	ask.AnyAge = r.anyAge()
	ask.Sealed, ask.Floor = s.sealed, r.sc.Base.Floor
	ask.Vetoed = s.vetoed
	if s.sealed && s.inspected {
		ask.Spared = r.sc.Base.Primary
	}
	ask.Vouched = r.vouched(ask.To)
	if s.held {
		ask.To = s.Candidate // it has everything, and was told to be the one
	}
	if old := r.sc.node(s.Old); old != nil && old.Seen.Role == warden.RolePrimary && !linked {
		ask.MaxLag, ask.Had, ask.HadLine = r.c.MaxLag, old.Seen.Position, old.Seen.Lineage
	}
	return ask
}

// anyAge reports whether data of any age will do. How long the replicas have been
// without a primary is not known to one who takes over; an operator who forces a
// failover has decided about it.
func (r *run) anyAge() bool {
	return r.s.inspected || r.s.sealed || r.s.Want.Reason == warden.ReasonForced
}

// sayLoss says how much of what the old primary was last seen to have the
// candidate lacks. Writes after that last look are not in the figure.
func (r *run) sayLoss() {
	r.account(func(a *Account) { a.Lacks = -1 })
	old, l := r.sc.node(r.s.Old), r.lookAt(r.s.Candidate)
	if old == nil || l == nil || r.s.Want.Reason == warden.ReasonSwitchover || old.Seen.Role != warden.RolePrimary || old.Seen.Lineage != l.Seen.Lineage || l.Seen.Role != warden.RoleReplica {
		return
	}
	lacks := max(old.Seen.Position-l.Seen.Position, 0)
	r.account(func(a *Account) { a.Lacks = lacks })
	r.say("%s lacks %d bytes of what %s was last seen to have", r.s.Candidate, lacks, r.s.Old)
}

func (r *run) lookAt(id warden.NodeID) *Look {
	for i := range r.s.Looks {
		if r.s.Looks[i].Node == id {
			return &r.s.Looks[i]
		}
	}
	return nil
}

// oldServes reports whether the old primary was just seen serving.
func (r *run) oldServes() bool {
	l := r.lookAt(r.s.Old)
	return l != nil && good(*l) && l.Seen.Role == warden.RolePrimary && !l.Seen.Empty && r.believed(l.Node, l.Seen)
}
