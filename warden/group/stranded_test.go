package group

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: a node that needed a rejoin and became the primary after all needs none.
func TestPrimaryNeedsNoRejoin(t *testing.T) {
	h := newHouse(t, 1, nil)
	agreed := warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone,
		Primary: "a:1", Wardens: []warden.WardenID{"w1", "w2", "w3"}, Lineage: []string{"L1"}}
	s := New(h.config[0], warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: []warden.NodeID{"a:1", "b:1"}}, h.now)
	s.stranded = []warden.NodeID{"a:1", "b:1"}
	var said []string
	look := func(node warden.NodeID, o warden.Observation) {
		h.now = h.now.Add(100 * warden.Millisecond)
		var f Effects
		s, f = Step(h.config[0], s, Looked{Node: node, Asked: h.now, Observation: &o}, h.now)
		for _, a := range f.Announce {
			said = append(said, a.Name+" "+string(a.Node))
		}
	}
	peer := warden.Message{Group: "g", From: "w2", Run: 1, Birth: "B1", Status: &warden.Status{Chosen: agreed.Version}}
	s, _ = Step(h.config[0], s, Heard{Message: peer}, h.now)
	primary, fenced := h.nodes[0], h.nodes[0]
	primary.NoDemote, fenced.NoDemote, fenced.NeedsRejoin = true, true, true
	look("a:1", primary)
	look("b:1", fenced)
	if !slices.Contains(said, "-needs-rejoin a:1") || slices.Contains(said, "-needs-rejoin b:1") {
		t.Errorf("said %q, want that the primary needs no rejoin and the other does", said)
	}
}
