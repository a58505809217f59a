//go:build linux

package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/spineldb/warden/warden"
)

// childMode makes this test binary act as a second process; see child.
const childMode = "STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode, os.Getenv("STORE_TEST_DIR")))
	}
	os.Exit(m.Run())
}

// child runs in the second process.
func child(mode, dir string) int {
	opts := Options{}
	if mode == "vote-and-die" {
		opts.Committed = func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
	}
	s, err := OpenWith(dir, opts)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	defer s.Close()
	switch mode {
	case "vote-and-die":
		err := s.SaveRegister("g", sample("g", 7))
		fmt.Println("answered", err)
	case "hold":
		fmt.Println("open", s.Identity())
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}
	return 0
}

func childCommand(t *testing.T, mode, dir string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), childMode+"="+mode, "STORE_TEST_DIR="+dir)
	return c
}

// S1: a vote that was committed is there after kill -9, although nobody was
// told of it.
func TestKilledBetweenCommitAndAnswer(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, mustOpen(t, dir, Options{}))
	for range 3 {
		out, err := childCommand(t, "vote-and-die", dir).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child was to die by SIGKILL: %v, %s", err, out)
		}
		if strings.Contains(string(out), "answered") {
			t.Fatalf("the child answered: %s", out)
		}
	}
	s := mustOpen(t, dir, Options{})
	if got, _ := s.Load("g"); !got.Equal(sample("g", 7)) {
		t.Fatalf("the vote is lost: %+v", got)
	}
	if s.Run() != 5 {
		t.Fatalf("run %d after 5 starts", s.Run())
	}
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	first := childCommand(t, "hold", dir)
	in, err := first.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "open ") {
		t.Fatalf("the first process says %q, %v", line, err)
	}
	_, err = Open(dir)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "second Warden") {
		t.Errorf("second process: %v", err)
	}
	_ = in.Close()
	if err := first.Wait(); err != nil {
		t.Fatalf("first process: %v", err)
	}
	s := mustOpen(t, dir, Options{})
	if got := "open " + string(s.Identity()) + "\n"; got != line {
		t.Errorf("another identity: %q, was %q", got, line)
	}
}

// Many first starts at once: one makes the store, the others say it is in use,
// and there is one identity.
func TestRacingFirstStarts(t *testing.T) {
	dir := t.TempDir()
	type result struct {
		s   *Store
		err error
	}
	results := make(chan result)
	for range 6 {
		go func() {
			s, err := Open(dir)
			results <- result{s, err}
		}()
	}
	var open *Store
	for range 6 {
		switch r := <-results; {
		case r.err == nil && open != nil:
			t.Error("opened twice at the same time")
			mustClose(t, r.s)
		case r.err == nil:
			open = r.s
		case !errors.Is(r.err, ErrInUse):
			t.Errorf("refused with %v", r.err)
		}
	}
	if open == nil {
		t.Fatal("nobody could open")
	}
	mustClose(t, open)
}

// A directory that cannot be written is refused at the start, by name.
func TestNotWritable(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file + "/data"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("below a file: %v", err)
	}
	dir := t.TempDir()
	mount(t, dir, "size=1m")
	mustClose(t, mustOpen(t, dir, Options{}))
	remount(t, dir)
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) || errors.Is(err, ErrDamaged) {
		t.Errorf("read-only: %v", err)
	}
}

// A full disk fails saves, loses nothing, and works again when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=256k")
	s := mustOpen(t, dir, Options{})
	if err := s.SaveRegister("g", sample("g", 1)); err != nil {
		t.Fatal(err)
	}
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	saved := []warden.GroupName{}
	var failed error
	for i := 0; failed == nil && i < 500; i++ {
		group := warden.GroupName(fmt.Sprintf("group-%03d", i))
		if failed = s.SaveRegister(group, sample(group, 1)); failed == nil {
			saved = append(saved, group)
		}
	}
	if !errors.Is(failed, syscall.ENOSPC) {
		t.Fatalf("on a full disk: %v", failed)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if err := s.SaveRegister("after", sample("after", 1)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, Options{})
	for _, group := range append(saved, "g", "after") {
		if got, _ := s.Load(group); !got.Equal(sample(group, 1)) {
			t.Errorf("%s is lost", group)
		}
	}
	if len(s.Groups()) != len(saved)+2 {
		t.Errorf("groups %v", s.Groups())
	}
}
