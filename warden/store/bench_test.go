package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/spineldb/warden/warden"
)

// One saver alone: what a vote waits for the disk.
func BenchmarkSave(b *testing.B) {
	s := mustOpen(b, b.TempDir(), Options{})
	r := sample("g", 1)
	for b.Loop() {
		r.Promise++
		if err := s.SaveRegister("g", r); err != nil {
			b.Fatal(err)
		}
	}
}

// A hundred groups save at once, as when a whole host goes down. One operation
// is all hundred.
func BenchmarkSaveHundredGroups(b *testing.B) {
	s := mustOpen(b, b.TempDir(), Options{})
	promise := warden.Epoch(0)
	for b.Loop() {
		promise++
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				group := warden.GroupName(fmt.Sprintf("group-%03d", i))
				if err := s.SaveRegister(group, sample(group, promise)); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
}
