package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// How a simulated minute is spent.
const (
	stormTime = 40 * warden.Second
	settled   = 10 * warden.Second // of the calm, after which L2 is demanded
	calmTime  = 20 * warden.Second
)

// Options of one run.
type Options struct {
	Seed uint64
	// Kind of the databases; the zero value lets the seed decide.
	Kind Kind
	// Trace receives every line of what happens; nil: nothing is formatted.
	Trace    func(line string)
	Sabotage Sabotage
	// Only looks at this one contract; empty: at all.
	Only string
	// NoStorm leaves the storm out, for sabotages of the calm.
	NoStorm bool
}

// Report is how a run went.
type Report struct {
	Seed      uint64
	Kind      Kind
	Violation *Violation // nil: every promise was kept
	Steps     int
	// Faults counts what went wrong, by kind, each only if it had an effect.
	Faults [faultKinds]int
	// Failovers is whether the last failover was demanded, Writable how long
	// it took from the primary's death.
	Failover bool
	Writable warden.Duration
	// Switchovers that were done and found lossless.
	Switchovers int
	Chosen      int // topologies
}

// RunSeed runs one simulated minute. It is deterministic.
func RunSeed(o Options) (r Report) {
	rng := rand.New(rand.NewPCG(o.Seed, 0x5eed))
	w := drawWorld(rng, o)
	r.Seed, r.Kind = o.Seed, w.kind
	defer func() {
		// A mind that panics broke a promise too; the seed must be told.
		if broken := recover(); broken != nil {
			r.Violation = &Violation{Contract: "panic", At: w.now, What: fmt.Sprintf("%v\n%s", broken, debug.Stack())}
		}
	}()
	start := w.now
	storm := start.Add(stormTime)
	if !o.NoStorm {
		from := warden.Duration(0)
		if w.chance(0.8) {
			from = 5 * warden.Second
		}
		w.run(start.Add(from))
		w.tuneSometimes(o.Seed, storm)
		w.storm(storm)
	}
	w.run(storm)
	if w.failure == nil {
		w.calm(&r)
	}
	r.Violation, r.Steps, r.Faults = w.failure, w.steps, w.faults
	r.Switchovers, r.Chosen = w.switched, len(w.check.ledger.chosen)
	return r
}

// drawWorld draws the size and the configuration of a world and starts it.
func drawWorld(rng *rand.Rand, o Options) *World {
	nodes := []warden.NodeID{"a:6379", "b:6379", "c:6379", "d:6379", "e:6379"}[:2+rng.IntN(4)]
	wardens := 3
	if rng.IntN(3) == 0 {
		wardens = 5
	}
	c := group.Config{
		Group: groupName, Primary: nodes[0], Quorum: wardens/2 + 1,
		DownAfter:       warden.Duration(500+rng.IntN(3000)) * warden.Millisecond,
		FailoverTimeout: 10 * warden.Second, HelloInterval: 2 * warden.Second,
		ParallelSyncs: 1 + rng.IntN(2), ReplicaWitness: rng.IntN(4) != 0,
	}
	c.CrashAfter = c.DownAfter
	if rng.IntN(3) == 0 {
		c.CrashAfter = 300 * warden.Millisecond
	}
	if rng.IntN(2) == 0 {
		c.Wardens = wardens
	}
	if rng.IntN(3) == 0 {
		c.Nodes = nodes[1:]
	}
	kind, luck := fate(o)
	postgresConfig(kind, luck, &c)
	if kind == KindQuorum && len(nodes) < 3 && luck.IntN(8) != 0 {
		nodes = append(nodes, "c:6379") // two are too few for most that is promised
	}
	hookConfig(o, &c)
	if kind == KindAppend {
		// Names are all that tells such servers from strangers.
		if c.TrustsMet = luck.IntN(3) == 0; !c.TrustsMet {
			c.Nodes = nodes[1:]
		}
	}
	w := newWorld(kind, rng, c, nodes)
	w.drawn = true
	w.trace, w.sabotage, w.only = o.Trace, o.Sabotage, o.Only
	w.weather = weather{least: warden.Millisecond, most: 3 * warden.Millisecond}
	for i, s := range w.servers {
		s.named = i == 0 || len(c.Nodes) > 0 || c.TrustsMet
		s.forgetful = rng.IntN(5) == 0
	}
	for i := range 2 {
		w.clients = append(w.clients, client{at: w.servers[i*rng.IntN(2)]})
	}
	if kind.postgres() {
		w.clients = append(w.clients, client{at: w.servers[0], session: session{tough: true}})
	}
	for i := range wardens {
		p := w.addProcess("w"+itoa(uint64(i+1)), drawID(rng))
		p.offset = warden.Duration(rng.Int64N(int64(100 * warden.Second)))
	}
	for _, p := range w.processes {
		p := p
		w.after(w.between(0, 300*warden.Millisecond), func() { p.revive() })
	}
	return w
}

// drawID draws a Warden's id: 40 hexadecimal digits.
func drawID(rng *rand.Rand) warden.WardenID {
	const digits = "0123456789abcdef"
	id := make([]byte, 40)
	for i := range id {
		id[i] = digits[rng.IntN(16)]
	}
	return warden.WardenID(id)
}
