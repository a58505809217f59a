package shell

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: a node that does not answer holds up neither the looks at another
// node, nor the ticks; each look has its deadline and is alone on its node.
func TestSlowNodeDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		under := 0
		b.adapter.look = func(ctx context.Context, node warden.NodeID) warden.Observation {
			if node == "good:1" {
				return warden.Observation{Health: warden.HealthGood}
			}
			if under++; under > 1 {
				t.Error("two looks at one node at the same time")
			}
			defer func() { under-- }()
			<-ctx.Done()
			return warden.Observation{Health: warden.HealthSilent}
		}
		var last, longest warden.Instant
		b.script.set(func(_ group.Event, now warden.Instant) group.Effects {
			if last != 0 {
				longest = max(longest, warden.Instant(now.Sub(last)))
			}
			last = now
			return group.Effects{}
		})
		b.script.setWatch(group.Watched{Node: "dead:1", Every: 100 * warden.Millisecond, Deadline: 2 * warden.Second},
			group.Watched{Node: "good:1", Every: 100 * warden.Millisecond, Deadline: 2 * warden.Second})
		b.start(t)
		time.Sleep(10 * time.Second)
		b.stop(t)
		good, dead := b.script.events.count("Looked good:1 good"), b.script.events.count("Looked dead:1 silent")
		if good < 98 || good > 102 || dead < 4 || dead > 5 || longest > warden.Instant(tickMax(&group.Config{})) {
			t.Errorf("%d good looks, %d silent ones, and at most %d ns between two steps in 10 s", good, dead, longest)
		}
	})
}

// Goal: the pace of looks follows the mind's wish at once; nodes that are no
// longer wanted are let go.
func TestWatchFollowsTheMind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1", Every: 10 * warden.Second}, group.Watched{Node: "b:1", Every: 10 * warden.Second})
		b.start(t)
		time.Sleep(time.Second)
		b.script.setWatch(group.Watched{Node: "a:1", Every: 100 * warden.Millisecond})
		time.Sleep(time.Second)
		synctest.Wait()
		if n := b.script.events.count("Looked a:1"); n < 9 {
			t.Errorf("%d looks after the pace was raised, want about 10", n)
		}
		if b.count("close b:1") != 1 || b.count("open a:1") != 1 {
			t.Errorf("got %q", b.all())
		}
		b.script.setWatch()
		time.Sleep(time.Second)
		n := b.script.events.count("Looked a:1")
		time.Sleep(time.Minute)
		if more := b.script.events.count("Looked a:1"); more != n {
			t.Errorf("%d looks at a node that is not watched", more-n)
		}
		b.stop(t)
	})
}

// Goal: the end of the kept connection is an event and leads to a look at
// once, but a connection that ends with every look does not spin.
func TestLinkEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1", Every: 10 * warden.Second})
		b.start(t)
		time.Sleep(300 * time.Millisecond)
		n := len(b.script.events.all())
		b.adapter.look = func(context.Context, warden.NodeID) warden.Observation {
			return warden.Observation{Health: warden.HealthRefused}
		}
		link := b.adapter.link("a:1")
		link.events.Ended("a:1", "reset")
		synctest.Wait()
		expect(t, b.script.events.since(n), "LinkEnded a:1", "Looked a:1 refused")

		b.adapter.look = func(context.Context, warden.NodeID) warden.Observation {
			link.events.Ended("a:1", "reset")
			return warden.Observation{Health: warden.HealthRefused}
		}
		n = b.script.events.count("Looked")
		link.events.Ended("a:1", "reset")
		time.Sleep(time.Second)
		if looks := b.script.events.count("Looked") - n; looks < 10 || looks > 52 {
			t.Errorf("%d looks in a second at a connection that ends all the time", looks)
		}
		b.stop(t)
		n = len(b.script.events.all())
		link.events.Ended("a:1", "late")
		expect(t, b.script.events.since(n))
	})
}

