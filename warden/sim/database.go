package sim

import (
	"github.com/spineldb/warden/warden"
)

// What a model database takes its time for.
const (
	fullSync    = 400 * warden.Millisecond // a full copy from the upstream
	reconnect   = 300 * warden.Millisecond // until a replica tries its upstream again
	loadingTime = 200 * warden.Millisecond // reading the data after a start
	linkTimeout = 60 * warden.Second       // until a silent link counts as down (repl-timeout)
)

// branch is one line of data: it forks off its parent at an offset. Data is
// a branch and an offset, so containment is arithmetic.
type branch struct {
	parent int
	fork   int64
	root   int
	// acked is the offset of the last write acknowledged on this branch.
	acked int64
}

// linkState is how far a replica is with its upstream.
type linkState uint8

const (
	linkNone linkState = iota
	linkSyncing
	linkUp
)

// server is a model of a database server at one address: of the Redis protocol,
// or with pg of PostgreSQL.
type server struct {
	world *World
	index int
	id    warden.NodeID
	name  string

	up, hung, phantom bool
	readyAt           warden.Instant // answers LOADING before
	role              warden.Role
	upstream          warden.NodeID
	branch            int
	offset            int64
	zero              int64 // offset of position 0, as it counts
	reloaded          bool  // its append-only file had data when it started or copied
	replid, before    string
	beforeEnd         int64 // the id before is good up to this offset
	runID             string
	priority          int
	// shy: replicas cannot copy from it (a server with other credentials).
	shy bool
	// named: the Wardens' configuration names it.
	named bool
	// forgetful: its role is not written to its configuration file.
	forgetful bool

	link      linkState
	linkSince warden.Instant // up or syncing since; when none: since when
	synced    bool           // had a link since start or change of upstream
	doneAt    warden.Instant // end of the full copy
	snapshot  struct {
		branch         int
		offset         int64
		replid, before string
		beforeEnd      int64

		pg       postgres
		role     warden.Role
		upstream warden.NodeID
	}

	pg postgres

	heldUntil warden.Instant
	claims    []*claim
	linked    [serverBase]bool
	marks     [serverBase]warden.Epoch
	waiting   []func() // what arrived while it hung

	// For the contracts.
	newest     warden.Epoch // highest epoch that ever claimed it
	promotedBy warden.Epoch // of the last promotion by order, 0 when undone
	excludedAt warden.Instant
	// vetoed: some pre_promote command had something against it.
	vetoed bool
	// strangeSince is since when its data is not the group's, or none.
	strangeSince warden.Instant
	restored     warden.Instant // when somebody last gave it older data
	lost         warden.Instant // when it last lost all its data
	void         bool           // what it acknowledges is not promised any more
	odd          bool           // came back with less or other data than it had
	met          bool           // some Warden watched it once
	touched      int            // counts what others than Wardens did to it
}

// history is the tree of everything ever written.
type history struct {
	branches []branch
	runs     uint64
	first    string // the replication id that the world began with
	root     int    // of the branches that are the group's data
}

func (h *history) grow(parent int, fork int64) int {
	b := branch{parent: parent, fork: fork, root: len(h.branches)}
	if parent >= 0 {
		b.root = h.branches[parent].root
	}
	h.branches = append(h.branches, b)
	return len(h.branches) - 1
}

// freshID names a replication id or a server run.
func (w *World) freshID(prefix string) string {
	w.history.runs++
	return prefix + itoa(w.history.runs)
}

func (w *World) addServer(id warden.NodeID) *server {
	s := &server{world: w, index: len(w.servers), id: id, name: short(id), up: true, role: warden.RolePrimary, priority: 100}
	if serverBase+s.index >= endpoints {
		panic("a world has room for 16 servers")
	}
	s.branch = -1
	w.servers = append(w.servers, s)
	return s
}

