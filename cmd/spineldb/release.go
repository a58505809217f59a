package main

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// A seal keeps a standby from receiving anything, so that no write can be
// acknowledged while a new primary is chosen. It is released by agreement. When
// the Wardens that sealed are gone for good, nobody can agree, and writes wait
// for ever: then an operator releases by hand, on one Warden, and answers for
// what that Warden cannot know. What it can know is checked here.

// sealScene is what one Warden knows when it is asked to release a seal.
type sealScene struct {
	register warden.Register
	// agreed: a majority of the Wardens is heard.
	agreed bool
	// nodes is a look at every node of the group, just now.
	nodes []seenNode
	// gone are those that the operator knows to be no primary.
	gone []warden.NodeID
}

type seenNode struct {
	node warden.NodeID
	seen warden.Observation
}

// releasePlan is what is done, on every one of the nodes, in the name of an
// epoch that no leader before has surpassed.
type releasePlan struct {
	topology warden.Topology
	epoch    warden.Epoch
	nodes    []warden.NodeID
}

// planRelease decides which seals may be undone. The answer is nil unless none
// may be, and then says why.
func planRelease(s sealScene) (releasePlan, *warden.Answer) {
	t := s.register.Newest()
	refuse := func(code, format string, args ...any) (releasePlan, *warden.Answer) {
		return releasePlan{}, &warden.Answer{Verdict: warden.VerdictRefused, Code: code, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case t.IsZero():
		return refuse("not-agreed", "this Warden knows of no agreement: ask another one")
	case s.register.Superseded:
		return refuse("superseded", "this Warden was given up as lost: ask another one")
	case s.agreed:
		return refuse("agreed", "a majority of the Wardens is there, and releases the seal or finishes the failover by itself: spineldb explain says what it waits for")
	case t.Phase == warden.PhasePromoting:
		return refuse("in-progress", "the promotion of %s was agreed in epoch %d and may have happened: released members could acknowledge writes that it does not have; bring back a majority of the Wardens, or give the lost ones up with spineldb recover", t.Primary, t.Epoch)
	case !slices.ContainsFunc(s.nodes, func(n seenNode) bool { return n.seen.Health == warden.HealthGood && n.seen.Sealed }):
		return refuse("not-sealed", "no node that answers is sealed")
	}
	plan := releasePlan{topology: *t, epoch: max(s.register.Promise, t.Epoch)}
	for _, n := range s.nodes {
		good := n.seen.Health == warden.HealthGood
		switch {
		case good && n.seen.Role == warden.RolePrimary && n.node != t.Primary && !n.seen.NeedsRejoin:
			return refuse("no-primary", "%s is a primary, and as far as this Warden knows %s is: ask a Warden that knows better, or rejoin one of the two first", n.node, t.Primary)
		case good && n.seen.Sealed:
			plan.nodes = append(plan.nodes, n.node)
		case !good && n.node != t.Primary && !slices.Contains(s.gone, n.node):
			return refuse("unseen", "%s cannot be looked at (%s), so it could have been promoted: if you know that it was not, say so with --gone %s", n.node, n.seen.Health, n.node)
		}
	}
	slices.Sort(plan.nodes)
	return plan, nil
}

// following is the order that ends a seal.
func (p releasePlan) following(node warden.NodeID) warden.Following {
	f := warden.Following{Primary: p.topology.Primary, Name: p.topology.MemberName(node)}
	if len(p.topology.Sync) > 0 {
		f.Sync = p.topology.NewestSync().Rule(node)
	}
	return f
}
