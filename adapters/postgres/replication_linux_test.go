package postgres

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

func testClaim(epoch warden.Epoch) warden.Claim {
	return warden.Claim{Group: "g", Epoch: epoch, Warden: warden.WardenID(strings.Repeat("c", 40))}
}

// watch opens a link and returns what looks at it.
func watch(t *testing.T, s *server) func() warden.Observation {
	t.Helper()
	link := New(options()).Open(s.node, warden.LinkEvents{})
	t.Cleanup(link.Close)
	return func() warden.Observation { return link.Look(soon(t)) }
}

func claimed(t *testing.T, s *server, epoch warden.Epoch) warden.Session {
	t.Helper()
	session, res := New(options()).Claim(soon(t), s.node, testClaim(epoch))
	if res.Outcome != warden.Done {
		t.Fatalf("claim %s: %+v", s.node, res)
	}
	t.Cleanup(session.Close)
	return session
}

func done(t *testing.T, what string, res warden.Result, notes ...string) {
	t.Helper()
	if res.Outcome != warden.Done || len(res.Notes) != len(notes) {
		t.Fatalf("%s: %+v, want done with %d notes", what, res, len(notes))
	}
	for i, n := range notes {
		if !strings.HasPrefix(res.Notes[i], n+": ") {
			t.Errorf("%s: note %q, want %q", what, res.Notes[i], n)
		}
	}
}

// trio is a primary with two standbys that stream from it.
func trio(t *testing.T) (p, a, b *server) {
	t.Helper()
	p = start(t, shape{})
	a, b = start(t, shape{upstream: p.node}), start(t, shape{upstream: p.node})
	look := watch(t, p)
	adaptertest.Await(t, "both standbys stream", func() bool {
		n := 0
		for _, r := range look().Replicas {
			if r.Online && (r.Node == a.node || r.Node == b.node) {
				n++
			}
		}
		return n == 2
	})
	return p, a, b
}

