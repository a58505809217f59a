package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// releaseLook bounds the look at one node before a release, releaseOrder what
	// is done on one node.
	releaseLook  = 2 * time.Second
	releaseOrder = 4 * time.Second
)

// release undoes a group's seals without its mind, which has nobody to agree
// with.
func (d *daemon) release(ctx context.Context, c warden.Command) warden.Answer {
	adapter, nodes := d.groupNodes(c.Group)
	if adapter == nil {
		return warden.Answer{Verdict: warden.VerdictRefused, Code: "unknown-group", Text: "no such group"}
	}
	register, err := d.store.Load(c.Group)
	if err != nil {
		return warden.Answer{Verdict: warden.VerdictRefused, Code: "store", Text: err.Error()}
	}
	v, _ := d.shell.Group(c.Group)
	plan, refusal := planRelease(sealScene{register: register, agreed: v.Agreed, nodes: lookAtAll(ctx, adapter, nodes), gone: c.Gone})
	if refusal != nil {
		return *refusal
	}
	by := warden.Claim{Group: c.Group, Epoch: plan.epoch, Warden: d.store.Identity()}
	var told []string
	count := map[warden.Outcome]int{}
	for _, node := range plan.nodes {
		result := releaseNode(ctx, adapter, node, by, plan.following(node))
		count[result.Outcome]++
		words := string(node) + " follows " + string(plan.topology.Primary) + " again"
		if result.Outcome != warden.Done {
			words = string(node) + " is not released (" + string(result.Outcome) + ": " + result.Why + ")"
		}
		d.log.Warn("seal released by hand", "group", string(c.Group), "node", string(node), "epoch", uint64(plan.epoch), "outcome", string(result.Outcome), "why", result.Why)
		told = append(told, strings.Join(append([]string{words}, result.Notes...), ", "))
	}
	answer := warden.Answer{Text: strings.Join(told, "; ")}
	answer.Verdict, answer.Code = releaseVerdict(count, len(plan.nodes))
	return answer
}

// releaseVerdict says how a release of several nodes ended: refused if nothing
// was changed, unknown if something was, or may have been, but not everything.
func releaseVerdict(count map[warden.Outcome]int, nodes int) (verdict warden.Verdict, code string) {
	switch nodes {
	case count[warden.Done]:
		return warden.VerdictDone, ""
	case count[warden.Refused]:
		return warden.VerdictRefused, "not-released"
	}
	return warden.VerdictUnknown, "not-released"
}

// groupNodes are a group's adapter, nil if there is no such group, and all its
// nodes as far as this Warden knows them.
func (d *daemon) groupNodes(name warden.GroupName) (warden.Adapter, []warden.NodeID) {
	d.steward.mu.Lock()
	adapter := d.adapters[name].adapter
	d.steward.mu.Unlock()
	v, ok := d.shell.Group(name)
	if !ok {
		return nil, nil
	}
	var nodes []warden.NodeID
	for _, n := range v.Nodes {
		nodes = append(nodes, n.Node)
	}
	return adapter, nodes
}

// lookAtAll looks at nodes over connections of its own, all at a time.
func lookAtAll(ctx context.Context, a warden.Adapter, nodes []warden.NodeID) []seenNode {
	ctx, cancel := context.WithTimeout(ctx, releaseLook)
	defer cancel()
	deaf := warden.LinkEvents{
		Ended: func(warden.NodeID, string) {}, Hello: func(warden.Hello) {}, Neighbour: func(string) {}, Local: func(warden.NodeID, string) {},
	}
	out := make([]seenNode, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() {
			link := a.Open(node, deaf)
			defer link.Close()
			out[i] = seenNode{node, link.Look(ctx)}
		})
	}
	wg.Wait()
	return out
}

// releaseNode undoes one seal, if it still is one when the node is claimed.
func releaseNode(ctx context.Context, a warden.Adapter, node warden.NodeID, by warden.Claim, f warden.Following) warden.Result {
	ctx, cancel := context.WithTimeout(ctx, releaseOrder)
	defer cancel()
	s, result := a.Claim(ctx, node, by)
	if s == nil {
		return result
	}
	defer s.Close()
	if seen := s.Look(ctx); seen.Health != warden.HealthGood || !seen.Sealed || seen.Role != warden.RoleReplica {
		return warden.Result{Outcome: warden.Refused, Why: "it is not sealed any more"}
	}
	return s.Follow(ctx, f)
}
