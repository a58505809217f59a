package failover

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// Fault is one node that is or follows the wrong thing.
type Fault struct {
	Node warden.NodeID
	// Foreign: it is not ours to touch (S7).
	Foreign bool
	// Primary: it says it is a primary; otherwise it follows somebody else.
	Primary bool
	// Held: it is the agreed primary, and takes no writes since a Warden held or
	// fenced it.
	Held bool
	// To is whom it is to follow.
	To warden.NodeID
	// Stalled: it follows whom it should, and nothing arrives.
	Stalled bool
	// Rejoin: no order can bring it behind the primary, only the operator's
	// command.
	Rejoin bool
}

// Stranded reports whether no order can bring n behind the primary p: it was a
// primary and is fenced, or it is a replica that holds what the primary's line
// never had. A primary that is not fenced has to be fenced first.
func Stranded(p, n *warden.Observation) bool {
	if n.Role == warden.RolePrimary {
		return n.NeedsRejoin
	}
	return Diverged(p, n)
}

// Diverged reports whether a node of a database whose replicas never take a
// whole copy by themselves is past the point where the line of the primary p
// left its own, or is on a line that p's did not grow out of. Lines that two
// nodes began for themselves may bear one name; where they forked tells them apart.
func Diverged(p, n *warden.Observation) bool {
	if !p.NoDemote || p.Role != warden.RolePrimary || len(p.Forks) == 0 || n.Lineage == "" {
		return false
	}
	at := slices.IndexFunc(p.Forks, func(f warden.Fork) bool { return f.Lineage == n.Lineage })
	switch {
	case at < 0 && n.Lineage != p.Lineage:
		return true
	case at >= 0 && n.Position > p.Forks[at].End:
		return true
	case at < 0:
		at = len(p.Forks)
	}
	return len(n.Forks) > 0 && !slices.Equal(n.Forks, p.Forks[:at])
}

// Faults are the nodes that are not behind the agreed primary of a finished
// topology, as far as they were seen since the instant given.
func Faults(c *Config, t *warden.Topology, nodes []Sighting, since warden.Instant) []Fault {
	r := run{c: c, sc: &Scene{Nodes: nodes, Base: *t}}
	p := r.sc.node(t.Primary)
	if p == nil || !p.Good || p.Down || p.Seen.Role != warden.RolePrimary || p.SeenAt < since { // guard: S3
		return nil // nobody is sent behind a primary that is not one
	}
	var out []Fault
	if p.Seen.ReadOnly {
		out = append(out, Fault{Node: p.ID, Held: true})
	}
	for i := range nodes {
		n := &nodes[i]
		if n.Halfway && n.ID != t.Primary && c.RejoinCommand && (n.Down || !n.Good) && Stranded(p.Seen, n.Seen) && t.MemberName(n.ID) == "" {
			out = append(out, Fault{Node: n.ID, Rejoin: true, Foreign: !r.mayFollow(n)})
			continue
		}
		stalled := stalls(p, n)
		if n.ID == t.Primary || !n.Good || n.Down || n.SeenAt < since || n.Seen.NoFollow || r.follows(p, n) && r.called(t, n) && !stalled && !n.NoSlot {
			continue
		}
		ft := Fault{Node: n.ID, To: r.upstream(p, n), Stalled: stalled, Foreign: !r.mayFollow(n), Primary: n.Seen.Role == warden.RolePrimary, Rejoin: Stranded(p.Seen, n.Seen)}
		if ft.Rejoin && !ft.Foreign && (!c.RejoinCommand || t.MemberName(n.ID) != "") {
			continue // a member leaves its sync set before it is built anew
		}
		out = append(out, ft)
	}
	return out
}

// upstream is whom n is to follow: the primary p, or the node that the operator
// named for it, as long as that is a replica of p itself and in step.
func (r *run) upstream(p, n *Sighting) warden.NodeID {
	u := r.sc.node(n.Seen.From)
	if u != nil && u.ID != n.ID && u.Good && !u.Down && u.Seen.Role == warden.RoleReplica && u.Seen.Upstream == p.ID && u.Seen.LinkUp {
		return u.ID
	}
	return p.ID
}

// stalls reports whether a replica that copies nothing by itself has not heard
// of its upstream for so long that the order is given once more: its slot may
// be gone, or its receiver may hang.
func stalls(p, n *Sighting) bool {
	return p.Seen.NoDemote && n.Seen.Role == warden.RoleReplica && !n.Seen.LinkUp && !n.Seen.Sealed &&
		(n.Seen.LinkDown < 0 || n.Seen.LinkDown > stalledAfter)
}