// Goal: one knock every 10 s on a living node, its failure and its success
// are both told; a dead node is not knocked on.
func TestKnock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Second}, group.Watched{Node: "dead:1", Every: warden.Second})
		b.adapter.look = func(_ context.Context, node warden.NodeID) warden.Observation {
			if node == "dead:1" {
				return warden.Observation{Health: warden.HealthRefused}
			}
			return warden.Observation{Health: warden.HealthGood}
		}
		var healed atomic.Bool
		b.adapter.knock = func(warden.NodeID) error {
			if healed.Load() {
				return nil
			}
			return errors.New("no room")
		}
		b.start(t)
		time.Sleep(30*time.Second + 500*time.Millisecond)
		synctest.Wait()
		if n := b.script.events.count(`Knock a:1 "no room"`); n != 3 {
			t.Errorf("%d knocks in 30 s, want 3", n)
		}
		healed.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.script.events.count(`Knock a:1 ""`); n != 1 {
			t.Errorf("%d knocks that went well, want 1", n)
		}
		if n := b.script.events.count("Knock dead:1"); n != 0 {
			t.Errorf("%d knocks on a dead node", n)
		}
		b.stop(t)
	})
}

// Goal: our hello goes out after the first look and every hello interval,
// with the local address when none is announced; others' hellos are handed
// on, our own are not.
func TestHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var heard []warden.WardenID
		b.options.Introduce = func(h warden.Hello) { heard = append(heard, h.ID) }
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Second})
		b.start(t)
		time.Sleep(time.Duration(firstLook))
		synctest.Wait()
		hello := "hello a:1 127.0.0.9:26379 127.0.0.9:27379 7"
		expect(t, b.all(), "open a:1", hello)
		time.Sleep(20 * time.Second)
		if n := b.count(hello); n < 10 || n > 11 {
			t.Errorf("%d hellos in 20 s", n)
		}
		if self := b.shell.Self(); self.Client != "127.0.0.9:26379" || self.Gossip != "127.0.0.9:27379" {
			t.Errorf("self %+v", self)
		}
		link := b.adapter.link("a:1")
		link.events.Hello(warden.Hello{ID: "w2"})
		link.events.Hello(warden.Hello{ID: "me"})
		b.stop(t)
		if !slices.Equal(heard, []warden.WardenID{"w2"}) {
			t.Errorf("introduced %v", heard)
		}
	})
	e := &env{Options: Options{AnnounceHost: "::1", ClientPort: 1, GossipPort: 2}}
	if client, gossip := e.addresses("127.0.0.1"); client != "[::1]:1" || gossip != "[::1]:2" {
		t.Errorf("announced addresses: %s, %s", client, gossip)
	}
	(&Shell{env: e}).Readdress("", 3)
	if client, gossip := e.addresses("127.0.0.1"); client != "127.0.0.1:3" || gossip != "127.0.0.1:2" {
		t.Errorf("announced addresses after a change: %s, %s", client, gossip)
	}
}

// Goal: the looks at many nodes are spread over the time between two looks.
func TestLooksAreSpread(t *testing.T) {
	const groups, slots = 300, 10
	now := warden.Instant(123456789)
	var first, later [slots]int
	for i := range groups {
		p := phase(warden.GroupName(fmt.Sprintf("group-%d", i)), "10.0.0.1:6379")
		first[p%uint64(firstLook)*slots/uint64(firstLook)]++
		wait := turn(now, together(p, warden.Second), warden.Second).Sub(now)
		later[min(int(wait*slots/warden.Second), slots-1)]++
	}
	for i := range slots {
		if first[i] < 10 || first[i] > 60 || later[i] < 10 || later[i] > 60 {
			t.Errorf("slot %d: %d first and %d later looks of %d", i, first[i], later[i], groups)
		}
	}
}

