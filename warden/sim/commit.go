package sim

import (
	"cmp"
	"slices"

	"github.com/spineldb/warden/warden"
)

// session is what a client of PostgreSQL has open.
type session struct {
	life uint64 // server's sessions when it was begun
	// waits is the position of the commit that is not answered yet, 0: none.
	waits  int64
	branch int
	since  warden.Instant
	// tough: a superuser's, which stays when a server hangs, outlives a fence
	// and does not care for read-only.
	tough bool
	// once: it makes one commit and then nothing more, in conversations.
	once bool
}

// commit is one pulse of a client of PostgreSQL.
func (c *client) commit(w *World) {
	s := c.at
	if s == nil {
		if !c.once {
			c.connect(w)
		}
		return
	}
	switch {
	case !s.up || c.life != s.pg.sessions && !c.tough:
		c.at, c.waits = nil, 0 // the connection ended: nothing was acknowledged
		return
	case c.once:
		return
	case !s.serving():
		if !c.tough && w.now.Sub(c.since) > 2*warden.Second {
			c.at, c.waits = nil, 0
		}
		return
	case c.waits != 0:
		if !c.tough && w.now.Sub(c.since) > 3*warden.Second {
			c.at, c.waits = nil, 0 // gives up: closes the connection, cancels nothing
		}
		return
	}
	if w.rng.Uint32()&3 != 0 {
		return
	}
	if s.role != warden.RolePrimary {
		c.at = nil
		return
	}
	if s.pg.readOnly && !c.tough {
		if s.pg.fencedBy != "" {
			c.at = nil
		}
		return
	}
	w.write(c, s, 30+int64(w.rng.Uint32()&63))
}

// connect opens a session where the Wardens say that the primary is.
func (c *client) connect(w *World) {
	p := w.processes[w.rng.IntN(len(w.processes))]
	if !p.up || p.paused {
		return
	}
	id := p.serves()
	if id == "" {
		return
	}
	if s := w.serverAt(id); s.serving() {
		c.at, c.life, c.waits, c.since = s, s.pg.sessions, 0, w.now
	}
}

// write commits on a server: at once, or when enough standbys have it.
func (w *World) write(c *client, s *server, bytes int64) {
	s.offset += bytes
	c.since, c.branch = w.now, s.branch
	if s.pg.rule.K > 0 && w.now >= s.pg.armedAt {
		c.waits = s.offset
		return
	}
	w.acknowledge(c, s, s.offset)
}

// acknowledge tells a client that its commit is done.
func (w *World) acknowledge(c *client, s *server, at int64) {
	c.waits = 0
	if w.tell != nil || w.trace != nil {
		w.say(s.name, "acknowledges the commit at %d", at)
	}
	if c.tough && s.pg.readOnly && len(w.check.inForce(s)) == 0 {
		return // what a superuser writes past a fence or a hold is kept by a sync set or not at all
	}
	b := &w.history.branches[s.branch]
	b.acked = max(b.acked, at)
	if w.kind == KindQuorum {
		w.check.acknowledged(s, at)
	}
}

// release is what a walsender does when its standby answered: by the rule that
// it has read it finds how far K of the named have come, and wakes who waits.
func (w *World) release(u *server, x *sender) {
	if u.role != warden.RolePrimary || x.rule.K == 0 || !slices.Contains(x.rule.Names, x.name) {
		return
	}
	var have []int64
	for i := range u.pg.senders {
		if y := &u.pg.senders[i]; y.rule.K > 0 && slices.Contains(y.rule.Names, y.name) {
			have = append(have, y.flushed)
		}
	}
	if len(have) < x.rule.K {
		return
	}
	slices.SortFunc(have, func(a, b int64) int { return cmp.Compare(b, a) })
	w.wakeUp(u, have[x.rule.K-1])
}

// wakeUp answers the commits up to a position.
func (w *World) wakeUp(u *server, upTo int64) {
	for i := range w.clients {
		c := &w.clients[i]
		if c.at == u && c.waits != 0 && c.waits <= upTo && c.branch == u.branch && (c.life == u.pg.sessions || c.tough) {
			w.acknowledge(c, u, c.waits)
		}
	}
}

// obeyRule writes synchronous_standby_names to the file and reloads. Walsenders
// and the checkpointer read it each in their own time.
func (s *server) obeyRule(r warden.SyncRule) {
	w := s.world
	was := s.pg.rule
	if was.K == r.K && slices.Equal(was.Names, r.Names) {
		return
	}
	s.pg.rule = warden.SyncRule{K: r.K, Names: slices.Clone(r.Names)}
	s.pg.waits = s.pg.rule.String()
	most := rereading
	if w.storming && w.chance(0.1) {
		most = 2 * warden.Second // a busy machine
	}
	for i := range s.pg.senders {
		s.pg.senders[i].rereads = w.now.Add(s.pg.slow + w.between(0, most))
	}
	switch {
	case was.K == 0 && r.K > 0:
		s.pg.armedAt = w.now.Add(s.pg.slow + w.between(0, most))
	case r.K == 0:
		// The checkpointer lets everybody go who waits.
		w.after(w.between(0, most), func() {
			if s.up && s.pg.rule.K == 0 {
				w.wakeUp(s, s.offset)
			}
		})
	}
}

// waitsBy reports whether every commit that is answered from now on satisfies
// the rule in the file.
func (s *server) waitsBy() bool {
	if s.world.now < s.pg.armedAt {
		return false
	}
	for i := range s.pg.senders {
		if s.pg.senders[i].rereads != 0 {
			return false
		}
	}
	return true
}

// everywhere reports whether a position is flushed where the rule in the file
// wants it: by enough, and by all of the named that stream.
func (s *server) everywhere(at int64) bool {
	n := 0
	for i := range s.pg.senders {
		x := &s.pg.senders[i]
		if !slices.Contains(s.pg.rule.Names, x.name) {
			continue
		}
		if x.flushed < at {
			return false
		}
		n++
	}
	return n >= s.pg.rule.K
}
