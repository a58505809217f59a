package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

func memberOf(s *server) string {
	return warden.MemberName("g", s.node, warden.Version{Epoch: 1, Step: 1})
}

func ruleOf(k int, members ...*server) *warden.SyncRule {
	r := &warden.SyncRule{K: k}
	for _, m := range members {
		r.Names = append(r.Names, memberOf(m))
	}
	return r
}

// keeping is a session that takes orders of quorum durability too.
type keeping interface {
	warden.Session
	warden.Keeper
}

func keeper(t *testing.T, s *server, epoch warden.Epoch) keeping {
	t.Helper()
	return claimed(t, s, epoch).(keeping)
}

// enlist makes standbys members, each with the rule it would have as a primary.
func enlist(t *testing.T, p *server, sync *warden.SyncRule, members ...*server) {
	t.Helper()
	for _, m := range members {
		done(t, "enlist", claimed(t, m, 1).Follow(soon(t), warden.Following{Primary: p.node, Name: memberOf(m), Sync: sync}))
	}
}

// commit writes in the background; its end is told.
func commit(t *testing.T, s *server) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c, err := s.connect(soon(t), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		_, err := c.Exec(ctx, "INSERT INTO records VALUES (1)").ReadAll()
		ended <- err
	}()
	return ended
}

// blocked waits until a commit waits for standbys, and fails if it is done.
func blocked(t *testing.T, s *server, what string, ended <-chan error) {
	t.Helper()
	adaptertest.Await(t, what+" waits for standbys", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("%s was acknowledged (%v)", what, err)
		default:
		}
		return s.must("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") != "0"
	})
}

func acknowledged(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s is still not acknowledged", what)
	}
}

// Goal: members have their names, a commit waits for them and for nobody else,
// a sealed member acknowledges nothing, and Follow ends the seal.
func TestQuorum(t *testing.T) {
	p, a, b := trio(t)
	enlist(t, p, ruleOf(1, b), a)
	o := options()
	o.Nodes = []warden.NodeID{p.node, a.node, b.node}
	session, res := New(o).Claim(soon(t), p.node, testClaim(1))
	done(t, "claim", res)
	defer session.Close()
	primary := session.(keeping)
	done(t, "wait", primary.Wait(soon(t), []warden.SyncRule{{}, *ruleOf(1, a)}))
	look := watch(t, a)
	if o := look(); o.Member != memberOf(a) || o.Waits != ruleOf(1, b).String() || o.Upstream != p.node || !o.LinkUp {
		t.Errorf("the member: %+v", o)
	}
	if o := primary.Look(soon(t)); o.Waits != ruleOf(1, a).String() || !streamsTo(o, a.node, memberOf(a)) || !streamsTo(o, b.node, string(b.node)) {
		t.Errorf("the primary: %+v", o)
	}
	acknowledged(t, "a commit with its member", commit(t, p))

	member := keeper(t, a, 1)
	done(t, "seal", member.Seal(soon(t)))
	sealed := member.Look(soon(t))
	if !sealed.Sealed || sealed.Health != warden.HealthGood || sealed.LinkUp {
		t.Errorf("the sealed member: %+v", sealed)
	}
	// b streams, but under another name.
	ended := commit(t, p)
	blocked(t, p, "a commit without its member", ended)
	if o := look(); !o.Sealed || o.Position != sealed.Position {
		t.Errorf("the sealed member: %+v, want it at %d", o, sealed.Position)
	}
	done(t, "seal again", member.Seal(soon(t)))
	done(t, "unseal", member.Follow(soon(t), warden.Following{Primary: p.node, Name: memberOf(a)}))
	acknowledged(t, "the commit", ended)
	if o := look(); o.Sealed || !o.LinkUp || o.Upstream != p.node || o.Member != memberOf(a) {
		t.Errorf("the member after its seal: %+v", o)
	}
	if got := a.must("SELECT count(*) FROM pg_file_settings WHERE name IN ('warden.sealed', 'recovery_min_apply_delay')"); got != "0" {
		t.Errorf("%s settings of the seal are left", got)
	}
	done(t, "leave the set", member.Follow(soon(t), warden.Following{Primary: p.node, Sync: &warden.SyncRule{}}))
	if o := look(); o.Member != "" || o.Waits != "" {
		t.Errorf("who is no member any more: %+v", o)
	}
	if res := primary.Seal(soon(t)); res.Outcome != warden.Refused {
		t.Errorf("seal of a primary: %+v", res)
	}
	if res := member.Wait(soon(t), []warden.SyncRule{{}}); res.Outcome != warden.Refused {
		t.Errorf("wait on a standby: %+v", res)
	}
}

func streamsTo(o warden.Observation, node warden.NodeID, name string) bool {
	return slices.ContainsFunc(o.Replicas, func(r warden.Replica) bool { return r.Node == node && r.Name == name && r.Online })
}

