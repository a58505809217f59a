package gossip

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/spineldb/warden/warden"
)

const (
	// streamTimeout bounds dialing, and again everything on the connection.
	streamTimeout = 500 * time.Millisecond
	// lookupTimeout bounds the resolution of a name.
	lookupTimeout = 2 * time.Second
	// label tells our packets from those of other users of memberlist.
	label = "warden"
	// reportPause is between two reports of the same trouble.
	reportPause = 10 * time.Second
)

// Options configure a Gossip. Self, ClientAddr and OnMessage are required.
// The callbacks other than OnMessage come one at a time, from one goroutine.
// No callback may call Close.
type Options struct {
	Self warden.WardenID
	// BindAddr is an IP address or a name of this host, empty for all IPv4
	// addresses; BindPort is for TCP and UDP, 0 for any that is free.
	BindAddr string
	BindPort int
	// Source is the address that connections to peers come from; nil: what the
	// system chooses. Packets come from BindAddr.
	Source net.IP
	// AdvertiseAddr and AdvertisePort are what peers are told; empty and 0
	// stand for what is bound. A name is resolved again by peers when they dial.
	AdvertiseAddr string
	AdvertisePort int
	// ClientAddr is the host:port of our client port, told to peers.
	ClientAddr string
	// Keys of 16, 24 or 32 bytes: the first encrypts, all decrypt. None: plain.
	Keys [][]byte
	// Join are host:port of Wardens to dial, for ever: they may come up later
	// and their names may come to mean other addresses.
	Join []string
	// Known is the address book of the last run.
	Known []Peer

	// OnMessage gets every message, from many goroutines. It must not block.
	OnMessage func(warden.Message)
	// OnPeer: a peer became known, or has new addresses. LastHeard is zero as
	// long as only others told of it.
	OnPeer func(Peer)
	// OnPeerGone: SWIM holds the peer for dead or gone. A hint; sending goes on.
	OnPeerGone func(Peer)
	// OnConflict: id is spoken by two live processes. If it is our own, where
	// is the address of the other one. Repeated while it lasts.
	OnConflict func(id warden.WardenID, where string)
	// OnNewerFormat: a peer speaks a newer major version, which we refuse. Of
	// the peer only the id is sure. Repeated while it lasts.
	OnNewerFormat func(peer Peer, major int)

	Logger *slog.Logger
}

// Stats counts messages since the start.
type Stats struct {
	Sent       uint64 // handed to the peer's kernel
	SendFailed uint64 // the peer could not be reached
	Dropped    uint64 // pushed out of a full outbox, too large, or to nobody known
	Received   uint64
	Refused    uint64 // envelopes and messages that were not taken
}

// Gossip talks to the other Wardens. It is safe for concurrent use.
type Gossip struct {
	opts   Options
	log    *slog.Logger
	told   atomic.Pointer[card] // our addresses, as peers are told
	life   string
	number atomic.Uint64
	book   *book
	ready  chan struct{} // closed when list is set
	list   *memberlist.Memberlist
	keys   *memberlist.Keyring
	pause  time.Duration // between connections to one peer, after a burst

	ctx    context.Context // ends everything in tasks
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	notes  chan func()
	slots  chan struct{} // bounds calls that run at the same time

	mu       sync.Mutex
	outboxes map[warden.WardenID]*outbox
	own      map[string]bool      // our own addresses
	calls    map[string]time.Time // not to be made again before
	reported map[string]time.Time
	resolved map[string]resolution

	// gate lets Close wait until the last message was delivered.
	gate   sync.RWMutex
	closed bool

	stats struct{ sent, failed, dropped, received, refused atomic.Uint64 }
}

// Start opens the sockets and begins to look for peers in the background. ctx
// bounds the start alone.
func Start(ctx context.Context, o Options) (*Gossip, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	g := newGossip(o)
	if err := g.open(ctx); err != nil {
		g.mu.Lock()
		g.cancel()
		g.mu.Unlock()
		g.tasks.Wait()
		return nil, err
	}
	close(g.ready)
	g.tasks.Go(g.takeNotes)
	g.tasks.Go(g.upkeep)
	for _, p := range o.Known {
		if p.ID != o.Self && validID(p.ID) && validAddress(p.Gossip) {
			p.LastHeard = time.Time{}
			g.learn(p)
		}
	}
	for _, entry := range o.Join {
		g.tasks.Go(func() { g.keepJoining(entry) })
	}
	return g, nil
}

