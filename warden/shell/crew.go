package shell

import (
	"slices"
	"sync"
	"time"
)

// crewRest is how long one of the crew waits for work before it goes.
const crewRest = 3 * time.Second

// crew does short pieces of work beside everything else, each on a goroutine of
// its own that is used again. A new goroutine has a small stack, which has to
// be copied as it grows; with hundreds of pieces each second that was a tenth
// of all the work. Safe for concurrent use.
type crew struct {
	mu   sync.Mutex
	idle []*hand // who came last goes first, so that those too many can go
	gone bool
	all  sync.WaitGroup
}

// hand is one of the crew.
type hand struct {
	work chan func() // room for one
}

func newCrew() *crew { return &crew{} }

// do has somebody do the work at once. It does not wait.
func (c *crew) do(work func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		h := c.idle[n-1]
		c.idle = c.idle[:n-1]
		h.work <- work
		return
	}
	h := &hand{work: make(chan func(), 1)}
	h.work <- work
	c.all.Go(func() { c.serve(h) })
}

// serve does what it is given until nothing comes.
func (c *crew) serve(h *hand) {
	rest := time.NewTimer(crewRest)
	defer rest.Stop()
	for {
		select {
		case work := <-h.work:
			if work == nil {
				return
			}
			work()
			if !c.wait(h) {
				return
			}
			rest.Reset(crewRest)
		case <-rest.C:
			if c.leave(h) {
				return
			}
		}
	}
}

// wait joins those without work; false: the crew is dismissed.
func (c *crew) wait(h *hand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	c.idle = append(c.idle, h)
	return true
}

// leave goes for good, unless there is work just now.
func (c *crew) leave(h *hand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.idle, h)
	if i < 0 {
		return false
	}
	c.idle = slices.Delete(c.idle, i, i+1)
	return true
}

// dismiss sends those away who wait for work, and waits until all are gone. Do
// must not be called any more, and what is being done has to have been told to
// end.
func (c *crew) dismiss() {
	c.mu.Lock()
	c.gone = true
	for _, h := range c.idle {
		h.work <- nil
	}
	c.idle = nil
	c.mu.Unlock()
	c.all.Wait()
}
