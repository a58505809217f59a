package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

func sealing() warden.Topology {
	return warden.Topology{
		Group: "orders", Birth: "b", Version: warden.Version{Epoch: 5, Step: 1}, Phase: warden.PhaseSealing, Primary: "p:1", Wardens: []warden.WardenID{"1", "2", "3"},
		Sync: []warden.SyncSet{{K: 1, Members: []warden.Member{{Node: "a:1", Name: "name-a"}, {Node: "b:1", Name: "name-b"}}}},
	}
}

func seen(node warden.NodeID, role warden.Role, edit func(*warden.Observation)) seenNode {
	o := warden.Observation{Health: warden.HealthGood, Role: role}
	if edit != nil {
		edit(&o)
	}
	return seenNode{node, o}
}

func isSealed(o *warden.Observation) { o.Sealed = true }

func isDead(o *warden.Observation) { *o = warden.Observation{Health: warden.HealthRefused} }

// Goal: a seal is undone by hand only where nobody can have been promoted, as
// far as one Warden can tell, and in the name of the highest epoch it knows.
func TestPlanRelease(t *testing.T) {
	promoting, done := sealing(), sealing()
	promoting.Phase, promoting.Primary, promoting.Previous = warden.PhasePromoting, "a:1", "p:1"
	done.Phase = warden.PhaseDone
	all := []seenNode{seen("p:1", warden.RolePrimary, nil), seen("b:1", warden.RoleReplica, isSealed), seen("a:1", warden.RoleReplica, isSealed)}
	with := func(i int, n seenNode) []seenNode {
		nodes := slices.Clone(all)
		nodes[i] = n
		return nodes
	}
	register := warden.Register{Promise: 7, Accepted: sealing()}
	tests := []struct {
		name  string
		scene sealScene
		code  string // of the refusal
		words string // in its text
		nodes []warden.NodeID
		epoch warden.Epoch
	}{
		{"sealing", sealScene{register: register, nodes: all}, "", "", []warden.NodeID{"a:1", "b:1"}, 7},
		{"left over", sealScene{register: warden.Register{Promise: 3, Accepted: done}, nodes: all}, "", "", []warden.NodeID{"a:1", "b:1"}, 5},
		{"one sealed", sealScene{register: register, nodes: with(1, seen("b:1", warden.RoleReplica, nil))}, "", "", []warden.NodeID{"a:1"}, 7},
		{"the primary is dead", sealScene{register: register, nodes: with(0, seen("p:1", "", isDead))}, "", "", []warden.NodeID{"a:1", "b:1"}, 7},
		{"no agreement", sealScene{nodes: all}, "not-agreed", "ask another", nil, 0},
		{"given up", sealScene{register: warden.Register{Superseded: true, Accepted: sealing()}, nodes: all}, "superseded", "", nil, 0},
		{"a majority is there", sealScene{register: register, agreed: true, nodes: all}, "agreed", "spineldb explain", nil, 0},
		{"promoting", sealScene{register: warden.Register{Accepted: promoting, Chosen: sealing()}, nodes: all}, "in-progress", "promotion of a:1", nil, 0},
		{"promoting, known to be chosen", sealScene{register: warden.Register{Accepted: sealing(), Chosen: func() warden.Topology {
			p := promoting
			p.Step = 2
			return p
		}()}, nodes: all}, "in-progress", "", nil, 0},
		{"another primary", sealScene{register: register, nodes: with(2, seen("a:1", warden.RolePrimary, nil))}, "no-primary", "a:1 is a primary", nil, 0},
		{"a fenced former primary", sealScene{register: register, nodes: append(slices.Clone(all), seen("c:1", warden.RolePrimary, func(o *warden.Observation) { o.NeedsRejoin = true }))},
			"", "", []warden.NodeID{"a:1", "b:1"}, 7},
		{"unseen", sealScene{register: register, nodes: with(2, seen("a:1", "", isDead))}, "unseen", "--gone a:1", nil, 0},
		{"known to be gone", sealScene{register: register, nodes: with(2, seen("a:1", "", isDead)), gone: []warden.NodeID{"a:1"}}, "", "", []warden.NodeID{"b:1"}, 7},
		{"nothing sealed", sealScene{register: register, nodes: all[:1]}, "not-sealed", "", nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, refusal := planRelease(tt.scene)
			if refusal != nil {
				if refusal.Verdict != warden.VerdictRefused || refusal.Code != tt.code || !strings.Contains(refusal.Text, tt.words) {
					t.Errorf("refused: %+v, want code %q", refusal, tt.code)
				}
				return
			}
			if tt.code != "" || !slices.Equal(plan.nodes, tt.nodes) || plan.epoch != tt.epoch {
				t.Errorf("plan %+v, want %q in epoch %d, code %q", plan, tt.nodes, tt.epoch, tt.code)
			}
		})
	}
}

