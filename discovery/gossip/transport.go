package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// maxInbound bounds the connections served at once; each lives at most
	// streamTimeout, so this is not a bound of honest use.
	maxInbound = 512
	// maxInboundBytes bounds what is read from one connection.
	maxInboundBytes = 4 << 20
)

// transport is memberlist's own, with what it lacks: a bound on inbound
// connections and on their bytes, a deadline on what is written (memberlist
// sets none when it sends a message), and an end that closes every connection.
type transport struct {
	*memberlist.NetTransport
	source  net.IP // see Options
	ctx     context.Context
	end     context.CancelFunc
	streams chan net.Conn
	pumped  chan struct{}

	mu      sync.Mutex
	conns   map[*conn]bool // true: inbound
	inbound int
	closed  bool
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// listen opens the sockets. Port 0 means any port free for both TCP and UDP.
func listen(host string, port int, source net.IP, logger *log.Logger) (*transport, error) {
	var inner *memberlist.NetTransport
	var err error
	for range 10 {
		inner, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{host}, BindPort: port, Logger: logger,
		})
		if err == nil || port != 0 {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for gossip on %s port %d: %w: is another Warden running here?", host, port, err)
	}
	t := &transport{
		NetTransport: inner, streams: make(chan net.Conn), pumped: make(chan struct{}),
		conns: map[*conn]bool{}, source: source,
	}
	t.ctx, t.end = context.WithCancel(context.Background())
	go t.pump()
	return t, nil
}

// pump hands inbound connections on.
func (t *transport) pump() {
	defer close(t.pumped)
	for {
		select {
		case <-t.ctx.Done():
			return
		case raw := <-t.NetTransport.StreamCh():
			c := t.track(raw, true)
			if c == nil {
				continue
			}
			select {
			case t.streams <- c:
			case <-t.ctx.Done():
				_ = c.Close()
				return
			}
		}
	}
}

// track takes a connection into the books, or closes it and returns nil.
func (t *transport) track(raw net.Conn, inbound bool) *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || inbound && t.inbound >= maxInbound {
		_ = raw.Close()
		return nil
	}
	c := &conn{Conn: raw, owner: t, left: maxInboundBytes}
	t.conns[c] = inbound
	if inbound {
		t.inbound++
	}
	return c
}

// StreamCh gives memberlist its inbound connections.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialTimeout dials with a deadline for everything that follows.
func (t *transport) DialTimeout(address string, limit time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, limit)
}

// DialAddressTimeout is DialTimeout; we know nodes by address only.
func (t *transport) DialAddressTimeout(a memberlist.Address, limit time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: limit, KeepAlive: -1}
	if t.source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: t.source}
	}
	raw, err := dialer.DialContext(t.ctx, "tcp", a.Addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a.Addr, err)
	}
	c := t.track(raw, false)
	if c == nil {
		return nil, fmt.Errorf("dial %s: %w", a.Addr, net.ErrClosed)
	}
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("set deadline for %s: %w", a.Addr, err)
	}
	return c, nil
}

// Shutdown closes the sockets and every connection. memberlist still drains
// both channels at that moment, so the listeners can come to their end.
func (t *transport) Shutdown() error {
	err := t.NetTransport.Shutdown()
	t.end()
	<-t.pumped
	t.mu.Lock()
	t.closed = true
	open := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	return err
}

// conn is a connection that its transport knows of.
type conn struct {
	net.Conn
	owner *transport
	left  int // bytes that may still be read
	once  sync.Once
}

var errTooMuch = errors.New("more was sent than is read from one connection")

// Read reads within the bound.
func (c *conn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// Write writes, and closes the connection when that fails: memberlist leaks
// one whose first bytes, the label, could not be written.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// Close closes once, whoever comes first.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		err = c.Conn.Close()
		c.owner.mu.Lock()
		defer c.owner.mu.Unlock()
		if c.owner.conns[c] {
			c.owner.inbound--
		}
		delete(c.owner.conns, c)
	})
	return err
}

// bridge brings memberlist's log lines into ours, all at debug: garbage on the
// port and dead peers are daily life, and what matters we report ourselves.
type bridge struct{ to *slog.Logger }

func (b bridge) Write(p []byte) (int, error) {
	if b.to.Enabled(context.Background(), slog.LevelDebug) {
		b.to.Debug("gossip: " + strings.TrimSpace(string(p)))
	}
	return len(p), nil
}
