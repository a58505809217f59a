package failover

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// actionDone takes in the end of an action.
func (r *run) actionDone(d ActionDone) {
	s := r.s
	i := slices.IndexFunc(s.pending, func(p pending) bool { return p.id == d.ID })
	if i < 0 {
		return // of an attempt that is over
	}
	p := s.pending[i]
	s.pending = slices.Delete(slices.Clone(s.pending), i, i+1)
	r.ended(d.ID, d.Result)
	if d.Result.Superseded {
		r.finish(warden.VerdictRefused, "superseded", fmt.Sprintf("%s is claimed by a newer leader: %s", p.node, d.Result.Why))
		r.f.Finish.Superseded = true
		return
	}
	for _, n := range d.Result.Notes {
		if strings.HasPrefix(n, "needs-rejoin: ") {
			continue // the next look says so, with an event of its own
		}
		r.note("-order-note", p.node, n)
	}
	switch p.kind {
	case warden.ActLook:
		r.lookDone(p, d)
	case warden.ActClaim:
		r.claimDone(p, d)
	case warden.ActPromote:
		r.promoteDone(p, d)
	case warden.ActFollow:
		r.followDone(p, d)
	case warden.ActSeal:
		r.sealDone(p, d)
	case warden.ActWait:
		r.waitDone(p, d)
	case warden.ActAsk:
		r.askDone(p, d)
	case warden.ActFence:
		r.fenceDone(p, d)
	case warden.ActRejoin:
		r.rejoined(p, d)
	case warden.ActHold:
		r.holdDone(p, d)
	}
}

func (r *run) lookDone(p pending, d ActionDone) {
	s := r.s
	s.ownLooks()
	if l := r.lookAt(p.node); l != nil {
		*l = Look{Node: p.node, Asked: d.Asked, Done: true, Seen: d.Observation}
	}
	if p.node != s.Candidate || d.Observation.Health != warden.HealthGood {
		return
	}
	switch s.Stage {
	case Draining:
		if d.Observation.Position >= s.target { // guard: SW
			r.say("%s has everything up to %d", s.Candidate, s.target)
			if r.binding() {
				r.resolve()
			} else {
				r.decide()
			}
		}
	case CatchingUp:
		if d.Observation.Position >= s.target {
			r.say("%s has caught up to %d", s.Candidate, s.target)
			r.enter(Fencing)
		}
	}
}

// claimDone: the node is ours, and looked at over the claimed session.
func (r *run) claimDone(p pending, d ActionDone) {
	s, o := r.s, d.Observation
	seen := d.Result.Outcome == warden.Done && o.Health == warden.HealthGood
	switch s.Stage {
	case Sealing:
		r.sealDone(p, d)
	case Inspecting:
		r.inspected(d, seen)
	case Reclaiming:
		r.reclaimed(d, seen)
	case Claiming:
		switch {
		case !seen: // guard: S3
			// No order was given in this epoch, and the base was settled, so
			// somebody else may be chosen.
			r.say("%s cannot be claimed: %s", p.node, why(d))
			s.excluded = append(s.excluded, p.node)
			r.look()
		case !r.ours(o): // guard: S7
			// Never ordered to be promoted, so it is merely not eligible.
			r.say("%s is another server now, or lost its data", p.node)
			s.excluded = append(s.excluded, p.node)
			r.look()
		case serves(o):
			s.confirmed = o
			r.publish(r.sc.Base.Reason)
		case s.sealed && !o.Sealed: // guard: S8
			r.say("%s is not sealed any more", p.node)
			r.look()
		case r.shrunk(o): // guard: SW
			r.another(p.node, o)
		case !r.recorded(o): // guard: S7
			r.decideAnew(o)
		case s.furthest != "" && o.Position < s.target: // it may have caught up in an earlier round
			r.enter(CatchingUp)
		default:
			r.enter(Fencing)
		}
	case Demoting:
		if !seen { // guard: SW
			s.pollAt = r.now.Add(retryClaim)
			return
		}
		if o.Role == warden.RoleReplica {
			s.demoted = true
			r.enter(Claiming)
		} else {
			s.pollAt = 0
		}
	case Promoting:
		switch {
		case !seen: // guard: S4
			s.pollAt = r.now.Add(retryClaim)
		case !r.ours(o): // guard: S7
			r.strange(p.node)
		case serves(o):
			r.confirm(o)
		case r.shrunk(o): // guard: SW
			r.another(p.node, o)
		case !r.recorded(o): // guard: S7
			r.decideAnew(o)
		default:
			s.pollAt = 0
			if s.promotions > 0 {
				r.say("%s is still a replica", p.node)
			}
		}
	}
}

