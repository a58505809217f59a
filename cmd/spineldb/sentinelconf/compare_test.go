package sentinelconf

import (
	"log/slog"
	"reflect"
	"testing"
)

// altered calls try with a copy of v for each of its fields, in which that
// field alone is another one.
func altered[T any](t *testing.T, v T, try func(field string, other T)) {
	t.Helper()
	for i := range reflect.TypeFor[T]().NumField() {
		other := v
		f := reflect.ValueOf(&other).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Int, reflect.Int64:
			f.SetInt(f.Int() + 1)
		case reflect.Uint64:
			f.SetUint(f.Uint() + 1)
		case reflect.Slice:
			f.Set(reflect.Append(f, reflect.Zero(f.Type().Elem())))
		default:
			t.Fatalf("field of kind %s", f.Kind())
		}
		try(reflect.TypeFor[T]().Field(i).Name, other)
	}
}

// No field of a state can change without being noticed: the comparison is what
// guards the file.
func TestDiffers(t *testing.T) {
	g := NewGroup("m", "10.0.0.1", 1, 1)
	s := State{Groups: []Group{g}}
	if what := s.differs(s.Clone()); what != "" {
		t.Errorf("%s differs from itself", what)
	}
	altered(t, s, func(field string, other State) {
		if s.differs(other) == "" || other.differs(s) == "" {
			t.Errorf("%s is not compared", field)
		}
	})
	altered(t, g, func(field string, other Group) {
		if s.differs(State{Groups: []Group{other}}) == "" {
			t.Errorf("%s of a group is not compared", field)
		}
	})
}

// Sentinel's levels become ours.
func TestLevel(t *testing.T) {
	if !(Level("debug") < Level("verbose") && Level("verbose") == Level("notice") && Level("notice") < Level("warning") && Level("nothing") > slog.LevelError) {
		t.Error("the order of the levels is wrong")
	}
}

// A replica that an included file knows is not repeated.
func TestRenderIncludedReplica(t *testing.T) {
	world := files(map[string]string{"/inc": "sentinel known-replica m 10.0.0.2 1\n"})
	text := monitorM + "include /inc\nsentinel config-epoch m 0\nsentinel leader-epoch m 0\nsentinel current-epoch 0\n"
	same(t, render(t, text, world, func(*State) {}), text)
	same(t, render(t, text, world, func(s *State) {
		g := s.Group("m")
		g.Replicas = append(g.Replicas, Address{"10.0.0.3", 1})
	}), text+"\n"+signature+"\nsentinel known-replica m 10.0.0.3 1\n")
}
