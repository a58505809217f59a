package sim

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// takesCommits reports whether a commit begun on a server now would be
// answered.
func (w *World) takesCommits(s *server) bool {
	if !w.kind.postgres() {
		return true
	}
	if s.pg.readOnly {
		return false
	}
	n := 0
	for i := range s.pg.senders {
		if x := &s.pg.senders[i]; slices.Contains(s.pg.rule.Names, x.name) && x.to.up && !x.to.hung {
			n++
		}
	}
	return n >= s.pg.rule.K
}

// enoughMembers reports whether L1 applies to a group with a sync set: when its
// primary is gone enough members can be sealed, and enough are left when one
// of them is promoted.
func (w *World) enoughMembers(t *warden.Topology) bool {
	if w.kind != KindQuorum {
		return true
	}
	if len(t.Sync) != 1 {
		return len(t.Sync) == 0
	}
	set, n := t.Sync[0], 0
	for _, m := range set.Members {
		s := w.serverAt(m.Node)
		if w.eligible(s, t) && s.link == linkUp && s.upstream == t.Primary && s.pg.receiver.name == m.Name {
			n++
		}
	}
	return set.K == 0 || n >= set.Seals() && n-1 >= set.K
}

// sealable reports whether enough members of every sync set are there to be
// sealed, and one of them to be promoted. Without them there is no failover (S8).
func (w *World) sealable(t *warden.Topology) bool {
	for _, set := range t.Sync {
		n, best := 0, false
		for _, m := range set.Members {
			s := w.serverAt(m.Node)
			if s.up && s.role == warden.RolePrimary && s.id != t.Primary {
				return false // promoted by hand: what it acknowledged since, and others did not, is for an operator to weigh
			}
			if w.eligible(s, t) && s.pg.lastName == m.Name {
				n++
				best = best || aboveFloor(t, s)
			}
		}
		if set.K > 0 && (n < set.Seals() || !best) {
			return false
		}
	}
	return true
}

// aboveFloor reports whether a server has what the newest primary began with.
func aboveFloor(t *warden.Topology, s *server) bool {
	at := slices.Index(t.Lineage, t.Floor.Lineage)
	return at < 0 || slices.Index(t.Lineage, s.replid) > at || s.replid == t.Floor.Lineage && s.offset >= t.Floor.End
}

// fencedOnly reports whether a node of PostgreSQL cannot follow without its disk
// being rebuilt, of which L2 does not speak. A primary among them has to be
// fenced all the same.
func (w *World) fencedOnly(s, primary *server) bool {
	switch {
	case !w.kind.postgres():
		return false
	case s.role == warden.RolePrimary:
		return s.pg.readOnly || !w.ofLineage(s)
	}
	return !w.history.contains(primary.branch, primary.offset, s.branch, s.offset)
}

// commit has a client of a conversation commit on a server of PostgreSQL.
func (c *Conversation) commit(s *server, n int64) {
	if s.pg.readOnly {
		c.hear(s.name, "refuses the write: read-only")
		return
	}
	w := c.world
	x := client{at: s, session: session{life: s.pg.sessions, once: true}}
	w.write(&x, s, n)
	if x.waits != 0 {
		c.hear(s.name, fmt.Sprintf("lets the commit at %d wait", x.waits))
		w.clients = append(w.clients, x)
	}
}

// statePostgres says what is peculiar about a server of PostgreSQL.
func (s *server) statePostgres() string {
	if !s.world.kind.postgres() {
		return ""
	}
	text := ", line " + s.replid
	if s.pg.fencedBy != "" {
		text += ", fenced for " + short(s.pg.fencedBy)
	} else if s.pg.readOnly {
		text += ", read-only"
	}
	if s.pg.rule.K > 0 {
		text += ", waits for " + s.pg.rule.String()
	}
	switch {
	case s.role != warden.RoleReplica:
	case s.sealed():
		text += ", sealed"
	case s.pg.receiver.from != nil:
		text += ", streams from " + s.pg.receiver.from.name
	default:
		text += ", streams from nobody"
	}
	if s.pg.member != "" {
		text += " as " + s.pg.member
	}
	return text
}