// ours reports whether an observation is of the group's lineage.
func (r *run) ours(o *warden.Observation) bool { return r.rank(o) >= 0 }

// rank is how new an observation's line is, whosever it is: see lineageRank.
func (r *run) rank(o *warden.Observation) int {
	return lineageRank(Ask{Lineage: r.sc.Lineage}, Look{Seen: o})
}

// recorded reports whether the decision knows the line that the candidate
// holds now. Once promoted it shows that only as the one before.
func (r *run) recorded(o *warden.Observation) bool {
	return o.Lineage == "" || slices.Contains(r.sc.Base.Lineage, o.Lineage)
}

// decideAnew: the candidate took over another line of the lineage after it was
// looked at, from a primary that came back. Promoted now, it would look like a
// stranger to everybody who has not seen that (simulator seed 21898).
func (r *run) decideAnew(o *warden.Observation) {
	r.say("%s holds another line of the lineage now: it has to be written down first", r.s.Candidate)
	r.s.ownLooks()
	if l := r.lookAt(r.s.Candidate); l != nil {
		l.Seen = o
	}
	r.decide()
}

// shrunk reports whether the candidate, a replica, came back with less than it
// was chosen for: an older line of the lineage than the newest, which was its
// own; or not everything, where writes are held or members were sealed.
func (r *run) shrunk(o *warden.Observation) bool {
	s := r.s
	if i := slices.Index(r.sc.Base.Lineage, o.Lineage); i >= 0 && i < len(r.sc.Base.Lineage)-1 || s.held && o.Position < s.target {
		return true
	}
	floor := r.sc.Base.Floor
	return s.sealed && s.furthest == "" && o.Lineage == floor.Lineage && o.Position < floor.End
}

// another: the candidate, still a replica, is not what it was.
func (r *run) another(node warden.NodeID, o *warden.Observation) {
	r.say("%s has less than it was chosen for: %d", node, o.Position)
	r.s.excluded = append(r.s.excluded, node)
	r.look()
}

// strange: what answers at the candidate's address is not of the lineage as
// far as it is known. It may be another server, or our candidate promoted and
// restarted since. It counts as the primary (S4); the Wardens find it down for
// what it is, and fail over away from it.
func (r *run) strange(node warden.NodeID) {
	r.finish(warden.VerdictUnknown, "candidate-strange",
		fmt.Sprintf("%s is another server now, or was promoted and restarted: it counts as the primary", node))
}

func why(d ActionDone) string {
	if d.Result.Why != "" {
		return d.Result.Why
	}
	return string(d.Observation.Health) + " " + d.Observation.Detail
}

// inspected settles a promotion that another leader began (S4). The claim has
// ended every older order session, so what is seen now stays so.
func (r *run) inspected(d ActionDone, seen bool) {
	s := r.s
	switch {
	case !seen: // guard: S4
		r.finish(warden.VerdictUnknown, "candidate-unreachable",
			fmt.Sprintf("%s may have been promoted and cannot be looked at: it counts as the primary", s.Candidate))
	case d.Observation.Role == warden.RolePrimary && !r.believed(s.Candidate, d.Observation): // guard: S4
		r.strange(s.Candidate)
	case d.Observation.Role == warden.RolePrimary && d.Observation.ReadOnly:
		r.say("%s was promoted already, and takes no writes", s.Candidate)
		r.enter(Promoting)
	case d.Observation.Role == warden.RolePrimary:
		r.say("%s was promoted already", s.Candidate)
		r.confirm(d.Observation)
	default:
		// Also where it is another server by now, or lost its data: a replica
		// takes no writes, so there is nothing on it to be lost.
		r.say("%s was not promoted and cannot be any more by the old order", s.Candidate)
		s.inspected = true
		s.approved = append(slices.Clip(s.approved), s.Candidate) // who decided for it had asked
		s.Want.Reason = warden.ReasonResume
		r.look()
	}
}

