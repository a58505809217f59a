package main

import (
	"context"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// tagged is an adapter whose observations say what the operator wishes for
// single nodes, whatever kind of database it is.
type tagged struct {
	warden.Adapter
	tags map[warden.NodeID]config.Tags
}

// tag lays tags over an adapter. Without any it stays what it is.
func tag(a warden.Adapter, tags map[warden.NodeID]config.Tags) warden.Adapter {
	if len(tags) == 0 {
		return a
	}
	return &tagged{a, tags}
}

// Open watches a node.
func (a *tagged) Open(node warden.NodeID, events warden.LinkEvents) warden.Link {
	link := a.Adapter.Open(node, events)
	if t, ok := a.tags[node]; ok {
		return &taggedLink{link, t}
	}
	return link
}

// Claim opens a session for orders, a Keeper where the adapter's own is one.
func (a *tagged) Claim(ctx context.Context, node warden.NodeID, c warden.Claim) (warden.Session, warden.Result) {
	s, result := a.Adapter.Claim(ctx, node, c)
	t, ok := a.tags[node]
	if s == nil || !ok {
		return s, result
	}
	if k, ok := s.(warden.Keeper); ok {
		return &taggedKeeper{taggedSession{s, t}, k}, result
	}
	return &taggedSession{s, t}, result
}

type taggedLink struct {
	warden.Link
	tags config.Tags
}

func (l *taggedLink) Look(ctx context.Context) warden.Observation {
	return wish(l.tags, l.Link.Look(ctx))
}

type taggedSession struct {
	warden.Session
	tags config.Tags
}

func (s *taggedSession) Look(ctx context.Context) warden.Observation {
	return wish(s.tags, s.Session.Look(ctx))
}

type taggedKeeper struct {
	taggedSession
	warden.Keeper
}

// wish puts an operator's tags into an observation. Of a failover_priority the
// highest one is preferred, of Observation.Priority the lowest but 0, which
// excludes; both say 100 unless told otherwise. A priority that was not set
// leaves that of the server as it is, and none of them takes back its 0.
func wish(t config.Tags, o warden.Observation) warden.Observation {
	switch {
	case t.NoFailover || t.Priority == 0:
		o.Priority = 0
	case t.PrioritySet && o.Priority != 0:
		o.Priority = config.MaxPriority + 1 - t.Priority
	}
	o.NoSync = o.NoSync || t.NoSync
	o.Unannounced = o.Unannounced || t.NoLoadBalance
	o.From = t.ReplicateFrom
	return o
}
