package adaptertest

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Server is one real server under test. Its methods fail the test instead of
// returning errors, unless they say otherwise.
type Server interface {
	Node() warden.NodeID
	// Write adds n new records and returns when the server has confirmed them.
	Write(ctx context.Context, n int) error
	// Count is the number of records, or an error while the server has none to tell.
	Count(ctx context.Context) (int, error)
	// Clients is how many client connections the server has, not counting the
	// harness's own.
	Clients(ctx context.Context) (int, error)
	// FullCopies is how many full copies the server has given since its start.
	FullCopies(ctx context.Context) (int, error)
	// Kill ends the process without any farewell.
	Kill()
	// Pause stops the process (SIGSTOP), Resume lets it go on. Only called
	// where the harness says CanPause.
	Pause()
	Resume()
}

// Harness starts servers. All servers it starts end with the test.
type Harness struct {
	// Adapter makes an adapter that fits the servers.
	Adapter func(t *testing.T) warden.Adapter
	// Start starts a server: a primary, or a replica of upstream if it is set.
	// It returns when the server answers.
	Start func(t *testing.T, upstream warden.NodeID) Server

	// What follows may be nil or false where a kind of server has no such thing.

	// Denied starts a server and returns an adapter that it turns away.
	Denied func(t *testing.T) (warden.Adapter, Server)
	// Loading starts a server that will be loading for several seconds.
	Loading func(t *testing.T) Server
	// Full starts a server without room for a further connection.
	Full func(t *testing.T) Server
	// CanPause: servers are processes of their own.
	CanPause bool
	// Traits say where a kind of server differs from the Redis protocol.
	Traits Traits
	// Frames are parts of function names that belong to the adapter; no
	// goroutine may have them in its stack when everything is closed.
	Frames []string
}

// Traits say where a kind of server differs from the Redis protocol, whose
// servers have none of them.
type Traits struct {
	// Promotion is text in the request that promotes; default "EXEC".
	Promotion string
	// StartingUp is text in the error of a server that is loading; default "LOADING".
	StartingUp string
	// NeverEmpty: a new server is not empty, but of another lineage.
	NeverEmpty bool
	// HoldRefuses: a held server refuses writes instead of delaying them.
	HoldRefuses bool
	// PositionDrifts: the position also moves without any write.
	PositionDrifts bool
	// NeedsRejoin: a primary cannot be made a replica by an order. Follow
	// takes writes away from it and says so in a note; from then on the node
	// says so itself.
	NeedsRejoin bool
	// Keeps: sessions are warden.Keepers.
	Keeps bool
}

func (x Traits) promotion() string { return cmp.Or(x.Promotion, "EXEC") }

// patience is how long the suite waits for something that should happen soon.
// It is long because test machines are slow, not because adapters may be.
const patience = 20 * time.Second

// lookTimeout is the deadline of each look and order.
const lookTimeout = 5 * time.Second

// Await polls until what is true, and fails the test when that takes too long.
func Await(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-end.C:
			t.Fatalf("still not after %v: %s\n%s", patience, what, goroutines())
		}
	}
}

func goroutines() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// within is a context with the deadline of a look.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lookTimeout)
	t.Cleanup(cancel)
	return ctx
}

// watcher is a link with its events written down.
type watcher struct {
	warden.Link
	mu     sync.Mutex
	ended  []string
	hellos []warden.Hello
	locals []string
}

func watch(t *testing.T, a warden.Adapter, node warden.NodeID) *watcher {
	t.Helper()
	w := &watcher{}
	note := func(f func()) { w.mu.Lock(); defer w.mu.Unlock(); f() }
	w.Link = a.Open(node, warden.LinkEvents{
		Ended: func(n warden.NodeID, why string) { note(func() { w.ended = append(w.ended, why) }) },
		Hello: func(h warden.Hello) { note(func() { w.hellos = append(w.hellos, h) }) },
		Local: func(n warden.NodeID, ip string) { note(func() { w.locals = append(w.locals, ip) }) },
	})
	t.Cleanup(w.Close)
	return w
}

func (w *watcher) counts() (ended, hellos, locals int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ended), len(w.hellos), len(w.locals)
}

// look is one good look.
func (w *watcher) look(t *testing.T) warden.Observation {
	t.Helper()
	o := w.Look(within(t))
	if o.Health != warden.HealthGood {
		t.Fatalf("look: health %s (%s), want good", o.Health, o.Detail)
	}
	return o
}

// awaitHealth looks until the health is want.
func (w *watcher) awaitHealth(t *testing.T, want warden.Health) warden.Observation {
	t.Helper()
	var o warden.Observation
	Await(t, "health is "+string(want), func() bool {
		o = w.Look(within(t))
		return o.Health == want
	})
	return o
}

// listens waits until the link hears its own hello, which proves that its
// listening connection stands.
func (w *watcher) listens(t *testing.T, claim warden.Claim) {
	t.Helper()
	Await(t, "the link hears a hello on its node", func() bool {
		err := w.Publish(within(t), warden.Hello{ID: claim.Warden, Gossip: "127.0.0.1:7", Client: "127.0.0.1:8", Group: claim.Group, Epoch: claim.Epoch, Primary: "127.0.0.1:9"})
		if err != nil {
			t.Fatalf("publish: %v", err)
		}
		_, heard, _ := w.counts()
		return heard > 0
	})
}

// claimBy names a claim of the Warden with the given digit.
func claimBy(digit string, epoch warden.Epoch) warden.Claim {
	return warden.Claim{Group: "my-group-1", Epoch: epoch, Warden: warden.WardenID(strings.Repeat(digit, 40))}
}

// claim claims and fails the test when that is not done.
func claim(t *testing.T, a warden.Adapter, node warden.NodeID, c warden.Claim) warden.Session {
	t.Helper()
	s, res := a.Claim(within(t), node, c)
	if res.Outcome != warden.Done {
		t.Fatalf("claim %s for epoch %d: %s (%s), want done", node, c.Epoch, res.Outcome, res.Why)
	}
	t.Cleanup(s.Close)
	return s
}

// want fails the test when an order did not end as expected.
func want(t *testing.T, what string, got warden.Result, outcome warden.Outcome) {
	t.Helper()
	if got.Outcome != outcome {
		t.Fatalf("%s: %s (%s), want %s", what, got.Outcome, got.Why, outcome)
	}
	if (got.Why == "") != (outcome == warden.Done) {
		t.Errorf("%s: outcome %s with reason %q", what, got.Outcome, got.Why)
	}
}

// pairOf starts a primary with some records and a replica that has them all.
func (h Harness) pairOf(t *testing.T) (primary, replica Server) {
	t.Helper()
	primary = h.Start(t, "")
	if err := primary.Write(within(t), 10); err != nil {
		t.Fatalf("write: %v", err)
	}
	return primary, h.joined(t, primary)
}

// joined starts a further replica of primary and waits until it has caught up.
func (h Harness) joined(t *testing.T, primary Server) Server {
	t.Helper()
	replica := h.Start(t, primary.Node())
	awaitEqual(t, primary, replica)
	return replica
}

// awaitEqual waits until two servers have the same number of records.
func awaitEqual(t *testing.T, a, b Server) {
	t.Helper()
	Await(t, fmt.Sprintf("%s has as many records as %s", b.Node(), a.Node()), func() bool {
		na, err := a.Count(within(t))
		if err != nil {
			return false
		}
		nb, err := b.Count(within(t))
		return err == nil && na == nb
	})
}
