package resp

import (
	"errors"
	"testing"
)

// Goal: a command is found by the name it was given and by no other, with its
// subcommands; one that was taken away is unknown; and what cannot be renamed
// is an error.
func TestRename(t *testing.T) {
	table, err := newCommandTable().renamed([]Rename{
		{"PING", "alive"}, {"sentinel", "Guard"}, {"INFO", ""}, {"alive", "Still-Alive"}, {"role", "info"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ first, second, want string }{
		{"still-ALIVE", "", "ping"}, {"guard", "MASTERS", "sentinel|masters"}, {"Info", "", "role"}, {"client", "id", "client|id"},
		{"ping", "", ""}, {"alive", "", ""}, {"sentinel", "masters", ""}, {"role", "", ""}, {"sentinel|masters", "", ""},
	} {
		words := []string{tt.first}
		if tt.second != "" {
			words = append(words, tt.second)
		}
		cmd, _, problem := table.find(words)
		if got := cmd != nil && cmd.full == tt.want; got != (tt.want != "") || (problem == "") != (tt.want != "") {
			t.Errorf("%v calls %+v with problem %q, want %q", words, cmd, problem, tt.want)
		}
	}
	for _, tt := range []struct {
		renames []Rename
		at      int
		want    error
	}{
		{nil, -1, nil},
		{[]Rename{{"ping", "PONG"}, {"PONG", "ping"}, {"ping", "PING"}}, -1, nil},
		{[]Rename{{"get", "x"}}, 0, ErrNoSuchCommand},
		{[]Rename{{"ping", ""}, {"ping", "x"}}, 1, ErrNoSuchCommand},
		{[]Rename{{"ping", "x"}, {"ping", "y"}}, 1, ErrNoSuchCommand},
		{[]Rename{{"ping", "INFO"}}, 0, ErrNameTaken},
		{[]Rename{{"sentinel|masters", "x"}}, 0, ErrNoSuchCommand},
	} {
		if at, err := CheckRenames(tt.renames); at != tt.at || !errors.Is(err, tt.want) {
			t.Errorf("%v: %d, %v, want %d, %v", tt.renames, at, err, tt.at, tt.want)
		}
	}
}
