package main

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/spineldb/warden/warden"
)

// phoneBook is hostNames whose lookups are answered by a test.
type phoneBook struct {
	*hostNames
	yes     bool // announce-hostnames
	answers map[string][]string
}

func newPhoneBook() *phoneBook {
	b := &phoneBook{answers: map[string][]string{"db1": {"10.0.0.1"}, "db2.example": {"2001:db8::2", "10.0.0.2"}}}
	b.hostNames = newNames(func() bool { return b.yes })
	b.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
		if _, ok := ctx.Deadline(); !ok {
			return nil, errors.New("a lookup without a deadline")
		}
		var ips []netip.Addr
		for _, ip := range b.answers[host] {
			ips = append(ips, netip.MustParseAddr(ip))
		}
		if len(ips) == 0 {
			return nil, errors.New("no such host")
		}
		return ips, nil
	}
	return b
}

func (b *phoneBook) shows(t *testing.T, node, want warden.NodeID) {
	t.Helper()
	if got := b.show(node); got != want {
		t.Errorf("%s is shown as %s, want %s", node, got, want)
	}
}

// Goal: a node is shown by the address behind its name from the first lookup on,
// by the last good one when the next fails, and by its name with announce-hostnames.
func TestNamesAreShownAsAddresses(t *testing.T) {
	b := newPhoneBook()
	b.shows(t, "db1:6379", "db1:6379") // nobody waits for the lookup
	b.shows(t, "db2.example:6380", "db2.example:6380")
	b.shows(t, "10.9.9.9:1", "10.9.9.9:1")
	b.shows(t, "[2001:db8::9]:1", "[2001:db8::9]:1")
	b.shows(t, "gone:1", "gone:1")
	b.shows(t, "", "")
	told := 0
	b.changed = func() { told++ }
	if len(b.wanted) != 3 {
		t.Errorf("wanted: %v", b.wanted)
	}
	b.resolve(t.Context(), false)
	b.shows(t, "db1:6379", "10.0.0.1:6379")
	b.shows(t, "db2.example:6380", "[2001:db8::2]:6380")
	b.shows(t, "gone:1", "gone:1")
	b.answers["db1"], b.answers["gone"] = nil, []string{"10.0.0.3"}
	b.answers["db2.example"] = []string{"10.0.0.2", "2001:db8::2"} // another order
	b.resolve(t.Context(), true)
	b.shows(t, "db1:6379", "10.0.0.1:6379")
	b.shows(t, "db2.example:6380", "[2001:db8::2]:6380")
	b.shows(t, "gone:1", "10.0.0.3:1")
	b.answers["db1"] = []string{"10.0.0.7"}
	b.resolve(t.Context(), true)
	b.shows(t, "db1:6379", "10.0.0.7:6379")
	b.resolve(t.Context(), true)
	if told != 3 {
		t.Errorf("told of %d changes, want 3", told)
	}
	b.yes = true
	b.shows(t, "db1:6379", "db1:6379")
}

// Goal: the payloads of events name nodes as answers do, and nothing else in
// them is taken for a node.
func TestNamesInEvents(t *testing.T) {
	b := newPhoneBook()
	b.want("db1:6379")
	b.want("db2.example:6380")
	b.resolve(t.Context(), false)
	cases := []struct{ payload, want string }{
		{"db1 db1 6379 10.0.0.9 6379", "db1 10.0.0.1 6379 10.0.0.9 6379"}, // a group of the same name
		{"m db1 6379 db2.example 6380", "m 10.0.0.1 6379 2001:db8::2 6380"},
		{"slave db2.example:6380 db2.example 6380 @ m db1 6379", "slave [2001:db8::2]:6380 2001:db8::2 6380 @ m 10.0.0.1 6379"},
		{"master m db1 6379 auth-user db1", "master m 10.0.0.1 6379 auth-user db1"},
		{"master m other 6379", "master m other 6379"},
		{"#tilt mode entered", "#tilt mode entered"},
		{"", ""},
	}
	for _, c := range cases {
		if got := b.text(c.payload); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.payload, got, c.want)
		}
	}
	b.yes = true
	for _, c := range cases {
		if got := b.text(c.payload); got != c.payload {
			t.Errorf("with announce-hostnames %q becomes %q", c.payload, got)
		}
	}
}

// Goal: what others call by another spelling is found, whatever is shown.
func TestSpelling(t *testing.T) {
	b := newPhoneBook()
	b.yes = true
	nodes := []warden.NodeID{"db1:6379", "10.0.0.5:6379", ""}
	for range 2 {
		b.want("db1:6379")
		b.resolve(t.Context(), false)
	}
	for at, want := range map[warden.NodeID]warden.NodeID{
		"10.0.0.1:6379": "db1:6379", "db1:6379": "db1:6379", "10.0.0.1:6380": "10.0.0.1:6380",
		"10.0.0.5:6379": "10.0.0.5:6379", "10.0.0.8:1": "10.0.0.8:1",
	} {
		if got := b.spelling(at, nodes); got != want {
			t.Errorf("%s is %s here, want %s", at, got, want)
		}
	}
}
