package group

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// Limits of one group's memory and pace.
const (
	maxNodes     = 64
	maxCommands  = 8
	commandLimit = 5 * warden.Second // to be elected for an operator's command
	statusDown   = 500 * warden.Millisecond
	retryWant    = warden.Second      // after an attempt that could not be finished,
	retryMost    = 16 * warden.Second // doubled each time up to this
	dropAfter    = 2 * warden.Second
	flapWindow   = 10 * warden.Minute
	flapCount    = 3
	adoptAfter   = 300 * warden.Millisecond
	halfwayAfter = 10 * warden.Second
	forEver      = warden.Duration(1) << 62
	cascade      = 6 // proposals that may be chosen within one Step
)

// command is an operator's command that is not answered yet.
type command struct {
	id      uint64
	at      warden.Instant
	command warden.Command
	want    election.Want
	elected bool
}

type pause struct {
	reason warden.Reason
	until  warden.Instant
	span   warden.Duration
}

// move is a change of the primary.
type move struct {
	to     warden.NodeID
	reason warden.Reason
	epoch  warden.Epoch
}

// State is one group's memory. It is an immutable value: Step returns a new one.
type State struct {
	mon monitor.State
	el  election.State
	fo  *failover.State // replaced, never changed: idle most of the time

	peers    []warden.WardenID // those we know an address of
	statusAt warden.Instant
	told     warden.Status // the last status sent, without its Hears

	learnedAt warden.Instant
	confirmed warden.NodeID // primary of the newest finished topology
	commands  []command
	backoff   []pause
	failovers []warden.Instant // automatic ones, for flapping and cool-down
	lastMove  warden.Instant
	moving    move // the newest promotion that was chosen
	moved     move // the newest one that is done
	wouldSaid election.Want
	foreign   []warden.NodeID
	stranded  []warden.NodeID
	saved     *warden.Register // what was last asked to be written; never changed
	mended    mending
	tuned     tuning
	knockBad  []warden.NodeID
	marked    warden.Epoch
	led       warden.Epoch // newest epoch led here, 0 once its sessions are dropped
	ledUntil  warden.Instant
	crossed   string // primary conflict announced with
	stage     failover.Stage
	checked   bool // the configured primary was compared with the agreed one
	lastStep  warden.Instant
	// stepBy is when the next Step was due at the latest; lag is by how much Steps
	// came later, lately.
	stepBy    warden.Instant
	lag       warden.Duration
	load      uint64            // Config.Load of the last Step
	sentinels []string          // the real Sentinels that watch the group
	silent    []warden.WardenID // Wardens said to be silent; replaced, never changed
	unblocked []warden.NodeID   // down, and its script was ended
	reports   *chronicle        // replaced, never changed; nil: nothing to remember
	// watch is the list of nodes, derived from what watchKey names.
	watch    []warden.NodeID
	watchKey roster
}

// New is the memory of a Warden that has just started with reg on its disk.
func New(c Config, reg warden.Register, now warden.Instant) State {
	fo := failover.New()
	s := State{load: c.Load, mon: monitor.New(now), el: election.New(reg, now), fo: &fo, statusAt: -1}
	s.mon.Extra = slices.Clone(reg.Lineage)
	if t := reg.Chosen; !t.IsZero() {
		s.confirmed = t.Primary
		if t.Phase == warden.PhasePromoting {
			s.moving = move{t.Primary, t.Reason, t.Epoch}
			s.confirmed = t.Previous
		}
	}
	return s
}

// unshare copies the slices that a Step changes in place. The others, peers
// and failovers among them, are only ever replaced.
func (s *State) unshare() {
	s.commands = slices.Clone(s.commands)
	s.backoff = slices.Clone(s.backoff)
	s.foreign = slices.Clone(s.foreign)
	s.knockBad = slices.Clone(s.knockBad)
	s.unblocked = slices.Clone(s.unblocked)
}

// step is one Step in progress. It changes s, which nobody else has, and holds
// the effects by value, so that no Step has to ask for memory for them.
type step struct {
	// file is the configuration, and c the one that counts: see tuned.
	file, c *Config
	s       *State
	f       Effects
	now     warden.Instant
	// before is the register as it was before this Step. It is not to be changed.
	before *warden.Register
	// Derived once per Step, see stale.
	mc     monitor.Config
	mcMade bool
	fc     failover.Config
	fcMade bool
	seen   []failover.Sighting
	looked bool // the event is a look at a node
	judged bool // opinions may have changed
	// wanted is what was wanted when the election was stepped.
	wanted election.Want
}

