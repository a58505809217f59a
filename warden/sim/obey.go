package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// claim opens an order session on the server: it shuts out every session of a
// lower epoch and its owner's earlier ones, and is refused if a newer leader or a newer mark was there.
func (s *server) claim(p *process, epoch warden.Epoch, w *World) (*claim, warden.Result) {
	if !s.up {
		return nil, warden.Result{Outcome: warden.Refused, Why: "connection refused"}
	}
	if w.now < s.readyAt {
		return nil, warden.Result{Outcome: warden.Refused, Why: "LOADING"}
	}
	newest, marked := s.pg.epoch, s.pg.epoch > 0
	for i, m := range s.marks {
		if s.linked[i] {
			newest, marked = max(newest, m), true
		}
	}
	for _, c := range s.claims {
		newest = max(newest, c.epoch)
		if c.epoch == epoch && c.process != p {
			newest = epoch + 1
		}
	}
	if newest > epoch && !w.sabotage.DeafToClaims {
		w.faults[claimSuperseded]++
		return nil, warden.Result{Outcome: warden.Refused, Why: "a newer leader has claimed it", Superseded: true}
	}
	if epoch < s.newest && !marked {
		// Left open by design: nobody is connected who could say so.
		s.newest = epoch
	}
	s.newest = max(s.newest, epoch)
	n := 0
	for _, c := range s.claims {
		if c.epoch < epoch || c.process == p {
			// Its own earlier one too: what is still on its way there must not
			// arrive after what is ordered over the new one.
			c.alive = false
			continue
		}
		s.claims[n] = c
		n++
	}
	if w.kind.postgres() {
		s.pg.epoch = epoch
		if s.role == warden.RoleReplica {
			s.pg.readOnly, s.pg.fencedBy = false, "" // of an earlier life as a primary
		}
	}
	c := &claim{process: p, server: s, epoch: epoch, alive: true}
	s.claims = append(s.claims[:n], c)
	return c, warden.Result{Outcome: warden.Done}
}

// forget takes a session off the list of connections.
func (s *server) forget(c *claim) {
	for i, have := range s.claims {
		if have == c {
			s.claims = append(s.claims[:i:i], s.claims[i+1:]...)
			return
		}
	}
}

// obey performs an order that arrived on a living session.
func (w *World) obey(o *order) warden.Result {
	s := o.s
	switch {
	case !s.up:
		return warden.Result{Outcome: warden.Unknown, Why: "connection ended"}
	case w.now < s.readyAt:
		return warden.Result{Outcome: warden.Refused, Why: "LOADING"}
	}
	if o.a.Kind != group.ActClaim {
		w.check.takesEffect(o)
		if w.trace != nil {
			w.note(s.name, "obeys %s: %s", o.p.name, o.sentence())
		}
	}
	if w.kind.postgres() {
		return w.obeyPostgres(o)
	}
	switch o.a.Kind {
	case group.ActPromote:
		s.promote()
		s.promotedBy, s.odd = o.a.Epoch, false
	case group.ActFollow:
		s.follow(o.a.Target)
	case group.ActHold:
		limit := o.a.Limit
		if w.sabotage.HoldForEver {
			limit = 1000 * warden.Second
		}
		if !w.sabotage.HoldNothing {
			s.heldUntil = w.now.Add(limit)
		}
		return warden.Result{Outcome: warden.Done, Position: s.offset - s.zero}
	case group.ActRelease:
		if !w.sabotage.HoldForEver {
			s.heldUntil = 0
		}
	}
	return warden.Result{Outcome: warden.Done}
}

// promote is REPLICAOF NO ONE: a new line of data begins.
func (s *server) promote() {
	if s.role == warden.RolePrimary {
		return
	}
	s.role, s.upstream = warden.RolePrimary, ""
	s.fork(true)
	s.unlink()
	s.synced = false
}

