package main

import (
	"context"
	"testing"

	"github.com/spineldb/warden/adapters/postgres"
	redis "github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// Goal: tags become what a mind judges by: the lowest priority is preferred
// there, 0 excludes, and no tag takes back what the server says itself.
func TestWish(t *testing.T) {
	tests := []struct {
		name         string
		tags         config.Tags
		server, want int
		noSync       bool
	}{
		{"nothing wished", config.Tags{Priority: 100}, 7, 7, false},
		{"excluded", config.Tags{NoFailover: true, Priority: 100}, 7, 0, false},
		{"excluded by number", config.Tags{Priority: 0, PrioritySet: true}, 7, 0, false},
		{"as everybody", config.Tags{Priority: 100, PrioritySet: true}, 7, 100, false},
		{"preferred", config.Tags{Priority: 150, PrioritySet: true}, 100, 50, false},
		{"the most preferred is not excluded", config.Tags{Priority: config.MaxPriority, PrioritySet: true}, 100, 1, false},
		{"excluded by the server", config.Tags{Priority: 150, PrioritySet: true}, 0, 0, false},
		{"not to be waited for", config.Tags{NoSync: true, Priority: 100}, 100, 100, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := wish(tt.tags, warden.Observation{Priority: tt.server})
			if got.Priority != tt.want || got.NoSync != tt.noSync {
				t.Errorf("priority %d, no sync %v; want %d, %v", got.Priority, got.NoSync, tt.want, tt.noSync)
			}
		})
	}
}

// Goal: whom a node is to follow, and that clients are not to be told of it, is
// said too; a server that hides itself stays hidden.
func TestWishOfPlace(t *testing.T) {
	got := wish(config.Tags{Priority: 100, NoLoadBalance: true, ReplicateFrom: "b:1"}, warden.Observation{})
	if !got.Unannounced || got.From != "b:1" {
		t.Errorf("unannounced %v, from %q", got.Unannounced, got.From)
	}
	if got := wish(config.Tags{Priority: 100}, warden.Observation{Unannounced: true}); !got.Unannounced || got.From != "" {
		t.Errorf("without tags: unannounced %v, from %q", got.Unannounced, got.From)
	}
}

// flat is an adapter with sessions that keep nothing; deep has keepers.
type flat struct{ warden.Adapter }

type deep struct{ warden.Adapter }

type flatSession struct{ warden.Session }

func (flatSession) Look(context.Context) warden.Observation {
	return warden.Observation{Priority: 100}
}

type deepSession struct {
	flatSession
	warden.Keeper
}

type flatLink struct{ warden.Link }

func (flatLink) Look(context.Context) warden.Observation { return warden.Observation{Priority: 100} }

func (flat) Open(warden.NodeID, warden.LinkEvents) warden.Link { return flatLink{} }

func (flat) Claim(context.Context, warden.NodeID, warden.Claim) (warden.Session, warden.Result) {
	return flatSession{}, warden.Result{Outcome: warden.Done}
}

func (deep) Claim(context.Context, warden.NodeID, warden.Claim) (warden.Session, warden.Result) {
	return deepSession{}, warden.Result{Outcome: warden.Done}
}

// Goal: tags are in every look, and what a session can do is not hidden.
func TestTaggedAdapter(t *testing.T) {
	tags := map[warden.NodeID]config.Tags{"a:1": {NoFailover: true, NoSync: true}}
	for node, priority := range map[warden.NodeID]int{"a:1": 0, "b:1": 100} {
		for _, keeps := range []bool{false, true} {
			var inner warden.Adapter = flat{}
			if keeps {
				inner = deep{}
			}
			a := tag(inner, tags)
			s, _ := a.Claim(t.Context(), node, warden.Claim{})
			if got := s.Look(t.Context()); got.Priority != priority || got.NoSync != (priority == 0) {
				t.Errorf("session on %s: %+v", node, got)
			}
			if _, is := s.(warden.Keeper); is != keeps {
				t.Errorf("session on %s is a keeper: %v, want %v", node, is, keeps)
			}
			if !keeps {
				if got := a.Open(node, warden.LinkEvents{}).Look(t.Context()); got.Priority != priority {
					t.Errorf("link to %s: %+v", node, got)
				}
			}
		}
	}
	if tag(flat{}, nil) != (flat{}) {
		t.Error("an adapter without tags is wrapped")
	}
}

// Goal: each group has the adapter of its database, and keeps it over changes
// of other settings.
func TestAdapterOfGroup(t *testing.T) {
	d := &daemon{adapters: map[warden.GroupName]dressed{}}
	m := config.Master{Name: "g", Adapter: "spineldb"}
	first := d.adapter(m)
	if _, ok := first.(*redis.Adapter); !ok {
		t.Errorf("%T for spineldb", first)
	}
	if m.Quorum, m.DownAfter = 3, 5; d.adapter(m) != first {
		t.Error("another quorum made another adapter")
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
	m.Tags = map[warden.NodeID]config.Tags{"a:1": {NoSync: true}}
	if _, ok := d.adapter(m).(*tagged); !ok {
		t.Errorf("%T with tags", d.adapter(m))
	}
	if d.commands(m) != nil {
		t.Error("commands where none are configured")
	}
	if m.FenceCommand = []string{"/bin/true"}; d.commands(m) == nil {
		t.Error("no commands where one is configured")
	}
}
