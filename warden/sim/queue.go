package sim

import "github.com/spineldb/warden/warden"

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
	seq     uint64
	kind    kind
	process int16
	server  int16
	id      uint64 // of a look
	message *warden.Message
	seen    *warden.Observation
	run     func()
}

// queue is a binary heap ordered by time, then by the order of insertion, so
// that two things due at one instant always happen in the same order.
type queue struct {
	items []item
	seq   uint64
}

func before(a, b *item) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) push(it item) {
	q.seq++
	it.seq = q.seq
	q.items = append(q.items, it)
	i := len(q.items) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !before(&it, &q.items[up]) {
			break
		}
		q.items[i] = q.items[up]
		i = up
	}
	q.items[i] = it
}

// due reports whether something is due at or before the limit.
func (q *queue) due(limit warden.Instant) bool {
	return len(q.items) > 0 && q.items[0].at <= limit
}

func (q *queue) pop() item {
	top := q.items[0]
	n := len(q.items) - 1
	it := q.items[n]
	q.items[n] = item{}
	q.items = q.items[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && before(&q.items[child+1], &q.items[child]) {
			child++
		}
		if !before(&q.items[child], &it) {
			break
		}
		q.items[i] = q.items[child]
		i = child
	}
	q.items[i] = it
	return top
}
