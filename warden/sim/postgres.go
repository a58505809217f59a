package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// What a server of PostgreSQL takes its time for.
const (
	promotion   = 60 * warden.Millisecond  // at most, until it says it is a primary
	turning     = 120 * warden.Millisecond // at most, from a reload to the receiver
	rereading   = 40 * warden.Millisecond  // at most, from a reload to walsenders and checkpointer
	reading     = 600 * warden.Millisecond // at most, the WAL it has, after a start
	endOfLine   = 42                       // bytes that a promotion writes
	senderLimit = 60 * warden.Second       // wal_sender_timeout
)

// postgres is what a server of PostgreSQL has besides. What is said to be in
// the file outlives every restart.
type postgres struct {
	system   string
	timeline int
	forks    []warden.Fork // the lines its own grew out of; replaced, never changed

	member string // in the file: what it calls itself to its upstream
	// lastName is what it last called itself where it received something.
	lastName string
	rule     warden.SyncRule // in the file: synchronous_standby_names
	waits    string          // the same, as a server tells it
	fencedBy warden.NodeID   // in the file: for whose sake it was fenced
	readOnly bool            // in the file: by a fence or a hold
	epoch    warden.Epoch    // in the file: the newest that claimed it

	receiver struct {
		from *server // nil: there is none
		life uint64  // of the connection
		name string
	}
	// turnsAt is when the receiver will follow what the file says, 0: it does.
	// While replay is paused it does not (C4).
	turnsAt warden.Instant
	paused  bool
	heldUp  bool            // by something that a seal cannot end
	slow    warden.Duration // how late its parts read changed settings, at least
	// readBy is until when it reads the WAL it has, after a start.
	readBy warden.Instant
	// promotesAt is when a promotion that was ordered will be done.
	promotesAt warden.Instant
	promotedBy warden.Epoch // of that promotion

	// sealOrdered is where it was when it was last told to seal itself.
	sealOrdered int64
	sealedSince warden.Instant // when a leader was last told that it is sealed

	senders []sender
	// armedAt is when the checkpointer has heard that commits wait; until then
	// they do not.
	armedAt warden.Instant
	// sessions counts how often all sessions were ended.
	sessions uint64
	// mending: a rejoin command has it in its hands.
	mending bool
	// branched is when its line began.
	branched warden.Instant
}

// establish makes a server the first of a new database.
func (s *server) establish() {
	s.pg.system, s.pg.timeline, s.pg.forks = s.world.freshID("system-"), 1, nil
	s.relabel()
}

func line(system string, timeline int) string {
	return system + "/" + itoa(uint64(timeline))
}

// relabel has the server say which line of data it holds.
func (s *server) relabel() {
	s.replid, s.before, s.beforeEnd = line(s.pg.system, s.pg.timeline), "", 0
	if n := len(s.pg.forks); n > 0 {
		s.before, s.beforeEnd = s.pg.forks[n-1].Lineage, s.pg.forks[n-1].End
	}
}

// inherit is a copy of the data directory of another server, or of its history.
func (s *server) inherit(u *server) {
	s.pg.system, s.pg.timeline, s.pg.forks = u.pg.system, u.pg.timeline, u.pg.forks
	s.relabel()
}

// newTimeline ends recovery: a new line of data begins. Two standbys that are
// promoted from one line give theirs the same number.
func (s *server) newTimeline() {
	s.branch = s.world.history.grow(s.branch, s.offset)
	s.pg.forks = append(slices.Clone(s.pg.forks), warden.Fork{Lineage: s.replid, End: s.offset})
	s.pg.timeline++
	s.pg.branched = s.world.now
	s.offset += endOfLine
	s.relabel()
}

// beginPromotion is pg_promote: it ends the receiver at once and is done later.
func (s *server) beginPromotion(d warden.Duration, by warden.Epoch) {
	if s.role == warden.RolePrimary || s.pg.promotesAt != 0 {
		return
	}
	s.endReceiver()
	s.pg.promotesAt, s.pg.promotedBy, s.pg.paused = s.world.now.Add(d), by, false
	s.world.after(d, s.finishPromotion)
}

func (s *server) finishPromotion() {
	if s.pg.promotesAt == 0 || s.world.now < s.pg.promotesAt || !s.up {
		return
	}
	if s.hung {
		s.waiting = append(s.waiting, s.finishPromotion)
		return
	}
	s.pg.promotesAt = 0
	s.role, s.upstream, s.pg.member, s.pg.turnsAt = warden.RolePrimary, "", "", 0
	s.newTimeline()
	s.promotedBy, s.odd = s.pg.promotedBy, false
	s.unlink()
	if s.promotedBy != 0 {
		s.world.check.promoted(s, s.promotedBy)
	}
}