// Goal: C4. A receiver that goes on although nothing is set any more counts, and
// what keeps it alive is ended: a pause, a delay, a reader.
func TestSealEndsTheReceiver(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		hold  func(t *testing.T, p, a *server)
		notes []string
		after []string // notes of the order to follow again
	}{
		"paused": {hold: func(t *testing.T, p, a *server) { a.must("SELECT pg_wal_replay_pause()") }, notes: []string{"replay-resumed"}},
		"delayed": {lines: []string{"recovery_min_apply_delay = '1h'"}, hold: func(t *testing.T, p, a *server) {
			adaptertest.Await(t, "replay is delayed", func() bool {
				return a.must("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'") == "RecoveryApplyDelay"
			})
		}},
		"reader": {lines: []string{"max_standby_streaming_delay = -1"}, hold: func(t *testing.T, p, a *server) { holdUp(t, p, a, "reader") }},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, shape{})
			p.must("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data")
			a := start(t, shape{upstream: p.node, name: "m", lines: c.lines})
			done(t, "wait", keeper(t, p, 1).Wait(soon(t), []warden.SyncRule{{K: 1, Names: []string{"m"}}}))
			p.must("INSERT INTO records VALUES (1)")
			c.hold(t, p, a)
			p.must("INSERT INTO records VALUES (2)") // acknowledged by a receiver, replayed by nobody
			has := p.must("SELECT pg_current_wal_lsn()")
			member := keeper(t, a, 1)
			done(t, "seal", member.Seal(soon(t)), c.notes...)
			ended := commit(t, p)
			blocked(t, p, "a commit after the seal", ended)
			o := member.Look(soon(t))
			if at, _ := parseLSN(has); o.Position < at {
				t.Errorf("the sealed member is at %d, but has acknowledged %s (%d)", o.Position, has, at)
			}
			done(t, "unseal", member.Follow(soon(t), warden.Following{Primary: p.node, Name: "m"}), c.after...)
			acknowledged(t, "the commit", ended)
			if name == "delayed" && a.must("SHOW recovery_min_apply_delay") != "1h" {
				t.Error("the delay was not given back")
			}
		})
	}
}

// holdUp makes a reader hold up the replay of a.
func holdUp(t *testing.T, p, a *server, role string) (end func()) {
	t.Helper()
	adaptertest.Await(t, "the rows are there", func() bool { return a.must("SELECT count(*) FROM records") == "1" })
	c, err := a.connect(soon(t), role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	if _, err := c.Exec(soon(t), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM records").ReadAll(); err != nil {
		t.Fatal(err)
	}
	p.must("DELETE FROM records")
	p.must("VACUUM records")
	adaptertest.Await(t, "replay is held up", func() bool {
		return strings.HasPrefix(a.must("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'"), "RecoveryConflict")
	})
	return func() { c.Close(context.Background()) }
}

// Goal: what our role may not end keeps the member unsealed, and is said.
func TestSealCannotEndReader(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node, lines: []string{"max_standby_streaming_delay = -1"}})
	enlist(t, p, nil, a)
	done(t, "wait", keeper(t, p, 1).Wait(soon(t), []warden.SyncRule{*ruleOf(1, a)}))
	p.must("INSERT INTO records VALUES (1)")
	end := holdUp(t, p, a, "postgres")
	member := keeper(t, a, 1)
	short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if res := member.Seal(short); res.Outcome != warden.Unknown || !strings.Contains(res.Why, "not-fenced") {
		t.Errorf("seal while a superuser reads: %+v, want unknown", res)
	}
	if o := watch(t, a)(); o.Sealed {
		t.Errorf("it says that it is sealed: %+v", o)
	}
	acknowledged(t, "a commit", commit(t, p))
	end()
	done(t, "seal", keeper(t, a, 2).Seal(soon(t)))
}

// Goal: C5. A restarted standby that has not read its WAL yet tells no position.
func TestSealRestarted(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node, name: "m", lines: []string{"recovery_min_apply_delay = '1h'"}})
	done(t, "wait", keeper(t, p, 1).Wait(soon(t), []warden.SyncRule{{K: 1, Names: []string{"m"}}}))
	p.must("INSERT INTO records VALUES (1)")
	at, _ := parseLSN(p.must("SELECT pg_current_wal_lsn()"))
	a.must("ALTER SYSTEM SET primary_conninfo = ''")
	a.Kill()
	again := start(t, shape{dir: a.dir, lines: []string{"recovery_min_apply_delay = '1h'"}})
	look := watch(t, again)
	if o := look(); o.Health != warden.HealthLoading || !strings.Contains(o.Detail, "not read all its WAL") {
		t.Fatalf("a sealed standby that has not replayed: %+v, want loading", o)
	}
	member := keeper(t, again, 1)
	done(t, "seal", member.Seal(soon(t)))
	for _, o := range []warden.Observation{look(), member.Look(soon(t))} {
		if o.Health != warden.HealthGood || !o.Sealed || o.Position < at {
			t.Errorf("after the seal: %+v, want at least %d", o, at)
		}
	}
}

