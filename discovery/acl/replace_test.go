package acl

import (
	"slices"
	"strings"
	"testing"
)

// Goal: the users of another configuration take the place of all there are, or
// of none if one of them is wrong; the password that is required stays.
func TestReplace(t *testing.T) {
	changed := 0
	l, err := New(Options{RequirePass: "pw", Users: []string{"old on >a +ping"}, Changed: func() { changed++ }})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetUser("made", []string{"on"}); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range [][]string{{"x on", "y +nonsense"}, {"x on", "x off"}, {""}} {
		if err := l.Replace(wrong); err == nil || !slices.Equal(l.Users(), []string{"default", "made", "old"}) || changed != 1 {
			t.Errorf("%q: %v, users %v, %d changes", wrong, err, l.Users(), changed)
		}
	}
	if err := l.Replace([]string{"new on >b +ping"}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Users(), []string{"default", "new"}) || !l.Login("new", "b") || l.Login("old", "a") || !l.Login("default", "pw") || l.Open() || changed != 2 {
		t.Errorf("users %v after %d changes", l.Users(), changed)
	}
	file := t.TempDir() + "/users.acl"
	if err := replaceFile(file, "user other on nopass\n"); err != nil {
		t.Fatal(err)
	}
	if l, err = New(Options{File: file}); err != nil {
		t.Fatal(err)
	}
	if err := l.Replace(nil); err == nil || !strings.Contains(err.Error(), file) || !l.Has("other") {
		t.Errorf("users of a file were replaced by those of a configuration: %v", err)
	}
}
