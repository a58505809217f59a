package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// Goal (L1, L2, S9): all processes of the primary are killed while a client
// writes. The client goes on within the bar, all Wardens agree and announce it,
// the other standby follows. The old primary comes back as a primary: nobody is
// sent to it, it is fenced, and it is said that it needs a rejoin.
func TestPostgresKilled(t *testing.T) {
	t.Parallel()
	l := startPgLab(t)
	old := l.servers[0]
	w := l.writes(300*time.Millisecond, l.wardens...)
	honest := l.honestAnswers(old)
	at := time.Now()
	old.kill()
	keepsBar(t, "the kill", w.awaitElsewhere(old, at))
	fresh := l.awaitOther(old, l.wardens...)
	for _, wd := range l.wardens {
		if got := wd.served(); got != fresh.Addr {
			t.Errorf("%s serves %s, but %s is the primary", wd.name, got, fresh.Addr)
		}
		await(t, wd.name+" announces +switch-master", func() bool { return wd.said("+switch-master", groupName, old.Addr.Port(), fresh.Addr.Port()) })
	}
	l.awaitWhole(fresh, l.except(old)...)
	w.goesOn()
	honest()
	old.start()
	l.awaitFenced(old, fresh)
	l.awaitWhole(fresh, l.except(old)...)
	if gone := l.lostOn(fresh, w.Stop()); len(gone) > 0 {
		t.Logf("asynchronous: %d confirmed writes were lost", len(gone))
	}
}

// awaitFenced waits until an old primary takes no writes, and every Warden
// knows that it has to be rejoined.
func (pl *pgLab) awaitFenced(old, fresh *pgNode) {
	pl.t.Helper()
	await(pl.t, old.name+" is fenced and needs a rejoin", func() bool {
		for _, w := range pl.wardens {
			if got := w.served(); got != "" && got != fresh.Addr {
				pl.t.Fatalf("%s serves %s after %s was promoted", w.name, got, fresh.Addr)
			}
			o, ok := w.observation(old.Addr)
			if !ok || !o.ReadOnly || !o.NeedsRejoin {
				return false
			}
		}
		return true
	})
	if _, err := old.try("INSERT INTO records VALUES (-1)"); postgreslab.State(err) != "25006" {
		pl.t.Errorf("a write to the fenced %s: %v, want SQLSTATE 25006", old.name, err)
	}
	await(pl.t, "+needs-rejoin is announced", func() bool { return anySaid(pl.wardens, "+needs-rejoin", old.Addr.Port()) })
	if anySaid(pl.wardens, "-order-note", "needs-rejoin") {
		pl.t.Error("it is said twice that the fenced one needs a rejoin")
	}
}

// observation is how the Warden last saw a server.
func (w *ward) observation(addr warden.NodeID) (warden.Observation, bool) {
	v, err := w.view()
	if err != nil {
		return warden.Observation{}, false
	}
	for _, n := range v.Nodes {
		if n.Node == addr {
			return n.Observation, true
		}
	}
	return warden.Observation{}, false
}

// honestAnswers asks the Wardens all the time for the primary and tries, the
// first time one of them names another than old, whether that one takes writes.
// The function it returns ends this and judges it.
func (pl *pgLab) honestAnswers(old *pgNode) func() {
	type answer struct {
		by    string
		named warden.NodeID
		err   error
	}
	first := make(chan answer, len(pl.wardens))
	for _, w := range pl.wardens {
		go func() {
			for end := time.Now().Add(patience); time.Now().Before(end); {
				named, err := w.primaryOf(pl.t.Context())
				if pl.t.Context().Err() != nil {
					break
				}
				if err != nil || named == old.Addr {
					continue
				}
				_, err = pl.server(named).try("INSERT INTO records VALUES (-2)")
				first <- answer{w.name, named, err}
				return
			}
			first <- answer{by: w.name}
		}()
	}
	return func() {
		pl.t.Helper()
		for range pl.wardens {
			if a := <-first; a.named == "" || a.err != nil {
				pl.t.Errorf("%s named %q as the primary, and a write there: %v", a.by, a.named, a.err)
			}
		}
	}
}

// Goal (L1, S9): all processes of the primary stand still, with the connections
// open. The client goes on within the bar. When they wake up nobody is sent
// there; it is fenced, and the example script makes it a standby again. Nothing
// that was confirmed since the failover is lost.
func TestPostgresStopped(t *testing.T) {
	t.Parallel()
	l := startPgLab(t, rejoining(t))
	old := l.servers[0]
	w := l.writes(300*time.Millisecond, l.wardens...)
	at := time.Now()
	old.Pause()
	keepsBar(t, "the stop", w.awaitElsewhere(old, at))
	fresh := l.awaitOther(old, l.wardens...)
	before := len(w.Acks())
	old.Resume()
	await(t, "+needs-rejoin is announced", func() bool { return anySaid(l.wardens, "+needs-rejoin", old.Addr.Port()) })
	l.awaitWhole(fresh, l.servers...)
	w.goesOn()
	acks := w.Stop()
	if gone := l.lostOn(fresh, acks[before:]); len(gone) > 0 {
		t.Errorf("%d writes confirmed after the failover are lost: %v", len(gone), gone)
	}
	await(t, "the rejoined standby has everything that the primary has", func() bool {
		gone, err := postgreslab.Lost(l.ctx(patience), nil, acks[before:], old.Addr)
		return err == nil && len(gone) == 0
	})
}

