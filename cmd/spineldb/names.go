package main

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// namesEvery is how often names without an address are looked up, and every
	// namesRounds times all of them are.
	namesEvery  = time.Second
	namesRounds = 10
	// maxNames bounds how many are kept: nodes and neighbours tell us some.
	maxNames = 1024
	// nameLookups bounds how many lookups run at one time.
	nameLookups = 8
)

// hostNames know which IP addresses stand behind the host names of nodes, so that
// clients can be shown those (announce-hostnames no). A node is known to the
// Wardens by the name it was given; this is about what is shown alone. Names are
// looked up in the background, and the last good answer counts: nobody waits.
// Safe for concurrent use.
type hostNames struct {
	// announce: names are shown as they are (announce-hostnames yes).
	announce func() bool
	lookup   func(ctx context.Context, host string) ([]netip.Addr, error)
	// changed is told after an address has changed; it must not block. It is set
	// before run, or not at all.
	changed func()
	// known are the addresses by name. A map in there does not change.
	known atomic.Pointer[map[string]string]
	met   atomic.Bool   // any name at all
	news  chan struct{} // has room for one

	mu     sync.Mutex
	wanted map[string]bool
}

func newNames(announce func() bool) *hostNames {
	n := &hostNames{
		announce: announce, news: make(chan struct{}, 1), wanted: map[string]bool{},
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
	n.known.Store(&map[string]string{})
	return n
}

// want begins to look a node's host up, if that is a name.
func (n *hostNames) want(node warden.NodeID) { n.address(node) }

// address is a node's address with the name in it replaced by what it stands
// for; as it is when that is not known.
func (n *hostNames) address(node warden.NodeID) warden.NodeID {
	if node == "" {
		return node
	}
	host := node.Host()
	if _, err := netip.ParseAddr(host); err == nil {
		return node
	}
	if ip, ok := (*n.known.Load())[host]; ok {
		port, _ := strconv.Atoi(node.Port()) // it is one, in a NodeID
		return warden.MakeNode(ip, port)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if host != "" && !n.wanted[host] && len(n.wanted) < maxNames {
		n.wanted[host] = true
		n.met.Store(true)
		select {
		case n.news <- struct{}{}:
		default:
		}
	}
	return node
}

// show is a node's address as clients are told it.
func (n *hostNames) show(node warden.NodeID) warden.NodeID {
	if n.announce() {
		return node
	}
	return n.address(node)
}

// text puts the addresses of known names into the payload of an event, where a
// port follows.
func (n *hostNames) text(payload string) string {
	known := *n.known.Load()
	if len(known) == 0 || n.announce() {
		return payload
	}
	words := strings.Split(payload, " ")
	for i, w := range words {
		if ip, ok := known[w]; ok && i+1 < len(words) && isPort(words[i+1]) {
			words[i] = ip
			continue
		}
		if host, port, ok := strings.Cut(w, ":"); ok && isPort(port) && known[host] != "" {
			words[i] = string(n.address(warden.NodeID(w)))
		}
	}
	return strings.Join(words, " ")
}

func isPort(s string) bool {
	port, err := strconv.Atoi(s)
	return err == nil && port > 0 && port < 1<<16
}

// spelling is the one of the nodes that is at an address, which may be spelled
// in another way; the address itself when none is.
func (n *hostNames) spelling(at warden.NodeID, nodes []warden.NodeID) warden.NodeID {
	if slices.Contains(nodes, at) {
		return at
	}
	there := n.address(at)
	for _, node := range nodes {
		if node != "" && n.address(node) == there {
			return node
		}
	}
	return at
}

// run looks names up until ctx ends.
func (n *hostNames) run(ctx context.Context) {
	tick := time.NewTicker(namesEvery)
	defer tick.Stop()
	for round := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-n.news:
			n.resolve(ctx, false)
		case <-tick.C:
			round = (round + 1) % namesRounds
			n.resolve(ctx, round == 0)
		}
	}
}

// resolve looks up the names that have no address yet, or all of them. A name
// that cannot be looked up keeps the address it had.
func (n *hostNames) resolve(ctx context.Context, all bool) {
	known := *n.known.Load()
	n.mu.Lock()
	var due []string
	for name := range n.wanted {
		if all || known[name] == "" {
			due = append(due, name)
		}
	}
	n.mu.Unlock()
	if len(due) == 0 {
		return
	}
	found := make([]string, len(due))
	slots := make(chan struct{}, nameLookups)
	var wg sync.WaitGroup
	for i, name := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, lookupLimit)
			defer cancel()
			if ips, err := n.lookup(ctx, name); err == nil {
				found[i] = choose(ips, known[name])
			}
		})
	}
	wg.Wait()
	fresh := maps.Clone(known)
	for i, name := range due {
		if found[i] != "" {
			fresh[name] = found[i]
		}
	}
	n.known.Store(&fresh)
	if n.changed != nil && !maps.Equal(known, fresh) {
		n.changed()
	}
}

// choose takes the address that was taken before while it is still there: the
// order of several may be another one each time.
func choose(ips []netip.Addr, had string) string {
	first := ""
	for _, ip := range ips {
		text := ip.Unmap().String()
		if text == had {
			return had
		}
		if first == "" {
			first = text
		}
	}
	return first
}