// furnish gives the first servers of a world one line of data.
func (w *World) furnish() {
	first := w.servers[0]
	first.branch = w.history.grow(-1, 0)
	first.offset, first.replid, first.runID = 100, w.freshID("repl-"), w.freshID("server-")
	if w.kind.postgres() {
		first.establish()
	}
	w.history.first = first.replid
	for _, s := range w.servers[1:] {
		s.runID = w.freshID("server-")
		if s.upstream == first.id {
			s.copyFrom(first)
			if w.kind.postgres() {
				s.inherit(first)
			}
			s.link, s.linkSince, s.synced = linkUp, w.now, true
		}
	}
	if w.kind.postgres() {
		w.joinStreams()
	}
	for _, s := range w.servers {
		s.remember()
	}
}

// begins notes at the first agreement what the group's data is: what its first
// primary holds then. It may have come back as another or empty before, when
// no Warden had anything on its disk that says so (M1).
func (w *World) begins(t *warden.Topology) {
	s := w.serverAt(t.Primary)
	if s.branch >= 0 && knows(t, s) {
		w.history.root = w.history.branches[s.branch].root
	}
}

// ofLineage reports whether a server's data descends from what the group
// began with.
func (w *World) ofLineage(s *server) bool {
	return s.branch >= 0 && w.history.branches[s.branch].root == w.history.root
}

// extinct reports whether no server that runs has the group's data any more.
// What the Wardens do then is no matter of lineage.
func (w *World) extinct() bool {
	for _, s := range w.servers {
		if s.up && !s.phantom && !s.empty() && w.ofLineage(s) {
			return false
		}
	}
	return true
}

func (s *server) empty() bool { return s.offset == 0 }

// serving reports whether a client's command would be read now.
func (s *server) serving() bool { return s.up && !s.hung && s.world.now >= s.readyAt }

// copyFrom is the end of a full copy.
func (s *server) copyFrom(u *server) {
	s.branch, s.offset, s.zero = u.branch, u.offset, u.zero
	s.replid, s.before, s.beforeEnd = u.replid, u.before, u.beforeEnd
	s.odd, s.shy, s.reloaded = false, false, s.world.kind == KindAppend && !u.empty()
	if !s.world.ofLineage(s) || s.empty() {
		s.strangeSince = s.world.now
	}
}

// remember takes a snapshot, to come back with after a crash.
func (s *server) remember() {
	s.snapshot.branch, s.snapshot.offset = s.branch, s.offset
	s.snapshot.replid, s.snapshot.before, s.snapshot.beforeEnd = s.replid, s.before, s.beforeEnd
	s.snapshot.role, s.snapshot.upstream, s.snapshot.pg = s.role, s.upstream, s.pg
}

// pulse moves data: clients write, replicas receive.
func (w *World) pulse() {
	w.after(pulse, w.beat)
	// Replicas receive what was written one pulse ago: replication lags.
	if w.kind.postgres() {
		w.stream()
		for i := range w.clients {
			w.clients[i].commit(w)
		}
	} else {
		for _, s := range w.servers {
			if s.up && !s.hung && s.role == warden.RoleReplica {
				w.replicate(s)
			}
		}
		for i := range w.clients {
			w.clients[i].write(w)
		}
	}
	if w.now%(5*warden.Instant(warden.Second)) < warden.Instant(pulse) {
		for _, s := range w.servers {
			if s.serving() && s.link != linkSyncing {
				s.remember()
			}
		}
	}
}

// reaches reports whether two servers can talk to each other.
func (w *World) reaches(a, b *server) bool {
	return w.passes(serverBase+a.index, serverBase+b.index) && w.passes(serverBase+b.index, serverBase+a.index)
}

