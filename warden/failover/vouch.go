package failover

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// vouched are the looked-at nodes that are believed to hold the group's data
// although nobody knows their replication ids: the operator named them, and they
// read it from append-only files when they started, for which they drew new ids.
// Names count only when no node that answers has data of the newest known line, and
// when every node but the old primary answers: whoever is silent may have it. An
// operator who orders the node to has decided about that. What is of an older line
// lacks all that the named ones took since.
func (r *run) vouched(to warden.NodeID) []warden.NodeID {
	if r.newestKnown() { // guard: S7
		return nil
	}
	silent := slices.ContainsFunc(r.s.Looks, func(l Look) bool { return !good(l) && l.Node != r.s.Old })
	var out []warden.NodeID
	for _, l := range r.s.Looks {
		if good(l) && r.trusts(l.Node, l.Seen) && (!silent || l.Node == to) { // guard: S7
			out = append(out, l.Node)
		}
	}
	return out
}

// trusts reports whether the operator's word stands for what a node shows.
func (r *run) trusts(id warden.NodeID, o *warden.Observation) bool {
	return o.Reloaded && !o.Empty && (id == r.c.Primary || slices.Contains(r.c.Named, id)) // guard: S7
}

// newestKnown reports whether some node that answers has data of the newest line that
// is written down, and not too old for a promotion.
func (r *run) newestKnown() bool {
	newest := 0
	if lines := r.sc.Base.Lineage; len(lines) > 0 {
		newest = max(slices.Index(r.sc.Lineage, lines[len(lines)-1]), 0)
	}
	holds := func(o *warden.Observation) bool {
		return !o.Empty && r.rank(o) >= newest &&
			(r.anyAge() || !tooOld(o, r.sc.DownFor, r.c.DownAfter))
	}
	if slices.ContainsFunc(r.s.Looks, func(l Look) bool { return good(l) && holds(l.Seen) }) {
		return true
	}
	return slices.ContainsFunc(r.sc.Nodes, func(n Sighting) bool {
		l := r.lookAt(n.ID)
		return (l == nil || !l.Done) && n.Good && !n.Down && holds(n.Seen)
	})
}

// believed reports whether what a node shows is the group's data: by its
// replication ids, or by its name when nobody has the newest known one.
func (r *run) believed(id warden.NodeID, o *warden.Observation) bool {
	return r.ours(o) || r.trusts(id, o) && !r.newestKnown()
}
