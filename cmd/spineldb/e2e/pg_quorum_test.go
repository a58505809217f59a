package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// durable are the lines of a group that loses nothing it acknowledged.
const durable = "durability = \"quorum\"\nmember_timeout = \"2s\""

// syncIs reports whether the given servers are the sync set that the Wardens
// know of, nothing of it is changing, and the primary waits for it.
func (pl *pgLab) syncIs(wardens []*ward, primary *pgNode, members ...*pgNode) bool {
	var want []string
	for _, n := range members {
		want = append(want, string(n.Addr))
	}
	slices.Sort(want)
	if !agreed(wardens, nil) {
		return false
	}
	for _, w := range wardens {
		v, err := w.view()
		if err != nil || len(v.Topology.Sync) != 1 || v.Primary != primary.Addr {
			return false
		}
		var have, names []string
		for _, m := range v.Topology.Sync[0].Members {
			have, names = append(have, string(m.Node)), append(names, m.Name)
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			return false
		}
		waits, err := primary.try("SHOW synchronous_standby_names")
		if err != nil || slices.ContainsFunc(names, func(name string) bool { return !strings.Contains(waits, name) }) {
			return false
		}
	}
	return true
}

// awaitSync waits until the given servers are the sync set of all Wardens.
func (pl *pgLab) awaitSync(primary *pgNode, members ...*pgNode) {
	pl.t.Helper()
	var names []string
	for _, n := range members {
		names = append(names, n.name)
	}
	await(pl.t, fmt.Sprintf("the sync set is %v", names), func() bool { return pl.syncIs(pl.wardens, primary, members...) })
}

// startDurable is startPgLab with a sync set in force.
func startDurable(t *testing.T, more ...string) *pgLab {
	t.Helper()
	pl := startPgLab(t, append([]string{durable}, more...)...)
	pl.awaitSync(pl.servers[0], pl.servers[1:]...)
	return pl
}

// session is one that was opened to a server before something happened to it.
type session struct {
	*postgreslab.Session
	lab *pgLab
}

func (pl *pgLab) open(n *pgNode) session {
	pl.t.Helper()
	s, err := postgreslab.ConnectBy(pl.ctx(5*time.Second), pl.dial, n.Addr, postgreslab.Client, "kept")
	if err != nil {
		pl.t.Fatal(err)
	}
	pl.t.Cleanup(s.Close)
	return session{s, pl}
}

// insist writes every 5 ms until the session is ended or the time is over, and
// returns the numbers that were acknowledged and how it ended.
func (s session) insist(first int, limit time.Duration) (acked []int, err error) {
	end := time.Now().Add(limit)
	beat := time.NewTicker(5 * time.Millisecond)
	defer beat.Stop()
	for n := first; ; n++ {
		left := time.Until(end)
		if left <= 0 {
			return acked, nil
		}
		if _, err := s.Within(left, fmt.Sprintf("INSERT INTO records VALUES (%d)", n)); err != nil {
			return acked, err
		}
		acked = append(acked, n)
		<-beat.C
	}
}

// Goal (S8): all processes of the primary are killed. The client goes on within
// the bar and not one acknowledged write is lost. The old primary is brought back
// by the example script and takes part again.
func TestPostgresQuorumKilled(t *testing.T) {
	t.Parallel()
	l := startDurable(t, rejoining(t))
	old := l.servers[0]
	w := l.writes(300*time.Millisecond, l.wardens...)
	honest := l.honestAnswers(old)
	at := time.Now()
	old.kill()
	keepsBar(t, "the kill", w.awaitElsewhere(old, at))
	fresh := l.awaitOther(old, l.wardens...)
	honest()
	w.goesOn()
	old.start()
	l.awaitWhole(fresh, l.servers...)
	l.awaitSync(fresh, l.except(fresh)...)
	w.goesOn()
	w.keepsAll(fresh)
}

