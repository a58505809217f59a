package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/demo"
	"github.com/spineldb/warden/cmd/spineldb/exit"
)

// actAsMain makes the test binary be spineldb itself, so that tests can start
// it as a process, and it again its children.
const actAsMain = "SPINELDB_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(actAsMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// demoRun is a demo as a process of its own.
type demoRun struct {
	t     *testing.T
	cmd   *exec.Cmd
	tmp   string
	began time.Time
	done  chan struct{} // closed when its output has ended

	mu    sync.Mutex
	lines []string
	errs  strings.Builder
}

// demoCommand is the command of a demo with a temporary directory of its own.
func demoCommand(t *testing.T, args ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tmp = t.TempDir()
	// PostgreSQL's account, when we are root, has to get in.
	for _, dir := range []string{tmp, filepath.Dir(tmp)} {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	cmd = exec.Command(self, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), actAsMain+"=1", "TMPDIR="+tmp)
	cmd.SysProcAttr = demo.ChildAttributes()
	return cmd, tmp
}

func startDemo(t *testing.T, args ...string) *demoRun {
	t.Helper()
	d := &demoRun{t: t, began: time.Now(), done: make(chan struct{})}
	d.cmd, d.tmp = demoCommand(t, append(args, "--plain")...)
	d.cmd.Stderr = &d.errs
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go d.read(out)
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // it has ended, unless the test failed
		<-d.done
		if t.Failed() {
			t.Logf("the demo said:\n%s\n%s", strings.Join(d.lines, "\n"), d.errs.String())
		}
	})
	return d
}

func (d *demoRun) read(out io.Reader) {
	defer close(d.done)
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		d.mu.Lock()
		d.lines = append(d.lines, scanner.Text())
		d.mu.Unlock()
	}
}

func (d *demoRun) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

// waitFor waits for a text in the output.
func (d *demoRun) waitFor(text string) {
	d.t.Helper()
	limit := time.Now().Add(time.Minute)
	for !strings.Contains(d.said(), text) {
		select {
		case <-d.done:
			if !strings.Contains(d.said(), text) {
				d.t.Fatalf("it ended without %q", text)
			}
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(limit) {
			d.t.Fatalf("no %q after a minute", text)
		}
	}
}

// ended waits for the end and returns the exit code and the last line.
func (d *demoRun) ended(limit time.Duration) (code int, last string) {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(limit):
		d.t.Fatalf("it did not end within %s", limit)
	}
	err := d.cmd.Wait()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		d.t.Fatal(err)
	}
	last = d.said()
	return d.cmd.ProcessState.ExitCode(), last[strings.LastIndex(last, "\n")+1:]
}

var processText = regexp.MustCompile(`\(process (\d+)\)`)

// leftNothing checks that every process it told of has gone, and what it wrote.
func (d *demoRun) leftNothing(wantProcesses int) {
	d.t.Helper()
	found := processText.FindAllStringSubmatch(d.said(), -1)
	if len(found) < wantProcesses {
		d.t.Errorf("it told of %d processes, want %d", len(found), wantProcesses)
	}
	d.noneLives()
	if left, _ := filepath.Glob(filepath.Join(d.tmp, "*")); len(left) > 0 {
		d.t.Errorf("it left %q", left)
	}
}

