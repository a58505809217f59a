package failover

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/warden"
)

// TestVouched: whose data is believed for its name.
func TestVouched(t *testing.T) {
	good := func(node warden.NodeID, lineage string, change ...func(*warden.Observation)) Look {
		o := &warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Lineage: lineage, Reloaded: true, Position: 10}
		for _, c := range change {
			c(o)
		}
		return Look{Node: node, Done: true, Seen: o}
	}
	silent := func(node warden.NodeID) Look {
		return Look{Node: node, Done: true, Seen: &warden.Observation{Health: warden.HealthSilent}}
	}
	empty := func(o *warden.Observation) { o.Empty = true }
	alone := func(o *warden.Observation) { o.LinkDown = warden.Minute }
	kept := func(o *warden.Observation) { o.Reloaded = false }
	for _, c := range []struct {
		name  string
		looks []Look
		to    warden.NodeID
		want  []warden.NodeID
	}{
		{"all but the old primary answer", []Look{silent("a"), good("b", "x"), good("c", "y")}, "", []warden.NodeID{"b", "c"}},
		{"the configured primary too", []Look{good("a", "w"), good("b", "x"), good("c", "y")}, "", []warden.NodeID{"a", "b", "c"}},
		{"one is silent", []Look{silent("a"), good("b", "x"), silent("c")}, "", nil},
		{"one is silent and the operator chose", []Look{silent("a"), good("b", "x"), silent("c")}, "b", []warden.NodeID{"b"}},
		{"one has data with a known id", []Look{silent("a"), good("b", "x"), good("c", "known")}, "", nil},
		{"one has a known id and no data", []Look{silent("a"), good("b", "x"), good("c", "known", empty)}, "", []warden.NodeID{"b"}},
		{"one is of an older line", []Look{silent("a"), good("b", "x"), good("c", "older")}, "", []warden.NodeID{"b", "c"}},
		{"one has a known id and lost its primary long ago", []Look{silent("a"), good("b", "x"), good("c", "known", alone)}, "", []warden.NodeID{"b", "c"}},
		{"one lost its data", []Look{silent("a"), good("b", "x", empty), good("c", "y")}, "", []warden.NodeID{"c"}},
		{"one has no append-only file", []Look{silent("a"), good("b", "x", kept), good("c", "y")}, "", []warden.NodeID{"c"}},
		{"one is not named", []Look{silent("a"), good("b", "x"), good("z", "y")}, "", []warden.NodeID{"b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := []string{"older", "known"}
			r := run{c: &Config{Primary: "a", Named: []warden.NodeID{"b", "c"}, DownAfter: warden.Second}, s: &State{Old: "a", Looks: c.looks},
				sc: &Scene{Lineage: lines, Base: warden.Topology{Lineage: lines}}}
			if got := r.vouched(c.to); !slices.Equal(got, c.want) {
				t.Errorf("vouched for %v, want %v", got, c.want)
			}
		})
	}
}

// TestReplicaBeforeVouchedPrimary: a primary that is one for its name only gives way
// to a replica that is vouched for, too, unless that was tried already.
func TestReplicaBeforeVouchedPrimary(t *testing.T) {
	look := func(node warden.NodeID, role warden.Role, position int64) Look {
		return Look{Node: node, Done: true, Seen: &warden.Observation{Health: warden.HealthGood, Role: role, Lineage: string("of " + node), Position: position, Priority: 100}}
	}
	a := Ask{Old: "a", Lineage: []string{"known"}, Vouched: []warden.NodeID{"b", "c"},
		Looks: []Look{look("b", warden.RolePrimary, 20), look("c", warden.RoleReplica, 10)}}
	if got := Choose(a); got.Candidate != "c" {
		t.Errorf("chosen %q: %q", got.Candidate, got.Reasons)
	}
	a.Exclude = []warden.NodeID{"c"}
	if got := Choose(a); got.Candidate != "b" || !got.Already {
		t.Errorf("chosen %q when the replica was tried: %q", got.Candidate, got.Reasons)
	}
}