// Goal: a failover by hand of the adapter: lineages descend, the other standby
// goes over with a slot, and its old slot does not hold WAL for ever.
func TestFailover(t *testing.T) {
	p, a, b := trio(t)
	old, newest, other := watch(t, p)(), watch(t, a), watch(t, b)
	// There and back first, so that b leaves a slot on each.
	done(t, "cascade", claimed(t, b, 1).Follow(soon(t), warden.Following{Primary: a.node}))
	done(t, "back", claimed(t, b, 1).Follow(soon(t), warden.Following{Primary: p.node}))
	other() // while the link stands
	// What pg_rewind leaves of a line that it took back: it is nobody's line.
	a.write("pg_wal/000000080000000000000009", "")
	p.Kill()
	adaptertest.Await(t, "the link is down, and since when", func() bool {
		o := other()
		return !o.LinkUp && o.LinkDown > 0 && o.Upstream == p.node
	})
	var atEnd warden.Observation
	adaptertest.Await(t, "the standby knows what it has", func() bool {
		// Without a stream only what can be replayed counts.
		atEnd = newest()
		return !atEnd.LinkUp && a.must("SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')") == strconv.FormatInt(atEnd.Position, 10)
	})
	if o := atEnd; o.Lineage != old.Lineage || o.Role != warden.RoleReplica {
		t.Errorf("after the primary's end: %+v, want the line %s", o, old.Lineage)
	}
	if o := watch(t, b)(); o.LinkDown >= 0 {
		t.Errorf("a link that never saw the stream: down for %v, want never", o.LinkDown)
	}
	session := claimed(t, a, 2)
	done(t, "promote", session.Promote(soon(t), nil))
	done(t, "promote again", session.Promote(soon(t), nil))
	if err := a.Write(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	done(t, "follow", claimed(t, b, 2).Follow(soon(t), warden.Following{Primary: a.node}))
	adaptertest.Await(t, "the standby is on the new line", func() bool {
		n, err := b.Count(t.Context())
		return err == nil && n == 3 && other().Lineage == newest().Lineage
	})
	if o := newest(); o.LineageBefore != old.Lineage || o.Lineage != lineage(strings.Split(old.Lineage, "/")[0], 2) {
		t.Errorf("the new primary's lines: %q before %q, want the second after %q", o.Lineage, o.LineageBefore, old.Lineage)
	}
	if o := newest(); len(o.Forks) != 1 || o.Forks[0].Lineage != old.Lineage || o.Forks[0].End != atEnd.Position || o.Forks[0].End > o.Position {
		t.Errorf("forks of the new primary: %+v, want one of %s at %d", o.Forks, old.Lineage, atEnd.Position)
	} else if f := other().Forks; len(f) != 1 || f[0] != o.Forks[0] {
		t.Errorf("forks of the standby: %+v, want %+v", f, o.Forks)
	}
	if o := other(); o.LineageBefore != old.Lineage || o.Upstream != a.node || !o.LinkUp {
		t.Errorf("the standby: %+v", o)
	}
	if got := a.must("SELECT string_agg(slot_name || active, ',') FROM pg_replication_slots"); got != slotName(b.node)+"true" {
		t.Errorf("slots of the new primary: %q", got)
	}
}

// Goal: unused slots of ours are dropped on a node that follows and, when they
// hold too much, on a primary; others stay.
func TestSlots(t *testing.T) {
	p, a, b := trio(t)
	for _, s := range []*server{p, a} {
		s.must("SELECT pg_create_physical_replication_slot('theirs'), pg_create_physical_replication_slot('warden_unused', true)")
	}
	look := watch(t, a)
	adaptertest.Await(t, "it streams, and is seen to have no slot", func() bool { o := look(); return o.LinkUp && o.NoSlot })
	done(t, "follow", claimed(t, a, 1).Follow(soon(t), warden.Following{Primary: p.node}))
	adaptertest.Await(t, "it streams, and has a slot", func() bool { o := look(); return o.LinkUp && !o.NoSlot })
	if got := a.must("SELECT string_agg(slot_name, ',') FROM pg_replication_slots"); got != "theirs" {
		t.Errorf("slots of the standby: %q", got)
	}
	slots := func() string {
		return p.must("SELECT string_agg(slot_name, ',' ORDER BY slot_name) FROM pg_replication_slots")
	}
	if got := slots(); !strings.Contains(got, "warden_unused") || !strings.Contains(got, slotName(a.node)) {
		t.Errorf("slots of the primary: %q", got)
	}
	if err := p.Write(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	o := options()
	o.SlotRetain = 1000
	session, res := New(o).Claim(soon(t), b.node, testClaim(1))
	done(t, "claim", res)
	defer session.Close()
	done(t, "follow", session.Follow(soon(t), warden.Following{Primary: p.node}))
	if got := slots(); strings.Contains(got, "warden_unused") || !strings.Contains(got, "theirs") || !strings.Contains(got, slotName(b.node)) {
		t.Errorf("slots of the primary: %q", got)
	}
	// Where none can be made, the standby follows all the same.
	p.must("DROP TABLE records; ALTER ROLE warden NOREPLICATION")
	if _, notes := New(options()).prepareSlot(soon(t), "127.0.0.1:1", p.node); len(notes) != 1 || !strings.HasPrefix(notes[0], "slot-failed: ") {
		t.Errorf("without the permission: %q", notes)
	}
}

// Goal: what an operator's settings say of the upstream is kept, and a stream
// that does not come is said.
func TestFollowNothing(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node})
	res := claimed(t, a, 1).Follow(soon(t), warden.Following{Primary: "127.0.0.1:1"})
	done(t, "follow", res, "slot-failed", "not-streaming")
	c, err := parseConninfo(a.must("SHOW primary_conninfo"))
	if err != nil || c.upstream() != "127.0.0.1:1" || c.get("user") != "warden" || c.get("application_name") != string(a.node) {
		t.Errorf("primary_conninfo: %v (%v)", c, err)
	}
	look := watch(t, a)
	adaptertest.Await(t, "the upstream is the one that is set", func() bool {
		o := look()
		return o.Upstream == "127.0.0.1:1" && !o.LinkUp
	})
}

