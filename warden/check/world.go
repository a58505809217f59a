package check

import (
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// engine holds everything that is kept once for a search.
type engine struct {
	scope    *Scope
	sabotage *Sabotage
	only     string
	minds    *table[mind]
	items    *table[item]
	topics   *table[warden.Topology]
	ledgers  *table[ledger]
	places   *places
	deeds    *table[[]deed]
}

// budget is how much may still go wrong.
type budget struct{ crashes, unknown, refused, waits uint8 }

// world is one state: numbers of values that are kept once.
type world struct {
	minds  [wardenCount]uint32
	nodes  uint32
	ledger uint32
	left   budget
	items  []uint32 // sorted
}

const worldHead = wardenCount + 3

// pack appends a world as a row of numbers.
func (s *world) pack(out []uint32) []uint32 {
	out = append(out, s.minds[:]...)
	b := s.left
	out = append(out, s.nodes, s.ledger, uint32(b.crashes)|uint32(b.unknown)<<4|uint32(b.refused)<<8|uint32(b.waits)<<12)
	return append(out, s.items...)
}

func (s *world) unpack(in []uint32) {
	copy(s.minds[:], in)
	s.nodes, s.ledger = in[wardenCount], in[wardenCount+1]
	b := in[wardenCount+2]
	s.left = budget{uint8(b & 15), uint8(b >> 4 & 15), uint8(b >> 8 & 15), uint8(b >> 12 & 15)}
	s.items = append(s.items[:0], in[worldHead:]...)
}

func (e *engine) first(z *settler) world {
	var s world
	for w := range int8(wardenCount) {
		s.minds[w] = e.begin(z, w)
	}
	n := firstNodes(e.scope)
	s.nodes = e.putNodes(&n)
	r := firstRegister()
	l := &ledger{entries: []entry{{topic: e.putTopology(&r.Chosen), version: r.Chosen.Version, proposed: true, by: 7, chosen: true}}}
	s.ledger = e.putLedger(l)
	c := e.scope
	s.left = budget{c.Crashes, c.Unknown, c.Refused, c.Waits}
	return s
}

// reaches reports whether a Warden and a node reach each other.
func (e *engine) reaches(w int8, n *nodes, i int) bool {
	return n[i].up && (i != 0 || !e.scope.blind(w))
}

// move is one step of a world.
type move struct {
	kind moveKind
	w    int8   // the Warden it happens to
	item uint32 // what arrives
}

type moveKind uint8

const (
	moveEvent moveKind = iota // something happens to a Warden, by itself
	moveDeliver
	moveTwice  // a message arrives and will arrive again
	moveObey   // an order arrives at its node
	moveForget // an order arrives, and its giver never learns it
	moveGiveUp // an order does not arrive as long as its giver waits for it
	moveRefuse // the node refuses an order
)

// code is a move as a number, for the record of a search.
func (m move) code(ev eventKind) uint64 {
	return uint64(m.kind) | uint64(ev)<<8 | uint64(uint8(m.w))<<16 | uint64(m.item)<<24
}

func uncode(c uint64) (move, eventKind) {
	return move{moveKind(c & 255), int8(c >> 16 & 255), uint32(c >> 24)}, eventKind(c >> 8 & 255)
}

type stepKey struct {
	mind, nodes uint32
	kind        eventKind
	w           int8
	item        uint32
}

type bookKey struct {
	ledger, deeds uint32
	w             int8
}

type bookResult struct {
	ledger uint32
	broken *Violation
}

// walker goes through worlds; each has tables of its own of what it has
// computed before, so that two of them need not wait for one another.
type walker struct {
	e     *engine
	z     *settler
	steps map[stepKey]*result
	books map[bookKey]bookResult
	dead  map[spentKey]bool
	emit  func(code uint64, s *world, broken *Violation)
	next  world
}

func newWalker(e *engine) *walker {
	return &walker{e: e, z: newSettler(), steps: map[stepKey]*result{}, books: map[bookKey]bookResult{}, dead: map[spentKey]bool{}}
}

// step is what an event makes of a mind, computed once.
func (k *walker) step(w int8, id, nodesID uint32, ev event) *result {
	key := stepKey{mind: id, kind: ev.kind, w: w, item: ev.item}
	r, ok := k.steps[key]
	if ok && !r.looked {
		return r
	}
	key.nodes = nodesID + 1
	if r, ok = k.steps[key]; ok {
		return r
	}
	fresh := k.e.compute(k.z, w, k.e.minds.get(id), ev, k.e.places.get(nodesID), nil)
	r = &fresh
	if r.looked {
		k.steps[key] = r
		key.nodes = 0
	} else {
		key.nodes = 0
	}
	k.steps[key] = r
	return r
}

// enter books what a Warden did, computed once.
func (k *walker) enter(w int8, ledgerID uint32, r *result, nodesID uint32) bookResult {
	if r.number == 0 {
		return bookResult{ledger: ledgerID}
	}
	key := bookKey{ledgerID, r.number, w}
	have, ok := k.books[key]
	if !ok {
		b := &book{ledger: *k.e.ledgers.get(ledgerID), e: k.e}
		b.entries = slices.Clone(b.entries)
		b.enter(w, r.deeds)
		l := b.ledger
		have = bookResult{k.e.putLedger(&l), b.broken}
		k.books[key] = have
	}
	if have.broken == nil && have.ledger != ledgerID {
		b := &book{ledger: *k.e.ledgers.get(have.ledger), e: k.e}
		b.remembers(k.e.places.get(nodesID))
		have.broken = b.broken
	}
	return have
}

// walk calls emit for every world that follows on s.
func (k *walker) walk(s *world) {
	for w := range int8(wardenCount) {
		k.timers(s, w)
	}
	for at, id := range s.items {
		if at > 0 && s.items[at-1] == id {
			continue // two of a kind
		}
		switch x := k.e.items.get(id); x.kind {
		case isMessage:
			if !k.up(s, x.to) {
				continue
			}
			k.happen(s, x.to, event{hears, id}, move{moveDeliver, x.to, id})
		case isAnswer:
			if k.up(s, x.to) {
				k.happen(s, x.to, event{answered, id}, move{moveDeliver, x.to, id})
			}
		case isOrder:
			k.order(s, x, id)
		}
	}
}

func (k *walker) up(s *world, w int8) bool { return k.e.minds.get(s.minds[w]).up }

// timers are the things that happen to a Warden by themselves.
func (k *walker) timers(s *world, w int8) {
	happen := func(kind eventKind) { k.happen(s, w, event{kind: kind}, move{kind: moveEvent, w: w}) }
	m := k.e.minds.get(s.minds[w])
	if !m.up {
		happen(starts)
		return
	}
	el := electionOf(&m.state)
	switch {
	case el.Lead != nil:
		happen(expires)
		if s.left.waits > 0 {
			happen(waits)
		}
	case el.Stand != nil:
		happen(expires)
	default:
		if k.e.scope.candidate(w) {
			happen(stands)
		}
	}
	if s.left.crashes > 0 {
		happen(dies)
	}
}

// happen takes an event through one Warden of the world.
func (k *walker) happen(s *world, w int8, ev event, m move) {
	r := k.step(w, s.minds[w], s.nodes, ev)
	if !r.possible {
		return
	}
	n := &k.next
	items := append(n.items[:0], s.items...)
	*n = *s
	n.items = items
	switch {
	case ev.kind == answered:
		n.items = without(n.items, ev.item)
	case ev.kind == dies:
		n.left.crashes--
	case ev.kind == waits:
		n.left.waits--
	}
	if r.next == s.minds[w] && r.number == 0 && ev.kind != answered {
		return // nothing came of it
	}
	n.minds[w] = r.next
	b := k.enter(w, s.ledger, r, s.nodes)
	n.ledger = b.ledger
	for i := range r.deeds {
		if d := &r.deeds[i]; d.kind == sends || d.kind == orders {
			k.put(n, d.item)
		}
	}
	k.finish(n, m.code(ev.kind), b.broken)
}

// put puts something on its way; a sabotage may alter or add to it.
func (k *walker) put(n *world, id uint32) {
	x := k.e.items.get(id)
	if x.kind == isOrder && !k.e.scope.Orders {
		return
	}
	if s := k.e.sabotage.Carry; s != nil && x.kind == isMessage {
		for _, y := range s(x, k.up(n, x.to)) {
			n.items = append(n.items, k.e.putItem(y))
		}
		return
	}
	n.items = append(n.items, id)
}

func without(items []uint32, id uint32) []uint32 {
	i := slices.Index(items, id)
	return slices.Delete(items, i, i+1)
}

// finish brings a world into its one form and emits it.
func (k *walker) finish(n *world, code uint64, broken *Violation) {
	keep := n.items[:0]
	for _, id := range n.items {
		if !k.spent(n, id) {
			keep = append(keep, id)
		}
	}
	n.items = keep
	slices.Sort(n.items)
	n.items = slices.Compact(n.items)
	k.emit(code, n, broken)
}

// spent reports whether something on its way can never do anything any more,
// so that it need not be kept. A message is spent when nothing comes of it now:
// epochs, versions and what is known only grow, so that a later answer to it
// could tell its sender no more than that a newer epoch was promised, and the
// sender may give up, or stand in a newer epoch, without being told. The answer
// to an order is spent when nobody waits for it.
func (k *walker) spent(n *world, id uint32) bool {
	x := k.e.items.get(id)
	switch x.kind {
	case isOrder:
		i := nodeIndex(x.action.Node)
		c := k.e.places.get(n.nodes)[i].claim
		shut := c.epoch > x.action.Epoch || c.epoch == x.action.Epoch && c.owner != x.from ||
			x.over.serial != 0 && c != x.over
		return shut && !k.e.sabotage.Deaf && !k.listens(n, x.from, x.run, x.action.ID)
	case isAnswer:
		return !k.listens(n, x.to, x.run, x.answer.ID)
	}
	key := spentKey{n.minds[x.to], n.minds[x.from], id}
	spent, ok := k.dead[key]
	if !ok {
		spent = k.idle(n, x, id)
		k.dead[key] = spent
	}
	return spent
}

// spentKey is all on which it depends whether a message is spent.
type spentKey struct{ to, from, item uint32 }

// idle reports whether nothing comes of a message now: it changes nothing, and
// nothing comes of what is answered.
func (k *walker) idle(n *world, x *item, id uint32) bool {
	if !k.up(n, x.to) {
		return false
	}
	r := k.step(x.to, n.minds[x.to], n.nodes, event{hears, id})
	if !r.possible || r.next != n.minds[x.to] {
		return false
	}
	for i := range r.deeds {
		d := &r.deeds[i]
		if d.kind != sends {
			return false
		}
		y := k.e.items.get(d.item)
		if question := y.message.Ask != nil || y.message.Propose != nil; question || y.to != x.from || !k.idle(n, y, d.item) {
			return false
		}
	}
	return true
}

// listens reports whether a run of a Warden waits for the end of an action.
func (k *walker) listens(n *world, w int8, run warden.Run, id uint64) bool {
	m := k.e.minds.get(n.minds[w])
	return m.up && m.run == run && (*failoverOf(&m.state)).NodeOf(id) != ""
}

// order is what may become of an order on its way.
func (k *walker) order(s *world, x *item, id uint32) {
	listens := k.listens(s, x.from, x.run, x.action.ID)
	n := k.e.places.get(s.nodes)
	i := nodeIndex(x.action.Node)
	if !k.e.reaches(x.from, n, i) {
		k.reply(s, x, id, move{moveObey, x.from, id}, k.ended(x, warden.Refused, "connection refused", silent), s.nodes, nil)
		return
	}
	k.arrive(s, x, id, moveObey)
	if listens && s.left.unknown > 0 {
		k.arrive(s, x, id, moveForget)
		k.reply(s, x, id, move{moveGiveUp, x.from, id}, k.ended(x, warden.Unknown, "no answer", nil), s.nodes, nil)
	}
	if listens && s.left.refused > 0 {
		k.reply(s, x, id, move{moveRefuse, x.from, id}, k.ended(x, warden.Refused, "it does not want to", nil), s.nodes, nil)
	}
}

// ended is the answer to an order.
func (k *walker) ended(x *item, how warden.Outcome, why string, seen *warden.Observation) *item {
	y := &item{kind: isAnswer, from: -1, to: x.from, run: x.run, action: warden.Action{Kind: x.action.Kind, Node: x.action.Node, Target: x.action.Target}}
	y.answer = group.ActionDone{ID: x.action.ID, Result: warden.Result{Outcome: how, Why: why}}
	if seen != nil {
		y.answer.Observation = *seen
	} else if x.action.Kind == warden.ActClaim {
		y.answer.Observation = *silent
	}
	return y
}

// arrive is an order that reaches its node: it is shut out, or obeyed.
func (k *walker) arrive(s *world, x *item, id uint32, kind moveKind) {
	before := k.e.places.get(s.nodes)
	n := *before
	i := nodeIndex(x.action.Node)
	deaf := k.e.sabotage.Deaf
	session := x.over
	m := move{kind, x.from, id}
	if session.serial == 0 {
		c, ok := n.take(i, x.action.Epoch, x.from, x.run, deaf)
		if !ok {
			y := k.ended(x, warden.Refused, "a newer leader has claimed it", nil)
			y.answer.Result.Superseded = true
			if kind == moveObey {
				k.reply(s, x, id, m, y, s.nodes, nil)
			}
			return
		}
		session = c
	} else if n[i].claim != session && !deaf {
		if kind == moveObey {
			y := k.ended(x, warden.Unknown, "connection ended", nil)
			y.lost = true
			k.reply(s, x, id, m, y, s.nodes, nil)
		}
		return
	}
	var broken *Violation
	if x.action.Kind != warden.ActClaim {
		b := &book{ledger: *k.e.ledgers.get(s.ledger), e: k.e}
		b.obeys(&n, i, x, n[i].claim.epoch > x.action.Epoch)
		n.obey(i, &x.action)
		b.remembers(&n)
		broken = b.broken
	}
	y := k.ended(x, warden.Done, "", nil)
	if kind == moveForget {
		y = k.ended(x, warden.Unknown, "no answer", nil)
		y.lost = true
	} else if y.opened = session; x.action.Kind == warden.ActClaim || x.action.Kind == warden.ActPromote {
		y.answer.Observation = n.observe(i)
		if o := k.e.sabotage.Observe; o != nil {
			o(&n[i], &y.answer.Observation)
		}
	}
	k.reply(s, x, id, m, y, k.e.putNodes(&n), broken)
}

// reply takes an order from the way and puts its answer there. An order that
// was given up stays on its way.
func (k *walker) reply(s *world, x *item, id uint32, m move, y *item, nodesID uint32, broken *Violation) {
	n := &k.next
	items := append(n.items[:0], s.items...)
	*n = *s
	n.items = items
	switch m.kind {
	case moveGiveUp, moveForget:
		n.left.unknown--
	case moveRefuse:
		n.left.refused--
	}
	if m.kind != moveGiveUp {
		n.items = without(n.items, id)
	}
	n.nodes = nodesID
	n.items = append(n.items, k.e.putItem(y))
	k.finish(n, m.code(0), broken)
}
