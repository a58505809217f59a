package transcript

import "testing"

type inner struct {
	list []int
	next *inner
}

// Dump sees through pointers and hidden fields, and shows no address.
func TestDump(t *testing.T) {
	make := func(deep int) inner {
		return inner{list: []int{1}, next: &inner{list: []int{2, deep}}}
	}
	if Dump(make(3)) != Dump(make(3)) {
		t.Errorf("two of a kind differ: %s", Dump(make(3)))
	}
	if Dump(make(3)) == Dump(make(4)) {
		t.Error("a difference deep inside does not show")
	}
	if got, want := Dump(inner{}), "{list:[] next:nil }\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if Dump(any("1")) == Dump(1) || Dump(any(nil)) == Dump("") {
		t.Error("kinds are mixed up")
	}
	defer func() {
		if recover() == nil {
			t.Error("a map was accepted")
		}
	}()
	Dump(map[string]int{})
}