// Goal: a fence ends sessions, survives a restart, says what it cannot do, and
// is lifted by a promotion.
func TestFence(t *testing.T) {
	p := start(t, shape{})
	p.must("CREATE ROLE app LOGIN")
	client, err := p.connect(soon(t), "app")
	if err != nil {
		t.Fatal(err)
	}
	super, err := p.connect(soon(t), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(context.Background())
	session := claimed(t, p, 1)
	res := session.Follow(soon(t), warden.Following{Primary: "127.0.0.1:1"})
	done(t, "follow on a primary", res, "not-fenced", "needs-rejoin")
	if !strings.HasPrefix(res.Notes[0], "not-fenced: 1 ") {
		t.Errorf("notes %q, want the superuser's session", res.Notes)
	}
	look := watch(t, p)
	if o := look(); !o.NoDemote || !o.ReadOnly || !o.NeedsRejoin || o.Role != warden.RolePrimary {
		t.Errorf("look at a fenced primary: %+v", o)
	}
	if _, err := client.Exec(soon(t), "SELECT 1").ReadAll(); err == nil {
		t.Error("a client was not ended")
	}
	if err := p.Write(t.Context(), 1); sqlState(err) != "25006" {
		t.Errorf("write on the fenced primary: %v", err)
	}
	session.Close()
	p.Kill()
	again := start(t, shape{dir: p.dir})
	if err := again.Write(t.Context(), 1); sqlState(err) != "25006" {
		t.Errorf("write on the fenced primary after its restart: %v", err)
	}
	// Nobody knows whether the successor is a primary: the fence stays.
	done(t, "release", claimed(t, again, 1).Release(soon(t)), "still-fenced")
	if err := again.Write(t.Context(), 1); sqlState(err) != "25006" {
		t.Errorf("write after the release: %v", err)
	}
	done(t, "promote", claimed(t, again, 2).Promote(soon(t), nil))
	if err := again.Write(t.Context(), 1); err != nil {
		t.Errorf("write on the primary that is one again: %v", err)
	}
}

// Goal: a switchover that is given up after the demotion gives the writes back,
// and the timers of the hold cannot touch what came after.
func TestSwitchoverGivenUp(t *testing.T) {
	p, a, _ := trio(t)
	session := claimed(t, p, 1)
	if res := session.Hold(soon(t), 300*warden.Millisecond); res.Outcome != warden.Done || res.Position <= 0 {
		t.Fatalf("hold: %+v", res)
	}
	res := session.Follow(soon(t), warden.Following{Primary: a.node})
	if res.Outcome != warden.Done {
		t.Fatalf("demote: %+v", res)
	}
	if got := p.must("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'warden-%-hold'"); got != "0" {
		t.Errorf("%s timers of the hold are left", got)
	}
	done(t, "release", session.Release(soon(t))) // a is still a standby
	if err := p.Write(t.Context(), 1); err != nil {
		t.Errorf("write after the switchover was given up: %v", err)
	}
}

// Goal: a newer leader ends the hold of the one before, and takes a standby's
// old fence away before it is promoted.
func TestClaimEndsHold(t *testing.T) {
	p := start(t, shape{})
	done(t, "hold", warden.Result{Outcome: claimed(t, p, 1).Hold(soon(t), 60*warden.Second).Outcome})
	claimed(t, p, 2)
	if err := p.Write(t.Context(), 1); err != nil {
		t.Errorf("write after the newer claim: %v", err)
	}
	a := start(t, shape{upstream: p.node, lines: []string{"warden.fenced = 'not from the file of ALTER SYSTEM'"}})
	a.must("ALTER SYSTEM SET default_transaction_read_only = on")
	session := claimed(t, a, 1)
	p.Kill()
	done(t, "promote", session.Promote(soon(t), nil))
	if err := a.Write(t.Context(), 1); err != nil {
		t.Errorf("write on the new primary: %v", err)
	}
}

// Goal: a hold ends by itself, also where the server looks all the time whether its
// clients are still there.
func TestHoldEndsByItself(t *testing.T) {
	p := start(t, shape{lines: []string{"client_connection_check_interval = '10ms'"}})
	session := claimed(t, p, 1)
	if res := session.Hold(soon(t), 500*warden.Millisecond); res.Outcome != warden.Done {
		t.Fatalf("hold: %+v", res)
	}
	session.Close()
	adaptertest.Await(t, "writes are taken again", func() bool { return p.Write(t.Context(), 1) == nil })
}

// Goal: a slot that has lost WAL lets nobody in any more, so another takes its place,
// and one that nobody uses is dropped.
func TestLostSlots(t *testing.T) {
	p := start(t, shape{lines: []string{"max_slot_wal_keep_size = '1MB'", "wal_keep_size = 0", "max_wal_size = '32MB'", "min_wal_size = '32MB'"}})
	slot := slotName("127.0.0.1:1")
	p.must("SELECT pg_create_physical_replication_slot('" + slot + "', true), pg_create_physical_replication_slot('warden_unused', true)")
	const status = "SELECT string_agg(slot_name || ' ' || wal_status, ',' ORDER BY slot_name) FROM pg_replication_slots"
	adaptertest.Await(t, "both slots are lost", func() bool {
		p.must("SELECT pg_logical_emit_message(false, 'test', 'x')")
		p.must("SELECT pg_switch_wal()")
		p.must("CHECKPOINT")
		return p.must(status) == slot+" lost,warden_unused lost"
	})
	if got, notes := New(options()).prepareSlot(soon(t), "127.0.0.1:1", p.node); got != slot || len(notes) > 0 {
		t.Errorf("slot %q, notes %q", got, notes)
	}
	if got := p.must(status); got != slot+" reserved" {
		t.Errorf("slots: %s", got)
	}
}

// Goal: a standby takes a hello as a quiet no-op, and hears them at once when
// it is promoted.
func TestHelloAfterPromotion(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node})
	var mu sync.Mutex
	heard := 0
	link := New(options()).Open(a.node, warden.LinkEvents{Hello: func(warden.Hello) { mu.Lock(); heard++; mu.Unlock() }})
	defer link.Close()
	hello := warden.Hello{ID: testClaim(1).Warden, Gossip: "a:1", Group: "g"}
	if err := link.Publish(soon(t), hello); err != nil {
		t.Errorf("publish on a standby: %v", err)
	}
	link.Look(soon(t))
	done(t, "promote", claimed(t, a, 1).Promote(soon(t), nil))
	began := time.Now()
	adaptertest.Await(t, "a hello on the new primary", func() bool {
		link.Look(soon(t))
		if err := link.Publish(soon(t), hello); err != nil {
			t.Fatalf("publish: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		return heard > 0
	})
	if took := time.Since(began); took > listenQuiet-time.Second {
		t.Errorf("it listened only after %v", took)
	}
}

// Goal: S3 under a race. Of many leaders that claim one node at once, at most
// the newest is left with a session that takes orders.
func TestRacingClaims(t *testing.T) {
	s := start(t, shape{})
	const leaders = 6
	ctx := soon(t)
	sessions := make([]warden.Session, leaders)
	var race sync.WaitGroup
	for i := range leaders {
		race.Go(func() {
			c := warden.Claim{Group: "g", Epoch: warden.Epoch(i + 1), Warden: warden.WardenID(strings.Repeat(string("abcdef"[i]), 40))}
			// An earlier claim may be cut by a later one; that is a refusal.
			sessions[i], _ = New(options()).Claim(ctx, s.node, c)
		})
	}
	race.Wait()
	for i, session := range sessions {
		newest := i == leaders-1
		if session == nil {
			if newest {
				t.Error("the newest leader was refused")
			}
			continue
		}
		defer session.Close()
		if res := session.Release(ctx); (res.Outcome == warden.Done) != newest {
			t.Errorf("order of epoch %d: %s (%s)", i+1, res.Outcome, res.Why)
		}
	}
	if got := s.must("SELECT setting FROM pg_file_settings WHERE name = 'warden.epoch'"); got != "6 g" {
		t.Errorf("mark %q, want 6 g", got)
	}
}

// Goal: an order session whose Warden runs is kept, however long it is idle.
func TestIdleSessionIsKept(t *testing.T) {
	s := start(t, shape{})
	session := claimed(t, s, 1)
	idle := time.NewTimer(1500 * time.Millisecond) // more than idleLimit
	<-idle.C
	if o := session.Look(soon(t)); o.Health != warden.HealthGood {
		t.Errorf("look after a while: %s (%s)", o.Health, o.Detail)
	}
}

// Goal: a role without the rights is told which one it lacks.
func TestWithoutRights(t *testing.T) {
	s := start(t, shape{})
	s.must("CREATE ROLE plain LOGIN; CREATE ROLE half LOGIN IN ROLE pg_monitor")
	link := New(Options{User: "plain", SSLMode: "disable"}).Open(s.node, warden.LinkEvents{})
	defer link.Close()
	if o := link.Look(soon(t)); o.Health != warden.HealthDenied || !strings.Contains(o.Detail, "pg_monitor") {
		t.Errorf("look: %+v", o)
	}
	half := New(Options{User: "half", SSLMode: "disable"})
	other := half.Open(s.node, warden.LinkEvents{})
	defer other.Close()
	if o := other.Look(soon(t)); o.Health != warden.HealthGood || o.Lineage == "" {
		t.Errorf("look of a role that may only watch: %+v", o)
	}
	if _, res := half.Claim(soon(t), s.node, testClaim(1)); res.Outcome != warden.Refused || res.Superseded {
		t.Errorf("claim: %+v, want a plain refusal", res)
	}
}

// Goal: the mark in the file stands by itself: on a standby, after a restart,
// and with no Warden connected. Another group's mark is not ours.
func TestMarkSurvivesRestart(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node})
	claimed(t, a, 6).Close()
	a.Kill()
	again := start(t, shape{dir: a.dir})
	_, res := New(options()).Claim(soon(t), again.node, testClaim(5))
	if res.Outcome != warden.Refused || !res.Superseded || !strings.Contains(res.Why, "6 g") {
		t.Errorf("claim for epoch 5 after epoch 6: %+v, want superseded", res)
	}
	claimed(t, again, 6).Close()
	other := testClaim(1)
	other.Group = "h"
	session, res := New(options()).Claim(soon(t), again.node, other)
	done(t, "claim for another group", res)
	session.Close()
}

