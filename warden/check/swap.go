package check

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/spineldb/warden/warden"
)

// Two Wardens that the scope treats alike may change places: a world and the
// one in which they have are one state. That their minds treat them alike too
// is shown by TestSwap: they compare ids, and sort by them, and the model makes
// nothing of ranks.

// pair is which two Wardens may change places; ok: there are two.
func (s *Scope) pair() (a, b int8, ok bool) {
	for a = range int8(wardenCount) {
		for b = a + 1; b < wardenCount; b++ {
			if !s.Relay && s.candidate(a) == s.candidate(b) && s.blind(a) == s.blind(b) {
				return a, b, true
			}
		}
	}
	return 0, 0, false
}

// swapper lets two Wardens change places in everything that names them.
type swapper struct {
	e       *engine
	a, b    int8
	named   map[reflect.Type]bool
	minds   map[uint32]uint32
	items   map[uint32]uint32
	ledgers map[uint32]uint32
	places  map[uint32]uint32
	other   world
	row     []uint32
}

// newSwapper is nil when no two Wardens are alike.
func newSwapper(e *engine) *swapper {
	a, b, ok := e.scope.pair()
	if !ok {
		return nil
	}
	return &swapper{e: e, a: a, b: b, named: map[reflect.Type]bool{}, minds: map[uint32]uint32{}, items: map[uint32]uint32{},
		ledgers: map[uint32]uint32{}, places: map[uint32]uint32{}}
}

// index is a Warden's place after the change.
func (x *swapper) index(w int8) int8 {
	switch w {
	case x.a:
		return x.b
	case x.b:
		return x.a
	}
	return w
}

var wardenType = reflect.TypeFor[warden.WardenID]()

func (x *swapper) names(t reflect.Type) bool {
	if t == wardenType {
		return true
	}
	if known, ok := x.named[t]; ok {
		return known
	}
	x.named[t] = false
	found := false
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		found = x.names(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			found = found || x.names(t.Field(i).Type)
		}
	}
	x.named[t] = found
	return found
}

// rename copies whatever names Wardens, and changes the names in the copy.
// Lists that are sorted by them are sorted again.
func (x *swapper) rename(v reflect.Value) {
	if !x.names(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.String:
		if w := wardenIndex(warden.WardenID(v.String())); w >= 0 {
			v.SetString(string(wardenIDs[x.index(w)]))
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		fresh := reflect.New(v.Type().Elem())
		fresh.Elem().Set(v.Elem())
		v.Set(fresh)
		x.rename(fresh.Elem())
	case reflect.Slice:
		x.renameList(v)
	case reflect.Array:
		for i := range v.Len() {
			x.rename(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			x.rename(reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem())
		}
	}
}

func (x *swapper) renameList(v reflect.Value) {
	if v.IsNil() {
		return
	}
	fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(fresh, v)
	v.Set(fresh)
	for i := range fresh.Len() {
		x.rename(fresh.Index(i))
	}
	if ids, ok := fresh.Interface().([]warden.WardenID); ok {
		slices.Sort(ids)
	}
	for _, by := range []string{"from", "ID"} {
		t := v.Type().Elem()
		if t.Kind() != reflect.Struct {
			return
		}
		if f, ok := t.FieldByName(by); ok && f.Type == wardenType {
			sortBy(v, by)
		}
	}
}

// cached is the number of what a value becomes.
func cached(known map[uint32]uint32, id uint32, make func() uint32) uint32 {
	to, ok := known[id]
	if !ok {
		to = make()
		known[id] = to
	}
	return to
}

func (x *swapper) mind(id uint32) uint32 {
	return cached(x.minds, id, func() uint32 {
		m := *x.e.minds.get(id)
		x.rename(reflect.ValueOf(&m).Elem())
		m.self = x.index(m.self)
		for i := range m.sessions {
			x.claim(&m.sessions[i])
		}
		return x.e.minds.put(printOf(encode(nil, reflect.ValueOf(&m).Elem())), &m)
	})
}

// claim changes the owner of a session; the empty one has none.
func (x *swapper) claim(c *claim) {
	if c.epoch != 0 {
		c.owner = x.index(c.owner)
	}
}

func (x *swapper) item(id uint32) uint32 {
	return cached(x.items, id, func() uint32 {
		y := *x.e.items.get(id)
		x.rename(reflect.ValueOf(&y).Elem())
		y.from, y.to = x.index(y.from), x.index(y.to)
		x.claim(&y.over)
		x.claim(&y.opened)
		return x.e.putItem(&y)
	})
}

func (x *swapper) ledger(id uint32) uint32 {
	return cached(x.ledgers, id, func() uint32 {
		l := *x.e.ledgers.get(id)
		l.votes[x.a], l.votes[x.b] = l.votes[x.b], l.votes[x.a]
		for w := range l.votes {
			for e := range l.votes[w] {
				if v := &l.votes[w][e]; v.to != 0 {
					v.to = x.index(v.to-1) + 1
				}
			}
		}
		l.entries = slices.Clone(l.entries)
		for i := range l.entries {
			y := &l.entries[i]
			t := *x.e.topics.get(y.topic)
			x.rename(reflect.ValueOf(&t).Elem())
			y.topic = x.e.putTopology(&t)
			both := uint8(1)<<x.a | uint8(1)<<x.b
			if y.by&both != 0 && y.by&both != both {
				y.by ^= both
			}
		}
		return x.e.putLedger(&l)
	})
}

func (x *swapper) nodes(id uint32) uint32 {
	return cached(x.places, id, func() uint32 {
		n := *x.e.places.get(id)
		for i := range n {
			x.claim(&n[i].claim)
		}
		return x.e.putNodes(&n)
	})
}

// world is s with the two having changed places.
func (x *swapper) world(s *world, into *world) {
	items := into.items[:0]
	*into = *s
	for w := range int8(wardenCount) {
		into.minds[x.index(w)] = x.mind(s.minds[w])
	}
	into.nodes, into.ledger = x.nodes(s.nodes), x.ledger(s.ledger)
	for _, id := range s.items {
		items = append(items, x.item(id))
	}
	slices.Sort(items)
	into.items = items
}

// first is the row of a world, or of the one in which the two have changed
// places: of the two always the same one, and whether it is the second.
func (x *swapper) first(s *world, row []uint32) (out []uint32, swapped bool) {
	if x == nil {
		return row, false
	}
	x.world(s, &x.other)
	x.row = x.other.pack(x.row[:0])
	if slices.Compare(x.row, row) < 0 {
		return x.row, true
	}
	return row, false
}

// code is a move as it is when the two have changed places.
func (x *swapper) code(c uint32) uint32 {
	m, ev := uncode(c)
	m.w = x.index(m.w)
	if m.kind != moveEvent {
		m.item = x.item(m.item)
	}
	return m.code(ev)
}
