package check

import (
	"fmt"
	"reflect"
	"testing"
)

// TestTiny walks through the smallest scope, as one of the shortest tests that
// can fail: no promise is broken, and there are as many states as there were.
func TestTiny(t *testing.T) {
	s, ok := Find("tiny")
	if !ok {
		t.Fatal("there is no scope of that name")
	}
	r := Run(Options{Scope: s})
	if r.Violation != nil {
		t.Errorf("%v\n%v", r.Violation, r.Trace)
	}
	if !r.Whole || r.States < 1000 {
		t.Errorf("met %d states, whole %v", r.States, r.Whole)
	}
	one := Run(Options{Scope: s, Workers: 1})
	if one.States != r.States || one.Steps != r.Steps {
		t.Errorf("one worker met %d states in %d steps, more met %d in %d", one.States, one.Steps, r.States, r.Steps)
	}
}

// TestRules holds the rules to the core: one that names a field which is not
// there any more would let states multiply in silence.
func TestRules(t *testing.T) {
	have := map[string]bool{}
	var visit func(reflect.Type)
	visit = func(x reflect.Type) {
		switch x.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			visit(x.Elem())
		case reflect.Struct:
			for i := range x.NumField() {
				name := x.String() + "." + x.Field(i).Name
				if !have[name] {
					have[name] = true
					visit(x.Field(i).Type)
				}
			}
		}
	}
	visit(reflect.TypeFor[mind]())
	for name := range rules {
		if !have[name] {
			t.Errorf("there is a rule for %s, and no such field", name)
		}
	}
}

// TestSwap shows that the minds treat two Wardens alike: what follows on a world
// in which they have changed places is what follows on the world, with the two
// having changed places.
func TestSwap(t *testing.T) {
	for _, name := range []string{"failover", "crash", "votes"} {
		s, _ := Find(name)
		e := newEngine(&Options{Scope: s})
		k := newWalker(e)
		if k.swap == nil {
			t.Fatalf("%s: no two Wardens are alike", name)
		}
		after := func(s *world, swapped bool) map[string]world {
			out := map[string]world{}
			k.emit = func(_ uint32, n *world, _ *Violation) {
				m := n.copy()
				if swapped {
					k.swap.world(n, &m)
				}
				out[fmt.Sprint(m.pack(nil))] = m.copy()
			}
			k.walk(s)
			return out
		}
		met := map[string]bool{}
		worlds := []world{e.first(k.z)}
		for i := 0; i < len(worlds) && len(worlds) < 800; i++ {
			var other world
			k.swap.world(&worlds[i], &other)
			straight, round := after(&worlds[i], false), after(&other, true)
			for row, w := range straight {
				if _, ok := round[row]; !ok {
					t.Fatalf("%s: world %d has a step that it has not with two Wardens swapped", name, i)
				}
				if !met[row] {
					met[row] = true
					worlds = append(worlds, w)
				}
			}
			if len(straight) != len(round) {
				t.Fatalf("%s: world %d has %d steps, and %d with two Wardens swapped", name, i, len(straight), len(round))
			}
		}
	}
}

// TestSabotage breaks one mechanism of the core at a time. The promise that it
// keeps must be found broken; an alarm never seen ringing is none.
func TestSabotage(t *testing.T) {
	found := 0
	for _, b := range Sabotages {
		r := b.Find(nil)
		if r.Violation == nil {
			t.Errorf("%s stayed whole: %s (%d states)", b.Contract, b.What, r.States)
			continue
		}
		found++
		t.Logf("%s: %s, after %d steps: %v", b.Contract, b.What, r.Depth, r.Violation)
		if len(r.Trace) < r.Depth {
			t.Errorf("%s: the trace of %d steps has %d lines", b.What, r.Depth, len(r.Trace))
		}
	}
	t.Logf("%d of %d sabotages found", found, len(Sabotages))
}
