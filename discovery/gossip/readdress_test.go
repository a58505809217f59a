package gossip

import (
	"strconv"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: a Warden that is told other addresses tells them to its peers, without
// a word of its own, and goes on being reached.
func TestReaddress(t *testing.T) {
	a := start(t, 1, nil)
	b := start(t, 2, func(o *Options) { o.Join = []string{a.Addr()} })
	b.until(t, "b knows a", func() bool { return b.knows(1) })
	a.until(t, "a knows b", func() bool { return a.knows(2) })
	port, err := strconv.Atoi(warden.NodeID(a.Addr()).Port())
	if err != nil {
		t.Fatal(err)
	}
	fresh := string(warden.MakeNode("127.0.0.2", port)) // which nobody listens on
	for _, bad := range [][2]string{{"nowhere", "127.0.0.1:3"}, {fresh, "x"}} {
		if err := a.Readdress(bad[0], bad[1]); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := a.Readdress(a.Addr(), "127.0.0.9:9"); err != nil {
		t.Fatal(err)
	}
	told := func(client string) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		last := b.peers[len(b.peers)-1]
		return last.ID == testID(1) && last.Client == client
	}
	b.until(t, "b is told by SWIM or a greeting", func() bool {
		a.Send(testID(2), message(1, "g"))
		return told("127.0.0.9:9")
	})
	before := b.got(1, "g")
	b.until(t, "messages go both ways", func() bool {
		a.Send(testID(2), message(1, "g"))
		b.Send(testID(1), message(2, "h"))
		return b.got(1, "g") > before && a.got(2, "h") > 0
	})
	if err := a.Readdress(fresh, "127.0.0.9:9"); err != nil || a.Addr() != fresh {
		t.Errorf("readdress: %v, the address is %s", err, a.Addr())
	}
	b.until(t, "b is told the new gossip address", func() bool {
		a.Send(testID(2), message(1, "g"))
		peers := b.Peers()
		return len(peers) == 1 && peers[0].Gossip == fresh
	})
}
