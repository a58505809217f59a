package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// faultKind is one thing that can go wrong. Every kind is counted when it had
// an effect, and a test demands that all of them had one in some seed.
type faultKind int

const (
	crashWarden faultKind = iota
	crashAmid
	crashAll
	pauseWarden
	pauseAtOrder
	clockForward
	clockBackward
	storeFails
	isolateWarden
	splitWardens
	cutOneWay
	cutWardenFromNode
	cutNodeFromWardens
	cutNodeFromAll
	cutReplication
	stormyNetwork
	sentinelsWatch
	crashNode
	nodeReturnsOld
	nodeReturnsEmpty
	nodeReturnsAnother
	hangNode
	outsiderPromotes
	excludeReplica
	commandFailover
	commandSwitchover
	commandPause
	commandForget
	commandReset
	// The rest is not chosen but happens by itself.
	messageLost
	messageTwice
	orderLate
	orderDiscarded
	answerLost
	claimSuperseded
	faultKinds
)

var faultNames = [faultKinds]string{
	"crash of a Warden", "crash between two effects", "crash of all Wardens", "pause of a Warden",
	"pause between lease and order", "clock forward", "clock backward", "store fails",
	"Warden isolated", "Wardens split", "one way cut", "Warden cut from a node",
	"node cut from all Wardens", "node cut from all", "replication cut", "stormy network", "Sentinels watch too",
	"crash of a node", "node returns with old data", "node returns empty", "another server at the address",
	"node hangs", "outsider promotes", "replica excluded",
	"failover ordered", "switchover ordered", "pause ordered", "forget ordered", "reset ordered",
	"message lost", "message twice", "order late", "order discarded", "answer lost", "claim superseded",
}

func (f faultKind) String() string { return faultNames[f] }

// weights is how often each kind is chosen.
var weights = [messageLost]int{
	crashWarden: 8, crashAmid: 8, crashAll: 2, pauseWarden: 6, pauseAtOrder: 6, clockForward: 2, clockBackward: 2,
	storeFails: 3, isolateWarden: 6, splitWardens: 4, cutOneWay: 6, cutWardenFromNode: 5, cutNodeFromWardens: 4,
	cutNodeFromAll: 6, cutReplication: 4, stormyNetwork: 6, sentinelsWatch: 2, crashNode: 12, nodeReturnsOld: 5, nodeReturnsEmpty: 1,
	nodeReturnsAnother: 1, hangNode: 6, outsiderPromotes: 1, excludeReplica: 2,
	commandFailover: 4, commandSwitchover: 6, commandPause: 1, commandForget: 2, commandReset: 1,
}

var weightSum = func() int {
	sum := 0
	for _, n := range weights {
		sum += n
	}
	return sum
}()

// storm breaks something every now and then until the instant, and lets each
// break last for a while.
func (w *World) storm(until warden.Instant) {
	w.storming = true
	var next func()
	next = func() {
		if w.now >= until {
			return
		}
		w.breakSomething()
		w.after(w.between(100*warden.Millisecond, 2500*warden.Millisecond), next)
	}
	w.after(w.between(0, warden.Second), next)
}

// inStorm has run happen d from now, unless the storm is over by then.
func (w *World) inStorm(d warden.Duration, run func()) {
	w.after(d, func() {
		if w.storming {
			run()
		}
	})
}

func (w *World) draw() faultKind {
	n := w.rng.IntN(weightSum)
	for k, weight := range weights {
		if n -= weight; n < 0 {
			return faultKind(k)
		}
	}
	return crashWarden
}

// lasting draws how long a break lasts: mostly short, sometimes very long.
func (w *World) lasting() warden.Duration {
	if w.rng.IntN(4) == 0 {
		return w.between(4*warden.Second, 15*warden.Second)
	}
	return w.between(200*warden.Millisecond, 4*warden.Second)
}

func (w *World) anyProcess() *process { return w.processes[w.rng.IntN(len(w.processes))] }

// anyServer prefers the primary that is served, where things happen.
func (w *World) anyServer() *server {
	if w.rng.IntN(2) == 0 {
		p := w.anyProcess()
		if p.up {
			if id := p.serves(); id != "" {
				if s := w.serverAt(id); !s.phantom {
					return s
				}
			}
		}
	}
	for {
		if s := w.servers[w.rng.IntN(len(w.servers))]; !s.phantom {
			return s
		}
	}
}

