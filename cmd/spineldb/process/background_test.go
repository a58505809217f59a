//go:build unix

package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	patience = 30 * time.Second
	// role makes the test's binary a program that goes to the background.
	role = "WARDEN_PROCESS_TEST"
)

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := program(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// facts are what the background process knows of itself.
type facts struct {
	PID, Parent, Group, Session int
	Dir                         string
	Args                        []string
	Marker                      string
	// Open are the descriptors that are open; Null those on the null device.
	Open, Null []int
}

// program is what a daemon does. It ends with SIGTERM.
func program(ctx context.Context) error {
	b, err := Detach(ctx)
	if b == nil {
		return err
	}
	known := look()
	p, err := WritePidfile("pid")
	if err != nil {
		b.Fail(err)
		return err
	}
	switch os.Getenv(role) {
	case "fail":
		b.Fail(errors.New("open client port 26379: it is taken\nby somebody"))
		return p.Remove()
	case "die":
		_ = p.Remove()
		os.Exit(3)
	case "ready":
		text, err := json.Marshal(known)
		if err == nil {
			err = os.WriteFile("facts", text, 0o600)
		}
		if err != nil {
			b.Fail(err)
			return err
		}
		b.Ready()
		b.Fail(errors.New("too late")) // counts no more
	}
	<-ctx.Done()
	return p.Remove()
}

func look() facts {
	known := facts{PID: os.Getpid(), Parent: os.Getppid(), Args: os.Args, Marker: os.Getenv(marker)}
	known.Group, _ = syscall.Getpgid(0)
	known.Session, _ = unix.Getsid(0)
	known.Dir, _ = os.Getwd()
	null, _ := os.Stat(os.DevNull)
	for fd := range 10 {
		if info, err := os.Stat("/dev/fd/" + strconv.Itoa(fd)); err == nil {
			known.Open = append(known.Open, fd)
			if os.SameFile(info, null) {
				known.Null = append(known.Null, fd)
			}
		}
	}
	return known
}

// launch is what an operator does: start the program in a directory.
func launch(t *testing.T, dir, what string, args ...string) (cmd *exec.Cmd, said *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said = &bytes.Buffer{}
	cmd = exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = "redis-sentinel"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), role+"="+what), said, said
	// An output that a process in the background held open would be waited for.
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endBackground(t, dir) })
	return cmd, said
}

// endBackground ends the process of the pidfile, if there is one.
func endBackground(t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	wait(t, "the background process to end", func() bool { return gone(pid) })
}

// gone reports whether a process has ended. It may remain as a zombie where
// nobody reaps orphans.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func wait(t *testing.T, what string, until func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !until(); {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Goal: the operator's process ends with 0 when the other one is ready. That
// one has the same arguments and directory, a session of its own, nothing but
// the null device and the pipe open, and goes on until it is told to end.
func TestDetach(t *testing.T) {
	dir := t.TempDir()
	cmd, said := launch(t, dir, "ready", "sentinel.conf", "--port", "0")
	if err := cmd.Wait(); err != nil || said.Len() > 0 {
		t.Fatalf("it ended with %v and said %q", err, said)
	}
	text, err := os.ReadFile(filepath.Join(dir, "facts"))
	if err != nil {
		t.Fatal(err)
	}
	var known facts
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case known.PID == cmd.Process.Pid || known.Parent != cmd.Process.Pid:
		t.Errorf("it is %d with parent %d, started by %d", known.PID, known.Parent, cmd.Process.Pid)
	case known.Group != known.PID || known.Session != known.PID:
		t.Errorf("%d is in group %d of session %d", known.PID, known.Group, known.Session)
	case known.Dir != real && known.Dir != dir:
		t.Errorf("it is in %s, started in %s", known.Dir, dir)
	case !slices.Equal(known.Args, []string{"redis-sentinel", "sentinel.conf", "--port", "0"}):
		t.Errorf("its arguments are %q", known.Args)
	case known.Marker != "":
		t.Errorf("it would tell its children that they are %q", known.Marker)
	case !slices.Equal(known.Null, []int{0, 1, 2}):
		t.Errorf("open are %v, on the null device %v", known.Open, known.Null)
	case gone(known.PID):
		t.Error("it has ended")
	}
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil || string(pid) != fmt.Sprintln(known.PID) {
		t.Errorf("the pidfile has %q, %v", pid, err)
	}
	endBackground(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pidfile is left: %v", err)
	}
}

// Goal: what prevents the start is said to the operator, whose process ends
// with 1; also when the other one dies without a word.
func TestDetachFails(t *testing.T) {
	for what, want := range map[string]string{
		"fail": "open client port 26379: it is taken\nby somebody\n",
		"die":  "start in the background: it ended before it was ready (exit status 3)",
	} {
		cmd, said := launch(t, t.TempDir(), what)
		err := cmd.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.HasPrefix(said.String(), want) {
			t.Errorf("%s: it ended with %v and said %q, want %q", what, err, said, want)
		}
	}
}

// Goal: an operator who gives up leaves no process behind.
func TestDetachGivenUp(t *testing.T) {
	dir := t.TempDir()
	cmd, said := launch(t, dir, "hang")
	wait(t, "the background process to run", func() bool { _, err := os.Stat(filepath.Join(dir, "pid")); return err == nil })
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), "it was not ready in time") {
		t.Errorf("it ended with %v and said %q", err, said)
	}
	if !gone(pid) {
		t.Errorf("%d is still there", pid)
	}
	// It was killed, so it could not tidy up.
	_ = os.Remove(filepath.Join(dir, "pid"))
}

// Goal: a marker that was inherited from elsewhere means nothing.
func TestForeignMarker(t *testing.T) {
	t.Setenv(marker, "-1")
	if b := inBackground(); b != nil {
		t.Error("it took itself for a background process")
	}
	if _, there := os.LookupEnv(marker); there {
		t.Error("the marker is passed on")
	}
	var nobody *Background
	nobody.Ready()
	nobody.Fail(errors.New("x"))
}
