package shell

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// The pace of what the mind does not ask for by itself.
const (
	// KnockEvery is the time between two new connections beside the kept one,
	// at least: where down_after is longer, nobody is in a hurry.
	KnockEvery = 10 * warden.Second
	// KnockDeadline ends a knock: a server that takes longer to accept a
	// connection is of no use to its clients either.
	KnockDeadline = 2 * warden.Second
	// HelloDeadline ends the publication of a hello, which is best effort.
	HelloDeadline = warden.Second
	// firstLook is the span over which the first looks at all nodes are
	// spread: hundreds of groups start at once.
	firstLook = 200 * warden.Millisecond
	// lookGap is the least time between two beginnings of looks at one node,
	// so that a connection that ends again and again does not spin.
	lookGap = 20 * warden.Millisecond
	// looksMost is how many looks a second the minds may want before all of
	// them are made less often, down to one in slowest: when hundreds of groups
	// fail together, votes need the processor more than looks do. A replica's
	// veto lives a little longer than slowest, so none is lost by it.
	looksMost = 1500
	slowest   = 300 * warden.Millisecond
	// defaultEvery and defaultDeadline stand in for zeros of the mind.
	defaultEvery    = warden.Second
	defaultDeadline = warden.Second
)

// vigil is the watch on one node: paced looks, at most one at a time, a knock
// now and then, and our hello. Its goroutine waits for the looks itself, so a
// dead node holds up nothing but its own vigil.
type vigil struct {
	watch  *watch
	node   warden.NodeID
	phase  uint64
	link   warden.Link
	cancel context.CancelFunc
	wg     sync.WaitGroup

	every    atomic.Int64 // Duration between looks
	deadline atomic.Int64 // Duration of one look
	kick     chan struct{}
	paced    chan struct{}
	local    atomic.Pointer[string]
	knocking atomic.Bool
	greeting atomic.Bool

	// Of the vigil's own goroutine:
	started warden.Instant // of the last look
	alive   bool           // the last look found a living process
	greeted bool           // the first hello went out
}

func newVigil(w *watch, want group.Watched) *vigil {
	v := &vigil{
		watch: w, node: want.Node, phase: phase(w.group, want.Node),
		kick: make(chan struct{}, 1), paced: make(chan struct{}, 1),
	}
	v.pace(want)
	<-v.paced // the first look comes in its turn, not at once
	return v
}

// pace takes over how often to look.
func (v *vigil) pace(want group.Watched) {
	every, deadline := want.Every, want.Deadline
	if every <= 0 {
		every = defaultEvery
	}
	if deadline <= 0 {
		deadline = defaultDeadline
	}
	v.deadline.Store(int64(deadline))
	if old := v.every.Swap(int64(every)); old != int64(every) {
		v.watch.options.looks.Add(looksIn(every) - looksIn(warden.Duration(old)))
		poke(v.paced)
	}
}

// looksIn is how many looks 1000 seconds hold; 0 for no pace at all.
func looksIn(every warden.Duration) int64 {
	if every <= 0 {
		return 0
	}
	return int64(1000 * warden.Second / every)
}

// stretched is the pace that all looks together leave for one of this pace.
func stretched(every warden.Duration, looks int64) warden.Duration {
	if most := int64(1000 * looksMost); looks > most && every < slowest {
		return min(warden.Duration(float64(every)*float64(looks)/float64(most)), slowest)
	}
	return every
}

// events are the callbacks of the link. They come from its goroutines, maybe
// after the watch is over, and never block.
func (v *vigil) events(ctx context.Context) warden.LinkEvents {
	return warden.LinkEvents{
		Ended: func(node warden.NodeID, why string) {
			if ctx.Err() == nil {
				v.watch.put(group.LinkEnded{Node: node, Why: why})
				poke(v.kick)
			}
		},
		Hello: func(h warden.Hello) {
			if ctx.Err() == nil && h.ID != v.watch.options.ID {
				v.watch.options.Introduce(h)
			}
		},
		Neighbour: func(payload string) {
			if ctx.Err() == nil {
				v.watch.options.Overhear(payload)
			}
		},
		Local: func(_ warden.NodeID, ip string) {
			v.local.Store(&ip)
			v.watch.options.met(ip)
		},
	}
}

