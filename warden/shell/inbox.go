package shell

import (
	"sync"

	"github.com/spineldb/warden/warden/group"
)

// Bounds of an inbox, in events. What peers say and what looks see is said and
// seen again, so the oldest may be lost; the quotas are apart so that a
// talkative peer cannot crowd out our own eyes. Everything else is bounded by
// what this Warden itself has under way and is never dropped.
const (
	maxHeard = 512
	maxSeen  = 512
)

// inbox is the queue of events of one group, in order of arrival. Putting
// never blocks. Safe for concurrent use by many putters and one taker.
type inbox struct {
	mu      sync.Mutex
	events  []group.Event
	heard   int
	seen    int
	dropped uint64
	// ready holds a token while there may be something to take.
	ready chan struct{}
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// quota says which bound an event counts against; nil when against none.
func (b *inbox) quota(e group.Event) (count *int, limit int) {
	switch e.(type) {
	case group.Heard:
		return &b.heard, maxHeard
	case group.Looked, group.Beat, group.LinkEnded, group.KnockFailed:
		return &b.seen, maxSeen
	}
	return nil, 0
}

// put appends an event and wakes the taker. When its quota is full, the oldest of
// its kind goes.
func (b *inbox) put(e group.Event) {
	b.lay(e)
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// lay is put without waking the taker.
func (b *inbox) lay(e group.Event) {
	b.mu.Lock()
	if count, limit := b.quota(e); count != nil {
		if *count >= limit {
			b.dropOldest(count)
		}
		*count++
	}
	if _, ok := e.(group.PeersKnown); ok {
		b.dropOlderPeers()
	}
	b.events = append(b.events, e)
	b.mu.Unlock()
}

// dropOldest removes the first event that counts against the same quota.
func (b *inbox) dropOldest(count *int) {
	for i, e := range b.events {
		if c, _ := b.quota(e); c == count {
			b.remove(i)
			*count--
			b.dropped++
			return
		}
	}
}

// dropOlderPeers removes a PeersKnown that the coming one makes obsolete.
func (b *inbox) dropOlderPeers() {
	for i, e := range b.events {
		if _, ok := e.(group.PeersKnown); ok {
			b.remove(i)
			return
		}
	}
}

func (b *inbox) remove(i int) {
	copy(b.events[i:], b.events[i+1:])
	b.events[len(b.events)-1] = nil
	b.events = b.events[:len(b.events)-1]
}

// take removes the oldest event; ok is false when there is none.
func (b *inbox) take() (e group.Event, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.events) == 0 {
		return nil, false
	}
	e = b.events[0]
	b.events[0] = nil
	b.events = b.events[1:]
	if len(b.events) == 0 {
		b.events = nil
	}
	if count, _ := b.quota(e); count != nil {
		*count--
	}
	return e, true
}

// lost is how many events were dropped so far.
func (b *inbox) lost() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
