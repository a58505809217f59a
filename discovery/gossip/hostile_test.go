//go:build unix

package gossip

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/spineldb/warden/warden"
)

func key(fill byte) []byte { return bytes.Repeat([]byte{fill}, 32) }

// Who does not have the key is not heard, does not hear, and is no peer.
func TestKeys(t *testing.T) {
	with := func(keys ...[]byte) func(*Options) { return func(o *Options) { o.Keys = keys } }
	a := start(t, 1, with(key(1)))
	b := start(t, 2, func(o *Options) { o.Keys = [][]byte{key(1)}; o.Join = []string{a.Addr()} })
	strangers := []*node{start(t, 3, nil), start(t, 4, with(key(2)))}
	for _, s := range strangers {
		s.Introduce(Peer{Gossip: a.Addr()})
		a.Introduce(Peer{Gossip: s.Addr()})
		s.learn(Peer{ID: testID(1), Gossip: a.Addr()})
		s.Send(testID(1), message(3, "g"))
		s.Send(testID(1), message(4, "g"))
	}
	a.until(t, "a", func() bool { return a.knows(2) })
	sends(t, b, 2, a, 1, "g")
	for i, s := range strangers {
		s.until(t, "the stranger has sent", func() bool { return s.Stats().Sent > 0 })
		if a.knows(3+i) || s.knows(1) || a.got(3+i, "g") > 0 {
			t.Errorf("stranger %d: known %v, knows %v", i, a.knows(3+i), s.knows(1))
		}
	}
	if len(a.Peers()) != 1 {
		t.Errorf("a knows %+v", a.Peers())
	}
}

// Keys are changed while everybody goes on talking: first all decrypt the new
// one too, then all encrypt with it, then the old one goes.
func TestKeyRotation(t *testing.T) {
	a := start(t, 1, func(o *Options) { o.Keys = [][]byte{key(1)} })
	b := start(t, 2, func(o *Options) { o.Keys = [][]byte{key(1), key(2)}; o.Join = []string{a.Addr()} })
	both := func(group warden.GroupName) {
		t.Helper()
		sends(t, a, 1, b, 2, group)
		sends(t, b, 2, a, 1, group)
	}
	a.until(t, "a", func() bool { return a.knows(2) })
	b.until(t, "b", func() bool { return b.knows(1) })
	both("first")
	set := func(n *node, keys ...[]byte) {
		t.Helper()
		if err := n.SetKeys(keys); err != nil {
			t.Fatal(err)
		}
	}
	set(a, key(1), key(2))
	set(b, key(2), key(1))
	both("second")
	set(a, key(2))
	set(b, key(2))
	both("third")
	set(b, key(3))
	b.Send(testID(1), message(2, "fourth"))
	b.until(t, "b has sent", b.flushed)
	set(b, key(2))
	both("fifth")
	if a.got(2, "fourth") != 0 {
		t.Error("heard without the key")
	}
}

// A peer of a newer major version is reported, once in a while, and refused.
func TestNewerFormat(t *testing.T) {
	a := start(t, 1, nil)
	for range 3 {
		raw := fmt.Appendf(nil, "warden/%d %s\nwhatever", warden.FormatMajor+3, testID(7))
		user := append([]byte{8}, append([]byte{0x81, 0xaa}, append([]byte("UserMsgLen"), 0xcc, byte(len(raw)))...)...)
		deliver(t, a, append(user, raw...))
	}
	a.until(t, "report", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.newer[testID(7)] == warden.FormatMajor+3 })
	if a.knows(7) {
		t.Error("became a peer")
	}
}

// deliver writes bytes to the gossip port, with the label in front.
func deliver(t *testing.T, n *node, raw []byte) {
	t.Helper()
	c, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := memberlist.AddLabelHeaderToStream(c, label); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(raw)
}

// Noise on both ports, and connections that say nothing, neither crash a
// Warden nor keep its peers from it; nor do they fill its log.
func TestNoise(t *testing.T) {
	for name, keys := range map[string][][]byte{"plain": nil, "encrypted": {key(1)}} {
		t.Run(name, func(t *testing.T) {
			with := func(o *Options) { o.Keys = keys }
			a := start(t, 1, with)
			b := start(t, 2, func(o *Options) { with(o); o.Join = []string{a.Addr()} })
			a.until(t, "a", func() bool { return a.knows(2) })
			for range 100 {
				c, err := net.Dial("tcp", a.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			makeNoise(t, a)
			sends(t, b, 2, a, 1, "g")
			if len(a.Peers()) != 1 {
				t.Errorf("noise became a peer: %+v", a.Peers())
			}
			if said := a.said(); said != "" {
				t.Errorf("noise in the log: %.300s", said)
			}
		})
	}
}

func makeNoise(t *testing.T, n *node) {
	t.Helper()
	udp, err := net.Dial("udp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 400 {
		raw := make([]byte, 1+random.IntN(200))
		for j := range raw {
			raw[j] = byte(random.Uint32())
		}
		raw[0] = byte(i % 16) // every kind of message memberlist knows
		if labelled, err := memberlist.AddLabelHeaderToPacket(raw, label); err == nil {
			_, _ = udp.Write(labelled)
		}
		_, _ = udp.Write(raw)
		if i%8 == 0 {
			deliver(t, n, raw)
		}
	}
}

// More connections than are served are turned away, and later ones are served.
func TestTooManyConnections(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	for range maxInbound + 50 {
		c, err := net.DialTimeout("tcp", a.Addr(), time.Second)
		if err != nil {
			break
		}
		defer c.Close()
	}
	b.Introduce(Peer{Gossip: a.Addr()})
	b.until(t, "b", func() bool {
		b.Introduce(Peer{Gossip: a.Addr()})
		return b.knows(1)
	})
}
