package group

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: a node with other data is foreign until it has copied the primary, and
// then is a replica like any other.
func TestForeignNodeIsAdmittedWhenItHasTheData(t *testing.T) {
	h := newHouse(t, 1, nil)
	c := h.config[0]
	agreed := firstAgreement()
	s := New(c, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: []warden.NodeID{"a:1", "b:1"}}, h.now)
	look := func(node warden.NodeID, o warden.Observation) {
		h.now = h.now.Add(100 * warden.Millisecond)
		s, _ = Step(c, s, Looked{Node: node, Asked: h.now, Observation: &o}, h.now)
	}
	foreign := func() bool {
		nodes := View(c, s, h.now).Nodes
		i := slices.IndexFunc(nodes, func(n warden.NodeView) bool { return n.Node == "b:1" })
		return i >= 0 && nodes[i].Foreign
	}
	stranger := h.nodes[0]
	stranger.Lineage, stranger.Replicas = "X1", nil
	peer := warden.Message{Group: "g", From: "w2", Run: 1, Birth: "B1", Status: &warden.Status{Chosen: agreed.Version}}
	s, _ = Step(c, s, Heard{Message: peer}, h.now)
	look("a:1", h.nodes[0])
	look("b:1", stranger)
	if !foreign() {
		t.Fatal("a primary with other data is not called foreign")
	}
	copying := h.nodes[1]
	copying.Lineage, copying.LinkUp = "X1", false
	look("b:1", copying)
	if !foreign() {
		t.Error("it is admitted before it has the data")
	}
	look("b:1", h.nodes[1])
	if foreign() {
		t.Error("it is called foreign although it follows with the group's data")
	}
}
