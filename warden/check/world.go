package check

import (
	"reflect"
	"slices"

	"github.com/spineldb/warden/warden"
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
	places   *table[nodes]
	deeds    *table[[]deed]
}

func (e *engine) putNodes(n *nodes) uint32 {
	kept := *n
	return e.places.put(printOf(encode(nil, reflect.ValueOf(&kept).Elem())), &kept)
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
func (m move) code(ev eventKind) uint32 {
	return uint32(m.kind) | uint32(ev)<<3 | uint32(m.w)<<6 | m.item<<8
}

func uncode(c uint32) (move, eventKind) {
	return move{moveKind(c & 7), int8(c >> 6 & 3), c >> 8}, eventKind(c >> 3 & 7)
}

type bookResult struct {
	ledger uint32
	broken *Violation
}

// walker goes through worlds; each has tables of its own of what it has
// computed before, so that two of them need not wait for one another. The keys
// of the tables are numbers put together (key).
type walker struct {
	e        *engine
	z        *settler
	minds    view[mind]
	items    view[item]
	ledgers  view[ledger]
	places   view[nodes]
	steps    map[uint64]*result
	books    map[uint64]bookResult
	recalls  map[uint64]*Violation
	dead     map[uint64]bool
	arrivals map[uint64]arrival
	judged   map[uint64]*Violation
	swap     *swapper // nil: no two Wardens are alike
	emit     func(code uint32, s *world, broken *Violation)
	next     world
}

func newWalker(e *engine) *walker {
	return &walker{e: e, z: newSettler(), swap: newSwapper(e), minds: view[mind]{of: e.minds}, items: view[item]{of: e.items}, ledgers: view[ledger]{of: e.ledgers},
		places: view[nodes]{of: e.places}, steps: map[uint64]*result{}, books: map[uint64]bookResult{}, recalls: map[uint64]*Violation{},
		dead: map[uint64]bool{}, arrivals: map[uint64]arrival{}, judged: map[uint64]*Violation{}}
}

// key puts three numbers together.
func key(a, b, c uint32) uint64 {
	if a >= 1<<22 || b >= 1<<22 || c >= 1<<20 {
		panic("check: the scope is too large for the tables: take a smaller one")
	}
	return uint64(a)<<42 | uint64(b)<<20 | uint64(c)
}

// step is what an event makes of a mind, computed once.
func (k *walker) step(w int8, id, nodesID uint32, ev event) *result {
	what := ev.item<<3 | uint32(ev.kind)
	short := key(id, 0, what)
	r, ok := k.steps[short]
	if ok && !r.looked {
		return r
	}
	long := key(id, nodesID+1, what)
	if r, ok = k.steps[long]; ok {
		return r
	}
	fresh := k.e.compute(k.z, w, k.minds.get(id), ev, k.places.get(nodesID), nil)
	if r = &fresh; r.looked {
		k.steps[long] = r
	}
	k.steps[short] = r
	return r
}

// enter books what a Warden did, computed once.
func (k *walker) enter(w int8, ledgerID uint32, r *result, nodesID uint32) bookResult {
	if r.number == 0 {
		return bookResult{ledger: ledgerID}
	}
	at := key(ledgerID, r.number, uint32(w))
	have, ok := k.books[at]
	if !ok {
		b := &book{ledger: *k.ledgers.get(ledgerID), e: k.e}
		b.entries = slices.Clone(b.entries)
		b.enter(w, r.deeds)
		l := b.ledger
		have = bookResult{k.e.putLedger(&l), b.broken}
		k.books[at] = have
	}
	if have.broken == nil && have.ledger != ledgerID {
		have.broken = k.recall(have.ledger, nodesID)
	}
	return have
}

// recall checks that no promotion is forgotten.
func (k *walker) recall(ledgerID, nodesID uint32) *Violation {
	at := key(ledgerID, nodesID, 0)
	broken, ok := k.recalls[at]
	if !ok {
		b := &book{ledger: *k.ledgers.get(ledgerID), e: k.e}
		b.remembers(k.places.get(nodesID))
		broken = b.broken
		k.recalls[at] = broken
	}
	return broken
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
		switch x := k.items.get(id); x.kind {
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

func (k *walker) up(s *world, w int8) bool { return k.minds.get(s.minds[w]).up }

// timers are the things that happen to a Warden by themselves.
func (k *walker) timers(s *world, w int8) {
	happen := func(kind eventKind) { k.happen(s, w, event{kind: kind}, move{kind: moveEvent, w: w}) }
	m := k.minds.get(s.minds[w])
	if !m.up {
		if !k.e.scope.Final {
			happen(starts)
		}
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
	k.finish(n, w, false, m.code(ev.kind), b.broken)
}

// put puts something on its way; a sabotage may alter or add to it.
func (k *walker) put(n *world, id uint32) {
	x := k.items.get(id)
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

// finish brings a world into its one form and emits it. Only what has to do
// with the Warden w, or the nodes, can have become spent.
func (k *walker) finish(n *world, w int8, nodesToo bool, code uint32, broken *Violation) {
	keep := n.items[:0]
	for _, id := range n.items {
		x := k.items.get(id)
		if concerned := x.from == w || x.to == w || nodesToo && x.kind != isMessage; !concerned || !k.spent(n, id) {
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
	x := k.items.get(id)
	switch x.kind {
	case isOrder:
		i := nodeIndex(x.action.Node)
		c := k.places.get(n.nodes)[i].claim
		shut := c.epoch > x.action.Epoch || c.epoch == x.action.Epoch && c.owner != x.from ||
			x.over.serial != 0 && c != x.over
		return shut && !k.e.sabotage.Deaf && !k.listens(n, x.from, x.run, x.action.ID)
	case isAnswer:
		return !k.listens(n, x.to, x.run, x.answer.ID)
	}
	at := key(n.minds[x.to], n.minds[x.from], id)
	spent, ok := k.dead[at]
	if !ok {
		spent = k.idle(n, x, id)
		k.dead[at] = spent
	}
	return spent
}

// idle reports whether nothing comes of a message now: it changes nothing, and
// nothing comes of what is answered.
func (k *walker) idle(n *world, x *item, id uint32) bool {
	if !k.up(n, x.to) {
		return k.e.scope.Final // it may be heard after a restart
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
		y := k.items.get(d.item)
		if question := y.message.Ask != nil || y.message.Propose != nil; question || y.to != x.from || !k.idle(n, y, d.item) {
			return false
		}
	}
	return true
}

// listens reports whether a run of a Warden waits for the end of an action.
func (k *walker) listens(n *world, w int8, run warden.Run, id uint64) bool {
	m := k.minds.get(n.minds[w])
	return m.up && m.run == run && (*failoverOf(&m.state)).NodeOf(id) != ""
}