func (d *demoRun) noneLives() {
	d.t.Helper()
	for _, m := range processText.FindAllStringSubmatch(d.said(), -1) {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			d.t.Fatal(err)
		}
		limit := time.Now().Add(10 * time.Second)
		for syscall.Kill(pid, 0) == nil {
			if time.Now().After(limit) {
				d.t.Errorf("process %d is still there", pid)
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

var lastLine = regexp.MustCompile(`^acknowledged ([0-9]+), lost ([0-9]+)$`)

// lostNothing checks the last line.
func (d *demoRun) lostNothing(last string, least int) {
	d.t.Helper()
	m := lastLine.FindStringSubmatch(last)
	if m == nil || m[2] != "0" {
		d.t.Fatalf("the last line is %q", last)
	}
	if n, err := strconv.Atoi(m[1]); err != nil || n < least {
		d.t.Errorf("%s writes were acknowledged, want at least %d", m[1], least)
	}
}

// Goal: on a bare machine the demo shows a failover, ends by itself in time,
// loses nothing and leaves nothing.
func TestDemo(t *testing.T) {
	d := startDemo(t)
	code, last := d.ended(time.Minute)
	if took := time.Since(d.began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if code != exit.Done || d.errs.String() != "" {
		t.Errorf("exit code %d, errors %q", code, d.errs.String())
	}
	d.lostNothing(last, 200)
	d.leftNothing(7)
	for _, text := range []string{"all Wardens agree: A is the primary", "kill -9 A, the primary", "writes fail", "(SDOWN)", "(ODOWN)",
		"votes for ", "a majority has the decision for ", "the first write is acknowledged again", "A is back as a replica"} {
		if !strings.Contains(d.said(), text) {
			t.Errorf("it did not say %q", text)
		}
	}
	if strings.Contains(d.said(), "\x1b") {
		t.Error("there are escape sequences in plain output")
	}
}

// Goal: the same with real servers, and a planned switchover as a second act.
func TestDemoRealServer(t *testing.T) {
	d := startDemo(t, "--engine=redis", "--switchover")
	code, last := d.ended(time.Minute)
	if code != exit.Done {
		t.Errorf("exit code %d, errors %q", code, d.errs.String())
	}
	d.lostNothing(last, 200)
	d.leftNothing(7)
	if !strings.Contains(d.said(), "the longest wait between two acknowledged writes was") {
		t.Error("the switchover was not measured")
	}
}

// Goal: the same with PostgreSQL, whose old primary the example script brings
// back. On Linux alone, where servers of PostgreSQL are run.
func TestDemoPostgres(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("the demo runs PostgreSQL on Linux only")
		return
	}
	d := startDemo(t, "--engine=postgres")
	code, last := d.ended(2 * time.Minute)
	if code != exit.Done {
		t.Errorf("exit code %d, errors %q", code, d.errs.String())
	}
	d.lostNothing(last, 200)
	d.leftNothing(7)
	for _, text := range []string{"A is fenced", "runs rejoin_command for A", "A is back as a replica"} {
		if !strings.Contains(d.said(), text) {
			t.Errorf("it did not say %q", text)
		}
	}
}

// Goal: Ctrl-C in the middle ends everything.
func TestDemoInterrupted(t *testing.T) {
	for name, sig := range map[string]os.Signal{"interrupt": os.Interrupt, "closed terminal": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			d := startDemo(t)
			d.waitFor("kill -9 A")
			if err := d.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			code, _ := d.ended(20 * time.Second)
			if code != exit.Refused || !strings.Contains(d.errs.String(), "interrupted") {
				t.Errorf("exit code %d, errors %q", code, d.errs.String())
			}
			d.leftNothing(6)
		})
	}
}

// Goal: with --keep everything runs until Ctrl-C, and what was killed meanwhile
// comes back. Then the writes are counted as ever.
func TestDemoKept(t *testing.T) {
	d := startDemo(t, "--keep")
	d.waitFor("everything is left running until Ctrl-C")
	m := regexp.MustCompile(`Warden W1 starts at (\S+) \(process (\d+)\)`).FindStringSubmatch(d.said())
	runCommand(t, "status", "--server", m[1]).has(t, exit.Done, "demo  primary ")
	pid, err := strconv.Atoi(m[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.waitFor("W1 is started again")
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	code, last := d.ended(20 * time.Second)
	if code != exit.Done {
		t.Errorf("exit code %d, errors %q", code, d.errs.String())
	}
	d.lostNothing(last, 200)
	d.leftNothing(8)
}