// reclaimed: the old primary is shut to the leader that began the change, so
// no late demotion can arrive after it is agreed upon again.
func (r *run) reclaimed(d ActionDone, seen bool) {
	s := r.s
	switch {
	case !seen: // guard: S3
		r.finish(warden.VerdictUnknown, "old-unreachable", fmt.Sprintf("%s serves, but could not be claimed to go back to it", s.Old))
	case d.Observation.Role == warden.RolePrimary:
		r.goBack("the promotion never happened and the old primary serves")
	default:
		r.say("%s was demoted by now", s.Old)
		s.demoted = true
		r.look()
	}
}

// claim shuts older leaders out of a node and looks at it, one claim at a time.
func (r *run) claim(node warden.NodeID) {
	if !r.waiting(warden.ActClaim, node) {
		r.act(warden.ActClaim, node, "", claimLimit)
	}
}

// poll looks at a node again and again, one look at a time.
func (r *run) poll(node warden.NodeID) {
	s := r.s
	if !r.waiting(warden.ActLook, node) && r.now >= s.pollAt {
		s.pollAt = r.now.Add(pollEvery)
		r.act(warden.ActLook, node, "", lookLimit(r.c))
	}
}

// catchUp lets the candidate follow an excluded node that has more (M7).
func (r *run) catchUp() {
	s := r.s
	n := r.sc.node(s.furthest)
	over := r.now.Sub(s.StageAt) > catchUpLimit || n == nil || n.Down
	switch {
	case over && r.waiting(warden.ActFollow, s.Candidate): // guard: S3
		// An order that is still on its way must not arrive after the promotion.
	case over && s.sealed:
		r.say("%s did not catch up from %s, which has acknowledged writes", s.Candidate, s.furthest)
		s.excluded = append(s.excluded, s.Candidate)
		r.look()
	case over:
		r.say("%s did not catch up from %s, going on without", s.Candidate, s.furthest)
		r.enter(Fencing)
	case !s.told:
		s.told, s.ordered = true, true
		r.act(warden.ActFollow, s.Candidate, s.furthest, orderLimit)
	case !r.waiting(warden.ActFollow, s.Candidate):
		r.poll(s.Candidate)
	}
}

// fence demotes the old primary first if it can be reached and is one: it then
// refuses writes before the new one takes any.
func (r *run) fence() {
	s := r.s
	if r.waiting(warden.ActFollow, s.Old) || r.waiting(warden.ActFence, s.Old) {
		return // one after the other: whoever fails may turn the leader back
	}
	n := r.sc.node(s.Old)
	reachable := n != nil && n.Good && !n.Refusing && n.Seen.Role == warden.RolePrimary && r.now.Sub(n.SeenAt) < freshLimit
	if !reachable || !r.mayFollow(n) || s.demoted || s.fenced || n.Seen.NoFollow {
		r.fenceBelow()
		return
	}
	s.fenced, s.ordered = true, true
	r.act(warden.ActFollow, s.Old, s.Candidate, fenceLimit)
}

// fenceBelow has the old primary fenced by the operator's command, if there is
// one and the primary did not let go by order in a switchover; then the
// candidate is promoted.
func (r *run) fenceBelow() {
	s := r.s
	if r.c.FenceCommand && !s.below && !(s.held && s.demoted) && s.Old != s.Candidate {
		s.below, s.slow = true, true
		r.act(warden.ActFence, s.Old, s.Candidate, r.c.CommandTimeout)
		return
	}
	r.enter(Promoting)
	if s.slow {
		s.slow, s.pollAt = false, r.now // the candidate was looked at before that: look again
	}
}

// fenceDone: the operator's fence command ended.
func (r *run) fenceDone(p pending, d ActionDone) {
	s := r.s
	r.say("the fence command for %s: %s %s", p.node, d.Result.Outcome, d.Result.Why)
	if d.Result.Outcome == warden.Done {
		r.note("+fenced", p.node, "")
		return
	}
	r.note("-fence-failed", p.node, fmt.Sprintf("%s %s", d.Result.Outcome, d.Result.Why))
	if s.Stage == Fencing && p.node == s.Old && r.c.FenceRequired {
		r.goBack(fmt.Sprintf("%s could not be fenced and fence_required is set", s.Old))
	}
}