// Goal: who receives logical changes is no replica, whatever it calls itself.
func TestLogicalReceiverIsNoReplica(t *testing.T) {
	s := start(t, shape{lines: []string{"wal_level = logical"}})
	cfg, err := pgconn.ParseConfig("host=127.0.0.1 user=postgres dbname=postgres sslmode=disable replication=database application_name=10.0.0.9:1 port=" + s.node.Port())
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgconn.ConnectConfig(soon(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Conn().Close()
	if _, err := c.Exec(soon(t), "CREATE_REPLICATION_SLOT logical TEMPORARY LOGICAL pgoutput").ReadAll(); err != nil {
		t.Fatal(err)
	}
	c.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION SLOT logical LOGICAL 0/0 (proto_version '1', publication_names 'none')"})
	if err := c.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	adaptertest.Await(t, "the server lists the receiver", func() bool {
		return s.must("SELECT count(*) FROM pg_stat_replication r JOIN pg_replication_slots s ON r.pid = s.active_pid") == "1"
	})
	if o := watch(t, s)(); len(o.Replicas) != 0 {
		t.Errorf("replicas: %+v, want none", o.Replicas)
	}
}

// Goal: an order to promote that comes while a receiver is about to fail is
// carried out at once, not after wal_retrieve_retry_interval.
func TestPromoteWhileReceiverFails(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node, lines: []string{"wal_retrieve_retry_interval = '30s'"}})
	failed := make(chan struct{})
	silent := scripted(t, func(net.Conn, *pgproto3.Backend) { <-failed })
	hangUp := sync.OnceFunc(func() { close(failed) })
	t.Cleanup(hangUp)
	startup := func(column string) string {
		return a.must("SELECT " + column + " FROM pg_stat_activity WHERE backend_type = 'startup'")
	}
	p.Kill()
	adaptertest.Await(t, "it waits to try again", func() bool { return startup("wait_event") == waitRetry })
	a.must("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=" + silent.Port() + "'")
	a.must("SELECT pg_reload_conf()")
	adaptertest.Await(t, "it tries to connect", func() bool { return startup("wait_event") == waitStream })
	session := claimed(t, a, 1)
	// The process that replays hears of both at once.
	pid, err := strconv.Atoi(startup("pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	hangUp()
	adaptertest.Await(t, "the receiver has failed", func() bool {
		return a.must("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'") == "0"
	})
	ended := make(chan warden.Result, 1)
	ctx := soon(t)
	go func() { ended <- session.Promote(ctx, nil) }()
	adaptertest.Await(t, "the promotion is ordered", func() bool {
		_, err := os.Stat(filepath.Join(a.dir, "promote"))
		return err == nil
	})
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	done(t, "promote", <-ended)
}
