package warden

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// change sets a value to one that differs from what it was.
func change(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Slice:
		grown := reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1)
		reflect.Copy(grown, v)
		change(grown.Index(v.Len()))
		v.Set(grown)
	default:
		return false
	}
	return true
}

// leaves calls do for every field of a struct, down to the plain values, with
// the path to it.
func leaves(v reflect.Value, path string, do func(path string, leaf reflect.Value)) {
	if v.Kind() != reflect.Struct {
		do(path, v)
		return
	}
	for i := range v.NumField() {
		leaves(v.Field(i), path+"."+v.Type().Field(i).Name, do)
	}
}

// TestEqualSeesEveryField changes one field after the other: whoever adds a
// field to a topology or a register has to compare it too, or a vote with
// another content would be taken for a repetition.
func TestEqualSeesEveryField(t *testing.T) {
	n := 0
	sample := Topology{Wardens: []WardenID{"w1"}, Lineage: []string{"l"}}
	leaves(reflect.ValueOf(sample), "Topology", func(path string, _ reflect.Value) {
		a, b := sample.Clone(), sample.Clone()
		leaves(reflect.ValueOf(&b).Elem(), "Topology", func(p string, leaf reflect.Value) {
			if p == path && !change(leaf) {
				t.Errorf("%s: a %s cannot be changed by this test: teach it", p, leaf.Kind())
			}
		})
		if n++; a.Equal(b) || b.Equal(a) {
			t.Errorf("%s is not compared by Topology.Equal", path)
		}
		if !b.Equal(b.Clone()) {
			t.Errorf("%s: a clone is not equal to what it was made from", path)
		}
	})
	register := Register{Accepted: sample, Nodes: []NodeID{"n:1"}}
	leaves(reflect.ValueOf(register), "Register", func(path string, _ reflect.Value) {
		a, b := register.Clone(), register.Clone()
		leaves(reflect.ValueOf(&b).Elem(), "Register", func(p string, leaf reflect.Value) {
			if p == path && !change(leaf) {
				t.Errorf("%s: a %s cannot be changed by this test: teach it", p, leaf.Kind())
			}
		})
		if n++; a.Equal(b) || b.Equal(a) {
			t.Errorf("%s is not compared by Register.Equal", path)
		}
	})
	if n < 40 {
		t.Errorf("only %d fields were tried", n)
	}
}

// TestCloneSharesNothing changes every slice of a clone in place.
func TestCloneSharesNothing(t *testing.T) {
	o := Observation{Replicas: []Replica{{Node: "a:1"}}}
	r := Register{Nodes: []NodeID{"a:1"}}
	r.Accepted = Topology{Wardens: []WardenID{"w1"}, Lineage: []string{"l"}}
	r.Chosen = r.Accepted.Clone()
	before := fmt.Sprint(o, r)
	for _, clone := range []any{new(o.Clone()), new(r.Clone())} {
		leaves(reflect.ValueOf(clone).Elem(), "", func(path string, leaf reflect.Value) {
			if leaf.Kind() == reflect.Slice {
				for i := range leaf.Len() {
					leaves(leaf.Index(i), path, func(p string, v reflect.Value) {
						if !change(v) {
							t.Errorf("%s: teach this test to change a %s", p, v.Kind())
						}
					})
				}
			}
		})
	}
	if after := fmt.Sprint(o, r); after != before {
		t.Errorf("a clone shares a slice with what it was made from:\n%s\n%s", before, after)
	}
}

func TestMajority(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4} {
		top := Topology{Wardens: make([]WardenID, n)}
		if got := top.Majority(); got != want {
			t.Errorf("majority of %d is %d, want %d", n, got, want)
		}
	}
}

// Ids are kept once, the newest last, and the oldest are forgotten.
func TestWithLineage(t *testing.T) {
	a := Topology{Lineage: []string{"l1", "l2"}}
	b := a.WithLineage("", "l1", "l3")
	if got := strings.Join(b.Lineage, " "); got != "l2 l1 l3" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(a.Lineage, " "); got != "l1 l2" {
		t.Errorf("the topology it was derived from changed: %s", got)
	}
	for i := range 2 * MaxLineage {
		b = b.WithLineage(fmt.Sprint("m", i))
	}
	if len(b.Lineage) != MaxLineage || b.Lineage[MaxLineage-1] != fmt.Sprint("m", 2*MaxLineage-1) {
		t.Errorf("got %d ids, the newest %s", len(b.Lineage), b.Lineage[len(b.Lineage)-1])
	}
}

// The base of an election is the newer of what was accepted and what is known
// to be chosen (V2).
func TestNewest(t *testing.T) {
	at := func(birth Birth, e Epoch) Topology { return Topology{Birth: birth, Version: Version{e, 1}} }
	for _, x := range []struct {
		name             string
		accepted, chosen Topology
		want             Topology
	}{
		{"nothing", Topology{}, Topology{}, Topology{}},
		{"only accepted", at("b", 1), Topology{}, at("b", 1)},
		{"only chosen", Topology{}, at("b", 1), at("b", 1)},
		{"accepted is newer", at("b", 2), at("b", 1), at("b", 2)},
		{"chosen is newer", at("b", 1), at("b", 2), at("b", 2)},
		{"a recovery is accepted, not chosen", at("c", 3), at("b", 2), at("c", 3)},
	} {
		if got := (&Register{Accepted: x.accepted, Chosen: x.chosen}).Newest(); !got.Equal(x.want) {
			t.Errorf("%s: newest is %s of %s", x.name, got.Version, got.Birth)
		}
	}
	if !slices.Equal((&Register{}).Newest().Wardens, nil) || !(&Register{}).Newest().IsZero() {
		t.Error("an empty register has a topology")
	}
}
