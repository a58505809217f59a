package main

import (
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/chaos/history"
)

// record is what the clients of a round saw. Safe for concurrent use.
type record struct {
	began time.Time

	mu     sync.Mutex
	writes []*history.Write
	ops    []history.Op
	// last is the node that acknowledged a write last.
	last string
	// troubles are the faults, and what they happened to.
	troubles []trouble
	// settled is when all was well after the storm, 0 before.
	settled time.Duration
}

// trouble is a time in which a fault touched some hosts. The end is zero while
// it lasts.
type trouble struct {
	from, to time.Duration
	hosts    []string
}

func newRecord() *record { return &record{began: time.Now()} }

func (r *record) now() time.Duration { return time.Since(r.began) }

// write adds a write that has ended. Those to which the client comes back when
// it knows more are changed by confirm.
func (r *record) write(w history.Write) *history.Write {
	w.Done = r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, &w)
	if w.Outcome == history.Acknowledged {
		r.last = w.Node
	}
	return &w
}

// confirm notes that all replicas have the writes.
func (r *record) confirm(writes []*history.Write) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range writes {
		w.Everywhere = true
	}
}

// settle notes that all is well.
func (r *record) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = time.Since(r.began)
}

func (r *record) op(o history.Op) {
	o.Done = r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, o)
}

// primary is the node that acknowledged a write last.
func (r *record) primary() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// all are copies of what there is.
func (r *record) all() ([]history.Write, []history.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	writes := make([]history.Write, len(r.writes))
	for i, w := range r.writes {
		writes[i] = *w
	}
	return writes, slices.Clone(r.ops)
}

// touch notes that a fault begins to touch hosts; the returned function that it
// no longer does.
func (r *record) touch(hosts ...string) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := len(r.troubles)
	r.troubles = append(r.troubles, trouble{from: r.now(), hosts: hosts})
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.troubles[i].to = r.now()
	}
}

// calmSince is for how long, at a moment, no fault had touched any of the nodes
// nor a majority of the Wardens.
func (r *record) calmSince(at time.Duration, nodes ...string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	calm := at
	wardens := map[string]time.Duration{} // when a fault last touched it
	for _, t := range r.troubles {
		if t.from > at {
			continue
		}
		end := min(t.to, at)
		if t.to == 0 {
			end = at
		}
		for _, h := range t.hosts {
			if slices.Contains(nodes, h) {
				calm = min(calm, at-end)
			}
			if slices.Contains(wardenActors, h) {
				wardens[h] = max(wardens[h], end)
			}
		}
	}
	// With two of three in trouble lately there is no majority that could act.
	var ends []time.Duration
	for _, end := range wardens {
		ends = append(ends, end)
	}
	slices.Sort(ends)
	if len(ends) >= 2 {
		calm = min(calm, at-ends[len(ends)-2])
	}
	return calm
}