// slot notes that a node is told whom to follow, which gives it a slot. Where
// that fails, because there is none left, say, it is not tried all the time.
func (r *run) slot(id warden.NodeID) {
	young := slices.DeleteFunc(slices.Clone(r.s.slots), func(y syncing) bool { return r.now.Sub(y.at) >= slotRetry })
	r.s.slots = append(young, syncing{id, r.now})
}

// WantsSlot reports whether a node is to be told whom to follow because it has
// no slot. In groups with quorum durability whoever gets a name gets one.
func (s *State) WantsSlot(c *Config, t *warden.Topology, id warden.NodeID, seen *warden.Observation, now warden.Instant) bool {
	return seen.NoSlot && (!c.Durable || len(t.Sync) > 0) &&
		!slices.ContainsFunc(s.slots, func(y syncing) bool { return y.node == id && now.Sub(y.at) < slotRetry })
}

// follows reports whether n replicates from whom it is to. A name of the primary p
// spelled otherwise counts when p itself lists n among its replicas.
func (r *run) follows(p, n *Sighting) bool {
	if n.Seen.Role != warden.RoleReplica {
		return false
	}
	to := r.upstream(p, n)
	if n.Seen.Upstream == to {
		return true
	}
	return to == p.ID && n.Seen.LinkUp && n.Seen.Lineage == p.Seen.Lineage &&
		slices.ContainsFunc(p.Seen.Replicas, func(x warden.Replica) bool { return x.Node == n.ID })
}

// mayFollow is the rule of S7: only what shares the lineage, is empty, or is
// configured by name is made to follow.
func (r *run) mayFollow(n *Sighting) bool {
	return n.Belongs || n.Seen.Empty || n.ID == r.c.Primary || slices.Contains(r.c.Named, n.ID)
}

// repoint brings every other node behind the primary, ParallelSyncs at a time,
// and ends leading when there is nothing left to do.
func (r *run) repoint() {
	s := r.s
	if r.c.HandsOff {
		r.finish(warden.VerdictDone, "", "")
		return
	}
	if r.now.Sub(s.Since) > r.c.FailoverTimeout {
		r.note("+failover-end-for-timeout", "", "")
		r.bestEffort()
		r.end()
		return
	}
	s.Syncing = slices.DeleteFunc(s.Syncing, r.synced)
	r.greet()
	busy, rejoining := len(s.Syncing)+len(s.welcome), 0
	for _, p := range s.pending {
		if p.kind == warden.ActFollow || p.kind == warden.ActPromote || p.kind == warden.ActRejoin && !r.primaryDown() {
			busy++
		}
		if p.kind == warden.ActRejoin {
			rejoining++
		}
	}
	for _, ft := range Faults(r.c, &r.sc.Base, r.sc.Nodes, s.StageAt) {
		if ft.Foreign || r.heldBack(ft.Node) || r.ordered(ft.Node) || r.isSyncing(ft.Node) { // guard: S7
			continue
		}
		// Where replicas never copy by themselves only a rejoin copies anything;
		// the others do not wait for their turn, least of all members.
		turn := busy
		if n := r.sc.node(r.sc.Base.Primary); n != nil && n.Seen.NoDemote {
			turn = 0
		}
		if ft.Rejoin {
			turn = max(turn, rejoining)
			rejoining++
		}
		if turn >= max(r.c.ParallelSyncs, 1) {
			continue
		}
		busy++
		if ft.Held || ft.Rejoin {
			r.beyond(ft)
			continue
		}
		if n := r.sc.node(ft.Node); n.NoSlot {
			r.say("%s has no slot: told once more", ft.Node)
			r.slot(ft.Node)
		}
		if ft.Stalled {
			r.say("%s hears nothing of %s: told once more", ft.Node, ft.To)
		} else if ft.Primary {
			r.note("+convert-to-slave", ft.Node, "")
		} else if s.Want.Reason == warden.ReasonRepair {
			r.note("+fix-slave-config", ft.Node, "")
		}
		r.note("+slave-reconf-sent", ft.Node, "")
		r.follow(ft.Node, ft.To, orderLimit)
	}
	if busy == 0 && !r.unseen() {
		r.end()
	}
}

// ordered reports whether an order to a node is under way.
func (r *run) ordered(id warden.NodeID) bool {
	return r.waiting(warden.ActFollow, id) || r.waiting(warden.ActPromote, id) || r.waiting(warden.ActRejoin, id)
}

func (r *run) primaryDown() bool {
	n := r.sc.node(r.sc.Base.Primary)
	return n == nil || n.Down
}

// beyond mends what is not mended by following.
func (r *run) beyond(ft Fault) {
	if ft.Held {
		r.say("%s takes no writes since it was held or fenced: letting it go", ft.Node)
		r.promotion(ft.Node)
		return
	}
	r.note("+rejoin-started", ft.Node, "")
	r.act(warden.ActRejoin, ft.Node, r.sc.Base.Primary, r.c.RejoinTimeout)
}