// Step takes one event at the instant now. s is not changed.
func Step(c Config, s State, e Event, now warden.Instant) (State, Effects) {
	f := Advance(&c, &s, e, now)
	return s, f
}

// Advance is Step for a caller who made a copy of the old state, or needs it no
// more: s becomes the new one. Copies of the old state stay as they are.
func Advance(c *Config, s *State, e Event, now warden.Instant) Effects {
	s.unshare()
	if s.saved == nil {
		r := s.el.Reg.Clone()
		s.saved = &r
	}
	p := step{file: c, s: s, now: now, before: s.saved}
	p.retune()
	p.rewind()
	p.reloaded()
	p.configIgnored()
	var greet []warden.WardenID
	if known, ok := e.(PeersKnown); ok {
		greet = p.greeting(known.IDs)
	}
	p.route(e)
	p.silentPeers()
	p.unblock()
	p.decided()
	p.settle()
	p.status(greet)
	p.mark()
	if !s.el.Mute && !slices.Equal(s.el.Reg.Lineage, s.mon.Extra) {
		s.el.Reg.Lineage = slices.Clone(s.mon.Extra)
	}
	if !warden.SameRegister(&s.el.Reg, p.before) {
		r := s.el.Reg.Clone()
		p.f.Persist, s.saved = &r, &r
	}
	if c.HelloCalm > c.HelloInterval {
		p.f.HelloEvery = c.HelloInterval
		if s.el.HearsAll(p.electionConfig(), now) {
			p.f.HelloEvery = c.HelloCalm
		}
	}
	p.f.Wake = p.wake()
	return p.f
}

// configIgnored says, once per run, that the agreed primary is not the
// configured one. After a failover that is as it should be.
func (p *step) configIgnored() {
	if p.s.checked || !p.s.el.Born() {
		return
	}
	p.s.checked = true
	if p.s.el.Reg.Chosen.Primary != p.c.Primary {
		p.announce("-config-ignored", warden.LevelNotice, "", "the configured primary "+string(p.c.Primary)+" is not the agreed one")
	}
}

// reloaded takes in that the configuration was read once more.
func (p *step) reloaded() {
	if s := p.s; s.load != p.c.Load {
		fo := *s.fo
		fo.Again()
		s.load, s.fo = p.c.Load, &fo
	}
}

// rewind keeps the memory sane when the clock jumped backwards.
func (p *step) rewind() {
	s := p.s
	if p.now < s.lastStep {
		s.statusAt, s.backoff, s.failovers, s.reports = -1, nil, nil, nil
		s.learnedAt, s.lastMove = min(s.learnedAt, p.now), min(s.lastMove, p.now)
		s.ledUntil = min(s.ledUntil, p.now)
		for i := range s.commands {
			s.commands[i].at = min(s.commands[i].at, p.now)
		}
	}
	s.lastStep = p.now
}

// route gives the event to the minds it concerns, in the order of the picture.
func (p *step) route(e Event) {
	var me monitor.Event = monitor.Tick{}
	var ee election.Event = election.Tick{}
	var fe failover.Event = failover.Tick{}
	switch e := e.(type) {
	case Tick:
		p.ticked(e.Late)
	case Looked:
		if e.Observation == nil {
			break // only a damaged record has none
		}
		me = monitor.Looked{Node: e.Node, Asked: e.Asked, Observation: e.Observation}
	case Beat:
		me = monitor.Beat{Node: e.Node, Asked: e.Asked}
	case ActionDone:
		seen := e.Observation
		if seen.Health != "" {
			me = monitor.Looked{Node: e.Node, Asked: e.Asked, Observation: &seen}
		}
		fe = failover.ActionDone{ID: e.ID, Result: e.Result, Observation: wished(p.leaderConfig().Tags, e.Node, &seen), Asked: e.Asked}
	case Heard:
		if st := e.Message.Status; st != nil {
			me = monitor.Said{From: e.Message.From, Birth: e.Message.Birth, Tilt: st.Tilt, Opinions: st.Opinions}
			p.newPeer(e.Message.From, st.Client)
			p.peerMoved(e.Message.From, st.Client)
			p.toldStranded(st)
		}
		ee = election.Heard{Message: e.Message}
	case PeersKnown:
		p.s.peers = slices.Clone(e.IDs)
	case StoreFailed:
		p.announce("-store-failed", warden.LevelWarning, "", e.Why)
		ee = election.Store{Works: false}
	case StoreWorks:
		p.announce("+store-works", warden.LevelNotice, "", "")
		ee = election.Store{Works: true}
	case Conflict:
		ee = election.ConflictHeard{Where: e.Where}
	case KnockFailed:
		p.knocked(e)
	case Commanded:
		p.commanded(e)
	case SentinelsWatch:
		p.sentinelsWatch(e.IDs)
	}
	_, p.looked = me.(monitor.Looked)
	p.monitor(me)
	p.streams(me)
	p.members()
	p.commandTimes()
	p.elect(ee, fe)
}

