package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Goal: nobody is promoted before the operator's program has said that the old
// primary is off, and then the one that the tags leave.
func TestPostgresFenceIsRequired(t *testing.T) {
	t.Parallel()
	l := newPgLab(t)
	dir := t.TempDir()
	program, calls, broken := filepath.Join(dir, "fence.sh"), filepath.Join(dir, "calls"), filepath.Join(dir, "broken")
	text := fmt.Sprintf("#!/bin/sh\necho \"$WARDEN_GROUP $WARDEN_NODE $WARDEN_NEW_PRIMARY $1\" >>%s\ntest ! -e %s || { echo the power switch is broken; exit 7; }\n", calls, broken)
	writeProgram(t, program, text)
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l.settings.groups = func() string {
		return l.block() + fmt.Sprintf("fence_command = \"%s off\"\nfence_required = true\ncommand_timeout = \"5s\"\ntags.%q = { nofailover = true }\n", program, l.servers[1].Addr)
	}
	l.fill()
	old, wanted := l.servers[0], l.servers[2]
	old.kill()
	await(t, "-fence-failed is announced with the last words of the program", func() bool {
		return anySaid(l.wardens, "-fence-failed", old.Addr.Port(), "exit code 7", "the power switch is broken")
	})
	for _, n := range l.servers[1:] {
		if n.isPrimary() {
			t.Fatalf("%s was promoted although %s was not fenced", n.name, old.name)
		}
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if fresh := l.awaitOther(old, l.wardens...); fresh != wanted {
		t.Errorf("%s is the primary, but only %s may be", fresh.name, wanted.name)
	}
	told, err := os.ReadFile(calls)
	want := fmt.Sprintf("%s %s %s off\n", groupName, old.Addr, wanted.Addr)
	if err != nil || !strings.Contains(string(told), want) || strings.Trim(strings.ReplaceAll(string(told), want, ""), "\n") != "" {
		t.Errorf("the program was told %q (%v), want %q each time", told, err, want)
	}
}

// writeProgram writes a program that can be run at once.
func writeProgram(t *testing.T, path, text string) {
	t.Helper()
	// A child that is made meanwhile would hold the file open for writing, and
	// the kernel executes no such file.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Goal: standbys were sealed and the Wardens that did it are gone. Writes wait,
// until an operator releases the seal on the one Warden that is left.
func TestPostgresSealIsReleasedByHand(t *testing.T) {
	t.Parallel()
	l := startDurable(t)
	primary, last := l.servers[0], l.wardens[0]
	if out, err := last.command(l.ctx(patience), "release", groupName); err == nil || !strings.Contains(out, "refused (agreed)") {
		t.Errorf("release beside a majority: %v, %s", err, out)
	}
	for _, w := range l.wardens[1:] {
		w.process.kill()
	}
	await(t, last.name+" hears no majority", func() bool { v, err := last.view(); return err == nil && !v.Agreed })
	for _, n := range l.servers[1:] {
		n.must("ALTER SYSTEM SET primary_conninfo = ''")
		n.must("SELECT pg_reload_conf()")
		await(t, n.name+" is sealed", func() bool { o, ok := last.observation(n.Addr); return ok && o.Sealed })
	}
	stuck, client := make(chan error, 1), l.open(primary)
	go func() {
		_, err := client.Within(patience, "INSERT INTO records VALUES (4711)")
		stuck <- err
	}()
	await(t, "the write waits for a standby", func() bool {
		out, err := primary.try("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		return err == nil && out == "1"
	})
	out, err := last.command(l.ctx(patience), "release", groupName)
	if err != nil || strings.Count(out, "follows "+string(primary.Addr)+" again") != 2 {
		t.Fatalf("release: %v, %s", err, out)
	}
	if err := <-stuck; err != nil {
		t.Errorf("the write that waited: %v", err)
	}
	for _, n := range l.servers[1:] {
		await(t, n.name+" has what was written", func() bool {
			out, err := n.try("SELECT count(*) FROM records WHERE id = 4711")
			return err == nil && out == "1"
		})
	}
	if out, err := last.command(l.ctx(patience), "release", groupName); err == nil || !strings.Contains(out, "refused (not-sealed)") {
		t.Errorf("release without a seal: %v, %s", err, out)
	}
}
