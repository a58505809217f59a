package spineldb

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// Options are the same for all nodes of a group.
type Options struct {
	// User and Password log in to the nodes; both may be empty, and a password
	// alone logs in the old way.
	User     string
	Password string
	// TLS, when set, is used for every connection. An empty ServerName is
	// replaced by the host of each node.
	TLS *tls.Config
	// Source is the address that connections to nodes come from; nil: what the
	// system chooses.
	Source net.IP
	// Renames are the commands that the nodes know under another name
	// (rename-command): the usual word in upper case, and theirs.
	Renames map[string]string
	// DialTimeout bounds opening one connection (default 1 s). A deadline of
	// the caller that is shorter counts.
	DialTimeout time.Duration
	// Timeout bounds a look or an order whose caller set no deadline (default 2 s).
	Timeout time.Duration
	// Logger gets debug lines about connections. Default: nothing is logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.DialTimeout <= 0 {
		o.DialTimeout = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	words := make(map[string]string, len(o.Renames))
	for usual, theirs := range o.Renames {
		words[strings.ToUpper(usual)] = theirs
	}
	o.Renames = words
	return o
}

// Adapter drives nodes that speak the Redis protocol. Safe for concurrent use.
type Adapter struct{ opts Options }

var _ warden.Adapter = (*Adapter)(nil)

// quiet stops go-redis from writing to standard error by itself: its pool
// reports every lost connection there, and we report them as observations.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// New makes an adapter. It opens nothing.
func New(o Options) *Adapter {
	quiet()
	return &Adapter{opts: o.withDefaults()}
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
	ctx, cancel := context.WithCancel(context.Background())
	l := &link{
		adapter: a, node: node, events: events,
		ctx: ctx, cancel: cancel,
		talk: newSeat(), opened: make(chan struct{}, 1),
	}
	l.listening.Go(l.listen)
	return l
}