// streams notes to which members of the sync set the primary streams.
func (p *step) streams(e monitor.Event) {
	l, ok := e.(monitor.Looked)
	t := &p.s.el.Reg.Chosen
	if !ok || l.Node != t.Primary || l.Observation.Health != warden.HealthGood || len(t.Sync) == 0 {
		return
	}
	down := func(id warden.NodeID) bool { n := p.s.mon.Find(id); return n != nil && n.Down }
	if absent := failover.Absences(p.s.fo, t, l.Observation, down, p.now); !slices.Equal(absent, p.s.fo.Absent) {
		fo := *p.s.fo
		fo.Absent = absent
		p.s.fo = &fo
	}
}

func (p *step) monitor(e monitor.Event) {
	p.revive(e)
	f := monitor.Advance(p.monitorConfig(), &p.s.mon, e, p.now)
	p.seen, p.judged = nil, f.Changed
	if !p.s.el.Born() {
		p.mcMade = false // the provisional primary depends on what was seen
	}
	for _, n := range f.Notes {
		p.monitorNote(n)
	}
}

// elect runs the election and, while we lead, the failover; a proposal that is
// chosen at once (a Warden alone) leads straight to the next.
func (p *step) elect(ee election.Event, fe failover.Event) {
	want := p.want()
	p.wanted = want
	had := &p.before.Chosen
	chosen := p.electionDone(had, election.Advance(p.electionConfig(), &p.s.el, ee, want, p.sight(), p.now))
	for range cascade {
		if p.s.el.Lead == nil && p.s.fo.Stage == failover.Idle {
			return
		}
		f := p.failover(chosen, fe)
		p.failoverEffects(f)
		fe, chosen = failover.Tick{}, false
		switch {
		case f.Finish != nil:
			p.finished(*f.Finish)
			return
		case f.Propose == nil:
			return
		}
		last := p.s.el.Reg.Chosen
		had = &last
		el, ef, ok := election.Propose(p.electionConfig(), p.s.el, *f.Propose, p.sight(), p.now)
		p.s.el = el
		chosen = p.electionDone(had, ef)
		if !ok {
			// The rules of the register forbid it: hand over rather than force.
			p.announce("-proposal-refused", warden.LevelWarning, "", string(f.Propose.Reason))
			p.finished(failover.Finish{Verdict: warden.VerdictUnknown, Code: "not-allowed", Text: "the register does not allow this step"})
			return
		}
		if !chosen {
			return
		}
	}
}

// electionDone takes in the effects of a step of the election mind, before
// which had was the chosen topology.
func (p *step) electionDone(had *warden.Topology, f election.Effects) (chosen bool) {
	p.f.Send = slices.Grow(p.f.Send, len(f.Send))
	for _, e := range f.Send {
		p.f.Send = append(p.f.Send, Envelope{To: e.To, Message: e.Message})
	}
	for _, n := range f.Notes {
		p.electionNote(n)
	}
	if f.Elected {
		p.s.led = p.s.el.Lead.Epoch
		p.crash("elected")
		p.openReport()
		p.electedCommand()
	}
	if f.Lost != "" {
		p.closeReport(warden.VerdictUnknown, "leader-lost", "this Warden lost the lead: "+f.Lost+"; another one goes on")
		p.lostCommand(f.Lost)
	}
	if f.Learned || f.Elected || had.Birth != p.s.el.Reg.Chosen.Birth {
		p.retune()
		p.stale()
	}
	if f.Learned {
		p.learned(had)
	}
	return f.Chosen
}

// failover takes one Step of the failover mind.
func (p *step) failover(chosen bool, e failover.Event) failover.Effects {
	fo, sc := *p.s.fo, p.scene(chosen)
	f := failover.Advance(p.failoverConfig(), &fo, &sc, e, p.now)
	p.s.fo = &fo
	return f
}

func (p *step) failoverEffects(f failover.Effects) {
	p.f.Act = append(p.f.Act, f.Act...)
	for _, n := range f.Notes {
		p.failoverNote(n)
	}
	if p.s.fo.Stage != p.s.stage {
		p.s.stage = p.s.fo.Stage
		p.crash(string(p.s.stage))
		p.reportStage()
	}
}

