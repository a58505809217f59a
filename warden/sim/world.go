package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// groupName is the one group that a world has.
const groupName warden.GroupName = "g"

// pulse is how often data flows between the model databases.
const pulse = 20 * warden.Millisecond

// origin is the first instant of every world; zero means "never" and is not
// a moment.
const origin = warden.Instant(10 * warden.Second)

// endpoints is room in the table of cut ways: processes first, servers from
// serverBase on.
const (
	serverBase = 8
	endpoints  = 24
)

// weather is how the network treats what is sent.
type weather struct {
	least, most warden.Duration // delay of one way
	loss        float64         // of one message between Wardens
	twice       float64         // delivered twice
	late        float64         // delayed by up to lateMost
	lateMost    warden.Duration
}

// World is one simulated quorum with its databases.
type World struct {
	kind      Kind
	drawn     bool // by a seed
	rng       *rand.Rand
	now       warden.Instant
	queue     queue
	blanks    []warden.Observation // see blank
	processes []*process
	servers   []*server
	clients   []client
	cut       [endpoints][endpoints]int8 // > 0: nothing gets from one to the other
	weather   weather
	history   history
	check     contracts
	faults    [faultKinds]int
	base      group.Config
	sabotage  Sabotage
	ids       uint64 // of looks, lives, server runs
	steps     int
	failure   *Violation
	only      string // look at this contract alone, empty: at all
	trace     func(string)
	// tap sees every message between Wardens when it is sent; a message it
	// takes is not delivered. Conversations hold messages back with it.
	tap func(from, to *process, m *warden.Message) bool
	// tell reports to a conversation what somebody did.
	tell func(who, what string)
	// answered is told how an operator's command ended.
	answered  func(p *process, id uint64, a warden.Answer)
	commands  []command
	switched  int    // switchovers that were done and checked
	beat      func() // pulse, as one value for all time
	sentinels bool   // real Sentinels watch the group too
	storming  bool
}

// Violation is a broken promise.
type Violation struct {
	Contract string
	At       warden.Instant
	What     string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("%s broken at %s: %s", v.Contract, v.At.Sub(origin), v.What)
}

// newWorld makes a world of servers of a kind, all following the first, and no
// Wardens yet.
func newWorld(kind Kind, rng *rand.Rand, c group.Config, servers []warden.NodeID) *World {
	w := &World{kind: kind, rng: rng, now: origin, base: c}
	w.weather = weather{least: warden.Millisecond, most: warden.Millisecond}
	w.check.world, w.check.ledger = w, newLedger(w)
	for i, id := range servers {
		w.addServer(id)
		if i > 0 {
			w.servers[i].role = warden.RoleReplica
			w.servers[i].upstream = servers[0]
		}
	}
	w.furnish()
	w.beat = w.pulse
	w.after(pulse, w.beat)
	return w
}

// fail records the first broken promise; the run ends there.
func (w *World) fail(contract, format string, args ...any) {
	if w.failure != nil || w.only != "" && w.only != contract {
		return
	}
	w.failure = &Violation{Contract: contract, At: w.now, What: fmt.Sprintf(format, args...)}
	if w.trace != nil {
		w.note("!", "%s", w.failure.Error())
		w.explainAll()
	}
}

// explainAll writes down what every Warden says is going on.
func (w *World) explainAll() {
	for _, p := range w.processes {
		if !p.up {
			continue
		}
		for _, line := range explainMind(p.config, *p.state, p.clock()) {
			w.note(p.name, "? %s", line)
		}
	}
}

// note writes one line of the trace. Callers check w.trace first, so that
// nothing is formatted when nobody reads it.
func (w *World) note(who, format string, args ...any) {
	w.trace(fmt.Sprintf("%9.4f %-3s ", float64(w.now-origin)/1e9, who) + fmt.Sprintf(format, args...))
}

// say reports to a conversation, and to the trace.
func (w *World) say(who, format string, args ...any) {
	if w.tell == nil && w.trace == nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if w.tell != nil {
		w.tell(who, text)
	}
	if w.trace != nil {
		w.note(who, "%s", text)
	}
}

// after has run happen to the world d from now.
func (w *World) after(d warden.Duration, run func()) {
	w.queue.push(item{at: w.now.Add(d), kind: call, process: -1, run: run})
}

// afterFor has run happen to a process d from now; it waits while the process
// is paused and is forgotten when that life of it ends.
func (w *World) afterFor(p *process, d warden.Duration, run func()) {
	life := p.life
	w.queue.push(item{at: w.now.Add(d), kind: call, process: int16(p.index), run: func() {
		if p.up && p.life == life {
			run()
		}
	}})
}

// run lets the world go on until the instant, or until a promise breaks.
func (w *World) run(until warden.Instant) {
	for w.failure == nil && w.queue.due(until) {
		it := w.queue.pop()
		w.now = max(w.now, it.at)
		w.dispatch(&it)
	}
	if w.failure == nil {
		w.now = max(w.now, until)
	}
}

// dispatch performs one item, or lets it wait for a paused process.
func (w *World) dispatch(it *item) {
	if it.process < 0 || it.kind == lookArrives {
		w.perform(it)
		return
	}
	p := w.processes[it.process]
	if p.paused {
		p.backlog = append(p.backlog, *it)
		return
	}
	w.perform(it)
}

func (w *World) perform(it *item) {
	switch it.kind {
	case call:
		it.run()
	case tickDue:
		w.processes[it.process].ticked(it.at)
	case messageArrives:
		w.processes[it.process].hear(it.heard)
	case lookDue:
		w.processes[it.process].lookDue(int(it.server), it.at)
	case lookArrives:
		w.lookArrives(it)
	case lookAnswered:
		w.processes[it.process].looked(int(it.server), it.id, it.seen)
	case lookExpires:
		w.processes[it.process].lookExpired(int(it.server), it.id)
	}
}

// process returns the Warden of that id, nil if there is none.
func (w *World) process(id warden.WardenID) *process {
	for _, p := range w.processes {
		if p.id == id {
			return p
		}
	}
	return nil
}

// serverAt returns the server at an address. An address where nothing was
// ever started gets a server that is always down.
func (w *World) serverAt(id warden.NodeID) *server {
	for _, s := range w.servers {
		if s.id == id {
			return s
		}
	}
	s := w.addServer(id)
	s.phantom, s.up = true, false
	return s
}

// between draws a duration.
func (w *World) between(a, b warden.Duration) warden.Duration {
	if b <= a {
		return a
	}
	return a + warden.Duration(w.rng.Int64N(int64(b-a)))
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// id is the next number that nothing else has.
func (w *World) id() uint64 {
	w.ids++
	return w.ids
}
