package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

const (
	// crashCode is how a Warden ends at WARDEN_CRASH_POINT.
	crashCode = 99
	// leaderBar is L3 with slack: a leader that dies costs less than 2 s more.
	leaderBar = 4 * time.Second
	// rounds bounds the failovers until the chosen Warden is the one that
	// leads. Usually the first will do.
	rounds = 6
)

// firstInTurn is the Warden whose turn it is first in the next epoch: the
// place in the sorted list, turned on by the epoch and the group's name.
func (l *lab) firstInTurn() *ward {
	l.t.Helper()
	ids := map[warden.WardenID]*ward{}
	var epoch warden.Epoch
	for _, w := range l.wardens {
		ids[w.id()] = w
		epoch = max(epoch, w.mustView().Promise)
	}
	view := l.wardens[0].mustView()
	list := slices.Clone(view.Topology.Wardens)
	slices.Sort(list)
	return ids[list[int((uint64(epoch)+1+group.TurnOf(view.Name))%uint64(len(list)))]]
}

// restart ends a Warden and starts it with a crash point (empty: none), then
// waits until it takes part again.
func (w *ward) restart(crashPoint string) {
	w.lab.t.Helper()
	w.process.kill()
	var env []string
	if crashPoint != "" {
		env = append(env, "WARDEN_CRASH_POINT="+crashPoint)
	}
	w.start(env...)
}

// Goal (S3, S4, L3): the leader of a failover is killed as it enters each
// stage. The others finish what it began, the client writes again within the
// bar and the price of a dead leader, and the dead Warden agrees when it is
// back.
func TestLeaderKilledInFailover(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"elected", "looking", "deciding", "claiming", "promoting", "publishing", "repointing"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			w := l.write(300*time.Millisecond, l.wardens...)
			primary := l.nodes[0]
			for round := 1; ; round++ {
				if round > rounds {
					t.Fatalf("in %d failovers the chosen Warden never reached the stage %s", rounds, stage)
				}
				leader := l.firstInTurn()
				leader.restart(stage)
				l.awaitAgreed(primary)
				primary.process.kill()
				took := w.awaitAfter(t, time.Now())
				fresh := l.awaitPrimaryOtherThan(primary, l.without(leader)...)
				crashed := !leader.process.alive()
				if crashed {
					l.crashed(leader, stage, took)
				}
				leader.restart("")
				primary.start()
				l.awaitAgreed(fresh)
				if crashed {
					return
				}
				primary = fresh
			}
		})
	}
}

// crashed checks the death of a leader and what it cost the client.
func (l *lab) crashed(leader *ward, stage string, took time.Duration) {
	l.t.Helper()
	if code := leader.process.exit(l.t, 0); code != crashCode {
		l.t.Errorf("the leader ended with %d, want %d", code, crashCode)
	}
	l.t.Logf("leader killed at %s: the client wrote again after %s (L1 and L3: %s)", stage, milliseconds(took), milliseconds(bar+2*time.Second))
	if took > bar+leaderBar {
		l.t.Errorf("leader killed at %s: the client wrote again only after %s, want at most %s", stage, took, bar+leaderBar)
	}
}

// without are the other Wardens.
func (l *lab) without(out *ward) []*ward {
	return slices.DeleteFunc(slices.Clone(l.wardens), func(w *ward) bool { return w == out })
}

// Goal (S3, S4): the leader of a switchover is killed as it enters each stage,
// under a writing client. The others finish it or go back, no confirmed write
// is lost, and writes go on.
func TestLeaderKilledInSwitchover(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"elected", "holding", "draining", "deciding", "claiming", "demoting", "promoting", "publishing", "repointing"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			leader := l.wardens[0]
			leader.restart(stage)
			l.awaitAgreed(l.nodes[0])
			w := l.write(5*time.Second, l.without(leader)...)
			leader.dieOf("switchover", groupName, "--to", string(l.nodes[1].addr))
			took := w.awaitAfter(t, time.Now())
			t.Logf("leader killed at %s: the client wrote again after %s", stage, milliseconds(took))
			if took > bar+leaderBar {
				t.Errorf("leader killed at %s: the client wrote again only after %s, want at most %s", stage, took, bar+leaderBar)
			}
			leader.restart("")
			var primary *node
			await(t, "the Wardens agree on one of the two", func() bool {
				primary = l.node(leader.served())
				return primary != nil && l.healthy(primary)
			})
			before := w.count()
			await(t, "the client writes on", func() bool { return w.count() > before+20 })
			acked := w.stop()
			if gone := lost(t, acked, primary); len(gone) > 0 {
				t.Errorf("%d of %d confirmed writes are lost: %v", len(gone), len(acked), gone)
			}
		})
	}
}