// rejoined: the operator's command ended.
func (r *run) rejoined(p pending, d ActionDone) {
	if d.Result.Outcome == warden.Done {
		r.s.welcome = append(r.s.welcome, syncing{p.node, r.now})
		r.s.Retry = slices.DeleteFunc(r.s.Retry, func(x Retry) bool { return x.Node == p.node })
		r.note("+rejoin-done", p.node, "")
		r.say("%s was rejoined behind %s", p.node, r.sc.Base.Primary)
		return
	}
	x := r.muchLater(p.node)
	x.Rejoin, x.Why = true, fmt.Sprintf("%s %s", d.Result.Outcome, d.Result.Why)
	r.note("-rejoin-failed", p.node, x.Why)
	r.say("%s could not be rejoined: %s", p.node, x.Why)
}

// bestEffort sends every node that is left behind the primary, all at once:
// the time for doing it gently is over.
func (r *run) bestEffort() {
	for _, ft := range Faults(r.c, &r.sc.Base, r.sc.Nodes, r.s.StageAt) {
		if !ft.Foreign && !ft.Held && !ft.Rejoin && !r.ordered(ft.Node) && !r.isSyncing(ft.Node) {
			r.note("+slave-reconf-sent-be", ft.Node, "")
			r.follow(ft.Node, ft.To, orderLimit)
		}
	}
}

// follow orders a node behind a primary. Servers that can are told not to copy
// from the primary before any more, if it was not given up in an orderly way.
func (r *run) follow(node, primary warden.NodeID, limit warden.Duration) {
	a := r.act(warden.ActFollow, node, primary, limit)
	t := &r.sc.Base
	r.enlist(a)
	old, now := r.sc.node(t.Previous), r.sc.node(primary)
	if t.Reason == warden.ReasonSwitchover || primary != t.Primary || old == nil || now == nil || old.Seen.Lineage != "" && old.Seen.Lineage == now.Seen.Lineage {
		return
	}
	// SpinelDB, whose order this is, has one id for server and data.
	a.Avoid = cmp.Or(old.Seen.Lineage, old.Seen.RunID)
}

// unseen reports whether some node that should answer has not been looked at
// since this stage began.
func (r *run) unseen() bool {
	if r.now.Sub(r.s.StageAt) > freshLimit {
		return false
	}
	return slices.ContainsFunc(r.sc.Nodes, func(n Sighting) bool {
		return !n.Down && !n.Refusing && n.SeenAt < r.s.StageAt
	})
}

// synced reports whether a re-pointed node needs no more watching.
func (r *run) synced(y syncing) bool {
	n, p := r.sc.node(y.node), r.sc.node(r.sc.Base.Primary)
	if n == nil || n.Down || p == nil || p.Down {
		return true // from a dead primary nothing arrives, and a failover waits for the leader to end
	}
	to := r.upstream(p, n)
	switch {
	case r.now.Sub(y.at) > syncLimit:
		stuck := p.Seen.NoDemote && !n.Seen.LinkUp // what copies nothing needs no time
		if n.SeenAt <= y.at || n.Seen.Upstream != to || stuck {
			r.note("-slave-reconf-sent-timeout", y.node, "")
		}
		if stuck {
			r.muchLater(y.node)
		}
		return true
	case n.SeenAt > y.at && n.Seen.Upstream == to && n.Seen.LinkUp:
		r.note("+slave-reconf-done", y.node, "")
		r.s.Retry = slices.DeleteFunc(r.s.Retry, func(x Retry) bool { return x.Node == y.node })
		return true
	case n.SeenAt > y.at && n.Seen.NeedsRejoin:
		return true // fenced: that was all an order can do
	case n.SeenAt > y.at && (n.Seen.Role != warden.RoleReplica || n.Seen.Upstream != to):
		// Somebody turned it away again: to wait for its copy would be in vain.
		r.later(y.node)
		return true
	}
	return false
}

func (r *run) isSyncing(id warden.NodeID) bool {
	is := func(y syncing) bool { return y.node == id }
	return slices.ContainsFunc(r.s.Syncing, is) || slices.ContainsFunc(r.s.welcome, is)
}

func (r *run) heldBack(id warden.NodeID) bool { return HeldBack(r.s, id, r.now) }

// HeldBack reports whether orders to a node wait because it failed lately.
func HeldBack(s *State, id warden.NodeID, now warden.Instant) bool {
	return slices.ContainsFunc(s.Retry, func(x Retry) bool { return x.Node == id && now < x.At })
}