// fork begins a new branch under a new replication id.
func (s *server) fork(remembered bool) {
	s.branch = s.world.history.grow(s.branch, s.offset)
	s.before, s.beforeEnd = s.replid, s.offset
	if !remembered {
		s.before, s.beforeEnd = "", 0
	}
	s.replid = s.world.freshID("repl-")
}

// follow is REPLICAOF host port. It also disconnects the clients.
func (s *server) follow(target warden.NodeID) {
	w := s.world
	if s.role == warden.RoleReplica && s.upstream == target {
		return
	}
	s.role, s.upstream = warden.RoleReplica, target
	s.promotedBy = 0
	s.link, s.linkSince, s.synced = linkNone, w.now.Add(-reconnect), false
	for i := range w.clients {
		if w.clients[i].at == s {
			w.clients[i].at = nil
		}
	}
}

// crash ends the server process at once.
func (s *server) crash() {
	if !s.up {
		return
	}
	s.up, s.hung, s.waiting = false, false, nil
	s.touched++
	s.heldUntil = 0
	if s.world.kind.postgres() {
		s.stops()
	}
	s.unlink()
	s.hangUp()
}

// hangUp ends every connection to the server.
func (s *server) hangUp() {
	w := s.world
	for _, c := range s.claims {
		c.alive = false
	}
	s.claims = nil
	for _, p := range w.processes {
		if s.linked[p.index] && w.passes(serverBase+s.index, p.index) {
			i := s.index
			p := p
			w.afterFor(p, w.delay(), func() { p.linkEnded(i) })
		}
	}
	s.linked, s.marks = [serverBase]bool{}, [serverBase]warden.Epoch{}
}

// returning says with what data a server comes back.
type returning uint8

const (
	withRecent returning = iota // all it had
	withOld                     // the last snapshot
	withNothing
	asAnother // another server at the same address
)

// start brings the server back.
func (s *server) start(how returning) {
	w := s.world
	if s.up || s.pg.mending {
		return
	}
	s.up, s.hung, s.shy, s.runID = true, false, false, w.freshID("server-")
	s.readyAt = w.now.Add(loadingTime)
	s.link, s.linkSince, s.synced = linkNone, w.now.Add(-reconnect), false
	s.odd, s.touched = s.odd || how != withRecent, s.touched+1
	if w.kind.postgres() {
		defer s.starts(how)
	}
	switch how {
	case withOld:
		s.restored = w.now
		k := &s.snapshot
		s.branch, s.offset, s.replid, s.before, s.beforeEnd = k.branch, k.offset, k.replid, k.before, k.beforeEnd
	case withNothing, asAnother:
		s.branch, s.offset = w.history.grow(-1, 0), 0
		s.replid, s.before, s.beforeEnd = w.freshID("repl-"), "", 0
		s.promotedBy, s.strangeSince = 0, w.now
		if how == asAnother {
			s.offset, s.shy = 5000, true
			s.role, s.upstream = warden.RolePrimary, ""
			s.remember()
			return
		}
		s.remember()
	}
	if w.kind.postgres() {
		return // its files say what it was
	}
	if w.kind == KindAppend {
		defer s.forgetIDs()
	}
	if s.forgetful {
		// Started as the configuration file of the first day says.
		s.role, s.upstream = warden.RolePrimary, ""
		if s.index > 0 {
			s.role, s.upstream = warden.RoleReplica, w.servers[0].id
		}
		s.promotedBy = 0
	}
	if s.role == warden.RolePrimary && !s.empty() {
		s.fork(true)
	}
}

// forgetIDs is what an append-only file does not tell at a start.
func (s *server) forgetIDs() {
	s.replid, s.before, s.beforeEnd = s.world.freshID("repl-"), "", 0
	s.zero, s.reloaded = s.offset, !s.empty()
}

// hang stops the server like SIGSTOP; wake lets it go on with what arrived.
func (s *server) hang() { s.hung = true }

func (s *server) wake() {
	if !s.hung {
		return
	}
	s.hung = false
	waiting := s.waiting
	s.waiting = nil
	for _, run := range waiting {
		run()
	}
}
