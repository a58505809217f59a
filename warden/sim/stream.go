package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// sender is a walsender: one standby's connection, on its upstream.
type sender struct {
	to   *server
	life uint64
	name string
	// rule is what this walsender has read of synchronous_standby_names; it
	// reads again at rereads.
	rule    warden.SyncRule
	rereads warden.Instant
	// flushed is what the standby has said it has on its disk; on its way is
	// what it has said since.
	flushed, onItsWay int64
	heardAt           warden.Instant
}

// stream moves what PostgreSQL moves in one pulse: answers of standbys to
// their upstreams, and WAL the other way.
func (w *World) stream() {
	for _, s := range w.servers {
		if s.up && !s.hung && w.now >= s.readyAt {
			w.hearStandbys(s)
		}
	}
	for _, s := range w.servers {
		if s.up && !s.hung && w.now >= s.readyAt && s.role == warden.RoleReplica && s.pg.promotesAt == 0 {
			w.receive(s)
		}
	}
}

// hearStandbys has the walsenders take in what standbys said one pulse ago,
// and release the commits that waited for it.
func (w *World) hearStandbys(u *server) {
	for i := 0; i < len(u.pg.senders); i++ {
		x := &u.pg.senders[i]
		if x.rereads != 0 && w.now >= x.rereads {
			x.rule, x.rereads = u.pg.rule, 0
		}
		s := x.to
		alive := s.up && s.pg.receiver.from == u && s.pg.receiver.life == x.life
		if w.passes(serverBase+s.index, serverBase+u.index) {
			x.heardAt = w.now
			if x.onItsWay > x.flushed {
				x.flushed = x.onItsWay
				w.release(u, x)
			}
			if !alive {
				u.pg.senders = slices.Delete(u.pg.senders, i, i+1)
				i--
				continue
			}
		}
		switch {
		case w.now.Sub(x.heardAt) > senderLimit:
			u.pg.senders = slices.Delete(u.pg.senders, i, i+1)
			i--
		case alive && !s.hung:
			x.onItsWay = s.offset
		}
	}
}

// receive lets a standby go on with its upstream.
func (w *World) receive(s *server) {
	if s.pg.turnsAt != 0 && w.now >= s.pg.turnsAt && !s.pg.paused {
		s.pg.turnsAt = 0
		if u := s.pg.receiver.from; u != nil && (u.id != s.upstream || s.pg.receiver.name != s.pg.member) {
			s.endReceiver()
			s.linkSince = w.now.Add(-reconnect) // it connects to the new one at once
		}
	}
	u := s.pg.receiver.from
	if u == nil {
		if s.upstream != "" && s.pg.turnsAt == 0 && w.now >= s.pg.readBy && w.now.Sub(s.linkSince) >= reconnect {
			w.connect(s)
		}
		return
	}
	if !u.up {
		s.endReceiver()
		return
	}
	if u.hung || !w.reaches(s, u) {
		if w.now.Sub(s.linkSince) > linkTimeout {
			s.endReceiver()
		}
		return
	}
	x := u.senderOf(s)
	if x == nil || s.branch != u.branch && !u.feeds(s) {
		s.endReceiver() // the upstream became somebody else, or ended it
		return
	}
	s.goOn(u)
	s.linkSince = w.now
	if behind := u.offset - s.offset; behind > 0 {
		if behind > 200 && w.rng.Uint32()&3 == 0 {
			behind /= 2
		}
		s.offset += behind
		s.label(u)
	}
}

// goOn has a standby follow its upstream onto a newer line.
func (s *server) goOn(u *server) {
	if s.branch != u.branch {
		s.branch = u.branch
		s.label(u)
	}
}

// label has a standby say on which of its upstream's lines it is: on the newest
// only once it has come past the end of the one before. Timelines count from 1.
func (s *server) label(u *server) {
	n := 0
	for n < len(u.pg.forks) && s.offset > u.pg.forks[n].End {
		n++
	}
	if n+1 == s.pg.timeline && s.pg.system == u.pg.system {
		return
	}
	s.pg.system, s.pg.timeline, s.pg.forks = u.pg.system, n+1, u.pg.forks[:n:n]
	s.relabel()
}

// feeds reports whether what s has is the beginning of what u has. The server
// goes by timelines; that two may bear one number is what it stumbles over
// when it reads the WAL, and then it stands still.
func (u *server) feeds(s *server) bool {
	return u.pg.system == s.pg.system && u.pg.timeline >= s.pg.timeline && u.world.history.contains(u.branch, u.offset, s.branch, s.offset)
}

func (u *server) senderOf(s *server) *sender {
	for i := range u.pg.senders {
		if x := &u.pg.senders[i]; x.to == s && x.life == s.pg.receiver.life {
			return x
		}
	}
	return nil
}

// connect has the receiver of a standby connect to its upstream.
func (w *World) connect(s *server) {
	u := w.serverAt(s.upstream)
	if !u.up || u.hung || u == s || u.shy || w.now < u.readyAt || !w.reaches(s, u) || !u.feeds(s) {
		s.linkSince = w.now
		return
	}
	s.goOn(u)
	life := w.id()
	s.pg.receiver.from, s.pg.receiver.life, s.pg.receiver.name, s.pg.lastName = u, life, s.pg.member, s.pg.member
	s.link, s.linkSince, s.synced = linkUp, w.now, true
	u.pg.senders = append(u.pg.senders, sender{to: s, life: life, name: s.pg.member, rule: u.pg.rule,
		flushed: s.offset, onItsWay: s.offset, heardAt: w.now})
}

// joinStreams connects all standbys of a new world.
func (w *World) joinStreams() {
	for _, s := range w.servers[1:] {
		if s.role == warden.RoleReplica {
			s.linkSince = w.now.Add(-reconnect)
			w.connect(s)
		}
	}
}
