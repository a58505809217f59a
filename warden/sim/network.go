package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// passes reports whether something sent now from one endpoint gets to another.
func (w *World) passes(from, to int) bool { return w.cut[from][to] == 0 }

// block cuts one way, unblock takes one cut back. Cuts by different causes
// add up.
func (w *World) block(from, to int) { w.cut[from][to]++ }

func (w *World) unblock(from, to int) {
	if w.cut[from][to] > 0 {
		w.cut[from][to]--
	}
}

// delay draws how long one way takes now.
func (w *World) delay() warden.Duration {
	if w.weather.late > 0 && w.chance(w.weather.late) {
		return w.between(w.weather.most, w.weather.lateMost)
	}
	return w.between(w.weather.least, w.weather.most)
}

// send carries a message from one Warden to another, or does not.
func (w *World) send(p *process, e *group.Envelope) {
	w.check.sent(p, e)
	q := w.process(e.To)
	if q == nil {
		return
	}
	if w.sabotage.Message == nil && w.tap == nil {
		w.carry(p, q, &e.Message)
		return
	}
	m := e.Message // its address leaves
	if w.sabotage.Message != nil && !w.sabotage.Message(p, q, &m) {
		return
	}
	if w.tap != nil && w.tap(p, q, &m) {
		return
	}
	w.carry(p, q, &m)
}

// carry puts a message on its way.
func (w *World) carry(p, q *process, m *warden.Message) {
	if !w.passes(p.index, q.index) {
		return
	}
	if w.chance(w.weather.loss) {
		w.faults[messageLost]++
		return
	}
	heard := group.Event(group.Heard{Message: *m})
	w.queue.push(item{at: w.now.Add(w.delay()), kind: messageArrives, process: int16(q.index), heard: heard})
	if w.chance(w.weather.twice) {
		w.faults[messageTwice]++
		w.queue.push(item{at: w.now.Add(w.delay() * 3), kind: messageArrives, process: int16(q.index), heard: heard})
	}
}

// toServer carries something from a process to a server and has it happen
// there. When no server runs at the address, reset happens at the process. On
// a cut way it waits for as long as TCP would repeat it, and arrives late if
// the cut ends, or never.
func (w *World) toServer(p *process, s *server, happen, reset func()) {
	if !w.passes(p.index, serverBase+s.index) {
		if w.storming && w.chance(0.5) {
			w.retry(p.index, serverBase+s.index, 12, func() { w.reach(p, s, happen, reset) })
		}
		return
	}
	w.after(w.delay(), func() { w.reach(p, s, happen, reset) })
}

// retry tries a cut way again every half second.
func (w *World) retry(from, to, times int, run func()) {
	if times == 0 {
		return
	}
	w.after(500*warden.Millisecond, func() {
		if !w.passes(from, to) {
			w.retry(from, to, times-1, run)
			return
		}
		w.faults[orderLate]++
		run()
	})
}

// reach is the arrival at the server.
func (w *World) reach(p *process, s *server, happen, reset func()) {
	switch {
	case s.hung:
		s.waiting = append(s.waiting, happen)
	case !s.up:
		w.toProcess(p, s, reset)
	default:
		happen()
	}
}

// toProcess carries an answer back.
func (w *World) toProcess(p *process, s *server, run func()) {
	if w.passes(serverBase+s.index, p.index) {
		w.afterFor(p, w.delay(), run)
	}
}

// hangUp closes the connections of a process that died: the servers that can
// be told forget its marks and its idle order sessions.
func (w *World) hangUp(p *process) {
	for _, s := range w.servers {
		if !w.passes(p.index, serverBase+s.index) {
			continue
		}
		s.linked[p.index], s.marks[p.index] = false, 0
		n := 0
		for _, c := range s.claims {
			if c.process != p || c.underway > 0 {
				s.claims[n] = c
				n++
			}
		}
		s.claims = s.claims[:n]
	}
}
