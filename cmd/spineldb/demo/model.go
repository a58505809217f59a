package demo

import (
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/warden"
)

// mark is a stage of the failover whose first moment is measured.
type mark int

// Marks, in the order in which they come.
const (
	markKill mark = iota
	markSdown
	markOdown
	markVotes
	markDecision
	markPromotion
	markFirstWrite
	marks       // how many there are
	noMark mark = -1
)

// moment is one line of the story.
type moment struct {
	at time.Time
	// since is the distance to the act's beginning (the kill, say); before
	// there was one, to the demo's.
	since time.Duration
	who   string // "W1", "client", "" for the demo itself
	text  string
	tone  terminal.Tone
}

// nodeState is what is shown of a node.
type nodeState struct {
	name string
	addr warden.NodeID
	dead bool // its process was ended
	seen bool // some Warden has looked at it
	view warden.NodeView
	down int // Wardens that find it down
}

// wardenState is what is shown of a Warden.
type wardenState struct {
	name  string
	addr  warden.NodeID
	id    warden.WardenID
	heard bool // answered the last question
	view  warden.GroupView
}

// stripFlag is a place in the strip of writes.
type stripFlag struct {
	at   time.Time
	text string
	tone terminal.Tone
}

// bucketSpan is how much time one column of the strip stands for.
const bucketSpan = 100 * time.Millisecond

// Bounds of what is kept, for a demo left running for days.
const (
	maxBuckets = 2000
	maxMoments = 500
)

// bucket counts the writes of one bucketSpan.
type bucket struct{ acked, failed int }

// picture is everything shown, at one moment.
type picture struct {
	now       time.Time
	began     time.Time
	engine    string
	downAfter time.Duration
	headline  string
	hint      []string // what to do while everything is left running
	zero      time.Time
	zeroName  string

	nodes   []nodeState
	wardens []wardenState
	primary warden.NodeID
	moments []moment
	flags   []stripFlag
	marks   [marks]time.Time

	buckets []bucket
	dropped int // buckets before the first one kept
	acked   int
	failed  int // refused or not sent
	unknown int // sent and never answered
	lastAck time.Time
	// longest is the longest time between two acknowledged writes since the
	// act began.
	longest time.Duration
}

// model guards the picture. Safe for concurrent use.
type model struct {
	mu sync.Mutex
	p  picture
	// tell is called with every new moment, in order; may be nil.
	tell func(moment)
	// broken: a write has failed since the last one that was acknowledged,
	// after the kill. The next success is then the new primary's.
	broken bool
}

func newModel(engine string, downAfter time.Duration, now time.Time) *model {
	return &model{p: picture{began: now, engine: engine, downAfter: downAfter, zero: now, zeroName: "the start"}}
}

// picture is a copy of everything, as of now.
func (m *model) picture() picture {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.p
	p.now = time.Now()
	p.nodes, p.wardens = slices.Clone(p.nodes), slices.Clone(p.wardens)
	p.moments, p.flags, p.buckets = slices.Clone(p.moments), slices.Clone(p.flags), slices.Clone(p.buckets)
	return p
}

// cast names the processes.
func (m *model) cast(c *cast) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range c.nodes {
		m.p.nodes = append(m.p.nodes, nodeState{name: n.name, addr: n.addr})
	}
	for _, w := range c.wardens {
		m.p.wardens = append(m.p.wardens, wardenState{name: w.name, addr: w.addr})
	}
}

// say adds a line to the story.
func (m *model) say(at time.Time, who, text string, t terminal.Tone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sayLocked(at, who, text, t)
}

func (m *model) sayLocked(at time.Time, who, text string, t terminal.Tone) {
	moment := moment{at: at, since: at.Sub(m.p.zero), who: who, text: text, tone: t}
	m.p.moments = append(m.p.moments, moment)
	if n := len(m.p.moments); n > maxMoments {
		m.p.moments = slices.Clone(m.p.moments[n-maxMoments/2:])
	}
	if m.tell != nil {
		m.tell(moment)
	}
}

func (m *model) headline(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.headline = text
}

func (m *model) hint(lines []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.hint = lines
}

// act begins an act at a moment: times are told relative to it from now on.
func (m *model) act(at time.Time, name, flag, text string, t terminal.Tone) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.zero, m.p.zeroName, m.p.longest = at, name, 0
	m.p.flags = append(m.p.flags, stripFlag{at, flag, t})
	m.sayLocked(at, "", text, t)
}

