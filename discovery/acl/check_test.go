package acl

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: to ask whether a request is allowed costs no memory.
func TestCheckAllocatesNothing(t *testing.T) {
	l := newList(t, Options{Users: []string{"app on nopass -@all +sentinel|get-master-addr-by-name (+subscribe &+*)"}})
	words := []string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"}
	for _, user := range []string{defaultUser, "app"} {
		allocations := testing.AllocsPerRun(100, func() {
			if (l.Check(warden.AccessRequest{User: user, Command: "sentinel|get-master-addr-by-name", Words: words}) != warden.Denial{}) {
				t.Error("denied")
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations", user, allocations)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	l, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	words := []string{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"}
	for b.Loop() {
		l.Check(warden.AccessRequest{User: defaultUser, Command: "sentinel|get-master-addr-by-name", Words: words})
	}
}
