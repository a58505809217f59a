package shell

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// watch keeps one link to every node that a group's mind wants watched, and a
// vigil on each. Safe for concurrent use; sync, mark and adopt come from the
// group's loop only.
type watch struct {
	options *env
	group   warden.GroupName
	hello   func() warden.Hello
	put     func(group.Event)
	// lay is put for what need not be heard before the next tick.
	lay func(group.Event)
	ctx context.Context
	wg  sync.WaitGroup
	// helloEvery is the Duration between two hellos on one node, knockEvery
	// that between two knocks.
	helloEvery, knockEvery atomic.Int64

	wanted []group.Watched // of the last sync
	claim  warden.Claim    // the newest mark; zero epoch: none yet

	mu      sync.Mutex
	adapter warden.Adapter
	vigils  map[warden.NodeID]*vigil
}

func newWatch(o *env, name warden.GroupName, a warden.Adapter, hello func() warden.Hello, put, lay func(group.Event)) *watch {
	return &watch{options: o, group: name, adapter: a, hello: hello, put: put, lay: lay, vigils: map[warden.NodeID]*vigil{}}
}

// pace takes over how often to speak and to knock.
func (w *watch) pace(c *group.Config) {
	w.helloEvery.Store(int64(c.HelloInterval))
	w.knockEvery.Store(int64(max(KnockEvery, c.DownAfter)))
}

// start says until when links are kept.
func (w *watch) start(ctx context.Context) { w.ctx = ctx }

// wait returns when every link is closed. The context given to start has to
// be over.
func (w *watch) wait() { w.wg.Wait() }

// sync opens and closes links so that they are those of wanted, which is
// sorted by node. It costs one comparison when nothing has changed.
func (w *watch) sync(wanted []group.Watched) {
	if sameList(w.wanted, wanted) || slices.Equal(w.wanted, wanted) || w.ctx.Err() != nil {
		return
	}
	w.wanted = wanted
	w.mu.Lock()
	defer w.mu.Unlock()
	stale := maps.Clone(w.vigils)
	for _, want := range wanted {
		delete(stale, want.Node)
		if v := w.vigils[want.Node]; v != nil {
			v.pace(want)
		} else {
			w.vigils[want.Node] = w.open(want)
		}
	}
	for node, v := range stale {
		v.cancel()
		delete(w.vigils, node)
	}
}

// sameList: the very same list, which nobody changes.
func sameList(a, b []group.Watched) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// open begins the watch on one node.
func (w *watch) open(want group.Watched) *vigil {
	v := newVigil(w, want)
	v.ctx, v.cancel = context.WithCancel(w.ctx)
	v.link = w.adapter.Open(want.Node, v.events(v.ctx))
	v.pulser, _ = v.link.(warden.Pulser)
	if w.claim.Epoch != 0 {
		v.link.Mark(w.claim)
	}
	w.wg.Add(1)
	context.AfterFunc(v.ctx, func() {
		defer w.wg.Done()
		v.end()
	})
	v.begin()
	return v
}

// adopt opens all links anew when the adapter is another one.
func (w *watch) adopt(a warden.Adapter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a == w.adapter {
		return
	}
	w.adapter = a
	for _, v := range w.vigils {
		v.cancel()
	}
	clear(w.vigils)
	w.wanted = nil
}

// current is the adapter that links are opened with.
func (w *watch) current() warden.Adapter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.adapter
}

// mark writes a claim on the link to one node, or on all links when node is
// empty, and on those opened later.
func (w *watch) mark(node warden.NodeID, claim warden.Claim) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if node == "" && claim.Epoch > w.claim.Epoch {
		w.claim = claim
	}
	for have, v := range w.vigils {
		if node == "" || node == have {
			v.link.Mark(claim)
		}
	}
}

// look makes one extra look at a node over its kept link. ok is false when
// the node is not watched.
func (w *watch) look(ctx context.Context, node warden.NodeID) (o warden.Observation, ok bool) {
	w.mu.Lock()
	v := w.vigils[node]
	w.mu.Unlock()
	if v == nil {
		return warden.Observation{}, false
	}
	return v.link.Look(ctx), true
}

// unblock ends a script on a node. watched is false when the node is not.
func (w *watch) unblock(ctx context.Context, node warden.NodeID) (watched bool, err error) {
	w.mu.Lock()
	v := w.vigils[node]
	w.mu.Unlock()
	if v == nil {
		return false, nil
	}
	return true, v.link.Unblock(ctx)
}

// phase spreads what is done in turn for many nodes over the turn: a number
// that is the same in every run for one node of one group.
func phase(name warden.GroupName, node warden.NodeID) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(node))
	return h.Sum64()
}

// together rounds a phase so that what is done in turn for hundreds of nodes is
// done for some of them at the same time: waking up costs more than the work.
func together(phase uint64, every warden.Duration) uint64 {
	e := max(uint64(every), 1)
	offset := phase % e
	return offset - offset%max(min(uint64(tickGrid), e/8), 1)
}

// turn is the first instant after now that lies on the grid of the given
// phase: one point every `every`, of 1 ns at least.
func turn(now warden.Instant, phase uint64, every warden.Duration) warden.Instant {
	e := max(int64(every), 1)
	offset := int64(phase % uint64(e))
	gone := (int64(now) - offset) % e
	if gone < 0 {
		gone += e
	}
	return now.Add(warden.Duration(e - gone))
}
