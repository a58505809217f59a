package check

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

// Options of a search.
type Options struct {
	Scope    Scope
	Sabotage *Sabotage // nil: none
	// Only looks at this contract alone; empty: at all.
	Only string
	// Most ends a search that has met so many states; 0: it goes to the end.
	Most uint64
	// Workers are the goroutines that search; 0: as many as there are processors.
	Workers int
	// Progress is told of every depth that is done; it may be nil.
	Progress func(Result)
}

// Result is what a search found.
type Result struct {
	States uint64 // different ones
	Steps  uint64 // taken from all of them
	Depth  int    // steps from the first state to the furthest
	Took   time.Duration
	// Whole: every state of the scope was met.
	Whole bool
	// Violation is the first broken promise, nil if none was; Trace tells how it
	// came to be, in one of the fewest possible steps.
	Violation *Violation
	Trace     []string
	// Minds are the different memories of Wardens that were met, Bytes what the
	// process holds.
	Minds int
	Bytes uint64
}

// origin says how a state was reached.
type origin struct {
	parent uint32
	code   uint32
}

// search is one running search.
type search struct {
	o       Options
	e       *engine
	seen    seen
	front   *rows
	from    []origin
	steps   atomic.Uint64
	mu      sync.Mutex
	broken  *Violation
	brokeAt origin
}

// rows are packed worlds, one after the other.
type rows struct {
	words  []uint32
	ends   []uint32
	origin []origin // of new ones
}

func (r *rows) add(row []uint32) {
	r.words = append(r.words, row...)
	r.ends = append(r.ends, uint32(len(r.words)))
}

func (r *rows) at(i int) []uint32 {
	from := uint32(0)
	if i > 0 {
		from = r.ends[i-1]
	}
	return r.words[from:r.ends[i]]
}

func newEngine(o *Options) *engine {
	e := &engine{scope: &o.Scope, sabotage: o.Sabotage, only: o.Only, minds: newTable[mind](), items: newTable[item](),
		topics: newTable[warden.Topology](), ledgers: newTable[ledger](), deeds: newTable[[]deed](),
		places: newTable[nodes]()}
	if e.sabotage == nil {
		e.sabotage = &Sabotage{}
	}
	return e
}

// Run walks through every state of a scope, breadth first, until a promise is
// broken or there is no state left.
func Run(o Options) Result {
	began := time.Now()
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	s := &search{o: o, e: newEngine(&o)}
	walkers := make([]*walker, o.Workers)
	for i := range walkers {
		walkers[i] = newWalker(s.e)
	}
	first := s.e.first(walkers[0].z)
	row, _ := walkers[0].swap.first(&first, first.pack(nil))
	s.seen.add(printRow(row))
	s.front = &rows{}
	s.front.add(row)
	s.from = append(s.from, origin{})
	var r Result
	base := uint32(0) // number of the first state of the front
	for depth := 0; ; depth++ {
		r = Result{States: uint64(len(s.from)), Steps: s.steps.Load(), Depth: depth, Took: time.Since(began), Minds: s.e.minds.len(), Bytes: held()}
		if o.Progress != nil {
			o.Progress(r)
		}
		next := s.level(walkers, base)
		r.Steps = s.steps.Load()
		if s.broken != nil {
			r.Violation, r.Depth = s.broken, depth+1
			break
		}
		base += uint32(len(s.front.ends))
		s.join(next)
		if len(s.front.ends) == 0 {
			r.Whole = true
			break
		}
		if o.Most > 0 && uint64(len(s.from)) >= o.Most || o.Scope.Depth > 0 && depth+1 >= o.Scope.Depth {
			break
		}
	}
	r.States, r.Took = uint64(len(s.from)), time.Since(began)
	if s.broken != nil {
		r.Trace = s.trace()
	}
	return r
}

// held is what the process holds of memory.
func held() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}

// level takes all steps from the states of the front.
func (s *search) level(walkers []*walker, base uint32) []*rows {
	const batch = 256
	var cursor atomic.Int64
	out := make([]*rows, len(walkers))
	var wg sync.WaitGroup
	for i, k := range walkers {
		mine := &rows{}
		out[i] = mine
		wg.Go(func() {
			var w world
			var row []uint32
			var parent uint32
			taken := uint64(0)
			k.emit = func(code uint32, n *world, broken *Violation) {
				taken++
				if broken != nil {
					s.fail(broken, origin{parent, code})
					return
				}
				row = n.pack(row[:0])
				first, _ := k.swap.first(n, row)
				if s.seen.add(printRow(first)) {
					mine.add(first)
					mine.origin = append(mine.origin, origin{parent, code})
				}
			}
			for {
				from := int(cursor.Add(batch)) - batch
				if from >= len(s.front.ends) || s.failed() {
					break
				}
				for i := from; i < min(from+batch, len(s.front.ends)); i++ {
					parent = base + uint32(i)
					w.unpack(s.front.at(i))
					k.walk(&w)
				}
			}
			s.steps.Add(taken)
		})
	}
	wg.Wait()
	return out
}

// join makes the states that were found the new front.
func (s *search) join(found []*rows) {
	front := &rows{words: s.front.words[:0], ends: s.front.ends[:0]}
	for _, r := range found {
		s.from = append(s.from, r.origin...)
		at := uint32(len(front.words))
		front.words = append(front.words, r.words...)
		front.ends = slices.Grow(front.ends, len(r.ends))
		for _, end := range r.ends {
			front.ends = append(front.ends, at+end)
		}
		r.words, r.ends, r.origin = nil, nil, nil
	}
	s.front = front
}

func (s *search) fail(v *Violation, at origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken, s.brokeAt = v, at
	}
}

func (s *search) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken != nil
}