// Goal: who is released counts as a member again, by its name.
func TestReleasedMembersKeepTheirNames(t *testing.T) {
	plan := releasePlan{topology: sealing()}
	f := plan.following("a:1")
	if f.Primary != "p:1" || f.Name != "name-a" || f.Sync == nil || f.Sync.K != 1 || !slices.Equal(f.Sync.Names, []string{"name-b"}) {
		t.Errorf("order %+v, %+v", f, f.Sync)
	}
	if f = plan.following("c:1"); f.Name != "" {
		t.Errorf("order %+v for a node that is no member", f)
	}
	plan.topology.Sync = nil
	if f = plan.following("a:1"); f.Sync != nil || f.Primary != "p:1" {
		t.Errorf("order %+v without a sync set", f)
	}
}

// sealedServer is an adapter of one server.
type sealedServer struct {
	warden.Adapter
	observation warden.Observation
	claim       warden.Result
	orders      []string
}

type sealedSession struct {
	warden.Session
	server *sealedServer
}

func (s *sealedServer) Claim(context.Context, warden.NodeID, warden.Claim) (warden.Session, warden.Result) {
	if s.claim.Outcome != warden.Done {
		return nil, s.claim
	}
	return sealedSession{server: s}, s.claim
}

func (s sealedSession) Look(context.Context) warden.Observation { return s.server.observation }

func (s sealedSession) Follow(_ context.Context, f warden.Following) warden.Result {
	s.server.orders = append(s.server.orders, "follow "+string(f.Primary))
	return warden.Result{Outcome: warden.Done}
}

func (s sealedSession) Close() { s.server.orders = append(s.server.orders, "close") }

// Goal: what was a seal at the look and is none when the node is claimed, is
// left alone.
func TestReleaseNode(t *testing.T) {
	good := warden.Result{Outcome: warden.Done}
	tests := []struct {
		name   string
		server sealedServer
		want   warden.Outcome
		orders string
	}{
		{"sealed", sealedServer{claim: good, observation: seen("", warden.RoleReplica, isSealed).seen}, warden.Done, "follow p:1 close"},
		{"released by a leader", sealedServer{claim: good, observation: seen("", warden.RoleReplica, nil).seen}, warden.Refused, "close"},
		{"promoted", sealedServer{claim: good, observation: seen("", warden.RolePrimary, isSealed).seen}, warden.Refused, "close"},
		{"a newer leader", sealedServer{claim: warden.Result{Outcome: warden.Refused, Superseded: true, Why: "epoch 9 is there"}}, warden.Refused, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := releaseNode(t.Context(), &tt.server, "a:1", warden.Claim{}, warden.Following{Primary: "p:1"})
			if got.Outcome != tt.want || strings.Join(tt.server.orders, " ") != tt.orders {
				t.Errorf("result %+v after %q, want %s after %q", got, tt.server.orders, tt.want, tt.orders)
			}
		})
	}
}

// Goal: refused is said only where nothing was changed.
func TestReleaseVerdict(t *testing.T) {
	for _, tt := range []struct {
		done, refused, unknown int
		want                   warden.Verdict
	}{
		{2, 0, 0, warden.VerdictDone}, {0, 2, 0, warden.VerdictRefused}, {1, 1, 0, warden.VerdictUnknown}, {0, 1, 1, warden.VerdictUnknown}, {1, 0, 1, warden.VerdictUnknown},
	} {
		got, _ := releaseVerdict(map[warden.Outcome]int{warden.Done: tt.done, warden.Refused: tt.refused, warden.Unknown: tt.unknown}, tt.done+tt.refused+tt.unknown)
		if got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
