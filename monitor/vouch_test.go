package monitor

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// TestVouched: when the agreed primary's new replication id is believed for its name.
func TestVouched(t *testing.T) {
	type change func(p, r *Node)
	for _, c := range []struct {
		name   string
		change change
		want   bool
	}{
		{"a copy beside it", func(p, r *Node) { r.Seen.Lineage = "new" }, true},
		{"an empty one beside it", func(_, r *Node) { r.Seen.Empty = true }, true},
		{"the other one is down", func(_, r *Node) { r.Down, r.Seen.Lineage = true, "known" }, true},
		{"the other one has the data", func(_, r *Node) { r.Seen.Lineage = "known" }, false},
		{"the other one did not answer yet", func(_, r *Node) { r.Health = warden.HealthSilent }, false},
		{"the other one is copying", func(_, r *Node) { r.Seen.Syncing = true }, false},
		{"it lost its data", func(p, _ *Node) { p.Seen.Empty = true }, false},
		{"it has no append-only file", func(p, _ *Node) { p.Seen.Reloaded = false }, false},
		{"it shows no id", func(p, _ *Node) { p.Seen.Lineage = "" }, false},
		{"it is not named", func(p, _ *Node) { p.ID = "z" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			see := func(id warden.NodeID, role warden.Role) *Node {
				return &Node{ID: id, Health: warden.HealthGood, SeenAt: 1,
					Seen: &warden.Observation{Health: warden.HealthGood, Role: role, Lineage: "new", Reloaded: true}}
			}
			p, r := see("a", warden.RolePrimary), see("b", warden.RoleReplica)
			c.change(p, r)
			s := State{Nodes: []*Node{p, r}}
			if got := s.vouched(&Config{Lineage: []string{"known"}, Named: []warden.NodeID{"a"}}, p); got != c.want {
				t.Errorf("vouched %v, want %v", got, c.want)
			}
		})
	}
}
