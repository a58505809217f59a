package sim

import (
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

const (
	// tickMin is the shell's: the shortest time before a tick.
	tickMin = warden.Millisecond
	// tickOften is the longest time between two steps of a group in a conversation,
	// whatever its configuration: its moments are easier to find so.
	tickOften = 100 * warden.Millisecond
	// longPause is a pause that every Warden must notice (TILT), whatever its
	// down_after is in these worlds.
	longPause = 1800 * warden.Millisecond
)

// stage is a place between two effects at which a process can die.
type stage int8

const (
	aliveThrough stage = iota
	beforePersist
	beforeSend
	amidSend
	beforeAct
	beforeAnnounce
)

// watched is one node this process looks at.
type watched struct {
	want   group.Watched
	server int
	id     uint64         // of the look under way, 0: none
	asked  warden.Instant // when it was begun, own clock
	began  warden.Instant // the same, world time
	due    warden.Instant // world time of the next look
	full   warden.Instant // world time of the last whole look that went well, 0: it did not
	brief  bool           // only a sign of life is asked for
	kept   bool           // still wanted by the mind
}

// process is one Warden, through all its runs.
type process struct {
	world  *World
	index  int
	name   string
	id     warden.WardenID
	config group.Config
	disk   disk
	// state is the mind; spare is room for another one.
	state, spare *group.State

	up     bool
	paused bool
	// pausedAt is when the running pause began.
	pausedAt warden.Instant
	life     uint64
	backlog  []item
	offset   warden.Duration // own clock = world clock + offset
	gone     bool            // left for good
	// leftBirth is the Birth that an operator last had it leave.
	leftBirth warden.Birth

	lastStep warden.Instant // world times
	tickAt   warden.Instant
	tickWait warden.Instant // of the earliest tick item in the queue, 0: none
	wake     warden.Instant

	watching []watched
	gaze     group.Gaze // for which watching is right
	sessions []*claim
	marks    [endpoints]warden.Epoch // by server: the name of the kept connection
	storeBad bool

	// diesAt is where the process dies in the next step that gets there.
	diesAt stage
	// pauseAtOrder: it is paused between reading the lease and sending an
	// order, once, for this long.
	pauseAtOrder warden.Duration

	seen evidence
	// reports are those that were told, of conversations alone. They are on disk.
	reports []warden.Report
}

// evidence is what a process was truly told, for the contracts: world times.
type evidence struct {
	disturbed warden.Instant // end of the last long pause or jump of the clock
	heard     [serverBase]warden.Instant
	good      [endpoints]warden.Instant // last good answer as a primary of the lineage
	looked    [endpoints]warden.Instant // begin of the newest look that ended
	asked     [serverBase]warden.VoteRequest
	beside    warden.Instant // since when it knows that Sentinels watch too, 0: they do not
	served    warden.NodeID
	version   warden.Version
	lines     [endpoints]sight          // what it saw of the data of PostgreSQL
	refused   [endpoints]warden.Instant // when an order of its own was last not done
	lets      lets
}

// addProcess makes a Warden that has not been started.
func (w *World) addProcess(name string, id warden.WardenID) *process {
	p := &process{world: w, index: len(w.processes), name: name, id: id}
	if p.index >= serverBase {
		panic("a world has room for 8 Wardens")
	}
	p.config = w.base
	p.config.Self, p.config.Client = id, name+":26379"
	w.processes = append(w.processes, p)
	return p
}

// clock is what the process reads from its own clock.
func (p *process) clock() warden.Instant {
	now := p.world.now.Add(p.offset)
	if p.world.sabotage.Clock != nil {
		return p.world.sabotage.Clock(p, now)
	}
	return now
}

// start begins a run from what is on disk.
func (p *process) start() {
	w := p.world
	if w.sabotage.Restart != nil {
		w.sabotage.Restart(&p.disk, w.now)
	} else {
		p.disk.runs++
	}
	p.config.Run = p.disk.runs
	p.config.NewBirth = warden.Birth("birth-" + p.name + "-" + itoa(uint64(p.disk.runs)))
	p.up, p.paused, p.life = true, false, w.id()
	p.backlog, p.sessions, p.watching = nil, nil, nil
	p.storeBad, p.diesAt, p.pauseAtOrder = false, aliveThrough, 0
	p.marks = [endpoints]warden.Epoch{}
	p.seen = evidence{}
	mind := newMind(p.config, p.disk.kept.Clone(), p.clock())
	p.state, p.spare = &mind, new(group.State)
	p.lastStep, p.tickAt, p.tickWait, p.wake = 0, 0, 0, 0
	if w.trace != nil {
		w.note(p.name, "starts, run %d, promise %d, accepted %s, chosen %s", p.disk.runs,
			p.disk.kept.Promise, p.disk.kept.Accepted.Version, p.disk.kept.Chosen.Version)
	}
	p.introduce()
	if w.sentinels {
		w.afterFor(p, w.between(warden.Millisecond, 2*warden.Second), p.meetSentinels)
	}
	p.tick()
}

// introduce tells the process, a little later, which Wardens there are; and
// tells those of this one. The real ones learn it by gossip and hello.
func (p *process) introduce() {
	w := p.world
	for _, q := range w.processes {
		if q.up {
			q := q
			w.afterFor(q, w.between(5*warden.Millisecond, 200*warden.Millisecond), func() { q.step(group.PeersKnown{IDs: w.known(q)}) })
		}
	}
}

// known are the Wardens that q has an address of: all that ever started.
func (w *World) known(q *process) []warden.WardenID {
	ids := make([]warden.WardenID, 0, len(w.processes))
	for _, p := range w.processes {
		if p != q && p.disk.runs > 0 && !p.gone {
			ids = append(ids, p.id)
		}
	}
	return sortedIDs(ids)
}

// crash ends the run at once. What is on disk stays.
func (p *process) crash(why string) {
	if !p.up {
		return
	}
	p.up, p.paused, p.backlog = false, false, nil
	p.life = 0
	if p.world.trace != nil {
		p.world.note(p.name, "dies: %s", why)
	}
	p.world.hangUp(p)
}

// pause stops the process like SIGSTOP does; its clock goes on.
func (p *process) pause() { p.paused, p.pausedAt = true, p.world.now }

// resume delivers what piled up, in the order in which it came. A tick that
// became due meanwhile is among it, so it is sometimes first and mostly not.
func (p *process) resume() {
	if !p.paused {
		return
	}
	p.paused = false
	if p.world.now.Sub(p.pausedAt) >= longPause {
		p.seen.disturbed = p.world.now
	}
	waiting := p.backlog
	p.backlog = nil
	for i := range waiting {
		if !p.up || p.world.failure != nil {
			return
		}
		if p.paused {
			p.backlog = append(p.backlog, waiting[i:]...)
			return
		}
		p.world.perform(&waiting[i])
	}
}

// ticked delivers a tick, unless it was moved since.
func (p *process) ticked(at warden.Instant) {
	if at != p.tickWait {
		return
	}
	p.tickWait = 0
	if !p.up {
		return
	}
	if p.tickAt > p.world.now {
		p.arm()
		return
	}
	p.tick()
}

func (p *process) tick() {
	p.lastStep, p.wake = p.world.now, 0
	p.step(group.Tick{})
	p.scheduleTick()
}

// scheduleTick finds out when the next tick is due.
func (p *process) scheduleTick() {
	if !p.up {
		return
	}
	due := p.lastStep.Add(tickOften)
	if p.world.drawn {
		due = p.lastStep.Add(monitor.TickMost(p.config.TiltTrigger, p.config.DownAfter)) // as the shell has it
	}
	if p.wake != 0 {
		due = min(due, p.wake)
	}
	due = max(due, p.lastStep.Add(tickMin))
	p.tickAt = max(due, p.world.now)
	p.arm()
}

// arm puts the tick in the queue if none is there early enough.
func (p *process) arm() {
	if p.tickWait != 0 && p.tickWait <= p.tickAt {
		return
	}
	p.tickWait = p.tickAt
	p.world.queue.push(item{at: p.tickAt, kind: tickDue, process: int16(p.index)})
}

// hear delivers a message of another Warden.
func (p *process) hear(e group.Event) {
	if !p.up {
		return
	}
	if heard, ok := e.(group.Heard); ok {
		p.world.check.delivered(p, &heard.Message)
	}
	p.step(e)
}

// step lets the mind think about one event and performs what it wants.
func (p *process) step(e group.Event) {
	w := p.world
	if !p.up || w.failure != nil {
		return
	}
	if w.sabotage.Event != nil {
		e = w.sabotage.Event(p, e)
	}
	if w.trace != nil {
		w.traceEvent(p, e)
	}
	w.steps++
	// The old state is kept only where the step may turn out not to have happened.
	if p.disk.failing {
		*p.spare = *p.state
		p.state, p.spare = p.spare, p.state
	}
	effects := stepMind(&p.config, p.state, e, p.clock())
	if w.sabotage.Effects != nil {
		changed := effects // its address leaves, and would take effects to the heap
		w.sabotage.Effects(p, e, &changed)
		effects = changed
	}
	if effects.Persist != nil && p.disk.failing {
		p.state, p.spare = p.spare, p.state
		p.unwritten(e)
		return
	}
	p.performEffects(effects)
	if p.up && w.failure == nil {
		w.check.stepped(p)
	}
}

// unwritten is a step that has not happened, because the disk refused it.
func (p *process) unwritten(e group.Event) {
	w := p.world
	if c, ok := e.(group.Commanded); ok {
		w.commandEnded(p, c.ID, warden.Answer{Verdict: warden.VerdictRefused, Code: "store"})
	}
	failed := group.StoreFailed{Why: "no space left on device"}
	p.unwriting(failed)
	if _, command := e.(group.Commanded); !command && !p.unwriting(e) {
		p.unwriting(failed)
	}
	if !p.storeBad {
		p.storeBad = true
		p.probeStore()
	}
}

// unwriting is a step while the disk refuses everything.
func (p *process) unwriting(e group.Event) bool {
	if !p.up || p.world.failure != nil {
		return true
	}
	*p.spare = *p.state
	effects := stepMind(&p.config, p.spare, e, p.clock())
	if effects.Persist != nil {
		return false
	}
	p.state, p.spare = p.spare, p.state
	p.performEffects(effects)
	return true
}

// probeStore tries the store once a second until it works.
func (p *process) probeStore() {
	p.world.afterFor(p, warden.Second, func() {
		if p.disk.failing {
			p.probeStore()
			return
		}
		p.storeBad = false
		p.step(group.StoreWorks{})
	})
}

// dies reports whether the process dies here, and lets it.
func (p *process) dies(at stage) bool {
	if p.diesAt != at {
		return false
	}
	p.diesAt = aliveThrough
	p.world.faults[crashAmid]++
	p.crash("between two effects")
	return true
}

// performEffects does what a step wants, in the order of the fields.
func (p *process) performEffects(e group.Effects) {
	w := p.world
	if e.Persist != nil {
		if p.dies(beforePersist) {
			return
		}
		old := p.disk.kept
		p.disk.write(*e.Persist, w.now)
		w.check.persisted(p, &old)
		if p.dies(beforeSend) {
			return
		}
	}
	for i := range e.Send {
		if i > 0 && p.dies(amidSend) {
			return
		}
		w.send(p, &e.Send[i])
	}
	w.tellSent(p, e.Send)
	if p.dies(beforeAct) {
		return
	}
	if gaze := gazeMind(&p.config, p.state, p.clock()); gaze != p.gaze || len(p.watching) == 0 {
		p.gaze = gaze
		p.watch()
	}
	for i := range e.Act {
		p.act(e.Act[i])
	}
	if p.dies(beforeAnnounce) {
		return
	}
	for i := range e.Announce {
		if e.Announce[i].Name == "+elected-leader" {
			w.check.elected(p)
		}
		if a := &e.Announce[i]; (w.tell != nil || w.trace != nil) && a.Level != warden.LevelDebug {
			w.say(p.name, "%s %s", a.Name, a.Payload)
		}
	}
	for i := range e.Reports {
		w.check.reported(p, &e.Reports[i])
	}
	for i := range e.Answers {
		w.commandEnded(p, e.Answers[i].ID, e.Answers[i].Answer)
	}
	p.lastStep, p.wake = w.now, 0
	if e.Wake != 0 {
		p.wake = e.Wake.Add(-p.offset)
	}
	p.scheduleTick()
}

// serves is the address that this Warden gives its clients.
func (p *process) serves() warden.NodeID { return primaryMind(&p.config, p.state) }
