package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// actionLimit is the deadline of an action whose Limit says nothing of it.
const actionLimit = warden.Second

// claim is an order session, as the server has it.
type claim struct {
	process  *process
	server   *server
	epoch    warden.Epoch
	alive    bool
	underway int // orders on their way over it
}

// order is one action on its way.
type order struct {
	p     *process
	s     *server
	a     group.Action
	asked warden.Instant // own clock
	began warden.Instant // world
	over  *claim
	sent  bool // the order itself, not only the claim, has left
	ended bool
	// done says of an order that takes its time how it ended, if it has.
	done func() (warden.Result, bool)
}

// act begins an action.
func (p *process) act(a group.Action) {
	switch a.Kind {
	case group.ActDrop:
		p.drop(a.Epoch)
		return
	case group.ActMark:
		p.markLinks(a)
		return
	}
	s := p.world.serverAt(a.Node)
	o := &order{p: p, s: s, a: a, asked: p.clock(), began: p.world.now}
	limit := a.Limit
	if a.Kind == group.ActHold || limit <= 0 {
		limit = actionLimit
	}
	p.world.afterFor(p, limit, o.expire)
	if a.Kind == group.ActLook {
		o.lookNow()
		return
	}
	if a.Kind == group.ActUnblock {
		o.later(warden.Result{Outcome: warden.Done}, warden.Observation{}) // nothing runs scripts here
		return
	}
	if a.Kind == group.ActAsk {
		o.askHook() // it orders nothing
		return
	}
	p.world.check.ordered(p, &a)
	if a.Kind == group.ActFence || a.Kind == group.ActRejoin {
		o.runCommand()
		return
	}
	o.begin()
}

// markLinks sets the name of the kept connections; it is seen on the node from
// the next look on.
func (p *process) markLinks(a group.Action) {
	for _, s := range p.world.servers {
		if a.Node == "" || a.Node == s.id {
			p.marks[s.index] = a.Epoch
		}
	}
}

// drop closes the order sessions of epochs up to the given one.
func (p *process) drop(upTo warden.Epoch) {
	n := 0
	for _, c := range p.sessions {
		if c.epoch > upTo {
			p.sessions[n] = c
			n++
			continue
		}
		if c.underway == 0 && p.world.passes(p.index, serverBase+c.server.index) {
			c.server.forget(c)
		}
	}
	p.sessions = p.sessions[:n]
}

// end tells the mind how the action ended, once.
func (o *order) end(r warden.Result, seen warden.Observation, asked warden.Instant) {
	if o.ended {
		return
	}
	o.ended = true
	w := o.p.world
	if w.sabotage.Ended != nil {
		changed, looked := r, seen // their addresses leave
		w.sabotage.Ended(o, &changed, &looked)
		r, seen = changed, looked
	}
	if r.Outcome != warden.Done {
		o.p.seen.refused[o.s.index] = w.now
	}
	if w.tell != nil || w.trace != nil {
		w.say(o.p.name, "%s: %s%s", o.sentence(), r.Outcome, because(r.Why))
	}
	o.p.step(group.ActionDone{ID: o.a.ID, Node: o.a.Node, Result: r, Observation: seen, Asked: asked})
}

// expire gives the action up at its deadline.
func (o *order) expire() {
	if o.ended {
		return
	}
	r := warden.Result{Outcome: warden.Refused, Why: "no answer before the order could be sent"}
	if o.sent {
		r = warden.Result{Outcome: warden.Unknown, Why: "sent, no answer"}
		o.p.unclaim(o.over)
	}
	seen := warden.Observation{}
	if o.a.Kind == group.ActLook || o.a.Kind == group.ActClaim {
		seen = *silence
	}
	o.end(r, seen, o.asked)
}

// later ends the action in a step of its own.
func (o *order) later(r warden.Result, seen warden.Observation) {
	o.p.world.afterFor(o.p, 0, func() { o.end(r, seen, o.asked) })
}