// Goal (S8): all processes of the primary stand still and wake up after the
// failover, with sessions that were opened before. Written to every 5 ms from
// then on they get no acknowledgement, and nothing that anybody was acknowledged
// is lost.
func TestPostgresQuorumStopped(t *testing.T) {
	t.Parallel()
	l := startDurable(t)
	old := l.servers[0]
	w := l.writes(300*time.Millisecond, l.wardens...)
	kept := []session{l.open(old), l.open(old)}
	// One that is in the middle of its writes when the server stops, and that
	// Wardens may not end.
	busy := postgreslab.Write(postgreslab.WriterOptions{
		Where: func(context.Context) (warden.NodeID, error) { return old.Addr, nil },
		Pace:  5 * time.Millisecond, Patience: 8 * time.Second, Role: postgreslab.Superuser, First: 1 << 24,
	})
	t.Cleanup(func() { old.Resume(); busy.Stop() })
	await(t, "the busy session writes", func() bool { return len(busy.Acks()) > 20 })
	at := time.Now()
	old.Pause()
	keepsBar(t, "the stop", w.awaitElsewhere(old, at))
	promoted := time.Now()
	fresh := l.awaitOther(old, l.wardens...)
	old.Resume()
	for i, s := range kept {
		acked, err := s.insist(1<<26+i<<20, time.Second)
		if len(acked) > 0 {
			t.Errorf("session %d was acknowledged %d writes after the promotion", i, len(acked))
		}
		t.Logf("session %d: %v", i, err)
	}
	l.awaitFenced(old, fresh)
	w.goesOn()
	acks := busy.Acks()
	for _, a := range acks {
		if a.Sent.After(promoted) {
			t.Errorf("the busy session was acknowledged a write that it sent %s after the promotion", a.Sent.Sub(promoted))
		}
	}
	if gone := l.lostOn(fresh, acks); len(gone) > 0 {
		t.Errorf("%d of %d acknowledged writes of the busy session are lost: %v", len(gone), len(acks), gone)
	}
	w.keepsAll(fresh)
}

// Goal: with four servers, of which two are wanted in the sync set, a member dies:
// the spare takes its place by agreement. Then the primary dies too. Writes go
// on after both, and not one that was acknowledged is lost. The member that
// comes back joins again under a new name.
func TestPostgresTwoFailOneAfterTheOther(t *testing.T) {
	t.Parallel()
	l := newPgLab(t, durable, "sync_group_size = 2")
	primary := l.addServer(l.host, nil)
	for range 3 {
		l.addServer(l.host, primary)
	}
	for range 3 {
		l.prepareWarden()
	}
	for _, w := range l.wardens {
		w.start()
	}
	l.awaitWhole(primary, l.servers...)
	members := l.members(2)
	l.awaitSync(primary, members...)
	before := l.wardens[0].mustView().Topology.NewestSync()
	w := l.writes(300*time.Millisecond, l.wardens...)
	lost := members[0]
	spare := l.except(primary, members[0], members[1])[0]
	lost.kill()
	l.awaitSync(primary, members[1], spare)
	w.goesOn()
	at := time.Now()
	primary.kill()
	keepsBar(t, "the second kill", w.awaitElsewhere(primary, at))
	fresh := l.awaitOther(primary, l.wardens...)
	w.goesOn()
	lost.start()
	l.awaitSync(fresh, l.except(primary, fresh)...)
	if name := l.wardens[0].mustView().Topology.NewestSync().Name(lost.Addr); name == "" || name == before.Name(lost.Addr) {
		t.Errorf("%s joined again as %q, before as %q", lost.name, name, before.Name(lost.Addr))
	}
	w.goesOn()
	w.keepsAll(fresh)
}

// members waits for a sync set of n members and returns them.
func (pl *pgLab) members(n int) []*pgNode {
	pl.t.Helper()
	var out []*pgNode
	await(pl.t, fmt.Sprintf("the sync set has %d members", n), func() bool {
		out = nil
		v, err := pl.wardens[0].view()
		if err != nil || len(v.Topology.Sync) != 1 {
			return false
		}
		for _, m := range v.Topology.Sync[0].Members {
			out = append(out, pl.server(m.Node))
		}
		return len(out) == n && !slices.Contains(out, nil)
	})
	return out
}

// Goal: a standby of two dies and the sync set shrinks by agreement, so that
// writes and a later switchover know where they stand; it returns and the set
// grows. A planned change then loses nothing.
func TestPostgresSyncSetShrinksAndGrows(t *testing.T) {
	t.Parallel()
	l := startDurable(t, rejoining(t))
	primary, gone, left := l.servers[0], l.servers[1], l.servers[2]
	w := l.writes(time.Second, l.wardens...)
	gone.kill()
	l.awaitSync(primary, left)
	w.goesOn()
	gone.start()
	l.awaitSync(primary, gone, left)
	w.goesOn()
	w.changesHands(primary, left)
	l.awaitWhole(left, l.servers...)
	l.awaitSync(left, primary, gone)
	w.keepsAll(left)
}