// finished ends leading, and answers the operator whose command it was.
func (p *step) finished(fin failover.Finish) {
	p.s.mended.of = warden.Version{} // what was wanted may be held back now
	p.answerLed(fin)
	p.closeReport(fin.Verdict, fin.Code, fin.Text)
	if l := p.s.el.Lead; l != nil && fin.Verdict != warden.VerdictDone {
		p.hold(l.Want.Reason)
	} else if l != nil {
		p.unhold(l.Want.Reason)
	}
	p.s.ledUntil = p.now
	had := p.s.el.Reg.Chosen
	el, f := election.Release(p.electionConfig(), p.s.el, p.now)
	p.s.el = el
	p.electionDone(&had, f)
	p.failover(false, failover.Tick{}) // it must see that it leads no more
	p.s.stage = p.s.fo.Stage
}

// hold keeps a want back for a while after it could not be fulfilled, longer
// each time. A node that begins to answer ends the wait: see revive.
func (p *step) hold(r warden.Reason) {
	span := retryWant
	for _, x := range p.s.backoff {
		if x.reason == r {
			span = min(2*x.span, retryMost)
		}
	}
	p.unhold(r)
	p.s.backoff = append(p.s.backoff, pause{r, p.now.Add(span), span})
}

func (p *step) unhold(r warden.Reason) {
	p.s.backoff = slices.DeleteFunc(p.s.backoff, func(x pause) bool { return x.reason == r })
}

// revive ends all waits when a node answers well that did not before: what was
// not possible may be now.
func (p *step) revive(e monitor.Event) {
	l, ok := e.(monitor.Looked)
	if !ok || l.Observation.Health != warden.HealthGood {
		return
	}
	if n := p.s.mon.Find(l.Node); n != nil && n.Health != warden.HealthGood {
		p.s.backoff = nil
	}
}

func (p *step) heldBack(r warden.Reason) bool {
	return slices.ContainsFunc(p.s.backoff, func(x pause) bool { return x.reason == r && p.now < x.until })
}

// crash announces a crash point; the shell exits on it. Only tests set one.
func (p *step) crash(point string) {
	if p.c.CrashPoint != "" && p.c.CrashPoint == point {
		p.f.Announce = append(p.f.Announce, warden.Event{Group: p.c.Group, Name: "crash:" + point, Level: warden.LevelDebug})
	}
}

// mark keeps the newest accepted epoch on the nodes, and drops the order
// sessions of a leadership that is over.
func (p *step) mark() {
	s := p.s
	if e := max(s.el.Reg.Accepted.Epoch, s.el.Reg.Chosen.Epoch); e > s.marked {
		s.marked = e
		p.f.Act = append(p.f.Act, Action{Kind: ActMark, Epoch: e})
	}
	if s.led != 0 && s.el.Lead == nil {
		if s.ledUntil == 0 {
			s.ledUntil = p.now
		}
		if p.now.Sub(s.ledUntil) >= dropAfter {
			p.f.Act = append(p.f.Act, Action{Kind: ActDrop, Epoch: s.led})
			s.led, s.ledUntil = 0, 0
		}
	} else {
		s.ledUntil = 0
	}
}

func (p *step) wake() warden.Instant {
	s := p.s
	next := monitor.Next(p.monitorConfig(), &s.mon, p.now)
	next = min(next, failover.Next(s.fo, p.now), s.statusAt.Add(p.statusEvery()))
	next = min(next, election.Next(&s.el, p.wanted, p.now))
	if p.c != p.file { // the shell knows of the configured pace only
		next = min(next, p.now.Add(monitor.TickMost(p.c.TiltTrigger, p.c.DownAfter)))
	}
	return max(next, p.now.Add(warden.Millisecond))
}

func (p *step) knocked(e KnockFailed) {
	was := slices.Contains(p.s.knockBad, e.Node)
	switch {
	case e.Why != "" && !was:
		p.s.knockBad = append(p.s.knockBad, e.Node)
		if n := p.s.mon.Find(e.Node); n != nil && n.Health == warden.HealthGood {
			p.announce("-new-connections", warden.LevelWarning, e.Node, fmt.Sprintf("old ones are served, new ones are not: %s", e.Why))
		}
	case e.Why == "" && was:
		p.s.knockBad = slices.DeleteFunc(p.s.knockBad, func(n warden.NodeID) bool { return n == e.Node })
		p.announce("+new-connections", warden.LevelNotice, e.Node, "")
	}
}
