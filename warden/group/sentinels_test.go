package group

import (
	"testing"

	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

// Goal: whom real Sentinels promoted is followed in a group that nobody has written
// to, and not when it holds nothing of what others may hold.
func TestPromotedBySentinels(t *testing.T) {
	h := newHouse(t, 1, nil)
	c := h.config[0]
	agreed := firstAgreement()
	for name, x := range map[string]struct {
		dead, promoted, third bool // holds nothing
		unseen                bool // nobody has seen the dead one since the start
		follow                warden.NodeID
	}{
		"all hold data":                          {follow: "b:1"},
		"nobody was ever written to":             {dead: true, promoted: true, third: true, follow: "b:1"},
		"the dead one held data":                 {promoted: true, third: true},
		"the third one holds data":               {dead: true, promoted: true},
		"what the dead one held is not known":    {dead: true, promoted: true, third: true, unseen: true},
		"unknown, but the promoted one has data": {dead: true, third: true, unseen: true, follow: "b:1"},
	} {
		s := New(c, warden.Register{Promise: 1, Accepted: agreed, Chosen: agreed, Nodes: []warden.NodeID{"a:1", "b:1", "c:1"}}, h.now)
		now := h.now.Add(warden.Minute)
		node := func(id warden.NodeID, role warden.Role, lineage, before string, empty bool) *monitor.Node {
			return &monitor.Node{ID: id, Health: warden.HealthGood, SeenAt: now, RoleSince: h.now,
				Seen: &warden.Observation{Health: warden.HealthGood, Role: role, Lineage: lineage, LineageBefore: before, Empty: empty}}
		}
		a := node("a:1", warden.RolePrimary, "L1", "", x.dead)
		a.Down = true
		if x.unseen {
			a.SeenAt, a.Seen = 0, &warden.Observation{}
		}
		s.mon.Nodes = []*monitor.Node{a, node("b:1", warden.RolePrimary, "L2", "L1", x.promoted), node("c:1", warden.RoleReplica, "L2", "L1", x.third)}
		s.mon.Odown, s.sentinels = true, []string{"s1"}
		p := step{file: &c, c: &c, s: &s, now: now}
		if got := p.promotedBySentinels(); got != x.follow {
			t.Errorf("%s: follows %q, want %q", name, got, x.follow)
		}
	}
}
