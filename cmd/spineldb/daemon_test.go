package main

import (
	"reflect"
	"slices"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/config"
)

// A reload must apply every key of the file or name it: none may be ignored in
// silence, not even one that is added later.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	applied := []string{"File", "Masters", "Warnings", "GossipKeys", "Users", "DropIn", "AnnounceIP", "AnnouncePort", "Hooks", "Webhooks"}
	var have config.Config
	kind := reflect.TypeFor[config.Config]()
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		if slices.Contains(applied, name) {
			continue
		}
		want := have
		switch f := reflect.ValueOf(&want).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Int:
			f.SetInt(7)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Struct:
			f.Field(0).SetInt(7)
		default:
			t.Fatalf("%s: this test knows no other value of a %s", name, f.Kind())
		}
		if keys := needRestart(have, want); len(keys) != 1 {
			t.Errorf("a changed %s is reported as %q", name, keys)
		}
	}
	if keys := needRestart(have, have); len(keys) != 0 {
		t.Errorf("nothing was changed and %q is reported", keys)
	}
}