// Goal: the next turn is later than now, by at most one turn, and on the grid.
func TestTurn(t *testing.T) {
	for _, now := range []warden.Instant{0, 1, 99, 100, 101, 1e18, -5} {
		for _, p := range []uint64{0, 1, 99, 100, 1<<64 - 1} {
			for _, every := range []warden.Duration{0, 1, 7, 100} {
				next := turn(now, p, every)
				e := max(every, 1)
				if next <= now || next > now.Add(e) {
					t.Errorf("turn(%d, %d, %d) = %d", now, p, every, next)
				}
				if int64(next-warden.Instant(p%uint64(e)))%int64(e) != 0 {
					t.Errorf("turn(%d, %d, %d) = %d is not on the grid", now, p, every, next)
				}
			}
		}
	}
}

// pulsing is a link that answers the question for a sign of life as told.
type pulsing struct {
	*fakeLink
	mu     sync.Mutex
	dumb   bool                 // it cannot be asked
	answer func(warden.Instant) // nil: there is none
	pulses int
	said   int
}

func (l *pulsing) Pulse(asked warden.Instant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dumb {
		return false
	}
	l.pulses++
	if l.answer != nil {
		go l.answer(asked)
	}
	return true
}

func (l *pulsing) Say(warden.Hello) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said++
	return true
}

// pulsingAdapter opens pulsing links.
type pulsingAdapter struct {
	*fakeAdapter
	link *pulsing
}

func (a *pulsingAdapter) Open(node warden.NodeID, events warden.LinkEvents) warden.Link {
	a.link = &pulsing{fakeLink: a.fakeAdapter.Open(node, events).(*fakeLink)}
	a.link.answer = func(asked warden.Instant) { events.Pulse(node, asked, true) }
	return a.link
}

// Goal: while the mind allows it a sign of life does for most looks; where there
// is no good one, the node is looked at.
func TestPulses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		a := &pulsingAdapter{fakeAdapter: b.adapter}
		b.options.Groups[0].Adapter = a
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Second, Full: 5 * warden.Second})
		b.start(t)
		events := &b.script.events
		time.Sleep(20*time.Second + 500*time.Millisecond)
		synctest.Wait()
		beats, looks, hellos := events.count("Beat a:1"), events.count("Looked a:1 good"), b.count("hello")
		if beats < 15 || beats > 17 || looks < 4 || looks > 6 || a.link.said < 9 || hellos != 1 {
			t.Errorf("in 20 s %d signs of life, %d looks, %d hellos said and %d published", beats, looks, a.link.said, hellos)
		}

		good := a.link.answer
		a.link.mu.Lock()
		a.link.answer = func(asked warden.Instant) { a.link.events.Pulse("a:1", asked, false) }
		a.link.mu.Unlock()
		n := events.count("Looked")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := events.count("Looked") - n; got < 9 {
			t.Errorf("%d looks in 10 s in which the node answers badly", got)
		}

		a.link.mu.Lock()
		a.link.answer, a.link.dumb = good, true
		a.link.mu.Unlock()
		n, beats = events.count("Looked"), events.count("Beat")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := events.count("Looked") - n; got < 9 || events.count("Beat") != beats {
			t.Errorf("%d looks in 10 s in which no sign of life can be asked for", got)
		}

		a.link.mu.Lock()
		a.link.dumb = false
		a.link.mu.Unlock()
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Second})
		n = events.count("Looked")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := events.count("Looked") - n; got < 9 {
			t.Errorf("%d looks in 10 s in which the mind wants whole ones", got)
		}
		b.stop(t)
	})
}

// Goal: a sign of life wakes a group at once, unless it is patient.
func TestBeatsWait(t *testing.T) {
	for _, test := range []struct {
		full  warden.Duration
		waits bool
	}{{patience, true}, {patience - 1, false}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Second, Full: test.full})
			b.start(t)
			synctest.Wait()
			b.adapter.link("a:1").events.Pulse("a:1", 1, true)
			synctest.Wait()
			if got := b.script.events.count("Beat") == 0; got != test.waits {
				t.Errorf("whole looks every %s: waits %v", test.full, got)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if n := b.script.events.count("Beat"); n != 1 {
				t.Errorf("whole looks every %s: %d signs of life after a second", test.full, n)
			}
			b.stop(t)
		})
	}
}