// Goal (S4): the next leader dies too, while it looks at what the first one
// left. The first stops as it gives its order, the others as they look.
// Started again without crash points they settle on one primary.
func TestTwoLeadersKilled(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	primary := l.nodes[0]
	for round := 1; ; round++ {
		if round > rounds {
			t.Fatalf("in %d failovers no leader died, so nothing was shown", rounds)
		}
		deaths, fresh := l.failOverTwice(primary)
		t.Logf("%d leaders died", deaths)
		if deaths > 0 {
			return
		}
		// Somebody else was elected than the turns had promised, on a busy
		// machine: once more.
		primary = fresh
	}
}

// failOverTwice kills a primary, and each leader in what follows, and starts
// all again. It reports how many leaders died and who is the primary then.
func (l *lab) failOverTwice(old *node) (deaths int, fresh *node) {
	t := l.t
	first := l.firstInTurn()
	for _, w := range l.wardens {
		if w == first {
			w.restart("promoting")
		} else {
			w.restart("inspecting")
		}
	}
	l.awaitAgreed(old)
	// Longer than a Warden that has just started gives no vote.
	w := l.write(1500*time.Millisecond, l.wardens...)
	old.process.kill()
	await(t, "a primary is agreed on, with every dead Warden started again", func() bool {
		for _, wd := range l.wardens {
			if wd.process.alive() {
				continue
			}
			if code := wd.process.exit(t, 0); code != crashCode {
				t.Fatalf("%s ended with %d, want %d", wd.name, code, crashCode)
			}
			deaths++
			wd.launch()
		}
		n := l.node(l.wardens[0].served())
		return n != nil && n != old && agreed(l.wardens, n)
	})
	fresh = l.awaitPrimaryOtherThan(old, l.wardens...)
	w.awaitAfter(t, time.Now())
	old.start()
	l.awaitAgreed(fresh)
	w.stop()
	return deaths, fresh
}

// Goal (S4): the leader of a pause is killed as it proposes it. The change
// holds on all Wardens or on none, and an order afterwards is obeyed.
func TestLeaderKilledInPause(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	leader := l.wardens[0]
	leader.restart("changing")
	l.awaitAgreed(l.nodes[0])
	leader.dieOf("pause", groupName)
	leader.restart("")
	l.awaitAgreed(l.nodes[0]) // with one version everywhere
	paused := l.wardens[0].mustView().Paused
	for _, w := range l.wardens {
		if got := w.mustView().Paused; got != paused {
			t.Errorf("%s: paused %v, the first one %v", w.name, got, paused)
		}
	}
	for _, order := range []string{"PAUSE", "RESUME"} {
		if a := l.wardens[1].order(order, groupName); a.Verdict != warden.VerdictDone {
			t.Fatalf("%s: %+v", order, a)
		}
	}
	l.nodes[0].process.kill()
	l.awaitPrimaryOtherThan(l.nodes[0], l.wardens...)
}

// Goal (R1, R2, S4): the leader of a change of the list is killed as it
// affirms the old list and as it proposes the new one. The order is given
// again to another Warden, and the list is what was asked for.
func TestLeaderKilledInForget(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"affirming", "changing"} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			leader, id := l.wardens[0], l.wardens[2].id()
			l.wardens[2].process.kill()
			l.wardens = l.wardens[:2]
			leader.restart(stage)
			await(t, "two of three Wardens are a majority", func() bool {
				a, errA := l.wardens[0].view()
				b, errB := l.wardens[1].view()
				return errA == nil && errB == nil && a.Agreed && b.Agreed && a.Topology.Version == b.Topology.Version
			})
			leader.dieOf("forget", groupName, string(id))
			leader.restart("")
			await(t, "the Warden is forgotten, by one order or the other", func() bool {
				if l.wardens[1].mustView().Topology.Lists(id) {
					_ = l.wardens[1].order("FORGET", groupName, string(id)) // refused while nobody can be elected
				}
				return !l.wardens[1].mustView().Topology.Lists(id)
			})
			l.awaitAgreed(l.nodes[0])
		})
	}
}

// dieOf gives an order that ends the Warden at its crash point.
func (w *ward) dieOf(order ...string) {
	w.lab.t.Helper()
	out, err := w.command(w.lab.ctx(patience), order...)
	if code := w.process.exit(w.lab.t, patience); code != crashCode || err == nil {
		w.lab.t.Fatalf("the leader ended with %d, want %d; the command: %v\n%s", code, crashCode, err, out)
	}
}
