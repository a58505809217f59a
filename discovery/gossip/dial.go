package gossip

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/spineldb/warden/warden"
)

const (
	// maxCalls bounds the calls that wait or were just made.
	maxCalls = 256
	// callPause is between two calls of the same kind to one address, askPause
	// if they want an answer: a hello of a Warden that will never answer, of
	// another quorum, say, is heard every two seconds on every node.
	callPause = 250 * time.Millisecond
	askPause  = time.Second
	// joinPause is between two looks at a join entry that is well.
	joinPause = 10 * time.Second
	// joinRetry is the first pause after a failed join, maxJoinRetry the last.
	joinRetry, maxJoinRetry = 250 * time.Millisecond, 5 * time.Second
	// resolvedFor is how long a name's addresses are used again.
	resolvedFor = 5 * time.Second
	// maxResolved bounds the addresses used of one name.
	maxResolved = 16
)

// call is a greeting to an address, made in the background.
type call struct {
	address string
	ask     bool // want a greeting back
	join    bool // then let memberlist join there too
	twins   []string
	after   time.Duration
}

// call greets soon, unless the same was done a moment ago or waits already.
func (g *Gossip) call(c call) {
	node, err := warden.ParseNode(c.address)
	if err != nil {
		return
	}
	c.address = string(node)
	key := fmt.Sprint(c.address, c.ask, len(c.twins) > 0, c.after > 0)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil || g.own[c.address] || now.Before(g.calls[key]) {
		return
	}
	if len(g.calls) >= maxCalls {
		for old, at := range g.calls {
			if now.After(at) {
				delete(g.calls, old)
			}
		}
		if len(g.calls) >= maxCalls {
			return
		}
	}
	g.calls[key] = now.Add(time.Hour) // until it is done
	g.tasks.Go(func() {
		g.greet(c)
		g.mu.Lock()
		defer g.mu.Unlock()
		pause := callPause
		if c.ask {
			pause = askPause
		}
		g.calls[key] = time.Now().Add(pause)
	})
}

// greet makes a call.
func (g *Gossip) greet(c call) {
	if !g.sleep(c.after) {
		return
	}
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	case <-g.ctx.Done():
		return
	}
	err := g.post(g.ctx, c.address, Envelope{Dialed: c.address, Ask: c.ask, Twins: c.twins})
	if err == nil && c.join {
		err = g.join(g.ctx, c.address)
	}
	if err != nil && g.ctx.Err() == nil {
		g.log.Debug("gossip: greeting failed", "address", c.address, "error", err)
	}
}

// post sends one envelope to an address, at every IP address of its name until
// one takes it. Each try is bounded by the stream timeout.
func (g *Gossip) post(ctx context.Context, address string, e Envelope) error {
	select {
	case <-g.ready: // peers may speak to us before the start is complete
	case <-ctx.Done():
		return ctx.Err()
	}
	e.From, e.Life, e.Number = g.opts.Self, g.life, g.number.Add(1)
	told := g.told.Load()
	e.Gossip, e.Client = told.Gossip, told.Client
	raw, err := encode(e)
	if err != nil {
		return err
	}
	all, err := g.resolve(ctx, address)
	if err != nil {
		return err
	}
	for _, a := range all {
		err = g.list.SendReliable(&memberlist.Node{Addr: a.Addr().AsSlice(), Port: a.Port()}, raw)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", address, err)
	}
	return nil
}

// join lets memberlist exchange its state with an address.
func (g *Gossip) join(ctx context.Context, address string) error {
	all, err := g.resolve(ctx, address)
	if err != nil {
		return err
	}
	for _, a := range all {
		g.mu.Lock()
		own := g.own[a.String()]
		g.mu.Unlock()
		if own || ctx.Err() != nil {
			continue
		}
		if _, e := g.list.Join([]string{a.String()}); e != nil {
			err = errors.Join(err, fmt.Errorf("join %s: %w", a, e))
		}
	}
	return err
}

// keepJoining looks after one join entry for ever.
func (g *Gossip) keepJoining(entry string) {
	pause := joinRetry
	for {
		err := g.visit(entry)
		wait := joinPause
		if err != nil {
			wait = pause
			pause = min(2*pause, maxJoinRetry)
			g.log.Debug("gossip: join entry not reached yet", "entry", entry, "error", err)
		} else {
			pause = joinRetry
		}
		if !g.sleep(wait) {
			return
		}
	}
}

// visit greets and joins every address of an entry that is not alive already.
func (g *Gossip) visit(entry string) error {
	all, err := g.resolve(g.ctx, entry)
	if err != nil {
		return err
	}
	lately := time.Now().Add(-3 * staleAfter)
	node, _ := warden.ParseNode(entry)
	if len(all) == 1 && g.book.lives(string(node), lately) {
		return nil
	}
	reached := false
	var failed error
	for _, a := range all {
		address := a.String()
		g.mu.Lock()
		own := g.own[address]
		g.mu.Unlock()
		if own || g.book.lives(address, lately) {
			reached = true
			continue
		}
		err := g.post(g.ctx, address, Envelope{Dialed: address, Ask: true})
		if err == nil {
			err = g.join(g.ctx, address)
		}
		if err == nil {
			reached = true
		}
		failed = errors.Join(failed, err)
	}
	if reached {
		return nil
	}
	return failed
}

// upkeep greets peers that are silent, and brings those that SWIM gave up
// although they speak back into it.
func (g *Gossip) upkeep() {
	for g.sleep(time.Second) {
		for _, address := range g.book.due(time.Now()) {
			g.call(call{address: address, ask: true, join: true})
		}
	}
}

// sleep waits and reports whether there is still something to do after it.
func (g *Gossip) sleep(d time.Duration) bool {
	if d <= 0 {
		return g.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-g.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// resolution is what a name meant a moment ago.
type resolution struct {
	addresses []netip.AddrPort
	until     time.Time
}

// resolve makes IP addresses of a host:port.
func (g *Gossip) resolve(ctx context.Context, address string) ([]netip.AddrPort, error) {
	node, err := warden.ParseNode(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(node.Port(), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	if a, err := netip.ParseAddr(node.Host()); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(a, uint16(port))}, nil
	}
	now := time.Now()
	g.mu.Lock()
	r := g.resolved[string(node)]
	g.mu.Unlock()
	if now.Before(r.until) {
		return r.addresses, nil
	}
	ips, err := lookup(ctx, node.Host())
	if err != nil {
		return nil, err
	}
	r = resolution{until: now.Add(resolvedFor)}
	for _, ip := range ips[:min(len(ips), maxResolved)] {
		r.addresses = append(r.addresses, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.resolved) >= maxPeers {
		clear(g.resolved)
	}
	g.resolved[string(node)] = r
	return r.addresses, nil
}

// lookup resolves a name within a bounded time.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", host, err)
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("resolve %q: it has no address", host)
	}
	return ips, nil
}

// equalKeys is 1 for equal keys, in constant time.
func equalKeys(a, b []byte) int { return subtle.ConstantTimeCompare(a, b) }
