package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// besideAddr is a second address of the place beyond the cable.
const besideAddr = "10.77.0.3"

// newPgLabOn makes a lab on a network: the primary beyond the cable, the
// standbys at an address, the Wardens here.
func newPgLabOn(t *testing.T, n *network, standbys string, down time.Duration, group ...string) *pgLab {
	t.Helper()
	for _, host := range []string{hereAddr, thereAddr, besideAddr} {
		postgresLab.places.Store(host, n.place(host))
	}
	pl := newPgLab(t, group...)
	pl.dial = n.dial
	pl.settings.down = down
	pl.prefix = func(string) []string { return []string{"ip", "netns", "exec", n.here} }
	primary := pl.addServer(thereAddr, nil)
	pl.addServer(standbys, primary)
	pl.addServer(standbys, primary)
	for range 3 {
		pl.prepareWardenOn(hereAddr).start()
	}
	pl.awaitWhole(primary, pl.servers...)
	return pl
}

// Goal: real networks are cut around a primary of PostgreSQL.
func TestPostgresNetworkCut(t *testing.T) {
	t.Parallel()
	if without("netns") {
		t.Log("no network was cut: this machine may not make namespaces (WARDEN_E2E_WITHOUT)")
		return
	}
	n := newNetwork(t, "-pg")
	n.ip("-n", n.there, "addr", "add", besideAddr+"/24", "dev", "cable")
	n.further = map[string]string{besideAddr: n.there}
	t.Run("from all but the client", func(t *testing.T) { cutFromAll(t, n) })
	t.Run("from the Wardens only", func(t *testing.T) { cutFromWardens(t, n) })
}

// cutFromAll: the primary is cut off from the Wardens and from both standbys, and
// a client is on its side (S8). It is acknowledged nothing from the promotion on,
// and nothing that anybody was acknowledged is lost.
func cutFromAll(t *testing.T, n *network) {
	l := newPgLabOn(t, n, hereAddr, downAfter, durable)
	old := l.servers[0]
	l.awaitSync(old, l.servers[1:]...)
	w := l.writes(300*time.Millisecond, l.wardens...)
	beyond := postgreslab.Write(postgreslab.WriterOptions{
		Where: func(context.Context) (warden.NodeID, error) { return old.Addr, nil },
		Pace:  5 * time.Millisecond, Patience: 500 * time.Millisecond, Role: postgreslab.Client, First: 1 << 24, Dial: n.dial,
	})
	t.Cleanup(func() { beyond.Stop() })
	await(t, "the client beyond the cable writes", func() bool { return len(beyond.Acks()) > 20 })
	at := time.Now()
	n.cut()
	keepsBar(t, "the cut", w.awaitElsewhere(old, at))
	promoted := time.Now()
	fresh := l.awaitOther(old, l.wardens...)
	stays(t, 2*downAfter, "nothing is acknowledged beyond the cable", func() bool {
		acks := beyond.Acks()
		return !acks[len(acks)-1].At.After(promoted)
	})
	if !old.isPrimary() {
		t.Error("the old primary is no primary any more, so nothing was shown")
	}
	n.join()
	l.awaitFenced(old, fresh)
	acks := beyond.Stop()
	for _, a := range acks {
		if a.At.After(promoted) {
			t.Errorf("write %d beyond the cable was acknowledged %s after the promotion", a.Number, a.At.Sub(promoted))
		}
	}
	if gone := l.lostOn(fresh, acks); len(gone) > 0 {
		t.Errorf("%d of %d writes acknowledged beyond the cable are lost: %v", len(gone), len(acks), gone)
	}
	w.goesOn()
	w.keepsAll(fresh)
}

// cutFromWardens: the Wardens reach the standbys and not the primary, which the
// standbys and a client still reach. The standbys witness that it lives, so
// nothing is failed over for as long as that counts.
func cutFromWardens(t *testing.T, n *network) {
	const down = 3 * time.Second
	l := newPgLabOn(t, n, besideAddr, down)
	primary := l.servers[0]
	epoch := l.wardens[0].mustView().Topology.Epoch
	w := postgreslab.Write(postgreslab.WriterOptions{
		Where: func(context.Context) (warden.NodeID, error) { return primary.Addr, nil },
		Pace:  20 * time.Millisecond, Patience: time.Second, Role: postgreslab.Client, Dial: n.dial,
	})
	t.Cleanup(func() { w.Stop() })
	await(t, "the client writes", func() bool { return len(w.Acks()) > 5 })
	// The packets of the Wardens go to nobody, as behind a wrong switch.
	n.ip("-n", n.here, "neigh", "replace", thereAddr, "lladdr", "02:00:00:00:00:01", "dev", "cable", "nud", "permanent")
	at := time.Now()
	await(t, "+odown-veto is announced", func() bool { return anySaid(l.wardens, "+odown-veto", primary.Addr.Port()) })
	stays(t, time.Until(at.Add(2*down)), "nothing is failed over", func() bool {
		role, err := primary.try("SELECT pg_is_in_recovery()")
		if role != "f" {
			t.Logf("%s: in recovery %q, %v", primary.name, role, err)
		}
		return role == "f" && !anySaid(l.wardens, "+try-failover") && !l.servers[1].isPrimary() && !l.servers[2].isPrimary()
	})
	n.ip("-n", n.here, "neigh", "del", thereAddr, "dev", "cable")
	l.awaitWhole(primary, l.servers...)
	if now := l.wardens[0].mustView().Topology; now.Epoch > epoch+1 || now.Primary != primary.Addr {
		t.Errorf("after the cut: %+v, the epoch was %d", now, epoch)
	}
	acks := w.Stop()
	if gone := l.lostOn(primary, acks); len(gone) > 0 || len(acks) < 50 {
		t.Errorf("%d writes were acknowledged, lost: %v", len(acks), gone)
	}
}
