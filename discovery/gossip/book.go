package gossip

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// maxPeers bounds the book. A quorum has a handful of Wardens; the rest is
	// room for those of other quorums that watch the same databases.
	maxPeers = 256
	// lateAfter is how long envelopes of a process that has ended may still
	// arrive. After that, an older life that speaks is alive.
	lateAfter = 2 * time.Second
	// conflictFor is how long an id stays refused after its last conflict.
	conflictFor = 10 * time.Second
	// staleAfter is when a peer that was not heard is greeted.
	staleAfter = 5 * time.Second
	// maxGreetPause bounds the pause between greetings of a silent peer. It is
	// below the 10 s in which a healed quorum is to agree (L2).
	maxGreetPause = 5 * time.Second
	// lostAfter is when a peer may leave a full book for another one.
	lostAfter = time.Minute
)

// Peer is another Warden.
type Peer struct {
	ID     warden.WardenID
	Gossip string // host:port
	Client string // host:port, empty if unknown
	// LastHeard is when an envelope of it last arrived; zero: not in this run.
	LastHeard time.Time
}

// entry is a peer in the book.
type entry struct {
	Peer
	life   string
	number uint64    // highest of that life
	since  time.Time // of that life
	// before is the life that spoke before this one.
	before struct {
		life   string
		number uint64
		gossip string
	}
	conflict time.Time // until when the id is refused
	member   bool      // SWIM holds it for alive
	greet    time.Time // not to be greeted before
	pause    time.Duration
}

// book is our own list of addresses. Safe for concurrent use.
type book struct {
	mu      sync.Mutex
	entries map[warden.WardenID]*entry
}

func newBook() *book { return &book{entries: map[warden.WardenID]*entry{}} }

// add makes an entry, or returns nil when the book is full of peers that were
// heard lately. The caller holds mu.
func (b *book) add(id warden.WardenID, now time.Time) *entry {
	if len(b.entries) >= maxPeers {
		var oldest *entry
		for _, e := range b.entries {
			if oldest == nil || e.LastHeard.Before(oldest.LastHeard) {
				oldest = e
			}
		}
		if now.Sub(oldest.LastHeard) < lostAfter {
			return nil
		}
		delete(b.entries, oldest.ID)
	}
	e := &entry{Peer: Peer{ID: id}}
	b.entries[id] = e
	return e
}

// heard is what an envelope changed.
type heard struct {
	peer     Peer
	news     bool // new, or with new addresses
	refused  bool // its messages do not count now
	conflict bool // two lives speak
	// older is where another life of this id spoke from, to be asked whether
	// it still lives.
	older string
}

// hear takes note of an envelope.
func (b *book) hear(env Envelope, now time.Time) heard {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[env.From]
	if e == nil {
		if e = b.add(env.From, now); e == nil {
			return heard{refused: true}
		}
	}
	var h heard
	switch {
	case env.Life == e.life:
		if env.Number > e.number {
			e.number = env.Number
			h.news = e.move(env.Gossip, env.Client)
		}
	case env.Life == e.before.life:
		// A straggler of a process that ended, or a second process.
		if env.Number > e.before.number {
			e.before.number, e.before.gossip = env.Number, env.Gossip
			if now.Sub(e.since) > lateAfter {
				e.conflict, h.conflict, h.older = now.Add(conflictFor), true, env.Gossip
			}
		}
	default:
		if e.life != "" && e.Gossip != env.Gossip {
			h.older = e.Gossip
		}
		e.before.life, e.before.number, e.before.gossip = e.life, e.number, e.Gossip
		e.life, e.number, e.since = env.Life, env.Number, now
		h.news = e.move(env.Gossip, env.Client) || e.LastHeard.IsZero()
	}
	e.LastHeard, e.pause = now, 0
	h.peer, h.refused = e.Peer, now.Before(e.conflict)
	return h
}

// move sets the addresses and reports whether they are new.
func (e *entry) move(gossip, client string) bool {
	if e.Gossip == gossip && e.Client == client {
		return false
	}
	e.Gossip, e.Client = gossip, client
	return true
}

// learn takes an address that somebody else told. It counts only for a peer
// that was not heard itself; otherwise dial says that the address is another
// one than ours and should be greeted.
func (b *book) learn(p Peer, now time.Time) (peer Peer, news, dial bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[p.ID]
	if e == nil {
		if e = b.add(p.ID, now); e == nil {
			return p, false, false
		}
	}
	if e.LastHeard.IsZero() {
		return Peer{ID: p.ID, Gossip: p.Gossip, Client: p.Client}, e.move(p.Gossip, p.Client), true
	}
	return e.Peer, false, e.Gossip != p.Gossip
}

// setMember notes SWIM's verdict. It says whether the peer is known.
func (b *book) setMember(id warden.WardenID, member bool) (Peer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil {
		return Peer{}, false
	}
	e.member = member
	return e.Peer, true
}

// admits reports whether there is room for id.
func (b *book) admits(id warden.WardenID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries[id] != nil || len(b.entries) < maxPeers {
		return true
	}
	for _, e := range b.entries {
		if now.Sub(e.LastHeard) >= lostAfter {
			return true
		}
	}
	return false
}

// address is where to send to a peer.
func (b *book) address(id warden.WardenID) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil {
		return "", false
	}
	return e.Gossip, true
}

// forget takes a peer out.
func (b *book) forget(id warden.WardenID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, id)
}

// peers lists the book, sorted by id.
func (b *book) peers() []Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Peer, 0, len(b.entries))
	for _, e := range b.entries {
		all = append(all, e.Peer)
	}
	slices.SortFunc(all, func(x, y Peer) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return all
}

// heardSince lists the peers heard after t. Only these are told to others:
// passing on what was only told would keep dead addresses alive for ever.
func (b *book) heardSince(t time.Time) []Peer {
	return slices.DeleteFunc(b.peers(), func(p Peer) bool { return !p.LastHeard.After(t) })
}

// lives reports whether a peer at this address was heard after t.
func (b *book) lives(gossip string, t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.Gossip == gossip && e.LastHeard.After(t) {
			return true
		}
	}
	return false
}

// due lists the addresses to greet now: peers that were not heard for a while,
// ever more seldom, and peers that speak although SWIM holds them for dead.
func (b *book) due(now time.Time) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, e := range b.entries {
		silent := now.Sub(e.LastHeard) > staleAfter
		if !silent && e.member || now.Before(e.greet) {
			continue
		}
		e.pause = min(max(2*e.pause, 2*time.Second), maxGreetPause)
		if !silent {
			e.pause = staleAfter
		}
		e.greet = now.Add(e.pause)
		out = append(out, e.Gossip)
	}
	return out
}