// replicate lets a replica receive from its upstream.
func (w *World) replicate(s *server) {
	u := w.serverAt(s.upstream)
	if !u.up || u == s || u.shy {
		s.unlink()
		return
	}
	if u.hung || !w.reaches(s, u) {
		if s.link != linkUp || w.now.Sub(s.linkSince) > linkTimeout {
			s.unlink()
		}
		return
	}
	switch s.link {
	case linkNone:
		if w.now.Sub(s.linkSince) >= reconnect && w.now >= u.readyAt {
			w.handshake(s, u)
		}
	case linkSyncing:
		if w.now >= s.doneAt {
			s.copyFrom(u)
			s.link, s.linkSince, s.synced = linkUp, w.now, true
		}
	case linkUp:
		if s.replid != u.replid {
			s.unlink() // the upstream became somebody else
			return
		}
		s.linkSince = w.now
		if behind := u.offset - s.offset; behind > 0 {
			if behind > 200 && w.rng.Uint32()&3 == 0 {
				behind /= 2
			}
			s.offset += behind
		}
	}
}

// handshake is PSYNC: go on where the data matches, else copy everything.
func (w *World) handshake(s, u *server) {
	if u.role == warden.RoleReplica && u.link != linkUp {
		return // a replica without a link feeds nobody
	}
	same := s.replid == u.replid && s.offset <= u.offset
	forked := s.replid == u.before && u.before != "" && s.offset <= u.beforeEnd
	if (same || forked) && !s.empty() {
		s.branch, s.zero = u.branch, u.zero
		s.replid, s.before, s.beforeEnd = u.replid, u.before, u.beforeEnd
		s.link, s.linkSince, s.synced = linkUp, w.now, true
		return
	}
	s.link, s.linkSince, s.doneAt = linkSyncing, w.now, w.now.Add(fullSync)
}

func (s *server) unlink() {
	if s.link != linkNone {
		s.link, s.linkSince = linkNone, s.world.now
	}
}

// observe is what INFO says.
func (w *World) observe(s *server) *warden.Observation {
	switch {
	case !s.up:
		return refusal
	case w.now < s.readyAt:
		return loading
	}
	o := w.blank()
	*o = warden.Observation{
		Health: warden.HealthGood, Role: s.role, Position: s.offset - s.zero,
		Lineage: s.replid, LineageBefore: s.before, RunID: s.runID, Empty: s.empty(), Reloaded: s.reloaded,
		Priority: s.priority, Server: "redis 7.0.15",
	}
	if s.role == warden.RoleReplica {
		o.Upstream, o.LinkUp, o.Syncing = s.upstream, s.link == linkUp, s.link == linkSyncing
		if s.link != linkUp {
			o.LinkDown = w.now.Sub(s.linkSince)
			if !s.synced {
				o.LinkDown = -1
			}
		}
	} else if !w.kind.postgres() {
		for _, r := range w.servers {
			if r.up && r.role == warden.RoleReplica && r.upstream == s.id && r.link != linkNone && r.replid == s.replid {
				o.Replicas = append(o.Replicas, warden.Replica{Node: r.id, Online: r.link == linkUp, Position: r.offset - r.zero})
			}
		}
	}
	if w.kind.postgres() {
		s.behold(o)
	}
	if w.sabotage.Observe != nil {
		w.sabotage.Observe(s, o)
	}
	return o
}

// blank is room for an observation. There are thousands in a world, so it is asked
// for in larger pieces.
func (w *World) blank() *warden.Observation {
	if len(w.blanks) == 0 {
		w.blanks = make([]warden.Observation, 64)
	}
	o := &w.blanks[0]
	w.blanks = w.blanks[1:]
	return o
}

// client writes to whom the Wardens name.
type client struct {
	at *server
	session
}

func (c *client) write(w *World) {
	if c.at == nil {
		p := w.processes[w.rng.IntN(len(w.processes))]
		if !p.up || p.paused {
			return
		}
		if id := p.serves(); id != "" {
			c.at = w.serverAt(id)
		}
		return
	}
	if w.rng.Uint32()&3 != 0 {
		return
	}
	s := c.at
	if !s.serving() || s.role != warden.RolePrimary {
		c.at = nil
		return
	}
	if w.now < s.heldUntil {
		return // waits, as CLIENT PAUSE has it
	}
	s.offset += 30 + int64(w.rng.Uint32()&63)
	w.history.branches[s.branch].acked = s.offset
}
