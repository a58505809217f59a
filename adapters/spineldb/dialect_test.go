package spineldb

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

var testClaim = warden.Claim{Group: "g", Epoch: 4, Warden: warden.WardenID(strings.Repeat("a", 40))}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func openLink(t *testing.T, node warden.NodeID) warden.Link {
	t.Helper()
	l := New(Options{}).Open(node, warden.LinkEvents{})
	t.Cleanup(l.Close)
	return l
}

// Goal: each dialect's refusals end where they should, and each order is given
// once on the wire.
func TestOrdersInDialects(t *testing.T) {
	const okStep, queued = "+OK\r\n", "+QUEUED\r\n"
	transaction := map[string]string{
		"MULTI": okStep, "REPLICAOF": queued, "CONFIG REWRITE": queued, "CLIENT KILL TYPE": queued,
		"EXEC": "*4\r\n+OK\r\n+OK\r\n:1\r\n:0\r\n",
	}
	with := func(changes ...string) map[string]string {
		m := map[string]string{}
		for k, v := range transaction {
			m[k] = v
		}
		for i := 0; i < len(changes); i += 2 {
			m[changes[i]] = changes[i+1]
		}
		return m
	}
	cases := []struct {
		name    string
		replies map[string]string
		outcome warden.Outcome
		note    string
		orders  int // how often the role change was sent
	}{
		{"as Redis does", with(), warden.Done, "", 1},
		{"already so", with("EXEC", "*4\r\n+OK Already connected to specified master\r\n+OK\r\n:1\r\n:0\r\n"), warden.Done, "", 1},
		{"no configuration file", with("EXEC", "*4\r\n+OK\r\n-ERR The server is running without a config file\r\n:1\r\n:0\r\n"), warden.Done, "config-rewrite-failed: ERR The server", 1},
		{"role change refused inside", with("EXEC", "*4\r\n-ERR REPLICAOF not allowed in cluster mode.\r\n+OK\r\n:1\r\n:0\r\n"), warden.Refused, "", 1},
		{"role change refused when queued", with("REPLICAOF", "-NOPERM this user has no permissions\r\n", "EXEC", "-EXECABORT Transaction discarded\r\n"), warden.Refused, "", 1},
		{"answer cannot be read", with("EXEC", "*1\r\n+OK\r\n"), warden.Unknown, "", 1},
		{"transaction ends oddly", with("EXEC", "-ERR something else\r\n"), warden.Unknown, "", 1},
		{"no transactions", with("MULTI", "-ERR unknown command 'MULTI'\r\n", "REPLICAOF", okStep, "CONFIG REWRITE", okStep, "CLIENT KILL TYPE", ":1\r\n", "EXEC", "-ERR unknown command\r\n"), warden.Done, "", 1},
		{"no transactions, refused", with("MULTI", "-ERR unknown command 'MULTI'\r\n", "REPLICAOF", "-ERR no\r\n"), warden.Refused, "", 1},
		{"connection lost after the order", with("EXEC", "hang up"), warden.Unknown, "", 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, script(c.replies))
			session, res := New(Options{}).Claim(soon(t), f.node, testClaim)
			if res.Outcome != warden.Done {
				t.Fatalf("claim: %+v", res)
			}
			defer session.Close()
			got := session.Follow(soon(t), warden.Following{Primary: "[fe80::1]:6379"})
			if got.Outcome != c.outcome {
				t.Errorf("follow: %+v, want %s", got, c.outcome)
			}
			if notes := strings.Join(got.Notes, "\n"); !strings.HasPrefix(notes, c.note) || c.note == "" && notes != "" {
				t.Errorf("notes: %q, want %q", notes, c.note)
			}
			if n := f.count("REPLICAOF fe80::1 6379"); n != c.orders {
				t.Errorf("the order was sent %d times, want %d", n, c.orders)
			}
		})
	}
}