// Goal: where replay cannot be paused to prove it, two looks apart must do.
func TestSealWithoutProof(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node})
	enlist(t, p, nil, a)
	p.must("REVOKE EXECUTE ON FUNCTION pg_wal_replay_pause(), pg_wal_replay_resume() FROM warden")
	adaptertest.Await(t, "the standby has that", func() bool {
		return a.must("SELECT has_function_privilege('warden', 'pg_wal_replay_resume()', 'EXECUTE')") == "f"
	})
	member := keeper(t, a, 1)
	began := time.Now()
	done(t, "seal", member.Seal(soon(t)))
	if took := time.Since(began); took < apart {
		t.Errorf("sealed after %v, want two looks at least %v apart", took, apart)
	}
	if o := member.Look(soon(t)); !o.Sealed || o.Health != warden.HealthGood {
		t.Errorf("the sealed member: %+v", o)
	}
	done(t, "unseal", member.Follow(soon(t), warden.Following{Primary: p.node}))
}

// Goal: the seal outlives a restart, with its position.
func TestSealSurvivesRestart(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node})
	enlist(t, p, nil, a)
	member := keeper(t, a, 1)
	done(t, "seal", member.Seal(soon(t)))
	at := member.Look(soon(t)).Position
	a.Kill()
	again := start(t, shape{dir: a.dir})
	look := watch(t, again)
	adaptertest.Await(t, "it has read its WAL", func() bool { return look().Health == warden.HealthGood })
	if o := look(); !o.Sealed || o.Position != at {
		t.Errorf("after a restart: %+v, want it sealed at %d", o, at)
	}
	done(t, "unseal", claimed(t, again, 2).Follow(soon(t), warden.Following{Primary: p.node}))
}