// demote makes the old primary a replica while writes are held; only when that
// is sure does the switchover go on.
func (r *run) demote() {
	s := r.s
	switch {
	case r.waiting(warden.ActFollow, s.Old) || r.waiting(warden.ActClaim, s.Old):
	case !s.told:
		s.told, s.ordered = true, true
		r.act(warden.ActFollow, s.Old, s.Candidate, orderLimit)
	case r.now.Sub(s.StageAt) > demoteWait:
		s.unsure = true
		r.goBack(fmt.Sprintf("it stayed unknown whether %s was demoted", s.Old))
	case s.pollAt == 0 && s.holdUntil.Sub(r.now) < holdMargin:
		r.goBack(fmt.Sprintf("%s was not demoted and its hold ends", s.Old))
	case s.pollAt == 0:
		s.pollAt = 1
		r.act(warden.ActFollow, s.Old, s.Candidate, orderLimit)
	case r.now >= s.pollAt:
		r.act(warden.ActClaim, s.Old, "", claimLimit)
	}
}

// followDone: a fence, a demotion, a catching up or a re-pointing ended.
func (r *run) followDone(p pending, d ActionDone) {
	s := r.s
	switch {
	case s.Stage == Demoting && p.node == s.Old:
		switch d.Result.Outcome {
		case warden.Done:
			s.demoted = true
			r.say("%s was demoted", s.Old)
			r.enter(Claiming)
		case warden.Refused:
			r.goBack(fmt.Sprintf("%s refused to be demoted: %s", s.Old, d.Result.Why))
		default:
			s.pollAt = r.now
		}
	case s.Stage == Fencing && p.node == s.Old:
		s.demoted = d.Result.Outcome == warden.Done
		r.say("fencing %s: %s %s", s.Old, d.Result.Outcome, d.Result.Why)
		s.slow = s.slow || r.now.Sub(p.at) > staleLook
	case s.Stage == Repointing:
		r.repointed(p, d)
	}
}

// serves reports whether a node takes writes.
func serves(o *warden.Observation) bool { return o.Role == warden.RolePrimary && !o.ReadOnly }

// promotion orders a node to take writes, by the sync set of the topology.
func (r *run) promotion(node warden.NodeID) {
	a := r.act(warden.ActPromote, node, "", orderLimit)
	n := r.sc.node(node)
	switch b := &r.sc.Base; {
	case len(b.Sync) > 0:
		a.Sync = b.NewestSync().Rule(node)
	case n != nil && warden.OurRule(n.Seen.Waits):
		a.Sync = &warden.SyncRule{} // by which it would wait for those of a set that is no more
	}
}

// promote orders the promotion and looks again until it is sure.
func (r *run) promote() {
	s := r.s
	switch {
	case r.waiting(warden.ActPromote, s.Candidate) || r.waiting(warden.ActClaim, s.Candidate):
	case s.pollAt == 0 && s.promotions < maxPromotions:
		s.promotions++
		s.ordered = true
		r.promotion(s.Candidate)
	case s.pollAt == 0:
		r.note("-failover-abort-slave-timeout", "", "")
		r.finish(warden.VerdictUnknown, "not-promoted", fmt.Sprintf("%s stays a replica after %d orders", s.Candidate, s.promotions))
	case r.now >= s.pollAt:
		r.act(warden.ActClaim, s.Candidate, "", claimLimit)
	}
}

func (r *run) promoteDone(p pending, d ActionDone) {
	s := r.s
	if s.Stage == Repointing {
		r.later(p.node) // it is looked at before it is told again
	}
	if s.Stage != Promoting || p.node != s.Candidate {
		return
	}
	switch {
	case d.Observation.Health == warden.HealthGood && !r.ours(d.Observation): // guard: S7
		r.strange(p.node)
	case d.Observation.Health == warden.HealthGood && serves(d.Observation):
		r.confirm(d.Observation)
	case d.Result.Outcome == warden.Refused:
		r.say("%s refused the promotion: %s", p.node, d.Result.Why)
		s.excluded = append(s.excluded, p.node)
		s.promotions = 0
		r.look()
	default:
		r.say("promotion of %s is unknown (%s), looking again", p.node, why(d))
		s.pollAt = r.now
	}
}

// confirm: the candidate was seen as a primary.
func (r *run) confirm(o *warden.Observation) {
	r.s.confirmed = o
	r.note("+promoted-slave", r.s.Candidate, "")
	r.say("%s says it is primary at %d", r.s.Candidate, o.Position)
	r.publish(r.sc.Base.Reason)
}
