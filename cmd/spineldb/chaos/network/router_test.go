package network

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testRouter is a router between two ports, a and b, that remember what they got.
type testRouter struct {
	*router
	mu  sync.Mutex
	got map[string][]string
}

var places = map[string]netip.Addr{"a": netip.MustParseAddr("10.78.0.1"), "b": netip.MustParseAddr("10.78.0.2")}

func newTestRouter() *testRouter {
	r := &testRouter{router: newRouter(), got: map[string][]string{}}
	for name, addr := range places {
		r.attach(addr, &port{name: name, send: func(p []byte) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got[name] = append(r.got[name], string(p[20:]))
			return nil
		}})
	}
	return r
}

func (r *testRouter) pass(from, to string, payload string) {
	p := make([]byte, 20, 20+len(payload))
	p[0] = 0x45
	copy(p[12:], places[from].AsSlice())
	copy(p[16:], places[to].AsSlice())
	r.forward(append(p, payload...))
}

// count is how many packets a host got.
func (r *testRouter) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got[name])
}

// Goal: a cut drops one way or both, counts what it dropped, and ends.
func TestCut(t *testing.T) {
	for _, both := range []bool{false, true} {
		r := newTestRouter()
		cut := r.add(Fault{From: []string{"a"}, To: []string{"b"}, BothWays: both, Cut: true})
		r.pass("a", "b", "x")
		r.pass("b", "a", "y")
		want, dropped := 1, int64(1)
		if both {
			want, dropped = 0, 2
		}
		if r.count("b") != 0 || r.count("a") != want || cut.Tally().Dropped != dropped {
			t.Errorf("both ways %v: b got %d, a got %d, %v", both, r.count("b"), r.count("a"), cut.Tally())
		}
		if cut.Lift(); len(r.view.Load().active) != 0 {
			t.Error("a fault that was lifted is still in force")
		}
		if r.pass("a", "b", "z"); r.count("b") != 1 {
			t.Error("nothing arrives after the cut was lifted")
		}
	}
}

// Goal: of many packets about the wanted share is lost, and about the wanted
// share arrives twice, and the counts are what happened.
func TestLossAndDuplication(t *testing.T) {
	const many = 2000
	r := newTestRouter()
	lossy := r.add(Fault{From: []string{"a"}, To: []string{"b"}, Loss: 0.3})
	for i := range many {
		r.pass("a", "b", fmt.Sprint(i))
	}
	if lost := lossy.Lift().Dropped; lost < many/5 || lost > many*2/5 || r.count("b") != many-int(lost) {
		t.Errorf("%d of %d were lost, %d arrived", lost, many, r.count("b"))
	}
	twice := r.add(Fault{From: []string{"b"}, To: []string{"a"}, Duplicate: 0.3})
	for i := range many {
		r.pass("b", "a", fmt.Sprint(i))
	}
	if n := twice.Lift().Doubled; n < many/5 || n > many*2/5 || r.count("a") != many+int(n) {
		t.Errorf("%d of %d were doubled, %d arrived", n, many, r.count("a"))
	}
}

// Goal: a delay keeps packets back for as long as it says, in order; with jitter
// some overtake others, and those are counted.
func TestDelayAndReorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestRouter()
		slow := r.add(Fault{From: []string{"a"}, To: []string{"b"}, Delay: 50 * time.Millisecond})
		r.pass("a", "b", "x")
		time.Sleep(49 * time.Millisecond)
		synctest.Wait()
		if r.count("b") != 0 {
			t.Error("a packet came too early")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := slow.Lift(); r.count("b") != 1 || got.Delayed != 1 || got.Overtook != 0 {
			t.Errorf("%d arrived, %v", r.count("b"), got)
		}
		wild := r.add(Fault{From: []string{"b"}, To: []string{"a"}, Jitter: 50 * time.Millisecond})
		for i := range 100 {
			r.pass("b", "a", fmt.Sprintf("%03d", i))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		turned := 0
		for i := 1; i < len(r.got["a"]); i++ {
			if r.got["a"][i] < r.got["a"][i-1] {
				turned++
			}
		}
		if got := wild.Lift(); turned == 0 || got.Overtook == 0 || r.count("a") != 100 {
			t.Errorf("%d arrived, %d after a later one, %v", r.count("a"), turned, got)
		}
	})
}

// Goal: what is not IPv4, or for nobody, is dropped and harms nobody.
func TestStrangePackets(t *testing.T) {
	r := newTestRouter()
	r.forward(nil)
	r.forward(make([]byte, 40))
	p := make([]byte, 20)
	p[0] = 0x45
	r.forward(p)
	if r.count("a")+r.count("b") != 0 {
		t.Error("a packet for nobody arrived")
	}
}
