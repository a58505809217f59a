package group

import (
	"runtime"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: a Warden that watches for months keeps no more than one that has just begun:
// no state holds on to those before.
func TestMemoryIsFlat(t *testing.T) {
	c, s, now, looks := idleGroup(t)
	watch := func(steps int) (live uint64) {
		for i := range steps {
			now = now.Add(20 * warden.Millisecond)
			look := looks[i%len(looks)]
			o := *look.Observation
			look.Asked, look.Observation = now, &o
			Advance(&c, &s, look, now)
			Advance(&c, &s, Beat{Node: look.Node, Asked: now}, now)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := watch(1_000)
	after := watch(50_000)
	if after > before+1<<20 {
		t.Errorf("%d bytes are kept of 100,000 Steps", after-before)
	}
	runtime.KeepAlive(&s)
}
