package failover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Veto is a node that the operator's pre_promote command does not let be promoted
// in this attempt, and why.
type Veto struct {
	Node warden.NodeID
	Why  string
}

// unasked reports whether the operator's pre_promote command has to be asked about
// the choice: it would be promoted, and nobody has said yes in this attempt. One
// that takes writes already is only adopted.
func (r *run) unasked(ch Choice) bool {
	if !r.c.PrePromote || ch.Already && serves(r.lookAt(ch.Candidate).Seen) {
		return false
	}
	return !slices.Contains(r.s.approved, ch.Candidate)
}

// askEarly asks, in a group with quorum durability, about the member that would
// be chosen if all that answer were sealed, and reports whether there is something
// to wait for or nobody is left. Members are sealed after the answer: until then
// a primary that is merely out of our sight may go on acknowledging.
func (r *run) askEarly() bool {
	s := r.s
	if !r.c.PrePromote {
		return false
	}
	ch := Choose(r.asIfSealed())
	if ch.Candidate == "" {
		if len(s.vetoed) == 0 {
			return false // sealing says what is missing
		}
		r.weighed(ch)
		r.allVetoed(ch)
		return true
	}
	if !r.unasked(ch) { // guard: veto
		return false
	}
	r.askAbout(ch.Candidate)
	return true
}

// asIfSealed is what would be chosen from if all members that answer were sealed.
func (r *run) asIfSealed() Ask {
	ask := r.ask(false)
	ask.Sealed, ask.AnyAge, ask.Floor = true, true, r.sc.Base.Floor
	ask.Looks = r.sealedAll()
	return ask
}

// sealedAll are the looks as they would be if all members that answer were sealed.
func (r *run) sealedAll() []Look {
	looks, sealable := slices.Clone(r.s.Looks), r.sealable()
	for i := range looks {
		l := &looks[i]
		l.Sealed = good(*l) && slices.Contains(sealable, l.Node) && r.ours(l.Seen) && r.known(l.Node, l.Seen)
	}
	return looks
}

func (r *run) askAbout(node warden.NodeID) {
	r.s.Candidate = node
	r.enter(Asking)
}

// asking waits for the answer of the pre_promote command. Nothing was ordered and
// nothing agreed about the candidate yet, so a primary that is back ends it.
func (r *run) asking() {
	s := r.s
	if !s.told {
		s.told = true
		r.say("asks pre_promote about %s", s.Candidate)
		r.act(warden.ActAsk, s.Candidate, s.Old, r.c.PrePromoteTimeout).Reason = s.Want.Reason
	}
	n := r.sc.node(s.Old)
	if s.Want.Reason != warden.ReasonFailover || s.ordered || n == nil || n.Down || !n.Good || !serves(n.Seen) || !r.believed(s.Old, n.Seen) {
		return
	}
	why := fmt.Sprintf("%s serves again while pre_promote was asked about %s", s.Old, s.Candidate)
	if r.sc.Base.Phase == warden.PhaseSealing {
		r.goBack(why)
		return
	}
	r.note("-failover-abort", "", why)
	r.finish(warden.VerdictRefused, "primary-back", why)
}

// askDone: the pre_promote command answered, or did not. Only a yes is one: the
// operator put the question before every promotion, and a failover that waits can
// still be made, while a promotion cannot be unmade.
func (r *run) askDone(p pending, d ActionDone) {
	s := r.s
	if s.Stage != Asking || p.node != s.Candidate {
		return
	}
	why := cmp.Or(d.Result.Why, string(d.Result.Outcome))
	if d.Result.Outcome == warden.Done { // guard: veto
		r.say("pre_promote has nothing against %s", p.node)
		s.approved = append(slices.Clip(s.approved), p.node)
	} else {
		r.say("pre_promote vetoes %s: %s", p.node, why)
		r.note("-promotion-vetoed", p.node, why)
		s.vetoed = append(slices.Clip(s.vetoed), Veto{p.node, why})
	}
	// Sealed members receive nothing, so what was seen of them holds.
	if r.now.Sub(p.at) > staleLook && !s.sealed { // guard: S6
		r.look()
		return
	}
	r.choose()
}

// allVetoed ends an attempt in which somebody could be promoted, but for the
// pre_promote command.
func (r *run) allVetoed(ch Choice) {
	s := r.s
	for _, line := range ch.Reasons {
		r.say("%s", line)
	}
	var each []string
	for _, v := range s.vetoed {
		each = append(each, string(v.Node)+": "+v.Why)
	}
	why := "pre_promote lets nobody be promoted: " + strings.Join(each, "; ")
	r.note("-failover-abort-no-good-slave", "", why)
	if r.sc.Base.Phase == warden.PhaseSealing {
		r.goBack(why)
		return
	}
	r.finish(warden.VerdictRefused, "pre-promote", why)
}

// veto is why a node is vetoed, "" when it is not.
func (a *Ask) veto(node warden.NodeID) string {
	for _, v := range a.Vetoed {
		if v.Node == node {
			return v.Why
		}
	}
	return ""
}