// Goal: a lesser step that a server takes in no transaction does not stop the
// order; the aborted transaction surely did nothing, so it is given singly.
func TestOrderSinglyAfterAbort(t *testing.T) {
	inside := false
	f := startFake(t, func(f *fake, id int, command string) string {
		switch {
		case command == "MULTI":
			inside = true
			return "+OK\r\n"
		case command == "EXEC":
			inside = false
			return "-EXECABORT Transaction discarded because of previous errors.\r\n"
		case strings.HasPrefix(command, "CLIENT KILL TYPE"):
			return "-ERR syntax error\r\n"
		case inside:
			return "+QUEUED\r\n"
		case strings.HasPrefix(command, "REPLICAOF"), command == "CONFIG REWRITE":
			return "+OK\r\n"
		}
		return script(nil)(f, id, command)
	})
	session, res := New(Options{}).Claim(soon(t), f.node, testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	got := session.Promote(soon(t), nil)
	if got.Outcome != warden.Done || len(got.Notes) != 2 || !strings.HasPrefix(got.Notes[0], "client-kill-failed: ") {
		t.Errorf("promote: %+v, want done with two notes", got)
	}
}

// spinelDB442 answers as SpinelDB 4.4.2 does: errors without a code, one INFO
// section at most, no REPLICAOF, CLIENT KILL by bare id.
func spinelDB442(role string) func(*fake, int, string) string {
	return func(f *fake, id int, command string) string {
		word, rest, _ := strings.Cut(command, " ")
		switch {
		case word == "INFO" && rest != "":
			return "-Wrong number of arguments for 'INFO' command\r\n"
		case word == "INFO":
			return bulk("# Server\r\nspineldb_version:4.4.2\r\ntcp_port:7878\r\n\r\n# Replication\r\nrole:" + role +
				"\r\nconnected_slaves:0\r\nmaster_replid:" + strings.Repeat("b", 40) + "\r\nmaster_repl_offset:0\r\n")
		case word == "ROLE" && role == "slave":
			return "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:7878\r\n$9\r\nconnected\r\n:77\r\n"
		case strings.HasPrefix(command, "CLIENT KILL ID "):
			return "-Wrong number of arguments for 'CLIENT' command\r\n"
		case strings.HasPrefix(command, "CLIENT KILL "):
			var victim int
			if _, err := fmt.Sscan(strings.TrimPrefix(command, "CLIENT KILL "), &victim); err != nil {
				return "-Invalid id\r\n"
			}
			f.kill(victim)
			return "+OK\r\n"
		case command == "PING", strings.HasPrefix(command, "CLIENT SETNAME "), command == "CLIENT LIST":
			return script(nil)(f, id, command)
		}
		return "-Unknown command '" + strings.ToLower(word) + "'\r\n"
	}
}

// Goal: SpinelDB can be watched, and is never ordered what it cannot do.
func TestSpinelDB(t *testing.T) {
	f := startFake(t, spinelDB442("slave"))
	link := openLink(t, f.node)
	for range 2 { // the second look knows the dialect
		o := link.Look(soon(t))
		if o.Health != warden.HealthGood || o.Role != warden.RoleReplica || o.Upstream != "127.0.0.1:7878" || !o.LinkUp || o.Position != 77 {
			t.Errorf("observation: %+v", o)
		}
		if !o.NoFollow || o.Server != "spineldb 4.4.2" || o.Lineage != "" || o.RunID != strings.Repeat("b", 40) || o.Empty {
			t.Errorf("observation: %+v", o)
		}
	}
	if n := f.count("INFO server"); n != 1 {
		t.Errorf("INFO with sections was asked %d times, want once", n)
	}
	older, res := New(Options{}).Claim(soon(t), f.node, testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer older.Close()
	newer := testClaim
	newer.Epoch++
	session, res := New(Options{}).Claim(soon(t), f.node, newer)
	if res.Outcome != warden.Done {
		t.Fatalf("claim over an older session: %+v", res)
	}
	defer session.Close()
	if got := session.Promote(soon(t), nil); got.Outcome != warden.Refused || !strings.Contains(got.Why, "neither REPLICAOF nor SLAVEOF") {
		t.Errorf("promote: %+v, want refused with the reason", got)
	}
	if n := f.count("MULTI"); n != 0 {
		t.Errorf("a transaction was begun %d times, want never", n)
	}
	if o := older.Look(soon(t)); o.Health != warden.HealthSilent {
		t.Errorf("look over the older session: %s, want silent", o.Health)
	}
	if got := session.Hold(soon(t), warden.Second); got.Outcome != warden.Refused {
		t.Errorf("hold: %+v, want refused", got)
	}
}

// Goal: servers before Redis 5 know SLAVEOF only, and one section of INFO.
func TestOldWords(t *testing.T) {
	f := startFake(t, func(f *fake, id int, command string) string {
		switch {
		case strings.HasPrefix(command, "COMMAND INFO"):
			return "*2\r\n*-1\r\n*1\r\n$7\r\nslaveof\r\n"
		case strings.HasPrefix(command, "INFO "):
			return "-ERR syntax error\r\n"
		case command == "CLIENT ID":
			return "-ERR Syntax error, try CLIENT (LIST | KILL | GETNAME | SETNAME)\r\n"
		case command == "MULTI", strings.HasPrefix(command, "SLAVEOF NO ONE"):
			return "+OK\r\n"
		case command == "EXEC":
			return "*4\r\n+OK\r\n+OK\r\n:1\r\n:0\r\n"
		}
		return script(nil)(f, id, command)
	})
	session, res := New(Options{}).Claim(soon(t), f.node, testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	if got := session.Promote(soon(t), nil); got.Outcome != warden.Done {
		t.Errorf("promote: %+v", got)
	}
	if f.count("SLAVEOF NO ONE") != 1 || f.count("REPLICAOF") != 0 {
		t.Errorf("heard: %v", f.heard)
	}
	if o := session.Look(soon(t)); o.Health != warden.HealthGood || o.Upstream != "h:1" || o.NoFollow {
		t.Errorf("look: %+v", o)
	}
}

// Goal: what a server says when asked how it is, and what that proves.
func TestHealthOfAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		replies map[string]string
		want    warden.Health
	}{
		{"loading", map[string]string{"PING": "-LOADING Redis is loading the dataset in memory\r\n"}, warden.HealthLoading},
		{"masterdown", map[string]string{"PING": "-MASTERDOWN Link with MASTER is down\r\n"}, warden.HealthLoading},
		{"busy", map[string]string{"PING": "-BUSY Redis is busy running a script\r\n", "INFO": "-BUSY x\r\n"}, warden.HealthBusy},
		{"misconf", map[string]string{"PING": "-MISCONF Redis is configured to save RDB snapshots\r\n"}, warden.HealthError},
		{"noauth", map[string]string{"PING": "-NOAUTH Authentication required.\r\n", "INFO": "-NOAUTH x\r\n"}, warden.HealthDenied},
		{"noperm for info", map[string]string{"INFO": "-NOPERM no permissions to run the 'info' command\r\n", "ROLE": "-NOPERM x\r\n"}, warden.HealthDenied},
		{"not pong", map[string]string{"PING": "+HELLO\r\n"}, warden.HealthError},
		{"another protocol", map[string]string{"HELLO": "HTTP/1.1 400 Bad Request\r\n\r\n"}, warden.HealthError},
		{"no database", map[string]string{"INFO": bulk("# Server\r\nredis_mode:sentinel\r\n"), "ROLE": "*2\r\n$8\r\nsentinel\r\n*0\r\n"}, warden.HealthError},
		{"hangs up", map[string]string{"PING": "hang up"}, warden.HealthRefused},
		{"hangs up at once", map[string]string{"HELLO": "hang up"}, warden.HealthRefused},
		{"full", map[string]string{"HELLO": "-ERR max number of clients reached\r\n", "PING": "hang up"}, warden.HealthBusy},
		{"protected", map[string]string{"HELLO": "-DENIED Redis is running in protected mode\r\n", "PING": "hang up"}, warden.HealthDenied},
		{"silent", map[string]string{"PING": ""}, warden.HealthSilent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFake(t, script(c.replies))
			ctx := soon(t)
			if c.want == warden.HealthSilent {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				ctx = short
			}
			if o := openLink(t, f.node).Look(ctx); o.Health != c.want || o.Detail == "" {
				t.Errorf("health %s (%s), want %s", o.Health, o.Detail, c.want)
			}
		})
	}
}

