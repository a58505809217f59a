package sim

import (
	"flag"
	"iter"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// runSeeds runs n seeds in worlds of a kind on all cores and yields their reports in the order of
// the seeds, whoever was done first. Every worker has ended when it returns.
func runSeeds(kind Kind, from, n uint64) iter.Seq[Report] {
	return func(yield func(Report) bool) {
		var next atomic.Uint64
		workers := min(uint64(runtime.GOMAXPROCS(0)), n)
		done := make(chan Report, 4*workers)
		var wait sync.WaitGroup
		for range workers {
			wait.Go(func() {
				for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
					done <- RunSeed(Options{Seed: from + i, Kind: kind})
				}
			})
		}
		go func() { wait.Wait(); close(done) }()
		early, turn := map[uint64]Report{}, from
		for r := range done {
			early[r.Seed] = r
			for {
				r, ok := early[turn]
				if !ok {
					break
				}
				delete(early, turn)
				if turn++; !yield(r) {
					next.Store(n) // the workers stop; what they still send is dropped
					for range done {
					}
					return
				}
			}
		}
	}
}

// collectRarely has the garbage collector wait for a few hundred megabytes: a
// world is small, lives for milliseconds and is garbage as a whole. It returns
// what takes that back.
func collectRarely() func() {
	const enough = 400 << 20
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(enough)
	rate := runtime.MemProfileRate
	if flag.Lookup("test.memprofile").Value.String() == "" {
		runtime.MemProfileRate = 0
	}
	return func() {
		runtime.MemProfileRate = rate
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}