// endReceiver ends the receiver of a standby. What it has sent is on its way.
func (s *server) endReceiver() {
	s.pg.receiver.from = nil
	s.unlink()
}

// endSessions ends every session of clients; what waits is not acknowledged.
func (s *server) endSessions() { s.pg.sessions++ }

// stops is what a crash does to a server of PostgreSQL.
func (s *server) stops() {
	s.endReceiver()
	s.endSessions()
	for i := range s.world.clients {
		if c := &s.world.clients[i]; c.at == s {
			c.at, c.waits = nil, 0
		}
	}
	s.pg.senders, s.pg.promotesAt, s.pg.paused = nil, 0, false
	if s.pg.turnsAt != 0 {
		s.pg.turnsAt = s.world.now
	}
}

// starts is what a start does: what is in the file counts from now on.
func (s *server) starts(how returning) {
	w := s.world
	switch how {
	case withOld:
		s.role, s.upstream, s.pg = s.snapshot.role, s.snapshot.upstream, s.snapshot.pg.filed(s.pg.sessions)
		s.relabel()
		if s.role == warden.RolePrimary {
			s.newTimeline() // as a recovery to a point in time ends
		}
	case asAnother:
		s.lost = w.now
		w.check.remade(s)
		s.pg = postgres{sessions: s.pg.sessions}
		s.establish()
		s.remember()
	}
	s.pg.turnsAt, s.pg.armedAt = 0, 0
	s.pg.readBy = s.readyAt.Add(w.between(0, reading))
}

// filed is what the files say, without what runs.
func (p postgres) filed(sessions uint64) postgres {
	return postgres{system: p.system, timeline: p.timeline, forks: p.forks, member: p.member, lastName: p.lastName, rule: p.rule,
		fencedBy: p.fencedBy, readOnly: p.readOnly, epoch: p.epoch, branched: p.branched, sessions: sessions}
}

// behold fills in what is peculiar to PostgreSQL.
func (s *server) behold(o *warden.Observation) {
	w := s.world
	o.Server, o.Empty, o.Forks = "postgresql 15.18", false, s.pg.forks
	o.Waits = s.pg.waits
	if s.role == warden.RolePrimary {
		o.NoDemote, o.ReadOnly, o.NeedsRejoin = true, s.pg.readOnly, s.pg.fencedBy != ""
		for i := range s.pg.senders {
			x := &s.pg.senders[i]
			o.Replicas = append(o.Replicas, warden.Replica{Node: x.to.id, Online: true, Position: x.flushed, Name: x.name})
		}
		return
	}
	if s.pg.promotesAt != 0 {
		// Still in recovery, but no order can stop it any more. The adapter has to
		// see that: who took it for a standby would promote another beside it.
		*o = *promoting
		return
	}
	o.Syncing = false
	o.Sealed = s.sealed()
	if s.upstream != "" {
		o.Member = s.pg.member
	}
	if w.sabotage.TrustSettings {
		o.Sealed = s.upstream == ""
	}
	if w.sabotage.EarlyPositions && o.Sealed {
		o.Position = s.pg.sealOrdered
	}
	if u := s.pg.receiver.from; u != nil {
		o.Upstream = u.id
	}
	switch {
	case w.now >= s.pg.readBy || s.pg.receiver.from != nil:
	case s.upstream == "":
		*o = *loading // its position is not known yet (C5)
	default:
		o.Position -= min(o.Position/2, 100) // what it has replayed so far
	}
}

// promoting is what a standby answers whose promotion is under way.
var promoting = &warden.Observation{Health: warden.HealthLoading, Detail: "promotion is under way"}

// sealed: nothing can arrive any more, whatever becomes of it.
func (s *server) sealed() bool {
	return s.role == warden.RoleReplica && s.upstream == "" && s.pg.receiver.from == nil
}

// lineOf is the branch that data which ends at an offset of one is really on: it
// may not have come to where that one begins.
func (h *history) lineOf(branch int, offset int64) int {
	for h.branches[branch].parent >= 0 && offset <= h.branches[branch].fork {
		branch = h.branches[branch].parent
	}
	return branch
}

// contains reports whether data that ends at an offset of a branch holds all
// that another offset of another branch stands for.
func (h *history) contains(branch int, offset int64, of int, upTo int64) bool {
	of = h.lineOf(of, upTo)
	for b := branch; b >= 0; b = h.branches[b].parent {
		if b == of {
			return offset >= upTo
		}
		offset = min(offset, h.branches[b].fork)
	}
	return false
}
