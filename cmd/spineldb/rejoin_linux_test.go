package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/discovery/script"
	"github.com/spineldb/warden/warden"
)

// duel is a former primary with a record that its successor does not have.
type duel struct {
	*testing.T
	lab        *postgreslab.Lab
	loser, won *postgreslab.Server
	options    []string
}

func newDuel(t *testing.T) *duel {
	t.Helper()
	sql := "CREATE TABLE records (id bigint);\nCREATE ROLE replicator LOGIN REPLICATION;\nGRANT pg_checkpoint TO replicator;\n"
	for _, f := range []string{"pg_ls_dir(text, boolean, boolean)", "pg_stat_file(text, boolean)", "pg_read_binary_file(text)", "pg_read_binary_file(text, bigint, bigint, boolean)"} {
		sql += "GRANT EXECUTE ON FUNCTION " + f + " TO replicator;\n"
	}
	lab, err := postgreslab.Open(t.Context(), postgreslab.Options{SQL: sql})
	if err != nil {
		t.Fatal(err)
	}
	d := &duel{T: t, lab: lab}
	t.Cleanup(func() {
		for _, s := range []*postgreslab.Server{d.loser, d.won} {
			if s == nil {
				continue
			}
			if t.Failed() {
				t.Logf("log of %s:\n%s", s.Addr, s.Tail(15))
			}
			if err := s.Kill(); err != nil {
				t.Error(err)
			}
		}
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	d.loser = d.start("loser", "")
	d.won = d.start("won", d.loser.Addr)
	d.query(d.loser, "INSERT INTO records VALUES (1)")
	d.await("the standby has the first record", func() bool { return d.records(d.won) == "1" })
	d.query(d.won, "SELECT pg_promote()")
	d.query(d.loser, "INSERT INTO records VALUES (666)")
	d.query(d.won, "INSERT INTO records VALUES (2)")
	// What Wardens leave on a fenced primary.
	d.set(d.loser, "default_transaction_read_only", "on")
	d.set(d.loser, "warden.fenced", "by somebody")
	d.set(d.loser, "warden.epoch", "7 orders")
	d.set(d.loser, "work_mem", "5MB")
	d.set(d.won, "work_mem", "6MB")
	nodes := filepath.Join(lab.Dir, "nodes.map")
	text := fmt.Sprintf("# the servers of this machine\n%s %s\n%s %s", d.won.Addr, d.won.Dir, d.loser.Addr, d.loser.Dir)
	if err := os.WriteFile(nodes, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d.options = []string{"--map", nodes, "--bin", lab.Bin, "--user", "replicator", "--sslmode", "disable"}
	return d
}

func (d *duel) start(name string, upstream warden.NodeID) *postgreslab.Server {
	d.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.Fatal(err)
	}
	addr := warden.MakeNode("127.0.0.1", l.Addr().(*net.TCPAddr).Port)
	l.Close()
	s, err := d.lab.Server(d.Context(), name, addr, upstream, "replicator")
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		d.Fatal(err)
	}
	d.await(name+" answers", func() bool { _, err := s.Query(d.Context(), "SELECT 1"); return err == nil })
	return s
}

func (d *duel) query(s *postgreslab.Server, sql string) []string {
	d.Helper()
	rows, err := s.Query(d.Context(), sql)
	if err != nil {
		d.Fatalf("%s on %s: %v", sql, s.Addr, err)
	}
	return rows
}

// set sets what the server is to have when it is started again.
func (d *duel) set(s *postgreslab.Server, name, value string) {
	d.Helper()
	c, err := postgreslab.Connect(d.Context(), s.Addr, postgreslab.Superuser, "test")
	if err != nil {
		d.Fatal(err)
	}
	defer c.Close()
	for _, sql := range []string{"SET ", "ALTER SYSTEM SET "} {
		if _, err := c.Query(d.Context(), sql+name+" = '"+value+"'"); err != nil {
			d.Fatalf("%s%s: %v", sql, name, err)
		}
	}
}

func (d *duel) await(what string, is func() bool) {
	d.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(30 * time.Second); !is(); <-poll.C {
		if time.Now().After(end) {
			d.Fatalf("still not: %s", what)
		}
	}
}

func (d *duel) records(s *postgreslab.Server) string {
	rows, err := s.Query(d.Context(), "SELECT id FROM records ORDER BY id")
	if err != nil {
		return err.Error()
	}
	return strings.Join(rows, " ")
}

// rejoin runs the script as a Warden does.
func (d *duel) rejoin(more ...string) warden.Result {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), time.Minute)
	defer cancel()
	return d.rejoinWithin(ctx, more...)
}

func (d *duel) rejoinWithin(ctx context.Context, more ...string) warden.Result {
	path, err := filepath.Abs("../../docs/examples/rejoin.sh")
	if err != nil {
		d.Fatal(err)
	}
	c := script.NewCommands(script.CommandOptions{
		Rejoin: slices.Concat([]string{path}, d.options, more), Logger: slog.New(slog.NewTextHandler(d.Output(), nil)),
	})
	return c.Rejoin(ctx, warden.Call{Group: "orders", Node: d.loser.Addr, Primary: d.won.Addr, Epoch: 3})
}

