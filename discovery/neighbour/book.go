package neighbour

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// Life is for how long a Sentinel counts as alive after it was heard. They
	// publish every 2 s on every node, and straight to each other.
	Life = 10 * warden.Second
	// MaxSentinels bounds how many are kept for one group.
	MaxSentinels = 64
	// maxWardens bounds how many ids are kept as those of Wardens.
	maxWardens = 1024
)

// Judgement is what this Warden holds of a group's primary.
type Judgement struct {
	// Down: subjectively down, here and now.
	Down bool
	// Tilt: this Warden does not trust its own judgement at present.
	Tilt bool
}

// Epochs are what sentinel.conf remembers for a group. Current is one number
// for the whole process, shown with each group.
type Epochs struct {
	// Current is the highest epoch heard of.
	Current uint64
	// Config is the version of the primary's address that Sentinels know or
	// were told last, and Primary that address.
	Config  uint64
	Primary warden.NodeID
	// Leader is the epoch of the last vote for a Sentinel.
	Leader uint64
}

// Options are what a Book needs. Judge and Clock are required. The functions
// are called one at a time (Judge and Save excepted) and in the order of what
// they tell. They must not block, Save excepted, and must not call the Book
// except for Epochs, Entries and Live.
type Options struct {
	// ID is the id under which Sentinels know this Warden (its shown id).
	ID string
	// Judge tells about a group's primary at that address. See Judging.
	Judge func(name warden.GroupName, primary warden.NodeID) Judgement
	// Primary is the served address of a group; empty: none.
	Primary func(warden.GroupName) warden.NodeID
	// Here is how this Warden spells an address in a group: Sentinels may tell
	// it by a name or without one. Shown is how they are told it. nil: as it is.
	Here  func(group warden.GroupName, at warden.NodeID) warden.NodeID
	Shown func(at warden.NodeID) warden.NodeID
	Clock func() warden.Instant
	// Save writes the epoch of a vote to disk, with everything else of Epochs,
	// and returns when it is there. Without it (nil) nobody is voted for.
	Save func(ctx context.Context, group warden.GroupName, leader uint64) error
	// Risen says that Epochs of the group have changed, or its Sentinels, and
	// should be written soon.
	Risen func(group warden.GroupName)
	// Announce takes events in the words of Sentinel.
	Announce func(warden.Event)
	// Changed tells the ids of the live Sentinels of a group, sorted, whenever
	// they change.
	Changed func(group warden.GroupName, ids []string)
	// Switched tells that Sentinels have agreed on another address than the one
	// known so far. Before a first agreement of Wardens it is to be watched as
	// the provisional primary; after one, the mind adopts what it sees itself.
	Switched func(group warden.GroupName, primary warden.NodeID, epoch uint64)
	// Ask asks the Sentinel at an address whether a primary is down, as Lines
	// do; nil: none is asked. It is called beside all others, many at a time, and
	// has to end with ctx.
	Ask func(ctx context.Context, sentinel, primary warden.NodeID, epoch uint64) (Answer, error)
}

// Memory is what is known of a group from an earlier life (sentinel.conf).
type Memory struct {
	Epochs
	// DownAfter is the group's own (0: 30 s). A Sentinel that is silent for that
	// long, and for Life at least, is shown as down.
	DownAfter warden.Duration
	// Known are Sentinels of that time. They are listed, and are alive again
	// when they are heard: what was so before is no evidence.
	Known []Sentinel
}

// Sentinel is one real Redis Sentinel: its id, and host:port of its client port.
type Sentinel struct {
	ID     string
	Client warden.NodeID
}

// Book knows the real Sentinels of this Warden's groups. Safe for concurrent
// use. Make it with New, let Run tick it.
type Book struct {
	o Options

	mu      sync.Mutex
	current uint64
	groups  map[warden.GroupName]*groupBook
	// askEvery is the time between two rounds of questions.
	askEvery time.Duration
	// met are ids of Wardens by when they last said so; peers are those that
	// other Wardens are known by for certain, whatever the age.
	met   map[string]warden.Instant
	peers map[string]bool
	// any: a Sentinel was met, in whatever group. Mostly there is none.
	any  bool
	told []func() // what is to be told, in order

	telling sync.Mutex
}

// groupBook is one group's page.
type groupBook struct {
	name      warden.GroupName
	since     warden.Instant // known here
	downAfter warden.Duration
	sentinels []*neighbour // sorted by id
	live      []string     // as told last
	vote      vote
	claim     claim
}

// neighbour is one Sentinel.
type neighbour struct {
	Sentinel
	heard   warden.Instant // 0: never
	listed  warden.Instant // in the book since
	current uint64
	config  uint64
	primary warden.NodeID
	down    warden.Instant // shown as down since; 0: is not
	said    said           // about the primary, when asked
}

