package shell

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: every piece of work is done, beside the others; hands are used again,
// go when there is nothing to do, and none is left in the end.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		c := newCrew()
		var done atomic.Int64
		hold := make(chan struct{})
		for range 10 {
			c.do(func() { <-hold; done.Add(1) })
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n != 10 {
			t.Errorf("%d hands for ten pieces of work at once", n)
		}
		close(hold)
		synctest.Wait()
		for range 100 { // one after the other
			c.do(func() { done.Add(1) })
			synctest.Wait()
			time.Sleep(crewRest / 10)
		}
		if n := runtime.NumGoroutine() - before; n != 1 {
			t.Errorf("%d hands are left for one piece of work at a time", n)
		}
		if done.Load() != 110 {
			t.Errorf("%d of 110 pieces of work were done", done.Load())
		}
		c.dismiss()
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n != 0 {
			t.Errorf("%d hands are left after the end", n)
		}
	})
}

// Goal: looks go as the minds want them until all want very many; then each
// gets its share, and nobody waits for longer than a veto lives.
func TestLooksOfManyAreStretched(t *testing.T) {
	const hot = 100 * warden.Millisecond
	few, many := 100*looksIn(hot), 600*looksIn(hot)
	for _, test := range []struct {
		every warden.Duration
		looks int64
		alive bool
		want  warden.Duration
	}{
		{hot, few, true, hot},
		{hot, few, false, hot},
		{hot, 300 * looksIn(hot), true, 200 * warden.Millisecond},
		{hot, many, true, slowest},
		{hot, 100 * many, true, slowest},
		{hot, many, false, slowestDead},
		{2 * warden.Second, 100 * many, true, 2 * warden.Second},
		{2 * warden.Second, 100 * many, false, 2 * warden.Second},
		{warden.Second, many, true, warden.Second},
	} {
		if got := stretched(test.every, test.looks, test.alive); got != test.want {
			t.Errorf("every %s among %d: %s, want %s", test.every, test.looks, got, test.want)
		}
	}
}
