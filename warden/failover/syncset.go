package failover

import (
	"github.com/spineldb/warden/warden"
)

// member reports whether a node is in one of the topology's sync sets.
func member(t *warden.Topology, id warden.NodeID) bool { return memberName(t, id) != "" }

// memberName is the name that a node carries as a member, newest first; "" if
// it is none.
func memberName(t *warden.Topology, id warden.NodeID) string {
	for i := len(t.Sync) - 1; i >= 0; i-- {
		if name := t.Sync[i].Name(id); name != "" {
			return name
		}
	}
	return ""
}

// called reports whether a replica carries the name it has to: a member its
// own, everybody else none.
func (r *run) called(t *warden.Topology, n *Sighting) bool {
	return n.Seen.Member == memberName(t, n.ID)
}

// enlist gives the order to follow what belongs to a member: its name, and the
// rule by which it would wait as a primary.
func (r *run) enlist(a *warden.Action) {
	t := &r.sc.Base
	if len(t.Sync) == 0 {
		return
	}
	a.Name = memberName(t, a.Node)
	a.Sync = t.Sync[len(t.Sync)-1].Rule(a.Node)
}
