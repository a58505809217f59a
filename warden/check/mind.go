package check

import (
	"reflect"
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Three Wardens.
const wardenCount = 3

var wardenIDs = [wardenCount]warden.WardenID{"w1", "w2", "w3"}

func wardenIndex(id warden.WardenID) int8 {
	for i, have := range wardenIDs {
		if have == id {
			return int8(i)
		}
	}
	return -1
}

const (
	groupName   warden.GroupName = "g"
	birthName   warden.Birth     = "birth"
	firstLine                    = "first"
	crashAfter                   = 100 * warden.Millisecond
	opinionSpan                  = 160 * warden.Millisecond // more than the leader waits for opinions, and for a claim
)

// mind is all there is of one Warden: what it has in memory, what on its disk,
// and the order sessions it has open. It is never changed once it is kept.
type mind struct {
	self     int8
	up       bool
	state    group.State
	disk     warden.Register
	run      warden.Run
	sessions [nodeCount]claim
}

// eventKind is what can happen to one Warden.
type eventKind uint8

const (
	hears    eventKind = iota // a message
	answered                  // an order has ended
	stands                    // it waits until its turn comes
	expires                   // its attempt, or its lease, is over
	waits                     // a leader's time goes by, less than its lease
	dies
	starts
)

// event is one of them; item is what arrives.
type event struct {
	kind eventKind
	item uint32
}

// deedKind is what a Warden does, in the order in which it does it.
type deedKind uint8

const (
	writes   deedKind = iota // the register is on its disk
	derives                  // a new topology is proposed, made from base
	sends                    // a message
	orders                   // an order
	standing                 // it asks for votes
)

type deed struct {
	kind  deedKind
	item  uint32
	topic uint32 // topology accepted (writes) or proposed
	// chosen is the topology that the register calls chosen.
	chosen uint32
	base   warden.Version
	epoch  warden.Epoch
	// promise and grantee are on its disk at that moment.
	promise warden.Epoch
	grantee int8
	run     warden.Run
	fresh   bool // the Warden itself finds the primary down
}

// result is what one event makes of one mind.
type result struct {
	possible bool
	looked   bool // it looked at the nodes, so it depends on them
	next     uint32
	deeds    []deed
	number   uint32 // of the list of deeds, 0: there are none
}

// stepper takes one event through one mind.
type stepper struct {
	e     *engine
	w     int8
	c     group.Config
	m     mind
	now   warden.Instant
	nodes *nodes
	out   result
	tell  func(string)
	// looks wait to be answered, once the effects before them are performed.
	looks []warden.Action
	asked bool // the event asks for a vote for a failover
	turn  bool // it may stand
	early bool // nothing has happened yet: all nodes are up and seen
}

func (e *engine) config(w int8, run warden.Run) group.Config {
	return group.Config{Group: groupName, Self: wardenIDs[w], Run: run, NewBirth: "another", Primary: nodeIDs[0], Quorum: e.scope.Quorum, Wardens: wardenCount,
		DownAfter: warden.Second, CrashAfter: crashAfter, FailoverTimeout: 1000 * warden.Minute, HelloInterval: 60 * warden.Minute,
		ParallelSyncs: 1, TiltTrigger: 60 * warden.Minute, LookEvery: warden.Second}
}

// compute takes an event through a mind. tell, if not nil, is told the story.
func (e *engine) compute(z *settler, w int8, before *mind, ev event, n *nodes, tell func(string)) result {
	t := &stepper{e: e, w: w, m: *before, now: noon.Add(blink), nodes: n, tell: tell, c: e.config(w, before.run)}
	t.out.possible = true
	switch ev.kind {
	case hears:
		x := e.items.get(ev.item)
		t.asked = x.message.Ask != nil && x.message.Ask.Reason == warden.ReasonFailover
		t.feed(group.Heard{Message: x.message})
	case answered:
		t.answer(e.items.get(ev.item))
	case stands:
		t.stand()
	case expires:
		t.expire()
	case waits:
		t.wait()
	case dies:
		t.m = mind{self: t.w, disk: t.m.disk, run: t.m.run}
	case starts:
		t.start()
	}
	if !t.out.possible {
		return t.out
	}
	if t.m.up {
		t.feed(group.Tick{}) // whatever follows from it at once
		z.settle(&t.m.state, t.now)
		for i := range t.m.sessions { // of an epoch that is over: they are never used again
			if l := electionOf(&t.m.state).Lead; l == nil || l.Epoch != t.m.sessions[i].epoch {
				t.m.sessions[i] = claim{}
			}
		}
	}
	kept := t.m
	t.out.next = e.minds.put(printOf(encode(nil, reflect.ValueOf(&kept).Elem())), &kept)
	if len(t.out.deeds) > 0 {
		text := encode(nil, reflect.ValueOf(t.out.deeds))
		t.out.number = 1 + e.deeds.put(printOf(text), &t.out.deeds)
	}
	return t.out
}

// feed is one Step, and the performance of its effects.
func (t *stepper) feed(ev group.Event) {
	t.now = t.now.Add(blink)
	before := t.m.state
	f := group.Advance(&t.c, &t.m.state, ev, t.now)
	if st := electionOf(&t.m.state).Stand; st != nil && electionOf(&before).Stand == nil && !t.turn {
		// Its turn came at once. Here turns come when the scope says so.
		want := st.Want
		t.m.state = before
		el := electionOf(&t.m.state)
		*wantOf(el), *standAtOf(el) = want, t.now.Add(turn)
		f = group.Advance(&t.c, &t.m.state, ev, t.now)
		t.out.possible = t.out.possible && el.Stand == nil
	}
	if s := t.e.sabotage.Effects; s != nil {
		s(&f)
	}
	t.perform(&f)
	for len(t.looks) > 0 {
		a := t.looks[0]
		t.looks = t.looks[1:]
		t.feed(group.ActionDone{ID: a.ID, Node: a.Node, Result: warden.Result{Outcome: warden.Done}, Observation: *t.look(nodeIndex(a.Node)), Asked: t.now.Add(blink)})
	}
}

// perform does what the shell does, in its order: disk, messages, orders.
func (t *stepper) perform(f *group.Effects) {
	el := electionOf(&t.m.state)
	for i := range f.Send {
		if p := f.Send[i].Message.Propose; p != nil && el.Lead != nil {
			// The leader's own accept is written before it proposes.
			t.do(deed{kind: derives, topic: t.e.putTopology(&p.Topology), base: el.Lead.Base.Version})
			break
		}
	}
	if f.Persist != nil {
		t.m.disk = f.Persist.Clone()
		t.do(deed{kind: writes, topic: t.e.putTopology(&t.m.disk.Accepted), chosen: t.e.putTopology(&t.m.disk.Chosen)})
	}
	told := false
	for i := range f.Send {
		x := messageItem(t.w, &f.Send[i])
		if x == nil {
			continue
		}
		if a := x.message.Ask; a != nil && !told {
			told = true
			t.do(deed{kind: standing, epoch: a.Epoch, fresh: a.Reason != warden.ReasonFailover || t.e.scope.blind(t.w)})
		}
		t.do(deed{kind: sends, item: t.e.putItem(x), fresh: !t.asked || t.e.scope.blind(t.w)})
	}
	for i := range f.Act {
		t.act(f.Act[i])
	}
	if t.tell != nil {
		for _, a := range f.Announce {
			t.tell(a.Name + " " + a.Payload)
		}
	}
}

func (t *stepper) do(d deed) {
	d.promise, d.grantee, d.run = t.m.disk.Promise, wardenIndex(t.m.disk.Grantee), t.m.disk.GranteeRun
	t.out.deeds = append(t.out.deeds, d)
}

// act begins an action. Looks are answered at once, by what stands there now.
func (t *stepper) act(a warden.Action) {
	switch a.Kind {
	case warden.ActLook:
		t.looks = append(t.looks, a)
		return
	case warden.ActMark:
		return // the marks of kept connections are warden/sim's and the adapters' matter
	case warden.ActDrop:
		for i := range t.m.sessions {
			if t.m.sessions[i].epoch <= a.Epoch {
				t.m.sessions[i] = claim{}
			}
		}
		return
	}
	i := nodeIndex(a.Node)
	a.NotAfter = 0 // it leaves at once
	x := &item{kind: isOrder, from: t.w, to: -1, run: t.m.run, action: a}
	if s := t.m.sessions[i]; s.epoch == a.Epoch {
		x.over = s
	}
	t.do(deed{kind: orders, item: t.e.putItem(x), epoch: a.Epoch})
}

// look is what this Warden sees of a node.
func (t *stepper) look(i int) *warden.Observation {
	t.out.looked = true
	switch {
	case t.early:
		t.out.looked = false
	case !t.e.reaches(t.w, t.nodes, i), i == 0 && t.e.sabotage.Deluded:
		return silent
	}
	o := t.nodes.observe(i)
	if s := t.e.sabotage.Observe; s != nil {
		s(&t.nodes[i], &o)
	}
	return &o
}

func (t *stepper) lookAround() {
	for i := range nodeIDs {
		o := t.look(i)
		t.feed(group.Looked{Node: nodeIDs[i], Asked: t.now.Add(blink), Observation: o})
	}
}

// answer delivers the end of an order.
func (t *stepper) answer(x *item) {
	i := nodeIndex(x.action.Node)
	if x.lost || x.answer.Result.Outcome == warden.Unknown {
		t.m.sessions[i] = claim{}
	} else if x.opened.serial != 0 {
		t.m.sessions[i] = x.opened
	}
	done := x.answer
	done.Asked = t.now
	t.feed(done)
}

// stand lets time go by until this Warden stands for election.
func (t *stepper) stand() {
	el := electionOf(&t.m.state)
	t.turn = true
	for range 12 {
		at := t.nextTimer()
		if at == 0 || el.Lead != nil || el.Stand != nil {
			break
		}
		t.now = max(t.now, at)
		t.lookAround()
		t.feed(group.Tick{})
	}
	st := el.Stand
	t.out.possible = st != nil && t.e.scope.allows(t.w, st.Epoch)
}

// nextTimer is the next instant at which something of this Warden that is no
// leader and no candidate is due; 0: there is none.
func (t *stepper) nextTimer() warden.Instant {
	el := electionOf(&t.m.state)
	next := warden.Instant(0)
	for _, at := range append(backoffs(&t.m.state), *standAtOf(el)) {
		if at > t.now && (next == 0 || at < next) {
			next = at
		}
	}
	if next == 0 && *standAtOf(el) != 0 {
		return t.now
	}
	return next
}

// backoffs are the instants until which a Warden holds something back.
func backoffs(s *group.State) []warden.Instant {
	list := reflect.ValueOf(s).Elem().FieldByName("backoff")
	var out []warden.Instant
	for i := range list.Len() {
		out = append(out, warden.Instant(list.Index(i).FieldByName("until").Int()))
	}
	return out
}

// expire ends an attempt to be elected, or a lease.
func (t *stepper) expire() {
	el := electionOf(&t.m.state)
	switch {
	case el.Stand != nil:
		t.now = el.Stand.Since.Add(300 * warden.Millisecond)
	case el.Lead != nil:
		t.now = el.Lead.LeaseUntil
	default:
		t.out.possible = false
		return
	}
	t.feed(group.Tick{})
	t.out.possible = el.Stand == nil && el.Lead == nil
}

// wait lets a leader's time go by, as long as its lease lasts.
func (t *stepper) wait() {
	el := electionOf(&t.m.state)
	if t.out.possible = el.Lead != nil && t.now.Add(opinionSpan) < el.Lead.LeaseUntil; t.out.possible {
		t.now = t.now.Add(opinionSpan)
		t.feed(group.Tick{})
	}
}

// start begins a run from what is on the disk: it meets the others, who say
// what they said all along, and looks at the nodes until it has a verdict.
func (t *stepper) start() {
	if s := t.e.sabotage.Restart; s != nil {
		s(&t.m.disk)
	}
	t.m.up, t.m.run, t.m.sessions = true, t.m.run+1, [nodeCount]claim{}
	t.c = t.e.config(t.w, t.m.run)
	t.m.state = group.New(t.c, t.m.disk.Clone(), t.now)
	t.settleIn()
}

// begin makes the first memory of a Warden: it has long been there, all was
// well, and then the first primary failed for those who are to be blind to it.
func (e *engine) begin(z *settler, w int8) uint32 {
	before := firstNodes(e.scope)
	before[0].up = true
	t := &stepper{e: e, w: w, m: mind{self: w, up: true, run: 1, disk: firstRegister()}, now: noon.Add(-ago), nodes: &before, c: e.config(w, 1), early: true}
	t.m.state = group.New(t.c, t.m.disk.Clone(), t.now)
	t.lookAround()
	t.now = noon
	t.early = false
	now := firstNodes(e.scope)
	t.nodes = &now
	t.settleIn()
	t.feed(group.Tick{})
	z.settle(&t.m.state, t.now)
	kept := t.m
	return e.minds.put(printOf(encode(nil, reflect.ValueOf(&kept).Elem())), &kept)
}

// settleIn is what a Warden learns in its first moments.
func (t *stepper) settleIn() {
	var others []warden.WardenID
	for i, id := range wardenIDs {
		if int8(i) != t.w {
			others = append(others, id)
		}
	}
	t.feed(group.PeersKnown{IDs: others})
	for _, id := range others {
		t.feed(group.Heard{Message: t.status(id)})
	}
	t.lookAround()
	t.now = t.now.Add(crashAfter)
	t.lookAround()
	t.feed(group.Tick{})
	for i := range wardenIDs {
		if int8(i) != t.w {
			t.feed(group.Heard{Message: t.status(wardenIDs[i])})
		}
	}
}

// status is what another Warden says of the first primary, all the time.
func (t *stepper) status(from warden.WardenID) warden.Message {
	chosen := t.m.disk.Chosen
	st := warden.Status{Chosen: chosen.Version, Primary: nodeIDs[0], Hears: slices.Clone(wardenIDs[:])}
	o := warden.Opinion{Node: nodeIDs[0], Role: warden.RolePrimary, Lineage: true}
	if t.e.scope.blind(wardenIndex(from)) {
		o = warden.Opinion{Node: nodeIDs[0], Down: true, Crash: true}
	}
	st.Opinions = []warden.Opinion{o}
	return warden.Message{Group: groupName, From: from, Run: 1, Birth: chosen.Birth, Status: &st}
}
