package main

import (
	"slices"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
	"github.com/spineldb/warden/warden"
)

// Goal: sentinel.conf names a node once, also where it is known by its name and
// by the address behind that: a real Sentinel refuses a file that does not.
func TestFileNamesANodeOnce(t *testing.T) {
	b := newPhoneBook()
	b.want("db1:6379")
	b.want("db2.example:6379")
	b.resolve(t.Context(), false)
	k := &fileKeeper{d: &daemon{names: b.hostNames}}
	g := sentinelconf.NewGroup("m", "10.0.0.1", 6379, 2)
	g.Replicas = []sentinelconf.Address{{Host: "10.0.0.4", Port: 6379}}
	var nodes []warden.NodeView
	for _, node := range []warden.NodeID{"db1:6379", "10.0.0.1:6379", "10.0.0.4:6379", "db2.example:6379", "[2001:db8::2]:6379", "db1:6380", "unknown:1"} {
		nodes = append(nodes, warden.NodeView{Node: node})
	}
	k.addReplicas(&g, nodes)
	want := []sentinelconf.Address{
		{Host: "10.0.0.4", Port: 6379}, {Host: "db2.example", Port: 6379}, {Host: "db1", Port: 6380}, {Host: "unknown", Port: 1},
	}
	if !slices.Equal(g.Replicas, want) {
		t.Errorf("the file would name %v, want %v", g.Replicas, want)
	}
}