func (r *run) repointed(p pending, d ActionDone) {
	s := r.s
	if d.Result.Outcome == warden.Done {
		s.Syncing = append(s.Syncing, syncing{p.node, r.now})
		r.note("+slave-reconf-inprog", p.node, "")
		r.say("%s follows %s", p.node, r.sc.Base.Primary)
		return
	}
	r.later(p.node)
	r.note("-slave-reconf-failed", p.node, fmt.Sprintf("%s %s", d.Result.Outcome, d.Result.Why))
	r.say("%s could not be re-pointed: %s %s", p.node, d.Result.Outcome, d.Result.Why)
}

// later holds orders to a node back, longer each time it fails. What is returned
// may be changed until the next call.
func (r *run) later(id warden.NodeID) *Retry {
	s := r.s
	i := slices.IndexFunc(s.Retry, func(x Retry) bool { return x.Node == id })
	if i < 0 {
		s.Retry = append(s.Retry, Retry{Node: id})
		i = len(s.Retry) - 1
	}
	x := &s.Retry[i]
	x.At = r.now.Add(min(retryFirst<<min(x.Failures, 3), retryMost))
	x.Failures++
	return x
}

// greet tells nodes that were rejoined once more whom to follow, when they are
// seen as replicas: they have no slot yet.
func (r *run) greet() {
	r.s.welcome = slices.DeleteFunc(r.s.welcome, func(y syncing) bool {
		n, p := r.sc.node(y.node), r.sc.node(r.sc.Base.Primary)
		switch {
		case n == nil || p == nil || p.Down || r.now.Sub(y.at) > syncLimit:
			return true
		case n.SeenAt <= y.at || !n.Good || n.Seen.Role != warden.RoleReplica || !n.Belongs:
			return false
		}
		r.follow(y.node, r.upstream(p, n), orderLimit)
		return true
	})
}

// maxRejoins bounds how often a rejoin is tried on a node that is down.
const maxRejoins = 20

// Halfway reports whether the rejoin command failed on a node, not too often yet:
// then it may be down because the command stopped it.
func (s *State) Halfway(id warden.NodeID) bool {
	return slices.ContainsFunc(s.Retry, func(x Retry) bool { return x.Node == id && x.Rejoin && x.Failures < maxRejoins })
}

// Rejoined is what is known of the rejoin command that failed on a node, nil if
// none did.
func (s *State) Rejoined(id warden.NodeID) *Retry {
	i := slices.IndexFunc(s.Retry, func(x Retry) bool { return x.Node == id && x.Rejoin })
	if i < 0 {
		return nil
	}
	return &s.Retry[i]
}

// Again lets every rejoin that failed be tried at once, as an operator asks for who
// has mended what kept it from working.
func (s *State) Again() {
	s.Retry = slices.Clone(s.Retry)
	for i := range s.Retry {
		if x := &s.Retry[i]; x.Rejoin {
			x.At, x.Failures = 0, 0
		}
	}
}

// muchLater is later for what people will have to look at: each attempt costs an
// election.
func (r *run) muchLater(id warden.NodeID) *Retry {
	x := r.later(id)
	x.At = r.now.Add(min(retryRejoin<<min(x.Failures-1, 4), retryRejoinMost))
	return x
}

// end ends leading: everything that can be done is done.
func (r *run) end() {
	if r.s.Want.Reason != warden.ReasonRepair && r.s.Want.Reason != warden.ReasonBirth {
		r.note("+failover-end", "", "")
	}
	if w := r.s.Want; w.Reason == warden.ReasonSwitchover && r.sc.Base.Primary == w.Primary {
		// The candidate was lost on the way, after the old primary had let go.
		r.finish(warden.VerdictUnknown, "cancelled", fmt.Sprintf("the candidate was lost on the way and %s is the primary again: look at its data", w.Primary))
		return
	}
	r.finish(warden.VerdictDone, "", "")
}

// Next is the instant at which this mind may have to do something by itself.
func Next(s *State, now warden.Instant) warden.Instant {
	if s.Stage == Idle {
		return now.Add(warden.Second)
	}
	next := now.Add(20 * warden.Millisecond)
	if s.pollAt > now {
		next = min(next, s.pollAt)
	}
	return next
}

// NodeOf is the node of a pending action, "" when there is none of that id.
func (s *State) NodeOf(id uint64) warden.NodeID {
	for _, p := range s.pending {
		if p.id == id {
			return p.node
		}
	}
	return ""
}

// Reconfiguring says how far the re-pointing of a node is, in Sentinel's
// words: "sent", "inprog", or "".
func (s *State) Reconfiguring(id warden.NodeID) string {
	for _, y := range s.Syncing {
		if y.node == id {
			return "inprog"
		}
	}
	for _, p := range s.pending {
		if p.node == id && p.kind == warden.ActFollow && s.Stage == Repointing {
			return "sent"
		}
	}
	return ""
}
