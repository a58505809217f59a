package e2e

import (
	"strings"
	"testing"
	"time"
)

// Goal: a switchover under a writing client loses no confirmed write, there
// and back again, and the client goes on by itself.
func TestSwitchoverUnderLoad(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	w := l.write(5*time.Second, l.wardens...)
	for round, to := range []*node{l.nodes[1], l.nodes[0], l.nodes[2]} {
		w.longestGap()
		before := w.count()
		out, err := l.wardens[round].command(l.ctx(patience), "switchover", groupName, "--to", string(to.addr))
		if err != nil || !strings.Contains(out, "done") {
			t.Fatalf("switchover to %s: %v\n%s", to.name, err, out)
		}
		l.awaitAgreed(to)
		await(t, "the client writes on", func() bool { return w.count() > before+50 })
		t.Logf("switchover %d: %s longest pause of the client %s", round+1, strings.TrimSpace(out), milliseconds(w.longestGap()))
	}
	acked := w.stop()
	if gone := lost(t, acked, l.nodes[2]); len(gone) > 0 {
		t.Errorf("%d of %d confirmed writes are lost: %v", len(gone), len(acked), gone)
	}
	t.Logf("%d confirmed writes, all there", len(acked))
}

// Goal: while a group is paused its primary dies. The Wardens say that they
// would fail over and do not; after resume they do.
func TestPause(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	old := l.nodes[0]
	if out, err := l.wardens[0].command(l.ctx(patience), "pause", groupName); err != nil {
		t.Fatalf("pause: %v\n%s", err, out)
	}
	await(t, "every Warden knows of the pause", func() bool {
		for _, w := range l.wardens {
			if v, err := w.view(); err != nil || !v.Paused {
				return false
			}
		}
		return true
	})
	old.process.kill()
	await(t, "+would-failover is announced", func() bool { return anySaid(l.wardens, "+would-failover") })
	stays(t, 2*downAfter, "nothing is changed during a pause", func() bool {
		return !l.nodes[1].isPrimary() && !l.nodes[2].isPrimary()
	})
	if out, err := l.wardens[1].command(l.ctx(patience), "resume", groupName); err != nil {
		t.Fatalf("resume: %v\n%s", err, out)
	}
	l.awaitPrimaryOtherThan(old, l.wardens...)
}

// Goal (S9, L2): the old primary comes back, once with its old data from disk
// and a write that nobody else has, and once already a replica. Both times it
// ends as a replica of the new one, with the new one's data.
func TestOldPrimaryReturns(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	old := l.nodes[0]
	old.set("kept", "1")
	await(t, "the replicas have the write", func() bool { return l.nodes[1].get("kept") != "" && l.nodes[2].get("kept") != "" })
	old.do("SAVE")
	old.process.kill()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	fresh.set("newer", "1")
	old.start()
	l.awaitAgreed(fresh)
	await(t, "the old primary has the new data", func() bool { return old.get("newer") == "1" && old.get("kept") == "1" })

	// CONFIG REWRITE by the Wardens made it remember whom it follows.
	await(t, "the old primary's file names the new one", func() bool { return strings.Contains(old.file(), "replicaof "+fresh.addr.Host()+" "+fresh.addr.Port()) })
	version := l.wardens[0].mustView().Topology.Version
	old.process.kill()
	old.start()
	if !old.follows(fresh) {
		await(t, "it follows without being told", func() bool { return old.follows(fresh) })
	}
	l.awaitAgreed(fresh)
	if now := l.wardens[0].mustView().Topology.Version; now.Epoch > version.Epoch+1 {
		t.Errorf("the return of a replica led to elections: %+v, was %+v", now, version)
	}
}

// Goal (S7): a server with other data turns up at the address of a member that
// is gone. It is named in an event, never made to follow, and keeps its data,
// also through a failover.
func TestForeignNode(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	primary, gone := l.nodes[0], l.nodes[2]
	primary.set("ours", "1")
	gone.process.kill()
	l.nodes = l.nodes[:2]
	foreign := l.prepareNode(gone.addr, nil)
	foreign.name = "foreign"
	foreign.process = l.spawn("foreign", foreign.dir+"/log", nil, redisBinary, foreign.config())
	await(t, "the foreign server answers", func() bool { return foreign.client.Ping(l.ctx(time.Second)).Err() == nil })
	foreign.set("theirs", "1")
	await(t, "-foreign-node is announced", func() bool { return anySaid(l.wardens, "-foreign-node", foreign.addr.Port()) })
	untouched := func() bool { return foreign.isPrimary() && foreign.get("theirs") == "1" }
	stays(t, 2*time.Second, "the foreign server is left alone", untouched)
	primary.process.kill()
	if fresh := l.awaitPrimaryOtherThan(primary, l.wardens...); fresh != l.nodes[1] {
		t.Errorf("%s was promoted, want %s", fresh.name, l.nodes[1].name)
	}
	stays(t, 2*time.Second, "the foreign server is left alone", untouched)
}

// Goal: nodes refuse the Wardens' password. That is a mistake in a
// configuration and not a death: it is announced and nothing is failed over.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	l := startLab(t, func(s *settings) { s.group = `auth_password = "right"` })
	primary := l.nodes[0]
	version := l.wardens[0].mustView().Topology.Version
	refuse := func(password string) {
		for _, n := range l.nodes {
			n.do("CONFIG", "SET", "masterauth", password)
			n.do("CONFIG", "SET", "requirepass", password)
			n.connect(password) // without it a new connection of the test's own pool would be refused
			n.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			n.do("CLIENT", "KILL", "TYPE", "pubsub")
		}
	}
	refuse("another")
	await(t, "-node-denied is announced by all Wardens", func() bool {
		for _, w := range l.wardens {
			if !w.said("-node-denied", primary.addr.Port()) {
				return false
			}
		}
		return true
	})
	stays(t, 3*downAfter, "nothing is failed over", func() bool {
		served, is, tried := l.wardens[0].served(), primary.isPrimary(), anySaid(l.wardens, "+try-failover")
		if served != primary.addr || !is || tried {
			t.Logf("served: %q, still a primary: %t, a failover tried: %t", served, is, tried)
		}
		return served == primary.addr && is && !tried
	})
	refuse("right")
	l.awaitAgreed(primary)
	if now := l.wardens[0].mustView().Topology; now.Primary != primary.addr || now.Epoch > version.Epoch+1 {
		t.Errorf("the topology is %+v, was %+v", now, version)
	}
}

// Goal: a quorum of three Wardens and three servers on [::1] fails over.
func TestIPv6(t *testing.T) {
	t.Parallel()
	if without("ipv6") {
		t.Log("nothing ran on [::1]: this machine has no such address (WARDEN_E2E_WITHOUT)")
		return
	}
	l := newLab(t, "::1")
	l.fill()
	old := l.nodes[0]
	w := l.write(300*time.Millisecond, l.wardens...)
	old.process.kill()
	keepsBar(t, "the kill on [::1]", w.awaitAfter(t, time.Now()))
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	if host := fresh.addr.Host(); host != "::1" {
		t.Errorf("the primary's host is %q", host)
	}
	old.start()
	l.awaitAgreed(fresh)
	w.stop()
}
