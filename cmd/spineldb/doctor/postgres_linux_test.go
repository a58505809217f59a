package doctor

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// patience is how long real servers may take on a busy machine.
const patience = time.Minute

// openLab makes a lab whose servers have the role of docs/postgresql.md.
func openLab(t *testing.T) *postgreslab.Lab {
	t.Helper()
	page, err := os.ReadFile("../../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	grants, err := postgreslab.Grants(page)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lab, err := postgreslab.Open(ctx, postgreslab.Options{SQL: grants + "CREATE ROLE poor LOGIN;\nCREATE ROLE app LOGIN;\n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}

// run starts a server and waits until it answers.
func run(t *testing.T, lab *postgreslab.Lab, name string, upstream warden.NodeID, lines ...string) *postgreslab.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := warden.ParseNode(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s, err := lab.Server(t.Context(), name, addr, upstream, "warden", lines...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(s.Log)
			t.Logf("log of %s:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
	await(t, name+" answers", func() bool { _, err := ask(s, "SELECT 1"); return err == nil })
	return s
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); !is(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// ask runs statements, one after the other in one session of the superuser, and
// returns what the last one said.
func ask(s *postgreslab.Server, statements ...string) (last string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := postgreslab.Connect(ctx, s.Addr, postgreslab.Superuser, "test")
	if err != nil {
		return "", err
	}
	defer c.Close()
	for _, sql := range statements {
		rows, err := c.Query(ctx, sql)
		if err != nil {
			return "", fmt.Errorf("%s: %w", sql, err)
		}
		last = strings.Join(rows, ",")
	}
	return last, nil
}

func do(t *testing.T, s *postgreslab.Server, statements ...string) {
	t.Helper()
	if _, err := ask(s, statements...); err != nil {
		t.Fatal(err)
	}
}

// diagnose examines a group of two named servers and prints it where the test fails.
func diagnose(t *testing.T, g Group) GroupReport {
	t.Helper()
	r := Examine(t.Context(), g, patience)
	t.Cleanup(func() {
		if t.Failed() {
			for _, f := range r.Findings {
				t.Logf("%s %s [%s] %s | %s | %s", f.Severity, f.Node, f.Check, f.Found, f.Why, f.Remedy)
			}
		}
	})
	return r
}

// wantFinding demands a finding of a severity with words in what was found or
// in the remedy.
func wantFinding(t *testing.T, r GroupReport, severity Severity, node warden.NodeID, check, words string) {
	t.Helper()
	if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
		return f.Severity == severity && f.Node == node && f.Check == check && strings.Contains(f.Found+" | "+f.Remedy, words)
	}) {
		t.Errorf("no %s of %s at %q with the words %q", severity, check, node, words)
	}
}

func streaming(s *postgreslab.Server) func() bool {
	return func() bool {
		n, err := ask(s, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		return err == nil && n == "1"
	}
}

// Goal: a group that was set up as docs/postgresql.md says is in order, for its
// least privileged role, in both kinds of durability.
func TestHealthyGroup(t *testing.T) {
	lab := openLab(t)
	a := run(t, lab, "a", "")
	b := run(t, lab, "b", a.Addr)
	c := run(t, lab, "c", a.Addr)
	await(t, "b and c stream", func() bool { return streaming(b)() && streaming(c)() })
	g := Group{
		Name: "orders", Adapter: Postgres, Nodes: []warden.NodeID{a.Addr, b.Addr, c.Addr}, Quorum: 2, Wardens: 3,
		Rejoin: true, Fence: true, Login: Login{User: "warden", SSLMode: "disable"}, ReplicationUser: "warden",
	}
	for _, durable := range []bool{false, true} {
		g.Durable, g.SyncStandbys = durable, 1
		if durable {
			do(t, a, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (x, y)'", "SELECT pg_reload_conf()")
		}
		r := diagnose(t, g)
		for _, f := range r.Findings {
			// The lab itself runs without fsync, and only a superuser may look at pg_hba.conf.
			expected := f.Check == "settings" && f.Found == "fsync is off" || f.Check == "hba" && f.Severity == Note
			if f.Severity.Worse(OK) && !expected {
				t.Errorf("durable %v: unexpected %s of %s at %q: %s", durable, f.Severity, f.Check, f.Node, f.Found)
			}
		}
		if r.Reached() != 3 || r.Count(OK) < 40 {
			t.Errorf("durable %v: %d nodes were reached and %d checks are in order", durable, r.Reached(), r.Count(OK))
		}
	}
}

// Goal: the remedies for missing rights are SQL that mends them.
func TestRemediesMend(t *testing.T) {
	lab := openLab(t)
	a := run(t, lab, "a", "")
	g := Group{
		Name: "orders", Adapter: Postgres, Nodes: []warden.NodeID{a.Addr}, Quorum: 2, Wardens: 3, Durable: true, SyncStandbys: 1,
		Login: Login{User: "poor", SSLMode: "disable"}, ReplicationUser: "nobody",
	}
	rounds := 0
	for more := true; more; rounds++ {
		if more = false; rounds == 3 {
			t.Fatal("there is no end to it")
		}
		for _, f := range diagnose(t, g).Findings {
			if f.Severity == Note && f.Check == "role" {
				continue // of the session before, which the server has not ended yet; its remedy is no SQL
			}
			if f.Severity != OK && slices.Contains([]string{"rights", "role", "replication-role", "hba"}, f.Check) {
				more = true
				sql, _, _ := strings.Cut(f.Remedy, "   --")
				for statement := range strings.SplitSeq(strings.TrimSuffix(sql, ";"), ";") {
					do(t, a, statement)
				}
			}
		}
	}
	if rounds < 2 {
		t.Error("nothing was found to mend")
	}
}

// Goal: the SQL of docs/postgresql.md runs, and what it grants to Warden is what
// the doctor asks for.
func TestDocumentedSQL(t *testing.T) {
	page, err := os.ReadFile("../../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	lab := openLab(t)
	a := run(t, lab, "a", "")
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```|\n\n((?:    [A-Z][^\n]*;\n)+)").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks of SQL were found, want the two of roles and the one that takes a fence back", len(blocks))
	}
	for _, block := range blocks[1:] { // the lab has run the first one
		var statements []string
		for statement := range strings.SplitSeq(block[1]+block[2], ";") {
			if strings.TrimSpace(statement) != "" {
				statements = append(statements, statement)
			}
		}
		do(t, a, statements...)
	}
	grants, err := postgreslab.Grants(page)
	if err != nil {
		t.Fatal(err)
	}
	asked := ""
	for _, r := range rightsFor(ward(), 150000) {
		asked += r.grant
	}
	for _, what := range regexp.MustCompile(`(?:pg_\w+|warden\.\w+|\w+_\w+)`).FindAllString(grants, -1) {
		if !strings.Contains(asked, what) {
			t.Errorf("the page grants %s, for which the doctor does not ask", what)
		}
	}
}

// Goal: mistakes on real servers are found, each with the words that mend it.
func TestDeliberateMistakes(t *testing.T) {
	lab := openLab(t)
	a := run(t, lab, "a", "", "wal_log_hints = off", "max_slot_wal_keep_size = -1", "max_wal_senders = 3", "idle_session_timeout = '1min'", "log_statement = 'ddl'")
	b := run(t, lab, "b", a.Addr)
	c := run(t, lab, "c", a.Addr)
	unused := string(warden.MakeNode("127.0.0.1", 1))
	do(t, c, "ALTER SYSTEM SET primary_conninfo = 'host="+a.Addr.Host()+" port="+a.Addr.Port()+" user=warden password=hush application_name="+string(b.Addr)+"'", "SELECT pg_reload_conf()")
	do(t, a, "ALTER ROLE app SET synchronous_commit = 'local'", "ALTER DATABASE postgres SET synchronous_commit = 'remote_write'",
		"ALTER ROLE app SET default_transaction_read_only = off", "ALTER SYSTEM SET default_transaction_read_only = on",
		"SELECT pg_create_physical_replication_slot('forgotten', true)", "GRANT pg_monitor TO poor", "SELECT pg_reload_conf()")
	if err := os.WriteFile(filepath.Join(b.Dir, "pg_hba.conf"), []byte("host all all all trust\nhost replication other all trust\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, b, "SELECT pg_reload_conf()")
	await(t, "the grants and names have arrived", func() bool {
		n, err := ask(a, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '"+string(b.Addr)+"'")
		has, errB := ask(b, "SELECT pg_has_role('poor', 'pg_monitor', 'USAGE')")
		return err == nil && errB == nil && n == "2" && has == "t"
	})
	g := Group{
		Name: "orders", Adapter: Postgres, Nodes: []warden.NodeID{a.Addr, c.Addr, warden.NodeID(unused)}, Quorum: 2, Wardens: 4, Durable: true, SyncStandbys: 1,
		Login: Login{User: "poor", SSLMode: "disable"}, ReplicationUser: "warden",
	}
	r := diagnose(t, g)
	for _, right := range []string{"pg_promote", "pg_reload_conf", "ALTER SYSTEM primary_conninfo", "ALTER SYSTEM warden.epoch", "pg_checkpoint", "pg_file_settings"} {
		wantFinding(t, r, Error, a.Addr, "rights", right)
	}
	wantFinding(t, r, Warning, a.Addr, "rights", "GRANT pg_signal_backend TO poor;")
	wantFinding(t, r, Warning, a.Addr, "role", "ALTER ROLE poor REPLICATION;")
	wantFinding(t, r, Warning, a.Addr, "settings", "SET wal_log_hints = on")
	wantFinding(t, r, Warning, a.Addr, "room", "max_slot_wal_keep_size is -1")
	wantFinding(t, r, Error, a.Addr, "commits", "ALTER ROLE app RESET synchronous_commit;")
	wantFinding(t, r, Warning, a.Addr, "commits", "ALTER DATABASE postgres RESET synchronous_commit;")
	wantFinding(t, r, Warning, a.Addr, "fence", "ALTER ROLE app RESET default_transaction_read_only;")
	wantFinding(t, r, Warning, a.Addr, "timeouts", "ALTER ROLE poor SET idle_session_timeout = 0;")
	wantFinding(t, r, Warning, a.Addr, "durability", "waits for no standby")
	wantFinding(t, r, Note, a.Addr, "slots", "pg_drop_replication_slot('forgotten')")
	wantFinding(t, r, Error, a.Addr, "names", "two standbys stream from it as "+string(b.Addr))
	wantFinding(t, r, Note, a.Addr, "listed", string(b.Addr))
	wantFinding(t, r, Error, warden.NodeID(unused), "reachable", "it refuses connections")
	wantFinding(t, r, Note, "", "wardens", "an even number")

	// The rest can be seen by more than the least role only.
	g.Login.User, g.Nodes = postgreslab.Superuser, []warden.NodeID{a.Addr, b.Addr, c.Addr}
	r = diagnose(t, g)
	wantFinding(t, r, Error, a.Addr, "leftovers", "read-only by ALTER SYSTEM")
	wantFinding(t, r, Warning, b.Addr, "hba", "no line of pg_hba.conf lets 127.0.0.1 copy from here as warden")
	wantFinding(t, r, OK, a.Addr, "rights", "every right")
	for _, f := range r.Findings {
		if strings.Contains(f.Found+f.Why+f.Remedy, "hush") {
			t.Errorf("a password is shown: %+v", f)
		}
	}

	do(t, a, "ALTER SYSTEM RESET default_transaction_read_only", "SET warden.fenced = '"+string(b.Addr)+"'", "ALTER SYSTEM SET warden.fenced = '"+string(b.Addr)+"'")
	r = diagnose(t, g)
	wantFinding(t, r, Error, a.Addr, "leftovers", "it is fenced, because "+string(b.Addr))
	wantFinding(t, r, Error, "", "primary", "no node that can be looked at is a primary")
}

// Goal: a wrong password, a role that is not let in and a database that is not
// there are told apart; and so is a data set that went its own way.
func TestDeniedAndDiverged(t *testing.T) {
	lab := openLab(t)
	a := run(t, lab, "a", "")
	b := run(t, lab, "b", a.Addr)
	await(t, "b streams", streaming(b))
	do(t, b, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	await(t, "b has stopped", func() bool { return !streaming(b)() })
	do(t, a, "SELECT pg_logical_emit_message(true, 'test', repeat('a', 5000))")
	do(t, b, "SELECT pg_promote()")
	g := Group{Name: "orders", Adapter: Postgres, Nodes: []warden.NodeID{a.Addr, b.Addr}, Quorum: 2, Wardens: 3, Login: Login{User: "warden", SSLMode: "disable"}, Rejoin: true}
	wantFinding(t, diagnose(t, g), Error, "", "primary", "several nodes are primaries")
	do(t, a, "SET warden.fenced = 'x'", "ALTER SYSTEM SET warden.fenced = 'x'", "SELECT pg_reload_conf()")
	wantFinding(t, diagnose(t, g), Error, a.Addr, "lineage", "it has diverged")

	if err := os.WriteFile(filepath.Join(a.Dir, "pg_hba.conf"), []byte("host all postgres all trust\nhost all warden all scram-sha-256\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, a, "SELECT pg_reload_conf()")
	for _, denied := range []struct {
		login Login
		words string
	}{
		{Login{User: "warden", Password: "wrong"}, "refuses the password of the role warden"},
		{Login{User: "poor", Password: "x"}, "pg_hba.conf does not let the role poor in"},
		{Login{User: postgreslab.Superuser, Database: "nowhere"}, "there is no database nowhere"},
		{Login{User: postgreslab.Superuser, SSLMode: "require"}, "correct sslmode"},
	} {
		if denied.login.SSLMode == "" {
			denied.login.SSLMode = "disable"
		}
		g.Login = denied.login
		await(t, "the server has read its files: "+denied.words, func() bool {
			r := Examine(t.Context(), g, patience)
			return slices.ContainsFunc(r.Findings, func(f Finding) bool {
				return f.Severity == Error && f.Node == a.Addr && strings.Contains(f.Found+f.Remedy, denied.words)
			})
		})
	}
}
