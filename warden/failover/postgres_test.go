package failover

import (
	"fmt"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// postgres makes the nodes of the play behave as PostgreSQL does.
func (s *stageplay) postgres(w *transcript.Words) {
	s.pg = true
	c, t := &s.c, &s.scene.Base
	c.RejoinCommand, c.FenceCommand, c.FenceRequired = w.Has("rejoin"), w.Has("fence") || w.Has("fence-required"), w.Has("fence-required")
	c.CommandTimeout, c.RejoinTimeout = 10*warden.Second, 30*warden.Second
	c.NameConfirmed = w.Has("withdraw")
	transcript.Number(w, "max-lag", &c.MaxLag)
	c.Durable, c.SyncStandbys, c.MemberTimeout, c.SyncStrict = w.Has("durable"), 1, 10*warden.Second, !w.Has("lax")
	transcript.Number(w, "k", &c.SyncStandbys)
	transcript.Number(w, "size", &c.SyncGroupSize)
	w.Time("gone-after", &c.MemberTimeout)
	transcript.Number(w, "floor", &t.Floor.End)
	if t.Floor.End > 0 {
		t.Floor.Lineage = "L1"
	}
	var sync string
	transcript.Word(w, "sync", &sync)
	for set := range strings.SplitSeq(sync, ";") {
		if sync == "" {
			break
		}
		made := warden.SyncSet{K: c.SyncStandbys}
		for id := range strings.SplitSeq(set, ",") {
			node := warden.NodeID(id)
			if n := s.server(node); n != nil {
				n.o.Member, n.o.Waits = "m-"+id, "something"
			}
			made.Members = append(made.Members, warden.Member{Node: node, Name: "m-" + id})
		}
		t.Sync = append(t.Sync, made)
	}
	for _, n := range s.servers {
		if n.o.Role == warden.RolePrimary {
			n.o.NoDemote, n.o.Waits = true, t.NewestSync().Rule(n.id).String()
		}
	}
	s.monitor()
}

func (s *stageplay) pgNode(w *transcript.Words, n *server) {
	if !s.pg {
		return
	}
	o := &n.o
	transcript.Word(w, "member", &o.Member)
	o.NoSync = w.Has("no-sync")
	if w.Has("waits-of-old") { // by what Wardens set once
		o.Waits = (warden.SyncRule{K: 1, Names: []string{warden.MemberName("g", "c", warden.Version{Epoch: 1, Step: 2})}}).String()
	}
	if w.Has("waits-of-operator") {
		o.Waits = `ANY 1 ("standby")`
	}
	n.noSlot = w.Has("no-slot-ever")
	n.leaky = w.Has("unsealed")
	o.Sealed = o.Sealed && !n.leaky
	o.NoSlot = n.noSlot || w.Has("no-slot")
	transcript.Word(w, "from", &o.From)
	if w.Has("fenced") {
		o.ReadOnly, o.NeedsRejoin = true, true
	}
	o.NoDemote = o.Role == warden.RolePrimary
	var end int64
	transcript.Number(w, "forked", &end)
	if end > 0 {
		o.Forks = append(o.Forks, warden.Fork{Lineage: "L1", End: end})
	}
}

// stream is what primaries say of those that stream from them.
func (s *stageplay) stream() {
	if !s.pg {
		return
	}
	for _, p := range s.servers {
		p.o.Replicas = nil
		for _, n := range s.servers {
			if p.o.Role == warden.RolePrimary && n.o.Role == warden.RoleReplica && n.o.Upstream == p.id && n.o.LinkUp && n.o.Health == warden.HealthGood {
				p.o.Replicas = append(p.o.Replicas, warden.Replica{Node: n.id, Online: true, Position: n.o.Position, Name: n.o.Member})
			}
		}
		if p.id == s.scene.Base.Primary && p.o.Health == warden.HealthGood {
			s.state.Absent = Absences(&s.state, &s.scene.Base, &p.o, func(id warden.NodeID) bool { n := s.server(id); return n != nil && !n.o.Health.Alive() }, s.now)
		}
	}
}

// happenPostgres is happen for what PostgreSQL does otherwise.
func (s *stageplay) happenPostgres(a warden.Action, n *server) bool {
	switch a.Kind {
	case warden.ActPromote:
		if n.o.Role != warden.RolePrimary {
			n.o.Forks = append(n.o.Forks, warden.Fork{Lineage: n.o.Lineage, End: n.o.Position})
			n.o.LineageBefore, n.o.Lineage = n.o.Lineage, fmt.Sprintf("L%d", a.Epoch)
		}
		n.o.Role, n.o.Upstream, n.o.LinkUp, n.o.Sealed, n.o.Member = warden.RolePrimary, "", false, false, ""
		n.o.NoDemote, n.o.ReadOnly, n.o.NeedsRejoin = true, false, false
		if a.Sync != nil {
			n.o.Waits = a.Sync.String()
		}
	case warden.ActFollow:
		n.held = false
		if n.o.Role == warden.RolePrimary {
			n.o.ReadOnly, n.o.NeedsRejoin = true, true
			return true
		}
		s.streamFrom(n, a)
	case warden.ActSeal:
		n.o.Upstream, n.o.LinkUp, n.o.Sealed = "", false, !n.leaky
	case warden.ActWait:
		n.o.Waits = a.Rules[len(a.Rules)-1].String()
	case warden.ActRejoin:
		n.o = warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Priority: 100, Server: n.o.Server}
		s.streamFrom(n, a)
	case warden.ActHold, warden.ActRelease:
		return false
	}
	return true
}

// streamFrom lets a replica follow; whose data left the line gets nothing.
func (s *stageplay) streamFrom(n *server, a warden.Action) {
	n.o.Upstream, n.o.LinkUp, n.o.Sealed, n.o.Member = a.Target, false, false, a.Name
	n.o.NoSlot = n.noSlot
	if a.Sync != nil {
		n.o.Waits = a.Sync.String()
	}
	if t := s.server(a.Target); t != nil && !Diverged(&t.o, &n.o) && t.o.Health == warden.HealthGood {
		n.o.LinkUp, n.o.Lineage, n.o.LineageBefore, n.o.Position = true, t.o.Lineage, t.o.LineageBefore, t.o.Position
	}
}

// sets are the sync sets of a topology, for its line.
func sets(t warden.Topology) string {
	if len(t.Sync) == 0 {
		return ""
	}
	var out []string
	for _, set := range t.Sync {
		var members []string
		for _, m := range set.Members {
			members = append(members, string(m.Node)+" as "+m.Name)
		}
		out = append(out, fmt.Sprintf("%d of [%s]", set.K, strings.Join(members, ", ")))
	}
	text := ", kept by " + strings.Join(out, " and ")
	if t.Floor.Lineage != "" {
		text += fmt.Sprintf(", floor %d of %s", t.Floor.End, t.Floor.Lineage)
	}
	return text
}

func as(name string) string {
	if name == "" {
		return ""
	}
	return " as " + name
}

// marks are what is special about a node of PostgreSQL.
func marks(o warden.Observation) string {
	text := ""
	if o.NeedsRejoin {
		text += ", fenced"
	}
	if o.Sealed {
		text += ", sealed"
	}
	if o.Role == warden.RolePrimary && o.Waits != "" {
		text += ", waits for " + o.Waits
	}
	return text
}