// Goal: the caller's deadline counts, not the default for callers without one.
func TestCallersDeadlineCounts(t *testing.T) {
	const slow, fallback = 200 * time.Millisecond, 50 * time.Millisecond
	f := startFake(t, func(f *fake, id int, command string) string {
		if command == "PING" {
			<-time.After(slow)
		}
		return script(nil)(f, id, command)
	})
	link := New(Options{Timeout: fallback}).Open(f.node, warden.LinkEvents{})
	defer link.Close()
	if o := link.Look(soon(t)); o.Health != warden.HealthGood {
		t.Errorf("with a long deadline: %s (%s), want good", o.Health, o.Detail)
	}
	if o := link.Look(t.Context()); o.Health != warden.HealthSilent {
		t.Errorf("without a deadline: %s (%s), want silent", o.Health, o.Detail)
	}
}

// Goal: passwords do not turn up in what is reported.
func TestNoSecretInReports(t *testing.T) {
	const secret = "correct-horse-battery"
	f := startFake(t, script(map[string]string{
		"HELLO": "-WRONGPASS invalid username-password pair\r\n", "AUTH": "-WRONGPASS invalid username-password pair\r\n",
	}))
	a := New(Options{User: "warden", Password: secret})
	link := a.Open(f.node, warden.LinkEvents{})
	defer link.Close()
	_, res := a.Claim(soon(t), f.node, testClaim)
	o := link.Look(soon(t))
	all := fmt.Sprint(res, o, link.Knock(soon(t)), link.Publish(soon(t), warden.Hello{ID: testClaim.Warden, Gossip: "a:1", Group: "g"}))
	if strings.Contains(all, secret) || !strings.Contains(all, "WRONGPASS") {
		t.Errorf("reports: %s", all)
	}
	if f.count("HELLO 2 AUTH warden "+secret)+f.count("HELLO 2 auth warden "+secret) == 0 {
		t.Errorf("the password was never sent, so this test proves nothing: %v", f.heard)
	}
}

