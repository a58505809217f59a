package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// kind says what an item of the queue is. The frequent kinds carry their
// data in the item, so that they cost no allocation; the rest are calls.
type kind uint8

const (
	tickDue kind = iota
	lookDue
	lookArrives
	lookAnswered
	lookExpires
	messageArrives
	call
)

// item is something that will happen. An item with process >= 0 happens to
// that Warden process: it waits while the process is paused.
type item struct {
	at      warden.Instant
	kind    kind
	process int16
	server  int16
	id      uint64      // of a look
	heard   group.Event // a group.Heard, in the form in which the mind takes it
	seen    *warden.Observation
	run     func()
}

// queue is a heap ordered by time, then by the order of insertion, so that two
// things due at one instant always happen in the same order. What is moved
// about in it are small turns; the items stay where they are.
type queue struct {
	turns []turn
	items []item
	free  []int32 // places in items
	seq   uint64
}

// turn says when the item at a place is due.
type turn struct {
	at    warden.Instant
	seq   uint64
	place int32
}

// fan is how many turns lie below each one of the heap.
const fan = 4

func (a *turn) before(b *turn) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(it item) {
	q.seq++
	t := turn{at: it.at, seq: q.seq}
	if n := len(q.free); n > 0 {
		t.place = q.free[n-1]
		q.free = q.free[:n-1]
		q.items[t.place] = it
	} else {
		t.place = int32(len(q.items))
		q.items = append(q.items, it)
	}
	q.turns = append(q.turns, t)
	i := len(q.turns) - 1
	for i > 0 {
		up := (i - 1) / fan
		if !t.before(&q.turns[up]) {
			break
		}
		q.turns[i] = q.turns[up]
		i = up
	}
	q.turns[i] = t
}

// due reports whether something is due at or before the limit.
func (q *queue) due(limit warden.Instant) bool {
	return len(q.turns) > 0 && q.turns[0].at <= limit
}

func (q *queue) pop() item {
	place := q.turns[0].place
	top := q.items[place]
	q.items[place] = item{}
	q.free = append(q.free, place)
	n := len(q.turns) - 1
	t := q.turns[n]
	q.turns = q.turns[:n]
	i := 0
	for {
		least := fan*i + 1
		if least >= n {
			break
		}
		for other := least + 1; other < min(fan*i+1+fan, n); other++ {
			if q.turns[other].before(&q.turns[least]) {
				least = other
			}
		}
		if !q.turns[least].before(&t) {
			break
		}
		q.turns[i] = q.turns[least]
		i = least
	}
	if n > 0 {
		q.turns[i] = t
	}
	return top
}