// rejoined checks that the loser follows, by its own configuration.
func (d *duel) rejoined(result warden.Result) {
	d.Helper()
	if result.Outcome != warden.Done {
		d.Fatalf("result: %+v", result)
	}
	d.query(d.won, "INSERT INTO records VALUES (3)")
	d.await("the loser has what the new primary has", func() bool { return d.records(d.loser) == "1 2 3" })
	got := d.query(d.loser, "SELECT pg_is_in_recovery() || ' ' || current_setting('work_mem') || ' ' || current_setting('default_transaction_read_only')"+
		" || ' ' || current_setting('warden.epoch') || ' ' || coalesce(current_setting('warden.fenced', true), 'none')")
	if want := "true 5MB off 7 orders none"; got[0] != want {
		d.Errorf("the loser says %q, want %q", got[0], want)
	}
	if got := d.query(d.won, "SELECT application_name FROM pg_stat_replication"); len(got) != 1 || got[0] != string(d.loser.Addr) {
		d.Errorf("the new primary streams to %q, want %s", got, d.loser.Addr)
	}
	for _, left := range []string{".rejoin.broken", ".rejoin.conf", ".rejoin.new"} {
		if _, err := os.Stat(d.loser.Dir + left); err == nil {
			d.Errorf("%s is left behind", left)
		}
	}
}

func (d *duel) kept(pattern string) []string {
	found, _ := filepath.Glob(d.loser.Dir + pattern)
	return found
}

// bin is a directory of PostgreSQL's programs, some of which are others.
func (d *duel) bin(others map[string]string) string {
	d.Helper()
	dir := filepath.Join(d.lab.Dir, fmt.Sprintf("bin%d", len(d.kept("/../bin*"))))
	if err := os.Mkdir(dir, 0o755); err != nil {
		d.Fatal(err)
	}
	entries, err := os.ReadDir(d.lab.Bin)
	if err != nil {
		d.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if text, other := others[e.Name()]; other {
			err = os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755)
		} else {
			err = os.Symlink(filepath.Join(d.lab.Bin, e.Name()), path)
		}
		if err != nil {
			d.Fatal(err)
		}
	}
	return dir
}

// Goal: a former primary is wound back, and what only it had is kept.
func TestRejoinByRewinding(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	d.rejoined(d.rejoin())
	if n := len(d.kept(".lost-*/pg_wal/0*")); n == 0 || len(d.kept(".aside-*")) != 0 {
		t.Errorf("%d WAL files of the loser are kept, and %q", n, d.kept(".aside-*"))
	}
	// Once more, as after a change of the leader: nothing is lost by it.
	d.rejoined2(d.rejoin())
}

// rejoined2 checks that a standby that is rejoined stays one.
func (d *duel) rejoined2(result warden.Result) {
	d.Helper()
	if result.Outcome != warden.Done {
		d.Fatalf("result: %+v", result)
	}
	d.await("the loser has what the new primary has", func() bool { return d.records(d.loser) == "1 2 3" })
}

// Goal: one that crashed, and that cannot be wound back, is copied; its old
// data is put aside.
func TestRejoinByCopying(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	if err := d.loser.Kill(); err != nil {
		t.Fatal(err)
	}
	d.rejoined(d.rejoin("--bin", d.bin(map[string]string{"pg_rewind": "exit 1"})))
	aside := d.kept(".aside-*")
	if len(aside) != 1 {
		t.Fatalf("put aside: %q, want the old directory", aside)
	}
	if text, err := os.ReadFile(filepath.Join(aside[0], "postgresql.auto.conf")); err != nil || !strings.Contains(string(text), "warden.fenced") {
		t.Errorf("what was put aside is not the old directory: %v", err)
	}
}

// Goal: an attempt that is killed half-way leaves the data where it was, and
// the next one ends well.
func TestRejoinKilled(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	slow := d.bin(map[string]string{"pg_rewind": "exit 1", "pg_basebackup": "mkdir -p \"$2\"; touch \"$2/part\"; exec sleep 600"})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan warden.Result)
	go func() { result <- d.rejoinWithin(ctx, "--bin", slow) }()
	d.await("a part of the copy is there", func() bool { return len(d.kept(".rejoin.new/part")) == 1 })
	cancel()
	if got := <-result; got.Outcome != warden.Unknown {
		t.Fatalf("result %+v, want a killed command", got)
	}
	if len(d.kept("/PG_VERSION")) != 1 || len(d.kept(".aside-*")) != 0 {
		t.Error("the old data was moved before the new one was complete")
	}
	d.rejoined(d.rejoin())
	if len(d.kept(".aside-*")) != 1 {
		t.Errorf("put aside: %q, want the old directory: it may be half wound back", d.kept(".aside-*"))
	}
}

// Goal: nothing is touched while there is no primary to follow.
func TestRejoinWithoutPrimary(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	pid := d.loser.Pid()
	if err := d.won.Kill(); err != nil {
		t.Fatal(err)
	}
	got := d.rejoin()
	if got.Outcome != warden.Refused || d.loser.Pid() != pid || pid == 0 {
		t.Errorf("result %+v, process %d, before %d", got, d.loser.Pid(), pid)
	}
	if err := os.WriteFile(d.options[1], []byte("1.2.3.4:5 /nowhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got = d.rejoin(); got.Outcome != warden.Refused || !strings.Contains(got.Why, "add a line with its data directory") {
		t.Errorf("result %+v", got)
	}
}