func newGossip(o Options) *Gossip {
	var life [8]byte
	_, _ = rand.Read(life[:]) // never fails, says its documentation
	g := &Gossip{
		opts: o, log: o.Logger, life: hex.EncodeToString(life[:]), book: newBook(), ready: make(chan struct{}),
		pause: connectionPause, notes: make(chan func(), 256), slots: make(chan struct{}, 16),
		outboxes: map[warden.WardenID]*outbox{}, own: map[string]bool{},
		calls: map[string]time.Time{}, reported: map[string]time.Time{}, resolved: map[string]resolution{},
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// check finds what is wrong with the options. Keys are never shown.
func (o Options) check() error {
	if !validID(o.Self) {
		return fmt.Errorf("start gossip: own id %q is not 40 hexadecimal digits", o.Self)
	}
	if o.OnMessage == nil {
		return errors.New("start gossip: OnMessage is missing")
	}
	if !validAddress(o.ClientAddr) {
		return fmt.Errorf("start gossip: client address %q is not host:port", o.ClientAddr)
	}
	for i, key := range o.Keys {
		if err := memberlist.ValidateKey(key); err != nil {
			return fmt.Errorf("start gossip: key %d is %d bytes long: use 16, 24 or 32", i+1, len(key))
		}
	}
	for _, entry := range o.Join {
		if _, err := warden.ParseNode(entry); err != nil {
			return fmt.Errorf("start gossip: join entry: %w", err)
		}
	}
	return nil
}

// open binds the sockets and starts memberlist on them.
func (g *Gossip) open(ctx context.Context) error {
	o := g.opts
	bind, err := lookupHost(ctx, o.BindAddr, "0.0.0.0")
	if err != nil {
		return fmt.Errorf("start gossip: bind address: %w", err)
	}
	advertise, err := lookupHost(ctx, o.AdvertiseAddr, "")
	if err != nil {
		return fmt.Errorf("start gossip: announced address: %w", err)
	}
	logger := log.New(bridge{to: g.log}, "", 0)
	t, err := listen(bind, o.BindPort, o.Source, logger)
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	port := t.GetAutoBindPort()
	if o.AdvertisePort == 0 {
		o.AdvertisePort = port
	}
	ip, told, err := t.FinalAdvertiseAddr(advertise, o.AdvertisePort)
	if err == nil && ip.IsUnspecified() {
		err = fmt.Errorf("%s is not an address peers can dial", ip)
	}
	if err != nil {
		_ = t.Shutdown()
		return fmt.Errorf("start gossip: find own address: %w: set the address to announce", err)
	}
	host := ip.String()
	if o.AdvertiseAddr != "" {
		host = o.AdvertiseAddr
	}
	own := card{Gossip: string(warden.MakeNode(host, told)), Client: o.ClientAddr}
	g.told.Store(&own)
	g.own[own.Gossip] = true
	g.own[string(warden.MakeNode(bind, port))] = true

	c, err := g.config(t, ip.String(), told, port, logger)
	if err == nil {
		g.list, err = memberlist.Create(c)
	}
	if err != nil {
		_ = t.Shutdown()
		return fmt.Errorf("start gossip: %w", err)
	}
	return nil
}

// config is memberlist's configuration for a few nodes on a local network. A
// Warden that comes back under another address is taken in after a second.
func (g *Gossip) config(t *transport, ip string, told, port int, logger *log.Logger) (*memberlist.Config, error) {
	d := (*delegate)(g)
	c := memberlist.DefaultLANConfig()
	c.Name = string(g.opts.Self)
	c.Transport, c.Label, c.Logger = t, label, logger
	c.BindPort, c.AdvertiseAddr, c.AdvertisePort = port, ip, told
	c.Delegate, c.Events, c.Conflict, c.Alive = d, d, d, d
	c.TCPTimeout = streamTimeout
	c.EnableCompression = false
	c.GossipInterval, c.RetransmitMult = 100*time.Millisecond, 2
	c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult = time.Second, 500*time.Millisecond, 3
	c.PushPullInterval = 10 * time.Second
	c.GossipToTheDeadTime = 30 * time.Second
	c.DeadNodeReclaimTime = time.Second
	if len(g.opts.Keys) > 0 {
		keys, err := memberlist.NewKeyring(g.opts.Keys, g.opts.Keys[0])
		if err != nil {
			return nil, fmt.Errorf("take keys: %w", err)
		}
		g.keys, c.Keyring = keys, keys
	}
	return c, nil
}

// Addr is the host:port that peers are told.
func (g *Gossip) Addr() string { return g.told.Load().Gossip }

// Peers is the address book, sorted by id.
func (g *Gossip) Peers() []Peer { return g.book.peers() }

// Stats counts since the start.
func (g *Gossip) Stats() Stats {
	s := &g.stats
	return Stats{
		Sent: s.sent.Load(), SendFailed: s.failed.Load(), Dropped: s.dropped.Load(),
		Received: s.received.Load(), Refused: s.refused.Load(),
	}
}

// Send queues a message for one Warden and reports whether it did; not to a
// Warden of unknown address, nor after Close. It never blocks. Messages may be
// lost: if the peer does not answer in time, or when more than a thousand wait.
func (g *Gossip) Send(to warden.WardenID, m warden.Message) bool {
	_, known := g.book.address(to)
	if !known || to == g.opts.Self {
		g.stats.dropped.Add(1)
		return false
	}
	// Encoded here, so that the caller may go on with what it holds.
	raw, err := json.Marshal(m)
	if err != nil || len(raw) > maxMessage {
		g.stats.dropped.Add(1)
		g.log.Warn("gossip: message not sent: it is too large or cannot be encoded",
			"to", to.Short(), "group", m.Group, "kind", m.Kind(), "bytes", len(raw), "error", err)
		return false
	}
	o := g.outboxOf(to)
	if o == nil {
		g.stats.dropped.Add(1)
		return false
	}
	g.stats.dropped.Add(uint64(o.put(raw)))
	return true
}

// Introduce greets a Warden that was heard of elsewhere, in the background. It
// is cheap to repeat. Only who answers becomes a peer. A peer under our own id
// at another address is asked whether it lives.
func (g *Gossip) Introduce(p Peer) {
	if !validAddress(p.Gossip) || g.book.lives(p.Gossip, time.Now().Add(-staleAfter)) {
		return
	}
	g.call(call{address: p.Gossip, ask: true, join: p.ID != g.opts.Self})
}

// Forget drops a peer from the address book. It returns if it speaks again.
func (g *Gossip) Forget(id warden.WardenID) {
	g.book.forget(id)
	g.mu.Lock()
	defer g.mu.Unlock()
	if o := g.outboxes[id]; o != nil {
		delete(g.outboxes, id)
		o.gone()
	}
}

// SetKeys replaces the keys: the first encrypts, all decrypt. A gossip that
// was started without keys cannot get any.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if g.keys == nil || len(keys) == 0 {
		return errors.New("set gossip keys: turning encryption on or off needs a restart")
	}
	for i, key := range keys {
		if err := g.keys.AddKey(key); err != nil {
			return fmt.Errorf("set gossip keys: key %d is %d bytes long: use 16, 24 or 32", i+1, len(key))
		}
	}
	if err := g.keys.UseKey(keys[0]); err != nil {
		return fmt.Errorf("set gossip keys: %w", err)
	}
	for _, old := range g.keys.GetKeys() {
		if !holds(keys, old) {
			if err := g.keys.RemoveKey(old); err != nil {
				return fmt.Errorf("set gossip keys: %w", err)
			}
		}
	}
	return nil
}