// Goal: a standby is restarted, and then gone for a while. Nothing is failed
// over, writes go on, and it streams again by itself.
func TestPostgresStandbyRestarted(t *testing.T) {
	t.Parallel()
	l := startPgLab(t)
	primary, standby := l.servers[0], l.servers[1]
	w := l.writes(time.Second, l.wardens...)
	version := l.wardens[0].mustView().Topology.Version
	if err := standby.Stop(l.ctx(patience)); err != nil {
		t.Fatal(err)
	}
	await(t, "the standby is found down", func() bool { return anySaid(l.wardens, "+sdown", standby.Addr.Port()) })
	w.goesOn()
	standby.start()
	l.awaitWhole(primary, l.servers...)
	standby.kill()
	standby.start()
	l.awaitWhole(primary, l.servers...)
	if now := l.wardens[0].mustView().Topology; now.Primary != primary.Addr || now.Epoch > version.Epoch+2 {
		t.Errorf("the restart of a standby led to %+v, was %+v", now, version)
	}
	w.keepsAll(primary)
}

// Goal: an operator shuts the primary down and promotes a standby by hand. The
// Wardens adopt it and do not promote another one beside it.
func TestPostgresPromotedByHand(t *testing.T) {
	t.Parallel()
	l := startPgLab(t)
	old, chosen, other := l.servers[0], l.servers[2], l.servers[1]
	if err := old.Stop(l.ctx(patience)); err != nil {
		t.Fatal(err)
	}
	chosen.must("SELECT pg_promote()")
	if fresh := l.awaitOther(old, l.wardens...); fresh != chosen {
		t.Errorf("%s is the primary, want %s, which was promoted by hand", fresh.name, chosen.name)
	}
	l.awaitWhole(chosen, chosen, other)
	if other.isPrimary() {
		t.Errorf("%s was promoted beside %s", other.name, chosen.name)
	}
	w := l.writes(time.Second, l.wardens...)
	w.keepsAll(chosen)
}

// switchoverBar is the longest pause of a client in a planned change.
const switchoverBar = 500 * time.Millisecond

// Goal: a planned change under a writing client loses no confirmed write and
// is short. Nobody is sent to a server that takes no writes: only the session that
// was open is told so. The old primary is brought back by the example script,
// and the next change goes there. With a sync set likewise.
func TestPostgresSwitchover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, group string }{{"async", ""}, {"quorum", durable}} {
		t.Run(c.name, func(t *testing.T) {
			l := startPgLab(t, rejoining(t), c.group)
			w := l.writes(5*time.Second, l.wardens...)
			from := l.servers[0]
			for _, to := range []*pgNode{l.servers[1], l.servers[0]} {
				if c.group == durable {
					l.awaitSync(from, l.except(from)...)
				}
				w.changesHands(from, to)
				l.awaitWhole(to, l.servers...)
				from = to
			}
			w.keepsAll(l.servers[0])
		})
	}
}

// changesHands orders a switchover and judges what the client saw of it.
func (w *pgWriter) changesHands(from, to *pgNode) {
	l, t := w.lab, w.lab.t
	t.Helper()
	refused := w.Errors()["25006"]
	honest := l.honestAnswers(from)
	at, out, orders := l.switchTo(to)
	w.goesOn()
	honest()
	gap := w.gap(at)
	t.Logf("%s; longest pause of the client %s (bar %s); errors so far %v", out, milliseconds(gap), milliseconds(switchoverBar), w.Errors())
	// For each order one in the open session, and one if it asked just before.
	if n := w.Errors()["25006"] - refused; n > 2*orders {
		t.Errorf("the client was sent to a primary that takes no writes: SQLSTATE 25006 %d times", n)
	}
	if gap > switchoverBar+slack {
		t.Errorf("the client wrote nothing for %s, want at most %s", gap, switchoverBar+slack)
	}
}

// switchTo orders a switchover, and once more where it was refused: on a busy
// machine a look may take too long. It returns when the last order was given, the
// answer, and how many orders it took.
func (pl *pgLab) switchTo(to *pgNode) (at time.Time, out string, orders int) {
	pl.t.Helper()
	await(pl.t, "the switchover to "+to.name+" is done", func() bool {
		at = time.Now()
		orders++
		var err error
		if out, err = pl.wardens[0].command(pl.ctx(patience), "switchover", groupName, "--to", string(to.Addr)); err != nil {
			pl.t.Logf("switchover to %s: %v, %s", to.name, err, out)
		}
		return err == nil
	})
	return at, strings.TrimSpace(out), orders
}
