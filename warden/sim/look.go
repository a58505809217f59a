package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// silence is what a look that nobody answered saw.
var silence = &warden.Observation{Health: warden.HealthSilent, Detail: "no answer within the deadline"}

// refusal is what a look at an address without a server sees.
var refusal = &warden.Observation{Health: warden.HealthRefused, Detail: "connection refused"}

// alive is what a question for a sign of life tells.
var alive = &warden.Observation{Health: warden.HealthGood}

// loading is what a server answers while it reads its data.
var loading = &warden.Observation{Health: warden.HealthLoading, Detail: "LOADING"}

// watch brings the list of looked-at nodes up to what the mind wants now. It
// is read after every tick and every step that did something.
func (p *process) watch() {
	for i := range p.watching {
		p.watching[i].kept = false
	}
	for _, want := range watchMind(&p.config, p.state, p.clock()) {
		x := p.watchedNode(want.Node)
		if x == nil {
			p.watching = append(p.watching, watched{server: p.world.serverAt(want.Node).index})
			x = &p.watching[len(p.watching)-1]
			p.world.servers[x.server].met = true
			x.due = p.world.now
		}
		x.want, x.kept = want, true
		p.armLook(x)
	}
	n := 0
	for i := range p.watching {
		if p.watching[i].kept {
			p.watching[n] = p.watching[i]
			n++
		}
	}
	p.watching = p.watching[:n]
}

func (p *process) watchedNode(id warden.NodeID) *watched {
	for i := range p.watching {
		if p.watching[i].want.Node == id {
			return &p.watching[i]
		}
	}
	return nil
}

func (p *process) watchedServer(server int) *watched {
	for i := range p.watching {
		if p.watching[i].server == server {
			return &p.watching[i]
		}
	}
	return nil
}

// armLook puts the next look in the queue, sooner than planned if the mind
// wants to look more often now.
func (p *process) armLook(x *watched) {
	if x.id != 0 {
		return
	}
	due := p.world.now
	if x.began != 0 {
		due = max(due, x.began.Add(x.want.Every))
	}
	if x.due > p.world.now && x.due <= due {
		return
	}
	x.due = due
	p.world.queue.push(item{at: due, kind: lookDue, process: int16(p.index), server: int16(x.server)})
}

// lookDue begins the look that was planned for this moment.
func (p *process) lookDue(server int, at warden.Instant) {
	x := p.watchedServer(server)
	if !p.up || x == nil || x.id != 0 || x.due != at {
		return
	}
	p.look(x)
}

// look asks a node how it is.
func (p *process) look(x *watched) {
	w := p.world
	x.id, x.asked, x.began = w.id(), p.clock(), w.now
	x.brief = x.full != 0 && w.now.Sub(x.full) < x.want.Full && !w.kind.postgres()
	it := item{process: int16(p.index), server: int16(x.server), id: x.id}
	if !w.passes(p.index, serverBase+x.server) {
		w.expire(&it)
		return
	}
	it.kind, it.at = lookArrives, w.now.Add(w.delay())
	w.queue.push(it)
}

// expire ends a look at its deadline. Only a look that is not answered by then
// needs it.
func (w *World) expire(look *item) {
	x := w.processes[look.process].watchedServer(int(look.server))
	if x == nil || x.id != look.id {
		return
	}
	end := *look
	end.kind, end.at = lookExpires, max(x.began.Add(x.want.Deadline), w.now)
	w.queue.push(end)
}

// lookArrives lets the server answer.
func (w *World) lookArrives(it *item) {
	s, p := w.servers[it.server], w.processes[it.process]
	if s.hung {
		late := *it
		s.waiting = append(s.waiting, func() { w.lookArrives(&late) })
		w.expire(it)
		return
	}
	if !w.passes(serverBase+s.index, p.index) {
		w.expire(it)
		return
	}
	if s.up {
		s.linked[p.index] = true
		s.marks[p.index] = p.marks[s.index]
	}
	back := *it
	back.kind, back.at = lookAnswered, w.now.Add(w.delay())
	x := p.watchedServer(s.index)
	if x != nil && x.brief && x.id == it.id {
		back.seen = w.sign(s)
	} else {
		back.seen = w.observe(s)
	}
	if x != nil && back.at > x.began.Add(x.want.Deadline) {
		w.expire(it)
	}
	w.queue.push(back)
}

// sign is what a server answers to the question whether it lives.
func (w *World) sign(s *server) *warden.Observation {
	if s.up && w.now >= s.readyAt && w.sabotage.Observe == nil {
		return alive
	}
	return w.observe(s)
}

// looked delivers an answer, if the process still waits for it.
func (p *process) looked(server int, id uint64, seen *warden.Observation) {
	x := p.watchedServer(server)
	if !p.up || x == nil || x.id != id {
		return
	}
	asked := x.asked
	x.id = 0
	if x.brief {
		p.pulsed(x, seen)
		return
	}
	x.full = 0
	if seen.Health == warden.HealthGood {
		x.full = x.began
	}
	p.world.check.looked(p, server, x.began, seen)
	node := x.want.Node
	p.armLook(x)
	p.step(group.Looked{Node: node, Asked: asked, Observation: seen})
}

// pulsed is the end of a question for a sign of life. Where it is no good one,
// the whole look follows: at once, or after silence in its turn.
func (p *process) pulsed(x *watched, seen *warden.Observation) {
	if seen.Health == warden.HealthGood {
		p.armLook(x)
		p.step(group.Beat{Node: x.want.Node, Asked: x.asked})
		return
	}
	x.full = 0
	if seen.Health == warden.HealthSilent {
		p.armLook(x)
		return
	}
	p.look(x)
}

// lookExpired gives a look up at its deadline.
func (p *process) lookExpired(server int, id uint64) {
	p.looked(server, id, silence)
}

// linkEnded tells a process that its kept connection broke, and looks at once.
func (p *process) linkEnded(server int) {
	x := p.watchedServer(server)
	if !p.up || x == nil {
		return
	}
	p.step(group.LinkEnded{Node: x.want.Node, Why: "connection reset by peer"})
	// The step may have changed the list of nodes.
	if x = p.watchedServer(server); p.up && x != nil {
		p.look(x)
	}
}