// last is since when it has given no sign of life.
func (n *neighbour) last() warden.Instant { return max(n.heard, n.listed) }

func (n *neighbour) alive(now warden.Instant) bool { return n.heard != 0 && now.Sub(n.heard) < Life }

// New makes an empty Book.
func New(o Options) *Book {
	if o.Primary == nil {
		o.Primary = func(warden.GroupName) warden.NodeID { return "" }
	}
	if o.Here == nil {
		o.Here = func(_ warden.GroupName, at warden.NodeID) warden.NodeID { return at }
	}
	if o.Shown == nil {
		o.Shown = func(at warden.NodeID) warden.NodeID { return at }
	}
	if o.Risen == nil {
		o.Risen = func(warden.GroupName) {}
	}
	if o.Announce == nil {
		o.Announce = func(warden.Event) {}
	}
	if o.Changed == nil {
		o.Changed = func(warden.GroupName, []string) {}
	}
	if o.Switched == nil {
		o.Switched = func(warden.GroupName, warden.NodeID, uint64) {}
	}
	return &Book{o: o, askEvery: askEvery, groups: map[warden.GroupName]*groupBook{}, met: map[string]warden.Instant{}, peers: map[string]bool{}}
}

// Watch begins to know a group; hellos about others are ignored. For a group
// that is known already it takes over DownAfter alone.
func (b *Book) Watch(name warden.GroupName, m Memory) {
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	g := b.groups[name]
	if m.DownAfter <= 0 {
		m.DownAfter = 30 * warden.Second
	}
	if g != nil {
		g.downAfter = m.DownAfter
		return
	}
	now := b.o.Clock()
	g = &groupBook{name: name, since: now, downAfter: m.DownAfter}
	g.vote.epoch = m.Leader
	g.claim = claim{agreed: m.Config, at: m.Primary, served: m.Primary, highest: m.Config}
	b.groups[name] = g
	b.current = max(b.current, m.Current, m.Config, m.Leader)
	for _, s := range m.Known {
		if isID(s.ID) && !b.isWarden(s.ID, now) && g.find(s.ID) == nil {
			b.add(g, s, now)
		}
	}
	b.count(g, now)
}

// Forget ends that: nothing is known of the group any more.
func (b *Book) Forget(name warden.GroupName) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.groups, name)
}

// Reset forgets the Sentinels of a group, as SENTINEL RESET does. Those that
// are alive come back with their next hello.
func (b *Book) Reset(name warden.GroupName) {
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	if g := b.groups[name]; g != nil {
		g.sentinels, g.vote.holder = nil, ""
		b.say(func() { b.o.Risen(name) })
		b.count(g, b.o.Clock())
	}
}

// SetWardens takes over the ids (as shown to Sentinel's clients) of the Wardens
// that are heard at present, other than by their hellos on the nodes. A real
// Sentinel that has the id of a Warden of old becomes known as one when the
// Warden is heard no more.
func (b *Book) SetWardens(ids []string) {
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	clear(b.peers)
	for _, id := range ids {
		b.peers[id] = true
		b.drop(func(n *neighbour) bool { return n.ID == id })
	}
}

// Warden takes note of a Warden's own hello. It has to be called before the
// hello's companion on the Sentinels' channel can arrive: from the callback
// that brought it.
func (b *Book) Warden(h warden.Hello) {
	id := h.Sentinel
	if id == "" {
		id = string(h.ID)
	}
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	if id == b.o.ID || !isID(id) {
		return
	}
	now := b.o.Clock()
	b.forgetWardens(now)
	if _, known := b.met[id]; !known && len(b.met) >= maxWardens {
		return
	}
	b.met[id] = now
	// A binary that was replaced keeps its id or its address, or both.
	b.drop(func(n *neighbour) bool { return n.ID == id || h.Client != "" && string(n.Client) == h.Client })
}

// forgetWardens lets go of those not met for a while.
func (b *Book) forgetWardens(now warden.Instant) {
	for id, at := range b.met {
		if now.Sub(at) >= Life {
			delete(b.met, id)
		}
	}
}

func (b *Book) isWarden(id string, now warden.Instant) bool {
	at, met := b.met[id]
	return b.peers[id] || met && now.Sub(at) < Life
}

// drop takes Sentinels off every page.
func (b *Book) drop(gone func(*neighbour) bool) {
	if !b.any {
		return // the hellos of hundreds of groups come by here
	}
	now := b.o.Clock()
	for _, g := range b.groups {
		n := len(g.sentinels)
		g.sentinels = slices.DeleteFunc(g.sentinels, gone)
		if len(g.sentinels) != n {
			b.say(func() { b.o.Risen(g.name) })
			b.count(g, now)
		}
	}
}