// Goal: a server that hangs up at once is not called in a busy loop.
func TestListenerIsPaced(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	openLink(t, warden.MakeNode("127.0.0.1", l.Addr().(*net.TCPAddr).Port))
	began := time.Now()
	for range 4 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	// The pauses before the second, third and fourth call.
	if took, least := time.Since(began), listenFirst*(1+2+4); took < least {
		t.Errorf("called four times within %v, want at least %v", took, least)
	}
}

// Goal: SpinelDB's word on a command that is not there, and Redis's.
func TestUnknownCommand(t *testing.T) {
	for _, text := range []string{"ERR unknown command 'x', with args beginning with: ", "Unknown command 'x'", "ERR unknown command `x`"} {
		if !unknownCommand(replyError(text)) {
			t.Errorf("%q is not seen as an unknown command", text)
		}
	}
	if unknownCommand(replyError("ERR wrong number of arguments for 'replicaof' command")) {
		t.Error("a known command with the wrong arguments is seen as unknown")
	}
}

// Goal: a replica of SpinelDB is told not to copy from the replaced primary
// before it follows another, and no server is told so that does not know how.
func TestPoison(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef01234567"
	transaction := map[string]string{
		"MULTI": "+OK\r\n", "REPLICAOF": "+QUEUED\r\n", "CONFIG REWRITE": "+QUEUED\r\n", "CLIENT KILL TYPE": "+QUEUED\r\n",
		"EXEC": "*4\r\n+OK\r\n+OK\r\n:1\r\n:0\r\n",
	}
	spinel := bulk("# Server\r\nspineldb_version:5.0.0\r\n# Replication\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:1\r\n")
	const arity = "-Wrong number of arguments for 'FAILOVER' command\r\n"
	for _, c := range []struct {
		name    string
		replies map[string]string
		avoid   string
		outcome warden.Outcome
		note    string
		poison  int // how often it was sent
		tried   int // how often the command was tried without arguments
	}{
		{"told", map[string]string{"INFO": spinel, "FAILOVER POISON": arity, "FAILOVER POISON " + id: "+OK\r\n"}, id, warden.Done, "", 1, 1},
		{"refused", map[string]string{"INFO": spinel, "FAILOVER POISON": arity, "FAILOVER POISON " + id: "-no\r\n"}, id, warden.Done, "poison-failed: no", 1, 1},
		{"nothing to avoid", map[string]string{"INFO": spinel, "FAILOVER POISON": arity}, "", warden.Done, "", 0, 0},
		{"not known", map[string]string{"INFO": spinel, "FAILOVER POISON": "-Unknown command 'failover'\r\n"}, id, warden.Done, "", 0, 1},
		{"no permission", map[string]string{"INFO": spinel, "FAILOVER POISON": "-NOPERM no\r\n"}, id, warden.Done, "", 0, 1},
		{"Redis", map[string]string{"FAILOVER": "+OK\r\n"}, id, warden.Done, "", 0, 0},
		{"Valkey", map[string]string{"INFO": bulk("# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.0.0\r\n"), "FAILOVER": "+OK\r\n"}, id, warden.Done, "", 0, 0},
		{"a server without a name", map[string]string{"INFO": "-ERR no\r\n", "FAILOVER": "+OK\r\n"}, id, warden.Done, "", 0, 0},
		{"connection lost with it", map[string]string{"INFO": spinel, "FAILOVER POISON": arity, "FAILOVER POISON " + id: "hang up"}, id, warden.Unknown, "", 1, 1},
		{"connection lost before it", map[string]string{"INFO": "hang up"}, id, warden.Refused, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			replies := maps.Clone(transaction)
			maps.Copy(replies, c.replies)
			f := startFake(t, script(replies))
			session, res := New(Options{}).Claim(soon(t), f.node, testClaim)
			if res.Outcome != warden.Done {
				t.Fatalf("claim: %+v", res)
			}
			defer session.Close()
			got := session.Follow(soon(t), warden.Following{Primary: "10.0.0.1:6379", Avoid: c.avoid})
			if got.Outcome != c.outcome || strings.Join(got.Notes, "\n") != c.note {
				t.Errorf("follow: %+v, want %s with %q", got, c.outcome, c.note)
			}
			if n := f.count("FAILOVER POISON " + id + " 60"); n != c.poison {
				t.Errorf("the command was sent %d times, want %d", n, c.poison)
			}
			if n := f.count("FAILOVER") - c.poison; n != c.tried {
				t.Errorf("the command was tried %d times, want %d: %q", n, c.tried, f.heard)
			}
			if c.outcome == warden.Done {
				f.mu.Lock()
				defer f.mu.Unlock()
				if at := slices.Index(f.heard, "FAILOVER POISON "+id+" 60"); at > slices.Index(f.heard, "MULTI") {
					t.Errorf("it came too late: %q", f.heard)
				}
			}
		})
	}
}
