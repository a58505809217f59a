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
	// slowestDead is the same for nodes that were found dead: each look at one is a
	// new connection in vain, and all that it can tell is that the node is back.
	slowestDead = warden.Second
	// defaultEvery and defaultDeadline stand in for zeros of the mind.
	defaultEvery    = warden.Second
	defaultDeadline = warden.Second
)

// vigil is the watch on one node: paced looks, at most one at a time, a knock
// now and then, and our hello. The pacer wakes it, and the crew does what takes
// time, so a dead node holds up nothing but its own vigil.
type vigil struct {
	watch  *watch
	node   warden.NodeID
	phase  uint64
	link   warden.Link
	pulser warden.Pulser // the link, where it can; else nil
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	local  atomic.Pointer[string]

	knocking atomic.Bool
	greeting atomic.Bool
	alive    atomic.Bool // the last look found a living process

	// Of the pacer:
	due   warden.Instant
	place int // in its queue; -1: none

	mu      sync.Mutex
	want    group.Watched
	look    warden.Instant // when these are due
	knock   warden.Instant
	hello   warden.Instant
	looking bool           // a look is under way,
	again   bool           // and another one is to follow it
	started warden.Instant // of the last look or question for a sign of life
	full    warden.Instant // of the last look that went well; 0: the last one did not
	greeted bool           // the first hello went out
}

func newVigil(w *watch, want group.Watched) *vigil {
	v := &vigil{watch: w, node: want.Node, phase: phase(w.group, want.Node), place: -1}
	v.pace(want)
	return v
}