// Hello takes in a payload of __sentinel__:hello. It never blocks on anything
// but the functions of Options.
func (b *Book) Hello(payload string) {
	h, err := parse(payload)
	if err != nil {
		return
	}
	h.primary = b.o.Here(h.group, h.primary)
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	g, now := b.groups[h.group], b.o.Clock()
	switch {
	case g == nil || h.id == b.o.ID:
		return
	case b.isWarden(h.id, now):
		g.claim.wardenSays(h)
		b.raise(g, max(h.current, h.config))
		return
	}
	n := g.find(h.id)
	switch {
	case n == nil:
		if n = b.newcomer(g, h, now); n == nil {
			return
		}
	case n.Client != h.client:
		b.moved(g, n, h)
	}
	n.heard, n.current, n.config, n.primary = now, h.current, h.config, h.primary
	if n.down != 0 {
		n.down = 0
		b.event(g, "-sdown", warden.LevelWarning, b.sentinelDetails(g, n.Sentinel))
	}
	b.raise(g, max(h.current, h.config))
	newer, elsewhere := g.claim.sentinelSays(h)
	if newer {
		b.say(func() { b.o.Risen(h.group) })
	}
	if elsewhere {
		b.event(g, "+config-update-from", warden.LevelWarning, b.sentinelDetails(g, n.Sentinel))
		b.say(func() { b.o.Switched(h.group, h.primary, h.config) })
	}
	b.count(g, now)
}

// newcomer writes down a Sentinel that is new here; nil when there is no room.
func (b *Book) newcomer(g *groupBook, h hello, now warden.Instant) *neighbour {
	for _, other := range g.sentinels {
		if other.Client == h.client {
			// The address has another owner now. It has one owner in all groups.
			b.event(g, "+sentinel-invalid-addr", warden.LevelNotice, b.sentinelDetails(g, other.Sentinel))
			gone := other.ID
			b.drop(func(n *neighbour) bool { return n.ID == gone && n.Client == h.client })
			break
		}
	}
	n := b.add(g, Sentinel{ID: h.id, Client: h.client}, now)
	if n != nil {
		b.say(func() { b.o.Risen(h.group) })
		b.event(g, "+sentinel", warden.LevelNotice, b.sentinelDetails(g, n.Sentinel))
	}
	return n
}

// add makes room and an entry. When all places are taken by the living there
// is none (nil): the group has more Sentinels than anybody runs.
func (b *Book) add(g *groupBook, s Sentinel, now warden.Instant) *neighbour {
	if len(g.sentinels) >= MaxSentinels {
		oldest := slices.MinFunc(g.sentinels, func(a, b *neighbour) int { return int(a.last().Sub(b.last())) })
		if oldest.alive(now) {
			return nil
		}
		g.sentinels = slices.DeleteFunc(g.sentinels, func(n *neighbour) bool { return n == oldest })
	}
	n := &neighbour{Sentinel: s, listed: now}
	at, _ := slices.BinarySearchFunc(g.sentinels, s.ID, byID)
	b.any = true
	g.sentinels = slices.Insert(g.sentinels, at, n)
	return n
}

// moved follows a Sentinel to its new address, in the group where it gave that
// and in every other.
func (b *Book) moved(g *groupBook, n *neighbour, h hello) {
	n.Client = h.client
	b.say(func() { b.o.Risen(h.group) })
	b.event(g, "+sentinel-address-switch", warden.LevelNotice,
		b.masterDetails(g)+" ip "+h.client.Host()+" port "+h.client.Port()+" for "+h.id)
	others := 0
	for _, other := range b.groups {
		if n := other.find(h.id); n != nil && n.Client != h.client {
			n.Client = h.client
			others++
			b.say(func() { b.o.Risen(other.name) })
		}
	}
	if others > 0 {
		b.event(g, "+sentinel-address-update", warden.LevelNotice,
			b.sentinelDetails(g, n.Sentinel)+" "+strconv.Itoa(others)+" additional matching instances")
	}
}

// raise adopts a higher epoch.
func (b *Book) raise(g *groupBook, to uint64) {
	if to <= b.current {
		return
	}
	b.current = to
	b.say(func() { b.o.Risen(g.name) })
	b.event(g, "+new-epoch", warden.LevelWarning, strconv.FormatUint(to, 10))
}

func byID(n *neighbour, id string) int {
	switch {
	case n.ID < id:
		return -1
	case n.ID > id:
		return 1
	}
	return 0
}

func (g *groupBook) find(id string) *neighbour {
	if at, found := slices.BinarySearchFunc(g.sentinels, id, byID); found {
		return g.sentinels[at]
	}
	return nil
}