// run keeps the vigil until ctx ends.
func (v *vigil) run(ctx context.Context) {
	clock := v.watch.options.Clock
	now := clock()
	look := now.Add(warden.Duration(v.phase % uint64(firstLook)))
	knock := v.turn(now, v.watch.knockEvery.Load())
	hello := v.turn(now, v.watch.helloEvery.Load())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Duration(min(look, knock, hello).Sub(clock())))
		select {
		case <-ctx.Done():
			return
		case <-v.kick:
			look = min(look, max(clock(), v.started.Add(lookGap)))
		case <-v.paced:
			if v.started != 0 {
				look = v.next()
			}
		case <-timer.C:
		}
		now = clock()
		if now >= knock {
			v.aside(ctx, &v.knocking, v.knock)
			knock = v.turn(now, v.watch.knockEvery.Load())
		}
		if now >= hello {
			v.aside(ctx, &v.greeting, v.greet)
			hello = v.turn(now, v.watch.helloEvery.Load())
		}
		if now >= look {
			v.look(ctx)
			look = v.next()
		}
	}
}

// next is when the look after the last one is due.
func (v *vigil) next() warden.Instant {
	every := stretched(warden.Duration(v.every.Load()), v.watch.options.looks.Load())
	return max(v.turn(v.started, int64(every)), v.started.Add(lookGap))
}

// turn is when something that is done every so many nanoseconds is due after
// now.
func (v *vigil) turn(now warden.Instant, every int64) warden.Instant {
	return turn(now, together(v.phase, warden.Duration(every)), warden.Duration(every))
}

// look looks once and reports. A look that the end of the watch cut off says
// nothing about the node and is not reported.
func (v *vigil) look(ctx context.Context) {
	v.started = v.watch.options.Clock()
	within, cancel := context.WithTimeout(ctx, time.Duration(v.deadline.Load()))
	defer cancel()
	o := v.link.Look(within)
	if ctx.Err() != nil {
		return
	}
	v.alive = o.Health.Alive()
	v.watch.put(group.Looked{Node: v.node, Asked: v.started, Observation: &o})
	v.watch.options.Looked(v.watch.group, v.node, o.Health, v.watch.options.Clock().Sub(v.started))
	if v.alive && !v.greeted {
		// Wardens that start together should meet at once.
		v.greeted = true
		v.aside(ctx, &v.greeting, v.greet)
	}
}

// aside does something beside the looks, unless the last round of it is still
// under way or the node is known to be dead, which a knock would only repeat.
func (v *vigil) aside(ctx context.Context, busy *atomic.Bool, do func(context.Context)) {
	if !v.alive || !busy.CompareAndSwap(false, true) {
		return
	}
	v.wg.Add(1)
	v.watch.options.crew.do(func() {
		defer v.wg.Done()
		defer busy.Store(false)
		do(ctx)
	})
}

// knock opens one new connection and reports how that went.
func (v *vigil) knock(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, time.Duration(KnockDeadline))
	defer cancel()
	e := group.KnockFailed{Node: v.node}
	if err := v.link.Knock(within); err != nil {
		e.Why = err.Error()
	}
	if ctx.Err() == nil {
		v.watch.put(e)
	}
}

// greet publishes our hello on the node. Nothing is known to be announced
// before a connection has told our own address; hellos are repeated, so one
// that fails is only logged for those who search.
func (v *vigil) greet(ctx context.Context) {
	h := v.watch.hello()
	local := ""
	if ip := v.local.Load(); ip != nil {
		local = *ip
	}
	h.Client, h.Gossip = v.watch.options.addresses(local)
	if h.Client == "" {
		return
	}
	h.Sentinel, h.Neighbour = v.watch.options.Sentinel, v.watch.options.Neighbour(h)
	within, cancel := context.WithTimeout(ctx, time.Duration(HelloDeadline))
	defer cancel()
	if err := v.link.Publish(within, h); err != nil && ctx.Err() == nil {
		v.watch.options.Logger.Debug("publish hello", "group", string(h.Group), "node", string(v.node), "error", err)
	}
}

// poke leaves a token in a channel with room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