// breakSomething draws one fault and, if it can have an effect now, has it.
func (w *World) breakSomething() {
	k := w.draw()
	done := false
	switch {
	case k <= storeFails:
		done = w.breakWarden(k)
	case k <= stormyNetwork:
		done = w.breakNetwork(k)
	case k == sentinelsWatch:
		done = w.sentinelsCome()
	case k <= excludeReplica:
		done = w.breakNode(k)
	default:
		done = w.orderSomething(k)
	}
	if !done {
		return
	}
	if k != crashAmid && k != pauseAtOrder { // counted when they strike
		w.faults[k]++
	}
	if w.trace != nil {
		w.note("*", "%s", k)
	}
}

// sentinelsCome has real Sentinels watch the group for a while. The Wardens
// learn it one after another; what the Sentinels do, outsiders do.
func (w *World) sentinelsCome() bool {
	if w.sentinels || w.kind.postgres() {
		return false
	}
	w.tellSentinels(true)
	w.inStorm(w.between(2*warden.Second, 15*warden.Second), func() { w.tellSentinels(false) })
	return true
}

func (w *World) tellSentinels(watch bool) {
	w.sentinels = watch
	for _, p := range w.processes {
		w.afterFor(p, w.between(warden.Millisecond, warden.Second), p.meetSentinels)
	}
}

// meetSentinels tells a process whether Sentinels watch the group.
func (p *process) meetSentinels() {
	e := group.SentinelsWatch{}
	if p.world.sentinels {
		e.IDs = []string{"s1"}
	} else {
		p.seen.beside = 0
	}
	if p.world.sentinels && p.seen.beside == 0 {
		p.seen.beside = p.world.now
	}
	p.step(e)
}

func (w *World) breakWarden(k faultKind) bool {
	p := w.anyProcess()
	if k == crashAll {
		return w.crashEverybody()
	}
	if !p.up || p.paused {
		return false
	}
	switch k {
	case crashWarden:
		p.crash("kill -9")
		w.inStorm(w.lasting(), p.revive)
	case crashAmid:
		p.diesAt = beforePersist + stage(w.rng.IntN(5))
		w.inStorm(w.between(2*warden.Second, 6*warden.Second), p.revive)
	case pauseWarden:
		w.pauseFor(p, w.lasting())
	case pauseAtOrder:
		p.pauseAtOrder = w.between(500*warden.Millisecond, 8*warden.Second)
	case clockForward:
		p.offset += w.between(2*warden.Second, 30*warden.Second)
		p.seen.disturbed = w.now
	case clockBackward:
		if p.offset < 5*warden.Second {
			return false
		}
		p.offset -= w.between(warden.Second, 5*warden.Second)
		p.seen.disturbed = w.now
	case storeFails:
		p.disk.failing = true
		w.inStorm(w.lasting(), func() { p.disk.failing = false })
	}
	return true
}

// revive starts a dead process again.
func (p *process) revive() {
	if !p.up && !p.gone {
		p.world.check.returned() // if it is the first after all had stopped
		p.start()
	}
}

// pauseFor stops a process for a while.
func (w *World) pauseFor(p *process, d warden.Duration) {
	p.pause()
	life := p.life
	w.after(d, func() {
		if p.life == life {
			p.resume()
		}
	})
}

// crashEverybody stops every Warden; S10 is checked while nobody runs.
func (w *World) crashEverybody() bool {
	for _, p := range w.processes {
		if !p.up {
			return false
		}
	}
	for _, p := range w.processes {
		p.crash("all Wardens stop")
	}
	w.check.abandoned()
	d := w.between(3*warden.Second, 8*warden.Second)
	w.inStorm(d, func() {
		w.check.returned()
		for _, p := range w.processes {
			p.revive()
		}
	})
	return true
}

// sever cuts a set of ways for a while.
func (w *World) sever(ways [][2]int) bool {
	for _, way := range ways {
		w.block(way[0], way[1])
	}
	w.inStorm(w.lasting(), func() {
		for _, way := range ways {
			w.unblock(way[0], way[1])
		}
	})
	return len(ways) > 0
}

func both(ways [][2]int, a, b int) [][2]int { return append(ways, [2]int{a, b}, [2]int{b, a}) }