// Goal: C8. That commits wait is not believed before the checkpointer has been
// told, whatever the server shows.
func TestWaitIsConfirmed(t *testing.T) {
	p := start(t, shape{})
	primary, rule := keeper(t, p, 1), warden.SyncRule{K: 1, Names: []string{"somebody"}}
	p.must("REVOKE pg_checkpoint FROM warden")
	if res := primary.Wait(soon(t), []warden.SyncRule{{}, rule}); res.Outcome != warden.Refused || !strings.Contains(res.Why, "GRANT pg_checkpoint") {
		t.Errorf("wait of a role that may not checkpoint: %+v, want it refused with the remedy", res)
	}
	p.must("GRANT pg_checkpoint TO warden")
	pid, err := strconv.Atoi(p.must("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	res := primary.Wait(short, []warden.SyncRule{{}, rule})
	shown := p.must("SHOW synchronous_standby_names")
	acknowledged(t, "a commit that nobody keeps", commit(t, p))
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if res.Outcome != warden.Unknown || shown != rule.String() {
		t.Errorf("wait: %+v, want unknown although %q is shown", res, shown)
	}
	done(t, "wait", keeper(t, p, 2).Wait(soon(t), []warden.SyncRule{{}, rule}))
	ended := commit(t, p)
	blocked(t, p, "a commit that nobody keeps", ended)
	// Taking the promise back lets it go.
	done(t, "wait for nobody", keeper(t, p, 3).Wait(soon(t), []warden.SyncRule{rule, {}}))
	acknowledged(t, "the commit", ended)
}

// Goal: with fewer names than it needs a rule is taken, and blocks.
func TestTooFewNames(t *testing.T) {
	p, a, _ := trio(t)
	enlist(t, p, nil, a)
	primary := keeper(t, p, 1)
	for _, rule := range []*warden.SyncRule{ruleOf(2, a), {K: 1}} {
		done(t, "wait", primary.Wait(soon(t), []warden.SyncRule{*rule}))
		ended := commit(t, p)
		blocked(t, p, fmt.Sprintf("a commit by %s", rule), ended)
		done(t, "wait for one", primary.Wait(soon(t), []warden.SyncRule{*rule, *ruleOf(1, a)}))
		acknowledged(t, "the commit", ended)
	}
	// What was acknowledged by the rule before is on nobody whom the new one names.
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if res := primary.Wait(short, []warden.SyncRule{*ruleOf(1, a), {K: 1, Names: []string{"absent"}}}); res.Outcome != warden.Unknown {
		t.Errorf("a change to a member that has nothing: %+v, want unknown", res)
	}
}

// Goal: a new primary waits from its first commit on, ready beforehand or not,
// and what the seal took is given back.
func TestPromoteWithRule(t *testing.T) {
	for name, ready := range map[string]bool{"ready": true, "not ready": false} {
		t.Run(name, func(t *testing.T) {
			p, a, b := trio(t)
			if ready {
				enlist(t, p, ruleOf(1, b), a)
			} else {
				enlist(t, p, nil, a)
			}
			enlist(t, p, ruleOf(1, a), b)
			p.Kill()
			candidate, other := keeper(t, a, 2), keeper(t, b, 2)
			done(t, "seal", candidate.Seal(soon(t)))
			done(t, "seal", other.Seal(soon(t)))
			done(t, "promote", candidate.Promote(soon(t), ruleOf(1, b)))
			ended := commit(t, a)
			blocked(t, a, "the first commit", ended)
			if o := candidate.Look(soon(t)); o.Role != warden.RolePrimary || o.ReadOnly || o.Waits != ruleOf(1, b).String() {
				t.Errorf("the new primary: %+v", o)
			}
			done(t, "follow", other.Follow(soon(t), warden.Following{Primary: a.node, Name: memberOf(b)}))
			acknowledged(t, "the first commit", ended)
			c, err := parseConninfo(a.must("SELECT setting FROM pg_file_settings WHERE name = 'primary_conninfo'"))
			if err != nil || c.get("user") != "warden" || c.upstream() != p.node || c.member() != "" {
				t.Errorf("what is left of the seal on the new primary: %v (%v)", c, err)
			}
			if got := a.must("SELECT count(*) FROM pg_file_settings WHERE name = 'warden.sealed'"); got != "0" {
				t.Error("the seal was not taken from the new primary")
			}
		})
	}
}

// Goal: a member that hangs and leaves the set does not keep the change from
// being confirmed; one that stays does.
func TestWaitWithHungMember(t *testing.T) {
	p, a, b := trio(t)
	enlist(t, p, nil, a, b)
	primary := keeper(t, p, 1)
	done(t, "wait", primary.Wait(soon(t), []warden.SyncRule{*ruleOf(1, a, b)}))
	b.Pause()
	defer b.Resume()
	done(t, "wait without the hung one", primary.Wait(soon(t), []warden.SyncRule{*ruleOf(1, a, b), *ruleOf(1, a)}))
	acknowledged(t, "a commit", commit(t, p))
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if res := primary.Wait(short, []warden.SyncRule{*ruleOf(1, a), *ruleOf(1, a, b)}); res.Outcome != warden.Unknown {
		t.Errorf("wait with the hung one: %+v, want unknown", res)
	}
}

// Goal: a member is sealed only if that can be undone: the password is known.
func TestSealKeepsNoPassword(t *testing.T) {
	p := start(t, shape{})
	a := start(t, shape{upstream: p.node})
	text := strings.ReplaceAll(a.must("SHOW primary_conninfo"), "'", "''") + " password=secret"
	a.must("ALTER SYSTEM SET primary_conninfo = '" + text + "'")
	a.must("SELECT pg_reload_conf()")
	member := keeper(t, a, 1)
	for what, res := range map[string]warden.Result{
		"seal": member.Seal(soon(t)), "join": member.Follow(soon(t), warden.Following{Primary: p.node, Name: "m"}),
	} {
		if res.Outcome != warden.Refused || !strings.Contains(res.Why, "passfile") || strings.Contains(res.Why, "secret") {
			t.Errorf("%s: %+v, want it refused with the remedy", what, res)
		}
	}
	o := options()
	o.ReplicationPassword = "secret"
	session, res := New(o).Claim(soon(t), a.node, testClaim(2))
	done(t, "claim", res)
	defer session.Close()
	k := session.(warden.Keeper)
	done(t, "seal", k.Seal(soon(t)))
	if got := a.must("SHOW warden.sealed"); strings.Contains(got, "secret") || !strings.Contains(got, "warden") {
		t.Errorf("kept: %s", got)
	}
	done(t, "unseal", session.Follow(soon(t), warden.Following{Primary: p.node}))
	if c, err := parseConninfo(a.must("SHOW primary_conninfo")); err != nil || c.get("password") != "secret" {
		t.Errorf("after the seal: %v (%v)", c, err)
	}
}

// Goal: a sealed member still says under which name it streamed; who had none of
// its own says its address.
func TestSealedMemberIsKnown(t *testing.T) {
	p, a, b := trio(t)
	enlist(t, p, nil, a)
	done(t, "follow", claimed(t, b, 1).Follow(soon(t), warden.Following{Primary: p.node}))
	for s, want := range map[*server]string{a: memberOf(a), b: string(b.node)} {
		session := keeper(t, s, 2)
		done(t, "seal", session.Seal(soon(t)))
		if o := session.Look(soon(t)); !o.Sealed || o.Member != want {
			t.Errorf("%s is sealed: %v, as %q, want %q", s.node, o.Sealed, o.Member, want)
		}
	}
}
