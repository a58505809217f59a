package postgres

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// Options are the same for all nodes of a group.
type Options struct {
	// Nodes are those known from the start, by which a standby's slot and name
	// tell where it listens. Nodes that are opened or followed are known as well.
	Nodes []warden.NodeID

	// User logs in to the nodes. Passwords come from Password, else from the
	// first line of PasswordFile, else from Passfile (.pgpass format), else from
	// where libpq would look (PGPASSWORD, ~/.pgpass). Files are read anew for
	// each connection.
	User         string
	Password     string
	PasswordFile string
	Passfile     string
	// Database is where all sessions of Wardens meet (default "postgres"): hellos
	// and advisory locks are known in one database only.
	Database string
	// SSLMode and the files mean what they mean to libpq (default "prefer").
	SSLMode, SSLRootCert, SSLCert, SSLKey string

	// ReplicationUser and what belongs to it is written into primary_conninfo.
	// What is empty stays as the standby has it. ReplicationPassword is then
	// stored on the node in clear text, as pg_basebackup -R does;
	// ReplicationPassfile names a file on the database host instead.
	ReplicationUser     string
	ReplicationPassword string
	ReplicationPassfile string
	// NoSlots leaves replication slots alone.
	NoSlots bool
	// SlotRetain is how much WAL in bytes an unused slot of ours may hold on a
	// primary before it is dropped (default 1 GiB).
	SlotRetain int64

	// DialTimeout bounds opening one connection (default 1 s). A deadline of
	// the caller that is shorter counts.
	DialTimeout time.Duration
	// Timeout bounds a look or an order whose caller set no deadline (default 2 s).
	Timeout time.Duration
	// FollowWait is how long Follow waits for the stream from the new primary
	// (default 1 s); it is a wish, not a condition.
	FollowWait time.Duration
	// Logger gets debug lines about connections. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Database == "" {
		o.Database = "postgres"
	}
	if o.SSLMode == "" {
		o.SSLMode = "prefer"
	}
	if o.SlotRetain <= 0 {
		o.SlotRetain = 1 << 30
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.FollowWait <= 0 {
		o.FollowWait = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Adapter drives PostgreSQL nodes. Safe for concurrent use.
type Adapter struct {
	opts Options

	mu    sync.Mutex
	nodes []warden.NodeID // known so far
}

var _ warden.Adapter = (*Adapter)(nil)

// New makes an adapter. It opens nothing.
func New(o Options) *Adapter {
	return &Adapter{opts: o.withDefaults(), nodes: slices.Clone(o.Nodes)}
}

// learn remembers nodes, by which a standby tells where it listens.
func (a *Adapter) learn(nodes ...warden.NodeID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range nodes {
		if !slices.Contains(a.nodes, n) {
			a.nodes = append(a.nodes, n)
		}
	}
}

// known are all nodes known so far.
func (a *Adapter) known() []warden.NodeID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.nodes)
}

// within gives ctx a deadline if it has none.
func (a *Adapter) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, a.opts.Timeout)
}

// Open starts watching a node. See warden.Adapter.
func (a *Adapter) Open(node warden.NodeID, events warden.LinkEvents) warden.Link {
	a.learn(node)
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{
		adapter: a, node: node, events: events,
		ctx: ctx, cancel: cancel,
		watch: newSeat(), speak: newSeat(),
	}
	l.listening.Go(l.listen)
	return l
}
