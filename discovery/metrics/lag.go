package metrics

import (
	"sync"

	"github.com/spineldb/warden/warden"
)

// marksMost bounds what is remembered of one primary, in scrapes at which it had
// written: an hour and more of one every 15 s. Who is behind by more is said to
// be behind by that.
const marksMost = 256

// mark is when a primary was first seen at a position.
type mark struct {
	at       warden.Instant
	position int64
}

// track is where a primary has been, as the scrapes saw it. Databases tell how
// far a replica is behind in bytes; in time it follows from when the primary was
// seen to have what the replica lacks.
type track struct {
	node    warden.NodeID
	lineage string
	marks   []mark // both times and positions rise
}

// note takes in a look at the primary. Another primary, another line of data, or
// one that went back begin a new track.
func (t *track) note(node warden.NodeID, lineage string, m mark) {
	n := len(t.marks)
	if t.node != node || t.lineage != lineage || n > 0 && m.position < t.marks[n-1].position {
		*t = track{node: node, lineage: lineage}
		n = 0
	}
	if n > 0 && (m.position == t.marks[n-1].position || m.at <= t.marks[n-1].at) {
		return
	}
	if n == marksMost {
		copy(t.marks, t.marks[1:])
		t.marks = t.marks[:n-1]
	}
	t.marks = append(t.marks, m)
}

// behind is for how long a replica that was seen at a position at an instant had
// lacked something then, in seconds: at least, by as much as lies between scrapes.
func (t *track) behind(seen warden.Instant, position int64) float64 {
	for _, m := range t.marks {
		if m.position > position {
			return max(seconds(seen.Sub(m.at)), 0)
		}
	}
	return 0
}

// tracks are those of all groups. Safe for concurrent use.
type tracks struct {
	mu  sync.Mutex
	all map[warden.GroupName]*track
}

func (t *tracks) forget(name warden.GroupName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, name)
}

// of notes where the primary of a group is, and returns how far each node is
// behind it in seconds; nodes of which that is not known are not in it.
func (t *tracks) of(v *warden.GroupView) map[warden.NodeID]float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[warden.GroupName]*track{}
	}
	at := t.all[v.Name]
	if at == nil {
		at = &track{}
		t.all[v.Name] = at
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Primary && n.Observation.Role == warden.RolePrimary && n.Observation.Lineage != "" && n.ObservedAgo >= 0 {
			at.note(n.Node, n.Observation.Lineage, mark{v.At.Add(-n.ObservedAgo), n.Observation.Position})
		}
	}
	found := map[warden.NodeID]float64{}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Primary || n.Observation.Role != warden.RoleReplica || n.Observation.Lineage == "" || n.Observation.Lineage != at.lineage || n.ObservedAgo < 0 {
			continue
		}
		found[n.Node] = at.behind(v.At.Add(-n.ObservedAgo), n.Observation.Position)
	}
	return found
}
