package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// launcher starts children from one thread that lives as long as we do. The
// signal a child gets at its parent's death is tied to the thread that forked
// it, so a thread of the runtime's choice would not do.
type launcher struct {
	starts chan start
}

type start struct {
	cmd *exec.Cmd
	err chan error
}

func newLauncher() *launcher {
	l := &launcher{starts: make(chan start)}
	go func() {
		runtime.LockOSThread()
		for s := range l.starts {
			s.err <- s.cmd.Start()
		}
	}()
	return l
}

// close ends the thread; children still running are killed with it.
func (l *launcher) close() { close(l.starts) }

// child is one running process. Its output goes to a log file.
type child struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// run starts a child in dir with environment entries beside our own.
func (l *launcher) run(dir, name string, env []string, program string, args ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(dir, name+".log"), cmd: exec.Command(program, args...), done: make(chan struct{})}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, log, log
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.SysProcAttr = dieWithParent()
	s := start{c.cmd, make(chan error, 1)}
	l.starts <- s
	if err := <-s.err; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = c.cmd.Wait() // how it ended is in ProcessState
		close(c.done)
	}()
	return c, nil
}

// ended says with what exit code it ended; -1 for a signal.
func (c *child) ended() (code int, ok bool) {
	select {
	case <-c.done:
		return c.cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

func (c *child) signal(s syscall.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", c.name, err)
	}
	return nil
}

// kill ends it, stopped or not, and waits for the end.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may be gone already
	<-c.done
}

// tail is the end of its log, for complaints.
func (c *child) tail() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// stopChild asks it to end, and makes it if it does not.
func stopChild(c *child, limit time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	c.await(limit)
	c.kill()
}

// await waits for its end, but not for longer than limit.
func (c *child) await(limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
}

// freePorts are n ports that nobody listens on. They are held together, so
// that they differ, and let go before the children start: somebody else could
// take one in between, which a trial that is set up anew gets over.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	var errs []error
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			errs = append(errs, err)
			break
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("find free port: %w", err)
	}
	return ports, nil
}