func (w *World) breakNetwork(k faultKind) bool {
	p, s := w.anyProcess(), w.anyServer()
	here, there := p.index, serverBase+s.index
	var ways [][2]int
	switch k {
	case isolateWarden:
		for to := range endpoints {
			if to != here {
				ways = both(ways, here, to)
			}
		}
	case splitWardens:
		ways = w.splitWays()
	case cutOneWay:
		other := w.rng.IntN(len(w.processes) + len(w.servers))
		if other >= len(w.processes) {
			other += serverBase - len(w.processes)
		}
		if other != here {
			ways = append(ways, [2]int{here, other})
			if w.rng.IntN(2) == 0 {
				ways[0] = [2]int{other, here}
			}
		}
	case cutWardenFromNode:
		ways = both(ways, here, there)
	case cutNodeFromWardens:
		for _, p := range w.processes {
			ways = both(ways, p.index, there)
		}
	case cutNodeFromAll:
		for to := range endpoints {
			if to != there {
				ways = both(ways, there, to)
			}
		}
	case cutReplication:
		if o := w.anyServer(); o != s {
			ways = both(ways, there, serverBase+o.index)
		}
	case stormyNetwork:
		return w.roughen()
	}
	return w.sever(ways)
}

// splitWays parts the Wardens in two, and the servers with them.
func (w *World) splitWays() [][2]int {
	side := w.rng.Uint64()
	var ways [][2]int
	for a := range endpoints {
		for b := range endpoints {
			if side>>a&1 != side>>b&1 {
				ways = append(ways, [2]int{a, b})
			}
		}
	}
	return ways
}

func (w *World) roughen() bool {
	was := w.weather
	w.weather = weather{
		least: warden.Millisecond, most: w.between(2*warden.Millisecond, 60*warden.Millisecond),
		loss: w.rng.Float64() * 0.3, twice: w.rng.Float64() * 0.2,
		late: w.rng.Float64() * 0.1, lateMost: w.between(100*warden.Millisecond, 4*warden.Second),
	}
	w.inStorm(w.lasting(), func() { w.weather = was })
	return true
}

func (w *World) breakNode(k faultKind) bool {
	s := w.anyServer()
	if !s.up {
		return false
	}
	if w.kind.postgres() && w.breakPostgres(k, s) {
		return true
	}
	if w.kind == KindAppend && !w.vouchable(k, s) {
		return false
	}
	switch k {
	case crashNode:
		w.crashAndReturn(s, withRecent)
	case nodeReturnsOld:
		w.crashAndReturn(s, withOld)
	case nodeReturnsEmpty:
		w.crashAndReturn(s, withNothing)
	case nodeReturnsAnother:
		w.crashAndReturn(s, asAnother)
	case hangNode:
		if s.hung {
			return false
		}
		s.hang()
		w.inStorm(w.lasting(), s.wake)
	case outsiderPromotes:
		if !s.serving() || s.role != warden.RoleReplica {
			return false
		}
		s.promoteByHand()
		s.touched++
	case excludeReplica:
		s.priority, s.excludedAt = 0, w.now
		w.inStorm(w.lasting(), func() { s.priority = 100 })
	}
	return true
}

// vouchable reports whether the operator's word stays true after a fault, that a node
// he named has the group's data or none. A primary that lost all and takes writes
// again, with its last holder down, cannot be told from one that restarted.
func (w *World) vouchable(k faultKind, s *server) bool {
	return k != nodeReturnsAnother && (k != nodeReturnsEmpty || s.role == warden.RoleReplica && !s.forgetful)
}

func (w *World) crashAndReturn(s *server, how returning) {
	s.crash()
	d := w.lasting()
	if how == withNothing {
		// Mostly late: an empty primary that is back at once has its replicas
		// copy the emptiness before anybody can act.
		d += 6 * warden.Second
	}
	w.inStorm(d, func() { s.start(how) })
}

// heal ends every fault: the calm begins.
func (w *World) heal() {
	w.storming = false
	w.tellSentinels(false)
	w.cut = [endpoints][endpoints]int8{}
	w.weather = weather{least: warden.Millisecond, most: 3 * warden.Millisecond}
	for _, s := range w.servers {
		if s.phantom {
			continue
		}
		s.wake()
		s.priority, s.pg.paused = 100, false
		s.start(withRecent)
	}
	for _, p := range w.processes {
		p.disk.failing = false
		p.diesAt, p.pauseAtOrder = aliveThrough, 0
		p.resume()
		p.revive()
	}
}
