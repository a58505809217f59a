package resp

import (
	"sync"
	"sync/atomic"
)

// outbox is what one client has yet to be sent. Replies wait for room, which
// stops the reading of that one client and nobody else; events never wait: they
// fit or the client is cut. Whoever has added something claims the writing,
// unless somebody has it already and so will come by. Safe for concurrent use.
type outbox struct {
	maxBytes, maxEntries int
	total                *atomic.Int64 // over all clients of the server
	maxTotal             int64

	mu      sync.Mutex
	written sync.Cond // something was written, or the end
	pending []byte
	taken   []byte // what is being written, or a buffer to use next
	writing int    // bytes taken and not yet written
	entries int    // replies and events pending
	proto   int    // of events, follows the replies
	claimed bool   // somebody writes, and looks for more before it stops
	dead    bool
	why     string // of a client that was cut
}

// shareWhenFull is what a client may still have queued when the server as a
// whole has reached its bound.
const shareWhenFull = 64 << 10

func newOutbox(o Options, total *atomic.Int64) *outbox {
	b := &outbox{
		maxBytes: o.QueueBytes, maxEntries: o.QueueEntries,
		total: total, maxTotal: o.QueueBytesTotal, proto: 2,
	}
	b.written.L = &b.mu
	return b
}

// full is asked before adding, so that one reply of any size always fits into
// an empty queue.
func (b *outbox) full() bool {
	have := len(b.pending) + b.writing
	return have >= b.maxBytes || b.entries >= b.maxEntries ||
		have >= shareWhenFull && b.total.Load() >= b.maxTotal
}

// reply queues what answers the client's own requests, waiting for room, and
// sets the protocol of the events that come after it. It reports whether the
// client is still there.
func (b *outbox) reply(frame []byte, proto int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.full() && !b.dead {
		b.written.Wait()
	}
	b.proto = proto
	return b.add(frame)
}

// wait waits for room, without adding anything.
func (b *outbox) wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.full() && !b.dead {
		b.written.Wait()
	}
}

// confirm queues a small answer without waiting, for callers that hold a lock
// and have called wait before they took it.
func (b *outbox) confirm(frame []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(frame)
}

// event queues one of the two forms of an event and reports whether it fit.
func (b *outbox) event(resp2, resp3 []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return true // nobody left to miss it
	}
	if b.full() {
		return false
	}
	if b.proto < 3 {
		return b.add(resp2)
	}
	return b.add(resp3)
}

func (b *outbox) add(frame []byte) bool {
	if b.dead {
		return false
	}
	b.pending = append(b.pending, frame...)
	b.entries++
	b.total.Add(int64(len(frame)))
	return true
}

// claim takes all that is queued and the duty to write it. It reports false
// when there is nothing, or somebody has that duty.
func (b *outbox) claim() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claimed {
		return nil, false
	}
	return b.grab()
}

// take tells that what was taken before is written, and takes what has been
// queued since. At the end it reports false, and the duty is over.
func (b *outbox) take() ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total.Add(-int64(b.writing))
	b.writing, b.taken = 0, recycle(b.taken)
	b.written.Broadcast()
	return b.grab()
}

func (b *outbox) grab() ([]byte, bool) {
	b.claimed = !b.dead && len(b.pending) > 0
	if !b.claimed {
		return nil, false
	}
	b.pending, b.taken = b.taken, b.pending
	b.writing, b.entries = len(b.taken), 0
	return b.taken, true
}

// finish waits until nobody writes any more.
func (b *outbox) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.claimed {
		b.written.Wait()
	}
}

// kill drops what is queued and ends all waiting for room. The first reason
// stays.
func (b *outbox) kill(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dead {
		return
	}
	b.dead, b.why = true, why
	b.total.Add(-int64(len(b.pending) + b.writing))
	b.pending, b.writing, b.entries = nil, 0, 0
	b.written.Broadcast()
}

// reason tells why the client was cut, "" when it was not.
func (b *outbox) reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}