// reach notes the first time of a mark. The marks belong to the kill: before
// it, only the kill itself counts.
func (m *model) reach(k mark, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k == noMark || k != markKill && m.p.marks[markKill].IsZero() || !m.p.marks[k].IsZero() {
		return
	}
	m.p.marks[k] = at
}

// reached is when a mark was reached; zero: not yet.
func (m *model) reached(k mark) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p.marks[k]
}

// died notes that a node's process was ended or started again.
func (m *model) died(addr warden.NodeID, dead bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.p.nodes {
		if m.p.nodes[i].addr == addr {
			m.p.nodes[i].dead = dead
		}
	}
}

// wrote counts an acknowledged write.
func (m *model) wrote(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.acked++
	m.bucketAt(at).acked++
	if !m.p.lastAck.IsZero() {
		m.p.longest = max(m.p.longest, at.Sub(m.p.lastAck))
	}
	m.p.lastAck = at
	if !m.broken {
		return
	}
	m.broken = false
	if m.p.marks[markFirstWrite].IsZero() {
		m.p.marks[markFirstWrite] = at
	}
	m.p.flags = append(m.p.flags, stripFlag{at, since(at.Sub(m.p.zero)), terminal.Good})
	m.sayLocked(at, "client", "the first write is acknowledged again", terminal.Good)
}

// missed counts a write without an acknowledgement. sent: it may have arrived.
func (m *model) missed(at time.Time, sent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bucketAt(at).failed++
	if sent {
		m.p.unknown++
	} else {
		m.p.failed++
	}
	if !m.broken && !m.p.marks[markKill].IsZero() {
		m.broken = true
		m.sayLocked(at, "client", "writes fail", terminal.Bad)
	}
}

// bucketAt is the bucket of a moment. m.mu must be held.
func (m *model) bucketAt(at time.Time) *bucket {
	i := max(0, int(at.Sub(m.p.began)/bucketSpan)-m.p.dropped)
	if i >= maxBuckets {
		cut := i - maxBuckets/2
		m.p.buckets = slices.Clone(m.p.buckets[min(cut, len(m.p.buckets)):])
		m.p.dropped += cut
		i -= cut
	}
	for len(m.p.buckets) <= i {
		m.p.buckets = append(m.p.buckets, bucket{})
	}
	return &m.p.buckets[i]
}

// heard takes in what a Warden says of the group, or that it says nothing.
func (m *model) heard(addr warden.NodeID, id warden.WardenID, v warden.GroupView, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.p.wardens {
		if w := &m.p.wardens[i]; w.addr == addr {
			w.heard = ok
			if ok {
				w.id, w.view = id, v
			}
		}
	}
	best := warden.GroupView{Provisional: true}
	for _, w := range m.p.wardens {
		if w.heard && (remote.Better(w.view, best) || best.Name == "") {
			best = w.view
		}
	}
	if best.Name != "" {
		m.p.primary = best.Primary
	}
	for i := range m.p.nodes {
		m.p.nodes[i].hear(m.p.wardens)
	}
}

// hear takes the newest look of all Wardens at the node.
func (n *nodeState) hear(all []wardenState) {
	n.down, n.seen = 0, false
	for _, w := range all {
		i := slices.IndexFunc(w.view.Nodes, func(v warden.NodeView) bool { return v.Node == n.addr })
		if !w.heard || i < 0 {
			continue
		}
		v := w.view.Nodes[i]
		if v.Down {
			n.down++
		}
		fresher := v.ObservedAgo >= 0 && (!n.seen || v.ObservedAgo < n.view.ObservedAgo)
		if fresher {
			n.seen, n.view = true, v
		}
	}
}

// nameOf is a node's short name, or its address.
func (p *picture) nameOf(addr warden.NodeID) string {
	for _, n := range p.nodes {
		if n.addr == addr {
			return n.name
		}
	}
	return string(addr)
}

// wardenNamed is a Warden's short name, or the beginning of its id.
func (p *picture) wardenNamed(id warden.WardenID) string {
	for _, w := range p.wardens {
		if w.id == id {
			return w.name
		}
	}
	return id.Short()
}
