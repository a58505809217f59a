package check

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// arrival is what comes of an order at its node, but for what is checked.
type arrival struct {
	possible bool
	obeyed   bool
	shutOut  bool // by a newer leader, and obeyed all the same
	nodes    uint32
	answer   uint32
}

// order is what may become of an order on its way.
func (k *walker) order(s *world, x *item, id uint32) {
	listens := k.listens(s, x.from, x.run, x.action.ID)
	k.arrive(s, x, id, moveObey)
	if !k.e.reaches(x.from, k.places.get(s.nodes), nodeIndex(x.action.Node)) || !listens {
		return
	}
	if s.left.unknown > 0 {
		k.arrive(s, x, id, moveForget)
		k.arrive(s, x, id, moveGiveUp)
	}
	if s.left.refused > 0 {
		k.arrive(s, x, id, moveRefuse)
	}
}

// arrive is one way in which an order ends: it reaches its node, or not.
func (k *walker) arrive(s *world, x *item, id uint32, kind moveKind) {
	at := key(s.nodes, id, uint32(kind))
	a, ok := k.arrivals[at]
	if !ok {
		a = k.end(s.nodes, x, kind)
		k.arrivals[at] = a
	}
	if !a.possible {
		return
	}
	var broken *Violation
	if a.obeyed {
		broken = k.judge(s, x, id, a)
	}
	n := &k.next
	items := append(n.items[:0], s.items...)
	*n = *s
	n.items = items
	switch kind {
	case moveGiveUp, moveForget:
		n.left.unknown--
	case moveRefuse:
		n.left.refused--
	}
	if kind != moveGiveUp { // what was given up stays on its way
		n.items = without(n.items, id)
	}
	n.nodes = a.nodes
	n.items = append(n.items, a.answer)
	k.finish(n, x.from, n.nodes != s.nodes, move{kind, x.from, id}.code(0), broken)
}

// judge checks an order that a node obeys.
func (k *walker) judge(s *world, x *item, id uint32, a arrival) *Violation {
	at := key(s.ledger, id, s.nodes)
	broken, ok := k.judged[at]
	if !ok {
		b := &book{ledger: *k.ledgers.get(s.ledger), e: k.e}
		b.obeys(k.places.get(s.nodes), nodeIndex(x.action.Node), x, a.shutOut)
		b.remembers(k.places.get(a.nodes))
		broken = b.broken
		k.judged[at] = broken
	}
	return broken
}

// end is how an order ends: shut out or obeyed, and what its giver is told.
func (k *walker) end(nodesID uint32, x *item, kind moveKind) arrival {
	n := *k.places.get(nodesID)
	i := nodeIndex(x.action.Node)
	a := arrival{possible: true, nodes: nodesID}
	reply := func(y *item) arrival {
		a.answer = k.e.putItem(y)
		return a
	}
	switch {
	case !k.e.reaches(x.from, &n, i):
		return reply(ended(x, warden.Refused, "connection refused", silent))
	case kind == moveGiveUp:
		return reply(ended(x, warden.Unknown, "no answer", nil))
	case kind == moveRefuse:
		return reply(ended(x, warden.Refused, "it does not want to", nil))
	}
	deaf := k.e.sabotage.Deaf
	session := x.over
	if session.serial == 0 {
		if session, a.possible = n.take(i, x.action.Epoch, x.from, x.run, deaf); !a.possible {
			a.possible = kind == moveObey
			y := ended(x, warden.Refused, "a newer leader has claimed it", nil)
			y.answer.Result.Superseded = true
			return reply(y)
		}
	} else if n[i].claim != session && !deaf {
		a.possible = kind == moveObey
		y := ended(x, warden.Unknown, "connection ended", nil)
		y.lost = true
		return reply(y)
	}
	if x.action.Kind != warden.ActClaim {
		a.obeyed, a.shutOut = true, n[i].claim.epoch > x.action.Epoch
		n.obey(i, &x.action)
	}
	a.nodes = k.e.putNodes(&n)
	if kind == moveForget {
		y := ended(x, warden.Unknown, "no answer", nil)
		y.lost = true
		return reply(y)
	}
	y := ended(x, warden.Done, "", nil)
	if y.opened = session; x.action.Kind == warden.ActClaim || x.action.Kind == warden.ActPromote {
		y.answer.Observation = n.observe(i)
		if o := k.e.sabotage.Observe; o != nil {
			o(&n[i], &y.answer.Observation)
		}
	}
	return reply(y)
}

// ended is the answer to an order.
func ended(x *item, how warden.Outcome, why string, seen *warden.Observation) *item {
	y := &item{kind: isAnswer, from: -1, to: x.from, run: x.run, action: warden.Action{Kind: x.action.Kind, Node: x.action.Node, Target: x.action.Target}}
	y.answer = group.ActionDone{ID: x.action.ID, Node: x.action.Node, Result: warden.Result{Outcome: how, Why: why}}
	if seen != nil {
		y.answer.Observation = *seen
	} else if x.action.Kind == warden.ActClaim {
		y.answer.Observation = *silent
	}
	return y
}
