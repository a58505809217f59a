package check

import (
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
