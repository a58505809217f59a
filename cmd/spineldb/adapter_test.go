package main

import (
	"reflect"
	"testing"

	"github.com/spineldb/warden/adapters/postgres"
	redis "github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// Goal: each group has the adapter of its database, and keeps it over changes
// of other settings.
func TestAdapterOfGroup(t *testing.T) {
	d := &daemon{adapters: map[warden.GroupName]dressed{}}
	m := config.Master{Name: "g", Adapter: "spineldb"}
	first := d.adapter(m)
	if _, ok := first.(*redis.Adapter); !ok {
		t.Errorf("%T for spineldb", first)
	}
	m.Tags = map[warden.NodeID]config.Tags{"a:1": {NoSync: true}}
	if m.Quorum, m.DownAfter = 3, 5; d.adapter(m) != first {
		t.Error("another quorum, or tags, made another adapter")
	}
	m.Adapter, m.Postgres.Database = config.AdapterPostgres, "x"
	second := d.adapter(m)
	if _, ok := second.(*postgres.Adapter); !ok {
		t.Errorf("%T for postgres", second)
	}
	m.SyncStandbys, m.MaxLag = 2, 9
	if d.adapter(m) != second {
		t.Error("another durability made another adapter")
	}
	m.Postgres.ReplicationPassword = "y"
	third := d.adapter(m)
	if third == second {
		t.Error("another password made no other adapter")
	}
	if d.commands(m) != nil {
		t.Error("commands where none are configured")
	}
	if m.FenceCommand = []string{"/bin/true"}; d.commands(m) == nil {
		t.Error("no commands where one is configured")
	}
}

// Goal: the tags of a file come to the mind, sorted, and those that say nothing
// do not.
func TestWishesOfFile(t *testing.T) {
	got := wishes(map[warden.NodeID]config.Tags{
		"b:1": {Priority: 0, PrioritySet: true},
		"a:1": {NoSync: true, NoLoadBalance: true, Priority: 150, PrioritySet: true, ReplicateFrom: "b:1"},
		"c:1": {Priority: 100},
		"d:1": {NoFailover: true, Priority: 100},
	})
	want := []warden.NodeTags{
		{Node: "a:1", Tags: warden.Tags{NoSync: warden.Yes, NoLoadBalance: warden.Yes, Priority: 150, ReplicateFrom: "b:1"}},
		{Node: "b:1", Tags: warden.Tags{NoFailover: warden.Yes}},
		{Node: "d:1", Tags: warden.Tags{NoFailover: warden.Yes}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
