package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal (S3, S4, S8, L3): the leader of a failover of PostgreSQL is killed as it
// enters each stage. The others finish what it began, the client writes again
// within the bar and the price of a dead leader, and the old primary is brought
// back by the example script. With a sync set nothing acknowledged is lost.
func TestPostgresLeaderKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, group string
		stages      []string
	}{
		{"early", "", []string{"looking", "deciding", "claiming"}},
		{"late", "", []string{"promoting", "publishing", "repointing"}},
		{"quorum", durable, []string{"sealing", "promoting"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := startPgLab(t, rejoining(t), c.group)
			w := l.writes(300*time.Millisecond, l.wardens...)
			primary := l.servers[0]
			for _, stage := range c.stages {
				for round := 1; ; round++ {
					if round > rounds {
						t.Fatalf("in %d failovers the chosen Warden never reached the stage %s", rounds, stage)
					}
					if c.group == durable {
						l.awaitSync(primary, l.except(primary)...)
					}
					var crashed bool
					if primary, crashed = l.killBoth(w, primary, stage); crashed {
						break
					}
				}
			}
			w.goesOn()
			if c.group == durable {
				w.keepsAll(primary)
			}
		})
	}
}

// Goal (S3, S4, S8): a standby comes and goes, and the leader of the change of the
// sync set is killed as it enters each stage. The others finish the change, writes
// go on, and nothing acknowledged is lost when the primary dies afterwards.
func TestPostgresLeaderKilledInSyncChange(t *testing.T) {
	t.Parallel()
	l := startDurable(t)
	primary, comes, stays := l.servers[0], l.servers[1], l.servers[2]
	w := l.writes(300*time.Millisecond, l.wardens...)
	there := true
	for _, stage := range []string{"naming", "widening", "arming", "narrowing"} {
		for round := 1; ; round++ {
			if round > rounds {
				t.Fatalf("in %d changes no leader reached the stage %s", rounds, stage)
			}
			there = !there
			// Whoever sees the need first leads, so each of them is prepared.
			l.prepare(stage)
			if l.changeSync(primary, comes, stays, there) {
				t.Logf("a leader died at %s", stage)
				break
			}
		}
	}
	// Those that did not lead are still prepared, and would die of this change.
	l.prepare("")
	if !there {
		l.changeSync(primary, comes, stays, true)
	}
	w.goesOn()
	at := time.Now()
	primary.kill()
	w.awaitElsewhere(primary, at)
	fresh := l.awaitOther(primary, l.wardens...)
	w.goesOn()
	w.keepsAll(fresh)
}

// prepare starts all Wardens anew with a crash point (empty: none).
func (pl *pgLab) prepare(stage string) {
	pl.t.Helper()
	for _, w := range pl.wardens {
		w.restart(stage)
	}
	await(pl.t, "the Wardens agree", func() bool { return agreed(pl.wardens, nil) })
}

// changeSync starts or kills a standby, and starts each Warden again that dies of
// that. It returns when the set is as it should be, and whether one died.
func (pl *pgLab) changeSync(primary, comes, stays *pgNode, there bool) (crashed bool) {
	pl.t.Helper()
	members := []*pgNode{stays}
	if there {
		members = []*pgNode{comes, stays}
	}
	began := time.Now()
	if there {
		comes.start()
	} else {
		comes.kill()
	}
	// Each of three leaders may die, and elections take their time on a busy machine.
	awaitFor(pl.t, 2*patience, "the sync set is changed, though leaders die", func() bool {
		for _, w := range pl.wardens {
			if w.process.alive() {
				continue
			}
			if code := w.process.exit(pl.t, 0); code != crashCode {
				pl.t.Fatalf("%s ended with %d, want %d", w.name, code, crashCode)
			}
			crashed = true
			w.launch()
		}
		return pl.syncIs(pl.wardens, primary, members...)
	})
	pl.t.Logf("a standby is there: %v; the set was changed after %s", there, milliseconds(time.Since(began)))
	return crashed
}

// killBoth kills the primary and, in a stage of the failover, the Warden whose
// turn it is. It returns the new primary when all are back, and whether that
// Warden led and died.
func (pl *pgLab) killBoth(w *pgWriter, old *pgNode, stage string) (fresh *pgNode, crashed bool) {
	pl.t.Helper()
	leader := pl.firstInTurn()
	leader.restart(stage)
	pl.awaitWhole(old, pl.servers...)
	at := time.Now()
	old.kill()
	took := w.awaitElsewhere(old, at)
	fresh = pl.awaitOther(old, pl.without(leader)...)
	if crashed = !leader.process.alive(); crashed {
		pl.crashed(leader, stage, took)
	}
	leader.restart("")
	old.start()
	pl.awaitWhole(fresh, pl.servers...)
	return fresh, crashed
}

// Goal: a group of Redis and a group of PostgreSQL under the same three Wardens
// lose their primaries at the same moment. Neither waits for the other.
func TestTwoKindsFailTogether(t *testing.T) {
	t.Parallel()
	const redisGroup = "cache"
	pl := newPgLab(t)
	upper := pl.addServer(pl.host, nil)
	pl.addServer(pl.host, upper)
	pl.addServer(pl.host, upper)
	cache := pl.addNode(nil)
	pl.addNode(cache)
	pl.addNode(cache)
	pl.settings.groups = func() string {
		return pl.block() + fmt.Sprintf("[[masters]]\nname = %q\nip = %q\nport = %s\nquorum = 2\nwardens = 3\ndown_after = \"%s\"\nfailover_timeout = \"20s\"\nhello_interval = \"300ms\"\n",
			redisGroup, cache.addr.Host(), cache.addr.Port(), pl.settings.down)
	}
	for range 3 {
		pl.prepareWarden().start()
	}
	pl.awaitWhole(upper, pl.servers...)
	primaryOf := func(w *ward, name warden.GroupName) (warden.NodeID, bool) {
		s, err := w.status()
		for _, g := range s.Groups {
			if err == nil && g.Name == name && g.Agreed && len(g.Nodes) == 3 && g.Topology.Phase == warden.PhaseDone {
				return g.Primary, true
			}
		}
		return "", false
	}
	await(t, "the group of Redis is whole", func() bool {
		for _, w := range pl.wardens {
			if p, ok := primaryOf(w, redisGroup); !ok || p != cache.addr {
				return false
			}
		}
		return pl.nodes[1].follows(cache) && pl.nodes[2].follows(cache)
	})
	w := pl.writes(300*time.Millisecond, pl.wardens...)
	at := time.Now()
	go cache.process.kill()
	upper.kill()
	both := map[warden.GroupName]time.Duration{}
	await(t, "both groups have another primary that takes writes", func() bool {
		if p, ok := primaryOf(pl.wardens[0], redisGroup); ok && p != cache.addr && both[redisGroup] == 0 {
			if n := pl.node(p); n != nil && n.isPrimary() {
				both[redisGroup] = time.Since(at)
			}
		}
		if p, ok := primaryOf(pl.wardens[0], groupName); ok && p != upper.Addr && both[groupName] == 0 {
			both[groupName] = time.Since(at)
		}
		return len(both) == 2
	})
	for name, took := range both {
		keepsBar(t, "both kills, group "+string(name), took)
	}
	keepsBar(t, "both kills", w.awaitElsewhere(upper, at))
	w.Stop()
}
