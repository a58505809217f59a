package gossip

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// Bounds of what may wait for one peer. The oldest is dropped first: what is
// said again counts more than what was said before.
const (
	maxWaiting      = 1024
	maxWaitingBytes = 4 << 20
)

// Every envelope is a connection of its own, and a closed connection keeps its
// port for a minute. A peer gets connectionBurst envelopes at once, after that
// one per connectionPause; what arises in between travels together.
const (
	connectionBurst = 100
	connectionPause = 5 * time.Millisecond
)

// outbox holds what waits for one peer.
type outbox struct {
	mu      sync.Mutex
	waiting []json.RawMessage
	bytes   int
	sending bool
	wake    chan struct{}
	// gone ends the sender when the peer is forgotten.
	gone func()
}

// put queues a message and returns how many old ones it pushed out.
func (o *outbox) put(m json.RawMessage) (dropped int) {
	o.mu.Lock()
	o.waiting, o.bytes = append(o.waiting, m), o.bytes+len(m)
	for len(o.waiting) > maxWaiting || o.bytes > maxWaitingBytes {
		o.bytes -= len(o.waiting[0])
		o.waiting[0] = nil
		o.waiting = o.waiting[1:]
		dropped++
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return dropped
}

// take returns the messages of one envelope, oldest first, none if all is sent.
func (o *outbox) take() []json.RawMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, size := 0, 0
	for n < len(o.waiting) && n < maxMessages && (n == 0 || size+len(o.waiting[n]) <= maxBatch) {
		size += len(o.waiting[n])
		n++
	}
	batch := o.waiting[:n:n]
	o.waiting, o.bytes = o.waiting[n:], o.bytes-size
	o.sending = n > 0
	return batch
}

func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) == 0 && !o.sending
}

// outboxOf finds or makes the outbox of a peer, nil after Close.
func (g *Gossip) outboxOf(id warden.WardenID) *outbox {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return nil
	}
	if o := g.outboxes[id]; o != nil {
		return o
	}
	ctx, cancel := context.WithCancel(g.ctx)
	o := &outbox{wake: make(chan struct{}, 1), gone: cancel}
	g.outboxes[id] = o
	g.tasks.Go(func() { g.deliver(ctx, id, o) })
	return o
}

// deliver is the sender of one peer. A peer that hangs holds up only this.
func (g *Gossip) deliver(ctx context.Context, id warden.WardenID, o *outbox) {
	defer o.gone()
	p := pace{tokens: connectionBurst, every: g.pause}
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		for batch := o.take(); len(batch) > 0; batch = o.take() {
			if !p.wait(ctx) {
				return
			}
			address, known := g.book.address(id)
			if !known {
				continue
			}
			err := g.post(ctx, address, Envelope{To: id, Messages: batch})
			if err != nil && ctx.Err() == nil {
				g.stats.failed.Add(uint64(len(batch)))
				g.log.Debug("gossip: could not send", "to", id.Short(), "address", address, "messages", len(batch), "error", err)
				continue
			}
			g.stats.sent.Add(uint64(len(batch)))
		}
	}
}

// flush waits until everything queued was sent, or ctx is done.
func (g *Gossip) flush(ctx context.Context) {
	check := time.NewTicker(2 * time.Millisecond)
	defer check.Stop()
	for !g.flushed() {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
		}
	}
}

func (g *Gossip) flushed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range g.outboxes {
		if !o.idle() {
			return false
		}
	}
	return true
}

// pace lets a burst through and then one per pause.
type pace struct {
	tokens float64
	last   time.Time
	every  time.Duration
}

// wait takes one token. It reports false when ctx ended first.
func (p *pace) wait(ctx context.Context) bool {
	if p.every <= 0 {
		return ctx.Err() == nil
	}
	now := time.Now()
	if !p.last.IsZero() {
		p.tokens = min(connectionBurst, p.tokens+float64(now.Sub(p.last))/float64(p.every))
	}
	p.last = now
	p.tokens--
	if p.tokens >= 0 {
		return true
	}
	t := time.NewTimer(time.Duration(-p.tokens * float64(p.every)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
