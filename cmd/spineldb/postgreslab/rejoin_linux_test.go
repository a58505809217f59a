package postgreslab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const exampleScript = "../../../docs/examples/rejoin.sh"

// loser makes a failover by hand: a primary that came back and has written on
// its own, and the one that was promoted meanwhile.
func loser(t *testing.T) (l *Lab, old, fresh *Server) {
	t.Helper()
	l, add := open(t)
	old = add("a", "")
	fresh = add("b", old.Addr)
	await(t, "the standby streams", func() bool {
		rows, err := fresh.Query(t.Context(), "SELECT status FROM pg_stat_wal_receiver")
		return err == nil && len(rows) == 1 && rows[0] == "streaming"
	})
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Query(t.Context(), "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the loser is back and writes on its own", func() bool {
		_, err := old.Query(t.Context(), "INSERT INTO records VALUES (7)")
		return err == nil
	})
	return l, old, fresh
}

// rejoin runs the script as a Warden does, with further variables.
func rejoin(t *testing.T, old, fresh *Server, argv []string, env ...string) {
	t.Helper()
	pid := old.Pid()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(append(os.Environ(), "WARDEN_NODE="+string(old.Addr), "WARDEN_NEW_PRIMARY="+string(fresh.Addr)), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, old.Tail(20))
	}
	await(t, "the loser is a standby", func() bool {
		rows, err := old.Query(t.Context(), "SELECT status FROM pg_stat_wal_receiver")
		return err == nil && len(rows) == 1 && rows[0] == "streaming"
	})
	if now := old.Pid(); now == pid || !slices.Contains(childrenOfThis(t), now) {
		t.Errorf("process %d, before %d, is no child of ours", now, pid)
	}
	if rows, err := old.Query(t.Context(), "SELECT count(*) FROM records"); err != nil || rows[0] != "0" {
		t.Errorf("records: %v, %v; what only the loser had was to be wound back", rows, err)
	}
}

// Goal: the example script makes the loser of a failover a standby again, with
// what the lab tells it, and the server is a child of the lab afterwards.
func TestRejoin(t *testing.T) {
	l, old, fresh := loser(t)
	rejoin(t, old, fresh, l.Rejoin(exampleScript))
	// Asked once more by a leader that has not seen the standby yet, it does nothing.
	pid := old.Pid()
	cmd := exec.CommandContext(t.Context(), exampleScript, l.Rejoin(exampleScript)[1:]...)
	cmd.Env = append(os.Environ(), "WARDEN_NODE="+string(old.Addr), "WARDEN_NEW_PRIMARY="+string(fresh.Addr))
	if out, err := cmd.CombinedOutput(); err != nil || old.Pid() != pid {
		t.Errorf("asked twice: %v: %s; process %d, before %d", err, out, old.Pid(), pid)
	}
}

// fakeSSH does what ssh does with its words: options, a host, and the rest as one
// text for a shell on the other side, which knows none of our variables.
const fakeSSH = `#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
echo "$1" >"$(dirname "$0")/host"
shift
cd /
exec env -i PATH="$PATH" HOME=/ sh -c "$*"
`

// Goal: with --ssh the script does the same on the server's own host: it is not
// there, and no blank, quote, pattern or command in an option means anything to
// the shells on the way.
func TestRejoinOverSSH(t *testing.T) {
	l, old, fresh := loser(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(fakeSSH), 0o755); err != nil {
		t.Fatal(err)
	}
	escaped := filepath.Join(dir, "escaped")
	odd := fmt.Sprintf("it's \"a\" log; touch %s $(touch %s) `touch %s` * \\ $HOME", escaped, escaped, escaped)
	argv := slices.Concat(l.Rejoin(exampleScript), []string{"--ssh", "operator", "--log", odd})
	rejoin(t, old, fresh, argv, "PATH="+dir+":"+os.Getenv("PATH"))
	if host, err := os.ReadFile(filepath.Join(dir, "host")); err != nil || string(host) != "operator@127.0.0.1\n" {
		t.Errorf("it went to %q (%v)", host, err)
	}
	if _, err := os.Stat(escaped); !os.IsNotExist(err) {
		t.Errorf("an option was run as a command: %v", err)
	}
}

// Goal: two standbys were promoted at the same position, so both are on one timeline
// and pg_rewind would find nothing to do. The loser is copied anew.
func TestRejoinOfATwin(t *testing.T) {
	l, add := open(t)
	first := add("a", "")
	b, c := add("b", first.Addr), add("c", first.Addr)
	if err := first.Stop(t.Context()); err != nil { // both have everything then
		t.Fatal(err)
	}
	for i, s := range []*Server{b, c} {
		if _, err := s.Query(t.Context(), "SELECT pg_promote()"); err != nil {
			t.Fatal(err)
		}
		await(t, "it writes on its own", func() bool {
			_, err := s.Query(t.Context(), fmt.Sprintf("INSERT INTO records VALUES (%d)", i))
			return err == nil
		})
	}
	argv := l.Rejoin(exampleScript)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "WARDEN_NODE="+string(c.Addr), "WARDEN_NEW_PRIMARY="+string(b.Addr))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "was a primary on the timeline of") {
		t.Fatalf("%v: %s\n%s", err, out, c.Tail(20))
	}
	if _, err := b.Query(t.Context(), "INSERT INTO records VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	await(t, "it has what the primary has", func() bool {
		rows, err := c.Query(t.Context(), "SELECT string_agg(id::text, ',' ORDER BY id) FROM records")
		return err == nil && len(rows) == 1 && rows[0] == "0,2"
	})
}
