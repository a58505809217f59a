package check

import (
	"encoding/binary"
	"hash/maphash"
	"reflect"
	"slices"
	"unsafe"

	"github.com/spineldb/warden/warden"
)

// Every clock is put back to this instant after every step, and all instants
// of the mind with it: only distances are kept.
const noon = warden.Instant(1000 * warden.Minute)

const (
	blink  = warden.Microsecond // between two things that happen at one time
	moment = 500 * warden.Microsecond
	ago    = 400 * warden.Millisecond // whatever is older is as old as this
)

var instantType = reflect.TypeFor[warden.Instant]()

// timed remembers which types have instants in them.
type timed map[reflect.Type]bool

func (k timed) has(t reflect.Type) bool {
	if t == instantType {
		return true
	}
	if known, ok := k[t]; ok {
		return known
	}
	k[t] = false // a type that contains itself adds nothing
	found := false
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		found = k.has(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			_, treated := rules[t.String()+"."+t.Field(i).Name]
			found = found || treated || k.has(t.Field(i).Type)
		}
	}
	k[t] = found
	return found
}

// settler makes one form of all memories that differ in nothing that matters.
type settler struct {
	timed    timed
	instants []*warden.Instant
}

func newSettler() *settler { return &settler{timed: timed{}} }

// own copies whatever holds instants, so that they can be changed, applies the
// rules and collects the instants. v must be addressable.
func (z *settler) own(v reflect.Value) {
	if !z.timed.has(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Int64:
		z.instants = append(z.instants, (*warden.Instant)(v.Addr().UnsafePointer()))
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		fresh := reflect.New(v.Type().Elem())
		fresh.Elem().Set(v.Elem())
		v.Set(fresh)
		z.own(fresh.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		for i := range fresh.Len() {
			z.own(fresh.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			z.own(v.Index(i))
		}
	case reflect.Struct:
		name := v.Type().String() + "."
		for i := range v.NumField() {
			f := v.Field(i)
			f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem() // also what is not exported
			if rule, ok := rules[name+v.Type().Field(i).Name]; ok {
				rule(f)
				continue
			}
			z.own(f)
		}
	}
}

// compress moves now to noon and every other instant with it. What lies
// closer together than a moment keeps only its order, all else whole
// milliseconds: so it does not count how many things happened at one time.
func (z *settler) compress(now warden.Instant) {
	at := z.instants[:0]
	for _, p := range z.instants {
		if *p > 1 { // 0 is never, -1 and 1 are marks
			at = append(at, p)
		}
	}
	slices.SortStableFunc(at, func(a, b *warden.Instant) int {
		switch {
		case *a < *b:
			return -1
		case *a > *b:
			return 1
		}
		return 0
	})
	future, _ := slices.BinarySearchFunc(at, now, func(p *warden.Instant, t warden.Instant) int {
		if *p < t {
			return -1
		}
		return 1
	})
	was, is := now, noon
	for _, p := range at[future:] {
		d := p.Sub(was)
		was = *p
		is = is.Add(spaced(d))
		*p = is
	}
	was, is = now, noon
	for i := future - 1; i >= 0; i-- {
		p := at[i]
		d := was.Sub(*p)
		was = *p
		is = max(is.Add(-spaced(d)), noon.Add(-ago))
		*p = is
	}
	z.instants = z.instants[:0]
}

func spaced(d warden.Duration) warden.Duration {
	switch {
	case d == 0:
		return 0
	case d < moment:
		return blink
	}
	return (d + warden.Millisecond/2) / warden.Millisecond * warden.Millisecond
}

// fingerprint stands for a content. Two contents with the same fingerprint are
// taken for one; at 128 bits that does not happen by chance.
type fingerprint struct{ a, b uint64 }

var seedA, seedB = maphash.MakeSeed(), maphash.MakeSeed()

func printOf(text []byte) fingerprint {
	return fingerprint{maphash.Bytes(seedA, text), maphash.Bytes(seedB, text)}
}

// encode appends the content of v, following pointers, so that equal contents
// and only those have equal texts.
func encode(out []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(out, 1)
		}
		return append(out, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(out, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(out, v.Uint())
	case reflect.String:
		out = binary.AppendUvarint(out, uint64(v.Len()))
		return append(out, v.String()...)
	case reflect.Pointer:
		if v.IsNil() {
			return append(out, 0)
		}
		return encode(append(out, 1), v.Elem())
	case reflect.Slice, reflect.Array:
		out = binary.AppendUvarint(out, uint64(v.Len()))
		for i := range v.Len() {
			out = encode(out, v.Index(i))
		}
		return out
	case reflect.Struct:
		for i := range v.NumField() {
			out = encode(out, v.Field(i))
		}
		return out
	}
	panic("check: cannot compare a " + v.Kind().String() + ": teach encode")
}
