package rest

import (
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// judge answers one check of a view, "" for yes.
func judge(check string, v warden.GroupView, node warden.NodeID) string {
	c := &scene{view: v, sinceBegan: 3600 * warden.Second}
	n, _ := c.node(node)
	return checks()[check](&asked{scene: c, node: n, lag: -1})
}

// Goal: in a calm group every check says yes to the right nodes.
func TestChecksOfACalmGroup(t *testing.T) {
	v := calm()
	v.Topology.Sync = []warden.SyncSet{{K: 1, Members: []warden.Member{{Node: nodeA, Name: "a"}, {Node: nodeB, Name: "b"}}}}
	for check, want := range map[string]string{
		"primary": "A", "leader": "A", "master": "A", "read-write": "A", "replica": "BC", "read-only": "ABC",
		"sync": "B", "synchronous": "B", "async": "C", "asynchronous": "C", "health": "ABC", "readiness": "ABC",
	} {
		got := ""
		for name, node := range map[string]warden.NodeID{"A": nodeA, "B": nodeB, "C": nodeC} {
			if why := judge(check, v, node); (why == "") != strings.Contains(want, name) {
				t.Errorf("%s of %s: %q", check, name, why)
			}
			got += name
		}
		if len(got) != 3 {
			t.Error("not every node was asked")
		}
	}
	if len(checks()) != 12 {
		t.Errorf("%d checks, not all of them are in the table", len(checks()))
	}
}

// Goal: nobody is the primary while this Warden does not know for certain who
// is, or while that one does not take writes. Each case alone makes the
// difference.
func TestNoPrimaryWithoutCertainty(t *testing.T) {
	primary := func(v *warden.GroupView) *warden.NodeView { return &v.Nodes[0] }
	cases := map[string]func(*warden.GroupView){
		"not agreed on a primary yet":      func(v *warden.GroupView) { v.Provisional = true },
		"distrusts its clock":              func(v *warden.GroupView) { v.Tilt = true },
		"cannot write its store":           func(v *warden.GroupView) { v.Mute = true },
		"no node takes writes":             func(v *warden.GroupView) { v.Primary = "" },
		"is the primary":                   func(v *warden.GroupView) { v.Primary, v.Nodes[0].Primary = nodeC, false },
		"being promoted":                   func(v *warden.GroupView) { v.Topology.Phase = warden.PhasePromoting },
		"does not hear a majority":         func(v *warden.GroupView) { v.Agreed = false },
		"not hear a majority of":           func(v *warden.GroupView) { v.HeardAgo = v.StaleAfter + 1 },
		"not hear a majority of the other": func(v *warden.GroupView) { v.HeardAgo = -1 },
		"it is down: silent":               func(v *warden.GroupView) { primary(v).Down, primary(v).Why = true, "silent" },
		"refuses connections":              func(v *warden.GroupView) { primary(v).Observation.Health = warden.HealthRefused },
		"not ready yet":                    func(v *warden.GroupView) { primary(v).Observation.Health = warden.HealthLoading },
		"has not been seen":                func(v *warden.GroupView) { primary(v).GoodAgo = -1 },
		"last good answer is 5.000s old":   func(v *warden.GroupView) { primary(v).GoodAgo = 5*warden.Second + warden.Microsecond },
		"not say that it is a primary":     func(v *warden.GroupView) { primary(v).Observation.Role = warden.RoleReplica },
		"takes no writes":                  func(v *warden.GroupView) { primary(v).Observation.ReadOnly = true },
		"may still name 10.0.0.2:6379, for at most 5s": func(v *warden.GroupView) {
			v.MovedAgo, v.Nodes[1].Observation.Role, v.Peers[0].Serves = 2*warden.Second, warden.RolePrimary, nodeB
		},
	}
	for want, change := range cases {
		v := calm()
		if why := judge("primary", v, nodeA); why != "" {
			t.Fatalf("the calm group: %s", why)
		}
		change(&v)
		if why := judge("primary", v, nodeA); !strings.Contains(why, want) {
			t.Errorf("%q, want %q", why, want)
		}
	}
}

// Goal: after the primary has moved, the new one is named at once when nobody
// can name the former one any more, and else not before all have to be silent.
func TestHandover(t *testing.T) {
	const second = warden.Second
	moved := func(change func(*warden.GroupView)) warden.GroupView {
		v := calm()
		v.MovedAgo = 2 * second
		v.Nodes[1].Observation.Role = warden.RolePrimary // B, the former one, lives on
		v.Peers[1].Serves = nodeB
		if change != nil {
			change(&v)
		}
		return v
	}
	for name, c := range map[string]struct {
		change func(*warden.GroupView)
		named  bool
	}{
		"a Warden still names the former": {nil, false},
		"it named nobody last":            {func(v *warden.GroupView) { v.Peers[1].Serves = "" }, false},
		"all name the new one":            {func(v *warden.GroupView) { v.Peers[1].Serves = nodeA }, true},
		"the other is a Sentinel":         {func(v *warden.GroupView) { v.Peers[1].Real = true }, true},
		"the former is a replica":         {func(v *warden.GroupView) { v.Nodes[1].Observation.Role = warden.RoleReplica }, true},
		"it was one before": {func(v *warden.GroupView) {
			v.Nodes[1].Observation.Role = warden.RoleReplica
			v.Nodes[1].ObservedAgo = 3 * second
		}, false},
		"it was one when last seen": {func(v *warden.GroupView) {
			v.Nodes[1].Observation.Role = warden.RoleReplica
			v.Nodes[1].Observation.Health = warden.HealthSilent
		}, false},
		"the former is fenced":         {func(v *warden.GroupView) { v.Nodes[1].Observation.ReadOnly = true }, true},
		"time has passed":              {func(v *warden.GroupView) { v.MovedAgo = v.StaleAfter + second }, true},
		"almost":                       {func(v *warden.GroupView) { v.MovedAgo = v.StaleAfter + second - 1 }, false},
		"the first primary ever":       {func(v *warden.GroupView) { v.Topology.Previous = "" }, true},
		"it moved before this process": {func(v *warden.GroupView) { v.MovedAgo = -1 }, true},
	} {
		why := judge("primary", moved(c.change), nodeA)
		if (why == "") != c.named {
			t.Errorf("%s: %q", name, why)
		}
	}
	fresh := &scene{view: moved(func(v *warden.GroupView) { v.MovedAgo = -1 }), sinceBegan: second}
	if left := fresh.handover(); left != 6*second {
		t.Errorf("a process that has just started waits %s, want 6s", left)
	}
}

// Goal: a replica that should not be read from is not offered. Each case alone
// makes the difference.
func TestNoReplicaOutOfStep(t *testing.T) {
	for want, change := range map[string]func(*warden.NodeView){
		"it is down":                   func(n *warden.NodeView) { n.Down = true },
		"it is the primary":            func(n *warden.NodeView) { n.Primary = true },
		"not say that it is a replica": func(n *warden.NodeView) { n.Observation.Role = warden.RolePrimary },
		"other data":                   func(n *warden.NodeView) { n.Foreign = true },
		"needs a rejoin":               func(n *warden.NodeView) { n.Stranded = true },
		"it needs a rejoin":            func(n *warden.NodeView) { n.Observation.NeedsRejoin = true },
		"copying":                      func(n *warden.NodeView) { n.Observation.Syncing = true },
		"does not receive":             func(n *warden.NodeView) { n.Observation.LinkUp = false },
		"not to be read from":          func(n *warden.NodeView) { n.Observation.Unannounced = true },
		"receives from 10.9.9.9:1":     func(n *warden.NodeView) { n.Observation.Upstream = "10.9.9.9:1" },
	} {
		v := calm()
		change(&v.Nodes[1])
		if why := judge("replica", v, nodeB); !strings.Contains(why, want) {
			t.Errorf("%q, want %q", why, want)
		}
	}
	v := calm()
	v.Nodes[1].Observation.Upstream = nodeC // in a chain
	if why := judge("replica", v, nodeB); why != "" {
		t.Errorf("a replica of a replica: %s", why)
	}
	v.Nodes[1].Observation.Unannounced = true
	if why := judge("readiness", v, nodeB); why != "" {
		t.Errorf("ready is also who is not to be read from: %s", why)
	}
}

// Goal: a sync set that promises nothing, or that a node is only about to join,
// makes nobody synchronous.
func TestSyncCountsWhatIsInForce(t *testing.T) {
	both := []warden.Member{{Node: nodeB, Name: "b"}, {Node: nodeC, Name: "c"}}
	for name, c := range map[string]struct {
		sets []warden.SyncSet
		want bool
	}{
		"none":              {nil, false},
		"in force":          {[]warden.SyncSet{{K: 1, Members: both}}, true},
		"promises nothing":  {[]warden.SyncSet{{K: 0, Members: both}}, false},
		"about to join":     {[]warden.SyncSet{{K: 1, Members: both[1:]}, {K: 1, Members: both}}, false},
		"about to leave":    {[]warden.SyncSet{{K: 1, Members: both}, {K: 1, Members: both[1:]}}, false},
		"stays in a change": {[]warden.SyncSet{{K: 1, Members: both}, {K: 2, Members: both}}, true},
	} {
		v := calm()
		v.Topology.Sync = c.sets
		if why := judge("sync", v, nodeB); (why == "") != c.want {
			t.Errorf("%s: sync %q", name, why)
		}
		if why := judge("async", v, nodeB); (why == "") == c.want {
			t.Errorf("%s: async %q", name, why)
		}
	}
}
