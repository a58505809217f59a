package shell

import (
	"sync"
	"time"
)

// crewRest is how long one of the crew waits for work before it goes.
const crewRest = 5 * time.Second

// crew does short pieces of work beside everything else, each on a goroutine of
// its own that is used again. A new goroutine has a small stack, which has to
// be copied as it grows; with hundreds of pieces each second that was a tenth
// of all the work. Safe for concurrent use.
type crew struct {
	work chan func()
	quit chan struct{}
	once sync.Once
	all  sync.WaitGroup
}

func newCrew() *crew { return &crew{work: make(chan func()), quit: make(chan struct{})} }

// do has somebody do the work at once. It does not wait.
func (c *crew) do(work func()) {
	select {
	case c.work <- work:
	default:
		c.all.Go(func() { c.serve(work) })
	}
}

// serve does one piece of work and then what comes, until nothing does.
func (c *crew) serve(work func()) {
	rest := time.NewTimer(crewRest)
	defer rest.Stop()
	for {
		work()
		work = nil // it may hold much
		rest.Reset(crewRest)
		select {
		case work = <-c.work:
		case <-rest.C:
			return
		case <-c.quit:
			return
		}
	}
}

// dismiss sends those away who wait for work, and waits until all are gone. Do
// must not be called any more, and what is being done has to have been told to
// end.
func (c *crew) dismiss() {
	c.once.Do(func() { close(c.quit) })
	c.all.Wait()
}