// Close sends what waits, says goodbye, and closes everything, within a second
// or until ctx is done. No callback comes after it.
func (g *Gossip) Close(ctx context.Context) error {
	g.gate.Lock()
	already := g.closed
	g.closed = true
	g.gate.Unlock()
	if already {
		return nil
	}
	ctx, done := context.WithTimeout(ctx, time.Second)
	defer done()

	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	g.flush(short)
	cancel()
	leave := 400 * time.Millisecond
	if end, ok := ctx.Deadline(); ok {
		leave = min(leave, max(time.Until(end)/2, time.Millisecond))
	}
	if err := g.list.Leave(leave); err != nil {
		g.log.Debug("gossip: goodbye was not heard", "error", err)
	}
	g.mu.Lock()
	g.cancel()
	g.mu.Unlock()
	err := g.list.Shutdown()

	ended := make(chan struct{})
	go func() { g.tasks.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("close gossip: %w", ctx.Err()))
	}
	if err != nil {
		return fmt.Errorf("close gossip: %w", err)
	}
	return nil
}

// holds reports whether key is one of keys, in a time that does not depend on
// where they differ.
func holds(keys [][]byte, key []byte) bool {
	found := 0
	for _, k := range keys {
		found |= equalKeys(k, key)
	}
	return found == 1
}

// lookupHost makes an IP address of a host, or of the default if it is empty.
func lookupHost(ctx context.Context, host, def string) (string, error) {
	if host == "" {
		return def, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String(), nil
	}
	all, err := lookup(ctx, host)
	if err != nil {
		return "", err
	}
	return all[0].String(), nil
}