// lookNow is one extra look over the kept connection.
func (o *order) lookNow() {
	w := o.p.world
	w.toServer(o.p, o.s, func() {
		seen := w.observe(o.s)
		w.toProcess(o.p, o.s, func() {
			if !o.ended {
				w.check.looked(o.p, o.s.index, o.began, seen)
			}
			o.end(warden.Result{Outcome: warden.Done}, *seen, o.asked)
		})
	}, func() {
		if !o.ended {
			w.check.looked(o.p, o.s.index, o.began, refusal)
		}
		o.end(warden.Result{Outcome: warden.Done}, *refusal, o.asked)
	})
}

// begin claims the node, unless a session of this epoch stands.
func (o *order) begin() {
	for _, c := range o.p.sessions {
		if c.server == o.s && c.epoch == o.a.Epoch {
			o.over = c
			o.give()
			return
		}
	}
	if !o.inTime() {
		return
	}
	w := o.p.world
	w.toServer(o.p, o.s, func() {
		c, refused := o.s.claim(o.p, o.a.Epoch, w)
		w.toProcess(o.p, o.s, func() {
			if o.ended {
				return
			}
			if c == nil {
				o.end(refused, warden.Observation{}, o.asked)
				return
			}
			o.p.sessions = append(o.p.sessions, c)
			o.over = c
			o.give()
		})
	}, func() {
		o.end(warden.Result{Outcome: warden.Refused, Why: "connection refused"}, *refusal, o.asked)
	})
}

// inTime reads the lease right before sending, as the shell does.
func (o *order) inTime() bool {
	if o.a.NotAfter == 0 || o.p.clock() <= o.a.NotAfter {
		return true
	}
	o.later(warden.Result{Outcome: warden.Refused, Why: "the lease is over"}, warden.Observation{})
	return false
}

// give sends the order over the claimed session.
func (o *order) give() {
	w := o.p.world
	if !o.inTime() {
		return
	}
	if d := o.p.pauseAtOrder; d > 0 && o.a.Kind != group.ActClaim {
		// The worst moment: after reading the lease, before sending.
		o.p.pauseAtOrder = 0
		w.faults[pauseAtOrder]++
		w.pauseFor(o.p, d)
		w.afterFor(o.p, 0, o.transmit)
		return
	}
	o.transmit()
}

func (o *order) transmit() {
	w := o.p.world
	o.sent = o.a.Kind != group.ActClaim
	o.over.underway++
	w.toServer(o.p, o.s, o.arrive, func() {
		o.over.underway--
		o.broken()
	})
}

// broken is what the process sees when the session ended under the order.
func (o *order) broken() {
	o.p.unclaim(o.over)
	r := warden.Result{Outcome: warden.Unknown, Why: "connection ended before the answer"}
	if !o.sent {
		r.Outcome = warden.Refused
	}
	o.end(r, warden.Observation{}, o.asked)
}

// arrive performs the order at the server.
func (o *order) arrive() {
	w := o.p.world
	o.over.underway--
	if !o.over.alive && !w.sabotage.DeafToClaims {
		w.faults[orderDiscarded]++
		w.toProcess(o.p, o.s, o.broken)
		return
	}
	r := w.obey(o)
	if r.Outcome == "" {
		o.await()
		return
	}
	o.answer(r)
}

// answer carries the result back, with a look over the session.
func (o *order) answer(r warden.Result) {
	w := o.p.world
	if w.storming && o.sent && w.chance(0.03) {
		w.faults[answerLost]++
		return
	}
	asked := o.asked
	if o.done != nil {
		asked = o.p.clock() // looked at when it was over
	}
	seen := w.observe(o.s)
	w.toProcess(o.p, o.s, func() {
		if !o.ended && o.done == nil { // after a long order the mind may not care any more
			w.check.looked(o.p, o.s.index, o.began, seen)
		}
		o.end(r, *seen, asked)
	})
}

// unclaim forgets a session that is of no use any more.
func (p *process) unclaim(c *claim) {
	for i, have := range p.sessions {
		if have == c {
			p.sessions = append(p.sessions[:i:i], p.sessions[i+1:]...)
			return
		}
	}
}

// sentence says the order in words.
func (o *order) sentence() string {
	text := string(o.a.Kind) + " " + short(o.s.id)
	if o.a.Target != "" {
		text += " of " + short(o.a.Target)
	}
	return text + " (epoch " + itoa(uint64(o.a.Epoch)) + ")"
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ", " + why
}