// pace takes over how often to look.
func (v *vigil) pace(want group.Watched) {
	if want.Every <= 0 {
		want.Every = defaultEvery
	}
	if want.Deadline <= 0 {
		want.Deadline = defaultDeadline
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.want.Every
	v.want = want
	if old == want.Every {
		return
	}
	v.watch.options.looks.Add(looksIn(want.Every) - looksIn(old))
	// The first look comes in its turn, not at once.
	if v.started != 0 && !v.looking {
		v.look = v.next()
		v.arm()
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
func stretched(every warden.Duration, looks int64, alive bool) warden.Duration {
	most := int64(1000 * looksMost)
	switch {
	case looks > most && !alive && every < slowestDead:
		return slowestDead
	case looks > most && every < slowest:
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
				v.hurry()
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
		Pulse: func(_ warden.NodeID, asked warden.Instant, good bool) {
			switch {
			case ctx.Err() != nil:
			case good:
				v.beat(asked)
			default:
				v.hurry()
			}
		},
	}
}

// begin keeps the vigil until its ctx ends.
func (v *vigil) begin() {
	now := v.watch.options.Clock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.look = now.Add(warden.Duration(v.phase % uint64(firstLook)))
	v.knock = v.turn(now, v.watch.knockEvery.Load())
	v.hello = v.turn(now, v.watch.helloEvery.Load())
	v.arm()
}

// end closes the link when the vigil's ctx is over, and returns when nothing of
// it is left.
func (v *vigil) end() {
	v.watch.options.pacer.leave(v)
	v.mu.Lock()
	v.watch.options.looks.Add(-looksIn(v.want.Every))
	v.want.Every = 0
	v.mu.Unlock()
	// Looks, knocks and hellos under way end with ctx.
	v.link.Close()
	v.wg.Wait()
}

// arm has the pacer wake the vigil when the next thing is due. The caller holds
// v.mu.
func (v *vigil) arm() {
	if v.ctx == nil || v.ctx.Err() != nil {
		return
	}
	due := min(v.knock, v.hello)
	if !v.looking {
		due = min(due, v.look)
	}
	v.watch.options.pacer.arm(v, due)
}

// hurry has the node looked at now.
func (v *vigil) hurry() {
	now := v.watch.options.Clock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.full = 0
	if v.looking {
		v.again = true
		return
	}
	v.look = min(v.look, max(now, v.started.Add(lookGap)))
	v.arm()
}

// wake does what is due. It never blocks.
func (v *vigil) wake(now warden.Instant) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ctx.Err() != nil {
		return
	}
	if now >= v.knock {
		v.aside(&v.knocking, v.knockNow)
		v.knock = v.turn(now, v.watch.knockEvery.Load())
	}
	if now >= v.hello {
		if !v.say() {
			v.aside(&v.greeting, v.greet)
		}
		v.hello = v.turn(now, v.watch.helloEvery.Load())
	}
	if now >= v.look && !v.looking {
		v.started = now
		if v.pulse(now) {
			v.look = v.next()
		} else {
			v.looking = true
			v.wg.Add(1)
			v.watch.options.crew.do(v.lookNow)
		}
	}
	v.arm()
}

// pulse asks for a sign of life where that will do. The caller holds v.mu.
func (v *vigil) pulse(now warden.Instant) bool {
	return v.pulser != nil && v.full != 0 && now.Sub(v.full) < v.want.Full && v.pulser.Pulse(now)
}

// patience is the age that a whole look may have (Watched.Full) from which on a
// sign of life may wait for the next tick: as much later silence is counted from
// it. Hundreds of groups that wake up for each one would do little else.
const patience = 3 * warden.Second

// beat reports a sign of life.
func (v *vigil) beat(asked warden.Instant) {
	v.mu.Lock()
	put := v.watch.put
	if v.want.Full >= patience {
		put = v.watch.lay
	}
	v.mu.Unlock()
	put(group.Beat{Node: v.node, Asked: asked})
	v.watch.options.Looked(v.watch.group, v.node, warden.HealthGood, v.watch.options.Clock().Sub(asked))
}

// next is when the look after the last one is due. The caller holds v.mu.
func (v *vigil) next() warden.Instant {
	every := stretched(v.want.Every, v.watch.options.looks.Load(), v.alive.Load())
	return max(v.turn(v.started, int64(every)), v.started.Add(lookGap))
}

// turn is when something that is done every so many nanoseconds is due after
// now.
func (v *vigil) turn(now warden.Instant, every int64) warden.Instant {
	return turn(now, together(v.phase, warden.Duration(every)), warden.Duration(every))
}

// lookNow looks once and reports. A look that the end of the watch cut off says
// nothing about the node and is not reported.
func (v *vigil) lookNow() {
	defer v.wg.Done()
	v.mu.Lock()
	started := v.watch.options.Clock()
	v.started = started
	deadline := v.want.Deadline
	v.mu.Unlock()
	within, cancel := context.WithTimeout(v.ctx, time.Duration(deadline))
	defer cancel()
	o := v.link.Look(within)
	if v.ctx.Err() != nil {
		return
	}
	alive := o.Health.Alive()
	v.alive.Store(alive)
	v.watch.put(group.Looked{Node: v.node, Asked: started, Observation: &o})
	v.watch.options.Looked(v.watch.group, v.node, o.Health, v.watch.options.Clock().Sub(started))
	v.looked(o.Health == warden.HealthGood, alive)
}

// looked plans what follows a look.
func (v *vigil) looked(good, alive bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looking = false
	v.look = v.next()
	v.full = 0
	switch {
	case v.again:
		v.look = min(v.look, max(v.watch.options.Clock(), v.started.Add(lookGap)))
	case good:
		v.full = v.started
	}
	v.again = false
	if alive && !v.greeted {
		// Wardens that start together should meet at once.
		v.greeted = true
		v.aside(&v.greeting, v.greet)
	}
	v.arm()
}

// aside does something beside the looks, unless the last round of it is still
// under way or the node is known to be dead, which a knock would only repeat.
func (v *vigil) aside(busy *atomic.Bool, do func(context.Context)) {
	if !v.alive.Load() || !busy.CompareAndSwap(false, true) {
		return
	}
	v.wg.Add(1)
	v.watch.options.crew.do(func() {
		defer v.wg.Done()
		defer busy.Store(false)
		do(v.ctx)
	})
}

// knockNow opens one new connection and reports how that went.
func (v *vigil) knockNow(ctx context.Context) {
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

// say publishes our hello without waiting, where all is well. The caller holds
// v.mu.
func (v *vigil) say() bool {
	if v.pulser == nil || v.full == 0 || v.want.Full == 0 || !v.greeted {
		return false
	}
	h, ok := v.introduction()
	return ok && v.pulser.Say(h)
}

// introduction is our hello as it is told on this node. Nothing is known to be
// announced before a connection has told our own address.
func (v *vigil) introduction() (h warden.Hello, ok bool) {
	h = v.watch.hello()
	local := ""
	if ip := v.local.Load(); ip != nil {
		local = *ip
	}
	h.Client, h.Gossip = v.watch.options.addresses(local)
	if h.Client == "" {
		return h, false
	}
	h.Sentinel, h.Neighbour = v.watch.options.Sentinel, v.watch.options.Neighbour(h)
	return h, true
}

// greet publishes our hello on the node. Hellos are repeated, so one that fails
// is only logged for those who search.
func (v *vigil) greet(ctx context.Context) {
	h, ok := v.introduction()
	if !ok {
		return
	}
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
