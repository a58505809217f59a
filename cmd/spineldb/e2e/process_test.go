package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for something that should happen soon. It
// is long because test machines are slow, not because Wardens may be.
const patience = 30 * time.Second

// process is a child of the test, in the foreground, with its output in a file.
type process struct {
	name  string
	log   string
	cmd   *exec.Cmd
	ended chan struct{}
}

// spawn starts a program and adds its output to the file log.
func spawn(t *testing.T, name, log string, env []string, argv ...string) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("open the log of %s: %v", name, err)
	}
	defer out.Close()
	p := &process{name: name, log: log, cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = append(plainEnvironment(), env...)
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	return p
}

// plainEnvironment is the test's own without what would configure a Warden.
func plainEnvironment() []string {
	// The race detector would make every process wait a second at its end.
	out := []string{"GORACE=atexit_sleep_ms=10"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WARDEN_") {
			out = append(out, v)
		}
	}
	return out
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal to a process that is expected to live.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %s to %s: %v", s, p.name, err)
	}
}

// kill ends the process without any farewell; a second time does nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// exit waits for the end and returns the exit code.
func (p *process) exit(t *testing.T, limit time.Duration) int {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case <-p.ended:
	case <-end.C:
		if p.alive() {
			t.Fatalf("%s still runs after %s", p.name, limit)
		}
	}
	return p.cmd.ProcessState.ExitCode()
}

// tail is the last lines of the log.
func (p *process) tail(lines int) string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// alarms are the lines of a log that no run may leave.
func (p *process) alarms() []string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for line := range bytes.Lines(data) {
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if bytes.Contains(line, []byte(bad)) {
				out = append(out, strings.TrimSpace(string(line)))
			}
		}
	}
	return out
}

// await polls until what is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	awaitFor(t, patience, what, is)
}

func awaitFor(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-end.C:
			t.Fatalf("still not after %s: %s", limit, what)
		}
	}
}

// stays polls for a while that what is so all the time. This is the one way to
// see that something does not happen.
func stays(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		if !is() {
			t.Fatalf("no longer: %s", what)
		}
		select {
		case <-poll.C:
		case <-end.C:
			return
		}
	}
}

// Ports are taken from below the range that the kernel gives to outgoing
// connections. There, a server that was killed finds its port free when it
// comes back, and a Warden that dials a dead port cannot be connected to
// itself, which TCP allows within that range.
const (
	firstPort = 18000
	ports     = 14000
)

// nextPort starts elsewhere in every process, so that two runs at a time do
// not try the same ports in step (TestMain).
var nextPort atomic.Uint32

// freePort is a port that nobody uses and that no other test was given.
func freePort(t *testing.T, host string) int {
	t.Helper()
	for range ports {
		port := firstPort + int(nextPort.Add(1)%ports)
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		u.Close()
		return port
	}
	t.Fatalf("no port of %s from %d to %d is free", host, firstPort, firstPort+ports-1)
	return 0
}

// milliseconds prints a measured time.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
