package embeddednode

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/spineldb/warden/warden"
)

// Options of a node.
type Options struct {
	// Addr is where to listen: host:port, the host a loopback address. Port 0
	// takes a free one.
	Addr string
	// ReplicaOf is the primary to follow; empty: be a primary. A role in the
	// state file counts more, because it is newer.
	ReplicaOf warden.NodeID
	// StateFile keeps data, lineage and role over a restart; empty: nothing is
	// kept. It is written every SaveEvery (default 300ms) if something
	// changed, and right after CONFIG REWRITE.
	StateFile string
	SaveEvery time.Duration
}

// Node is one running node. Safe for concurrent use.
type Node struct {
	opts     Options
	listener net.Listener
	node     warden.NodeID
	runID    string
	started  time.Time
	engine   *engine
	own      map[string]action

	// ctx ends everything; work counts the goroutines.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	clients map[int64]*client
	lastID  int64
	repl    replication
	subs    map[string]map[*client]bool

	pausedUntil time.Time
	resume      chan struct{} // closed when a pause ends
	unsaved     bool
	saving      sync.Mutex
	saveNow     chan struct{} // asks keepSaving not to wait
}

// New prepares a node: it reads the state file and listens, but serves nothing
// before Run. Close is not needed when Run is called.
func New(o Options) (*Node, error) {
	if o.SaveEvery <= 0 {
		o.SaveEvery = 300 * time.Millisecond
	}
	if err := onLoopback(o.Addr); err != nil {
		return nil, err
	}
	engine, err := newEngine()
	if err != nil {
		return nil, err
	}
	n := &Node{
		opts: o, engine: engine, own: ownCommands(), runID: newID(), started: time.Now(),
		clients: map[int64]*client{}, subs: map[string]map[*client]bool{}, resume: make(chan struct{}), saveNow: make(chan struct{}, 1),
	}
	n.repl = replication{id: newID(), upstream: o.ReplicaOf, secondOffset: -1}
	if err := n.load(); err != nil {
		engine.close()
		return nil, err
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		engine.close()
		return nil, fmt.Errorf("listen on %s: %w", o.Addr, err)
	}
	a := l.Addr().(*net.TCPAddr)
	n.listener, n.node = l, warden.MakeNode(a.IP.String(), a.Port)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n, nil
}

// onLoopback refuses every other address: there is no password.
func onLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen on %q: %w", addr, err)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() {
		return fmt.Errorf("listen on %q: an embedded node has no password: use 127.0.0.1 or [::1]", addr)
	}
	return nil
}

func newID() string {
	var b [20]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Addr is where the node listens.
func (n *Node) Addr() warden.NodeID { return n.node }

// Run serves until ctx ends, then ends every connection and goroutine and
// writes the state file once more. Called once.
func (n *Node) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, n.cancel)
	defer stop()
	n.mu.Lock()
	if n.repl.upstream != "" {
		n.startFollowing()
	}
	n.mu.Unlock()
	n.work.Go(n.accept)
	n.work.Go(n.keepSaving)
	<-n.ctx.Done()
	n.listener.Close()
	n.mu.Lock()
	for _, c := range n.clients {
		c.close()
	}
	n.mu.Unlock()
	n.work.Wait()
	err := n.save()
	n.engine.close()
	return err
}

func (n *Node) accept() {
	for {
		conn, err := n.listener.Accept()
		if errors.Is(err, net.ErrClosed) || n.ctx.Err() != nil {
			if conn != nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			// Out of file descriptors, say: wait a little, it may pass.
			select {
			case <-n.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		n.serve(conn)
	}
}

// engine is the miniredis inside.
type engine struct {
	db     *miniredis.Miniredis
	port   *enginePort
	mortal bool // some key may have a time to live
}

// hold stops writes for d. n.mu must be held.
func (n *Node) hold(d time.Duration) {
	until := time.Now().Add(d)
	if until.After(n.pausedUntil) {
		n.pausedUntil = until
	}
}

// release ends a pause. n.mu must be held.
func (n *Node) release() {
	n.pausedUntil = time.Time{}
	close(n.resume)
	n.resume = make(chan struct{})
}

// lockForWrite locks n.mu as soon as no pause holds writes up. It reports
// false, without the lock, when ctx ended first.
func (n *Node) lockForWrite(ctx context.Context) bool {
	for {
		n.mu.Lock()
		left := time.Until(n.pausedUntil)
		if left <= 0 {
			return true
		}
		resume := n.resume
		n.mu.Unlock()
		wait := time.NewTimer(left)
		select {
		case <-ctx.Done():
			wait.Stop()
			return false
		case <-resume:
		case <-wait.C:
		}
		wait.Stop()
	}
}
