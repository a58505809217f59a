package network

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is what happens to packets on their way. The zero value of each field
// does nothing.
type Fault struct {
	// From and To are names of hosts: packets from any of From to any of To are
	// concerned. BothWays concerns the answers too.
	From, To []string
	BothWays bool

	// Cut drops everything, Loss each packet with this chance.
	Cut  bool
	Loss float64
	// Delay is added to every packet, and up to Jitter more to each, by chance,
	// so that packets overtake one another.
	Delay, Jitter time.Duration
	// Duplicate is the chance that a packet arrives twice.
	Duplicate float64
}

// Tally is what a fault did so far, in packets.
type Tally struct {
	Dropped, Delayed, Overtook, Doubled int64
}

func (t Tally) String() string {
	return fmt.Sprintf("%d dropped, %d delayed, %d overtook others, %d doubled", t.Dropped, t.Delayed, t.Overtook, t.Doubled)
}

// Active is a fault in force. Safe for concurrent use.
type Active struct {
	fault    Fault
	from, to map[string]bool
	router   *router

	dropped, delayed, overtook, doubled atomic.Int64

	mu     sync.Mutex
	latest map[way]time.Time // when the last packet of a way is due at the latest
}

// Tally is what the fault did so far.
func (a *Active) Tally() Tally {
	return Tally{a.dropped.Load(), a.delayed.Load(), a.overtook.Load(), a.doubled.Load()}
}

// Lift ends the fault and returns what it did. A second time changes nothing.
func (a *Active) Lift() Tally {
	a.router.remove(a)
	return a.Tally()
}

// way is from whom to whom.
type way struct{ from, to string }

func (a *Active) concerns(w way) bool {
	return a.from[w.from] && a.to[w.to] || a.fault.BothWays && a.from[w.to] && a.to[w.from]
}

// port is where packets for a host go. Write is not called by two at a time.
type port struct {
	name string
	mu   sync.Mutex
	send func(packet []byte) error
}

// router forwards packets between ports.
type router struct {
	mu     sync.Mutex
	ports  map[netip.Addr]*port
	active []*Active

	// view is what forward reads: the maps and slices above, never changed.
	view atomic.Pointer[view]
}

type view struct {
	ports  map[netip.Addr]*port
	active []*Active
}

func newRouter() *router {
	r := &router{ports: map[netip.Addr]*port{}}
	r.publish()
	return r
}

// publish is called with mu held, or before anybody else knows the router.
func (r *router) publish() {
	v := &view{ports: map[netip.Addr]*port{}, active: append([]*Active(nil), r.active...)}
	for a, p := range r.ports {
		v.ports[a] = p
	}
	r.view.Store(v)
}

func (r *router) attach(addr netip.Addr, p *port) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[addr] = p
	r.publish()
}

func (r *router) add(f Fault) *Active {
	a := &Active{fault: f, from: set(f.From), to: set(f.To), router: r, latest: map[way]time.Time{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = append(r.active, a)
	r.publish()
	return a
}

func (r *router) remove(a *Active) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.active {
		if x == a {
			r.active = append(r.active[:i:i], r.active[i+1:]...)
			r.publish()
			return
		}
	}
}

func set(names []string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

// forward takes one packet of IPv4 on its way. The packet may be kept.
func (r *router) forward(packet []byte) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return // the kernel greets each device in IPv6, which nobody speaks here
	}
	v := r.view.Load()
	from := v.ports[netip.AddrFrom4([4]byte(packet[12:16]))]
	to := v.ports[netip.AddrFrom4([4]byte(packet[16:20]))]
	if from == nil || to == nil {
		return
	}
	w := way{from.name, to.name}
	var wait time.Duration
	copies := 1
	for _, a := range v.active {
		if !a.concerns(w) {
			continue
		}
		if a.fault.Cut || a.fault.Loss > 0 && rand.Float64() < a.fault.Loss {
			a.dropped.Add(1)
			return
		}
		wait += a.hold(w)
		if a.fault.Duplicate > 0 && rand.Float64() < a.fault.Duplicate {
			a.doubled.Add(1)
			copies++
		}
	}
	for range copies {
		if wait == 0 {
			to.deliver(packet)
			continue
		}
		time.AfterFunc(wait, func() { to.deliver(packet) })
	}
}

// hold draws how long a packet is kept, and counts those that will overtake.
func (a *Active) hold(w way) time.Duration {
	wait := a.fault.Delay
	if a.fault.Jitter > 0 {
		wait += rand.N(a.fault.Jitter)
	}
	if wait == 0 {
		return 0
	}
	a.delayed.Add(1)
	due := time.Now().Add(wait)
	a.mu.Lock()
	defer a.mu.Unlock()
	if due.Before(a.latest[w]) {
		a.overtook.Add(1)
	} else {
		a.latest[w] = due
	}
	return wait
}

// deliver hands a packet to the host. What cannot be delivered is lost, as on
// any network.
func (p *port) deliver(packet []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.send(packet)
}
