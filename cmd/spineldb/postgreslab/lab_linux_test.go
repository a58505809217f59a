package postgreslab

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

func freeAddr(t *testing.T) warden.NodeID {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return warden.MakeNode("127.0.0.1", l.Addr().(*net.TCPAddr).Port)
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-end.C:
			t.Fatalf("still not: %s", what)
		}
	}
}

// open makes a lab whose servers are added by the function it returns, and
// checks at the end that nothing is left behind.
func open(t *testing.T) (*Lab, func(name string, upstream warden.NodeID) *Server) {
	t.Helper()
	l, err := Open(t.Context(), Options{SQL: Table})
	if err != nil {
		t.Fatal(err)
	}
	var all []*Server
	t.Cleanup(func() {
		for _, s := range all {
			if err := s.Kill(); err != nil {
				t.Error(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(l.Dir); !os.IsNotExist(err) {
			t.Errorf("the directory is left behind: %v", err)
		}
	})
	return l, func(name string, upstream warden.NodeID) *Server {
		t.Helper()
		s, err := l.Server(t.Context(), name, freeAddr(t), upstream, Superuser)
		if err == nil {
			all = append(all, s)
			err = s.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		await(t, name+" answers", func() bool { _, err := s.Query(t.Context(), "SELECT 1"); return err == nil })
		return s
	}
}

// Goal: a primary and a standby run, writes arrive, a stopped server answers
// nobody and loses nothing.
func TestPause(t *testing.T) {
	_, add := open(t)
	primary := add("a", "")
	standby := add("b", primary.Addr)
	w := Write(WriterOptions{Where: func(context.Context) (warden.NodeID, error) { return primary.Addr, nil }, Pace: time.Millisecond, Patience: 200 * time.Millisecond, Role: Client})
	defer w.Stop()
	await(t, "the writer writes", func() bool { return len(w.Acks()) > 20 })
	primary.Pause()
	await(t, "the writer gets no answer", func() bool { return w.Errors()["connection"] > 0 })
	n := len(w.Acks())
	primary.Resume()
	await(t, "the writer writes on", func() bool { return len(w.Acks()) > n+20 })
	acks := w.Stop()
	await(t, "the standby has everything", func() bool {
		lost, err := Lost(t.Context(), nil, acks, standby.Addr)
		return err == nil && len(lost) == 0
	})
	if lost, err := Lost(t.Context(), nil, append(acks, Ack{Number: 1 << 40}), standby.Addr); err != nil || len(lost) != 1 {
		t.Errorf("a number that nobody wrote is not missed: %v, %v", lost, err)
	}
}

// Goal: a killed server is gone with all its processes and can be started
// again; one that somebody else started is found.
func TestKill(t *testing.T) {
	l, add := open(t)
	s := add("a", "")
	pid := s.Pid()
	children := childrenOf(pid)
	if pid == 0 || len(children) < 3 {
		t.Fatalf("process %d has the children %v", pid, children)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if anyOutside(append(children, pid), "ZX") || s.Pid() != 0 {
		t.Error("processes of the killed server are left")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the server is back", func() bool { _, err := s.Query(t.Context(), "SELECT 1"); return err == nil })
	if err := s.Stop(t.Context()); err != nil || s.Pid() != 0 {
		t.Errorf("shut down: %v", err)
	}
	// As an operator does.
	if out, err := l.Command(t.Context(), "pg_ctl", "start", "-w", "-D", s.Dir, "-l", s.Log).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if s.Pid() == 0 {
		t.Error("a server that somebody else started is not found")
	}
}

// childrenOfThis are the children of all threads of this process.
func childrenOfThis(t *testing.T) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, file := range files {
		text, _ := os.ReadFile(file) // a thread may end meanwhile
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				out = append(out, pid)
			}
		}
	}
	return out
}
