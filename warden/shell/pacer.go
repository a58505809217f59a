package shell

import (
	"container/heap"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// pacer wakes the vigils of all groups, each when it is due, from one goroutine:
// a thousand that wait by themselves would each hold a stack, and waking them
// one by one cost more than what they do. What takes time they give to the crew.
// Safe for concurrent use.
type pacer struct {
	clock func() warden.Instant

	mu     sync.Mutex
	queue  vigilQueue
	next   warden.Instant // when the goroutine will look by itself; 0: never
	sooner chan struct{}  // something is due before that
	end    chan struct{}
	ended  chan struct{} // nil: it does not run
	gone   bool
}

func newPacer(clock func() warden.Instant) *pacer {
	return &pacer{clock: clock, sooner: make(chan struct{}, 1), end: make(chan struct{})}
}

// arm has a vigil woken at an instant, in place of when it was to be woken.
func (p *pacer) arm(v *vigil, due warden.Instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	v.due = due
	if v.place < 0 {
		heap.Push(&p.queue, v)
	} else {
		heap.Fix(&p.queue, v.place)
	}
	if p.ended == nil {
		p.ended = make(chan struct{})
		go p.run()
	}
	if p.next == 0 || due < p.next {
		poke(p.sooner)
	}
}

// leave forgets a vigil. It may be woken once more, if that has begun.
func (p *pacer) leave(v *vigil) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v.place >= 0 {
		heap.Remove(&p.queue, v.place)
	}
}

// run wakes until stop.
func (p *pacer) run() {
	defer close(p.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := p.wake()
		timer.Reset(wait)
		select {
		case <-p.end:
			return
		case <-p.sooner:
		case <-timer.C:
		}
	}
}

// wake wakes who is due and returns how long nobody will be.
func (p *pacer) wake() time.Duration {
	for {
		p.mu.Lock()
		now := p.clock()
		if len(p.queue) == 0 || p.queue[0].due > now {
			wait := time.Hour
			p.next = 0
			if len(p.queue) > 0 {
				p.next = p.queue[0].due
				wait = time.Duration(p.next.Sub(now))
			}
			p.mu.Unlock()
			return wait
		}
		v := heap.Pop(&p.queue).(*vigil)
		p.mu.Unlock()
		v.wake(now)
	}
}

// stop ends the goroutine and waits for it. Nobody is woken after that.
func (p *pacer) stop() {
	p.mu.Lock()
	ended := p.ended
	first := !p.gone
	p.gone = true
	p.mu.Unlock()
	if first {
		close(p.end)
	}
	if ended != nil {
		<-ended
	}
}

// vigilQueue is a heap of vigils by when they are due.
type vigilQueue []*vigil

func (q vigilQueue) Len() int           { return len(q) }
func (q vigilQueue) Less(i, k int) bool { return q[i].due < q[k].due }

func (q vigilQueue) Swap(i, k int) {
	q[i], q[k] = q[k], q[i]
	q[i].place, q[k].place = i, k
}

func (q *vigilQueue) Push(x any) {
	v := x.(*vigil)
	v.place = len(*q)
	*q = append(*q, v)
}

func (q *vigilQueue) Pop() any {
	last := len(*q) - 1
	v := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	v.place = -1
	return v
}
