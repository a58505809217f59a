package failover

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// TestGrownLineIsNewer: a decision for a node of an older line, which was not carried
// out, does not put it before a node whose line grew out of that.
func TestGrownLineIsNewer(t *testing.T) {
	look := func(node warden.NodeID, line, before string, position int64) Look {
		return Look{Node: node, Done: true, Seen: &warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Priority: 100,
			Lineage: line, LineageBefore: before, Position: position}}
	}
	a := Ask{Old: "b", Lineage: []string{"two", "one"}, AnyAge: true,
		Looks: []Look{look("c", "two", "one", 90), look("e", "one", "", 30)}}
	if got := Choose(a); got.Candidate != "c" {
		t.Errorf("chosen %q: %q", got.Candidate, got.Reasons)
	}
	// What was promoted and written down since is newer than both.
	a.Lineage = append(a.Lineage, "three")
	a.Looks = append(a.Looks, look("d", "three", "one", 40))
	if got := Choose(a); got.Candidate != "d" {
		t.Errorf("chosen %q of three lines: %q", got.Candidate, got.Reasons)
	}
}
