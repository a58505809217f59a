package sentinelconf

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sentinel is a real Redis Sentinel with a configuration file.
type sentinel struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	cmd  *exec.Cmd
	out  *bytes.Buffer // to be read when it has ended
}

// freePort is a port that is free at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// startSentinel starts the real thing and waits until it answers.
func startSentinel(t *testing.T, path string, port int) *sentinel {
	t.Helper()
	s := &sentinel{t: t, out: &bytes.Buffer{}}
	s.cmd = exec.Command("redis-server", path, "--sentinel")
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.Dir = filepath.Dir(path)
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start redis-server, which this test needs: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			s.conn, s.in = conn, bufio.NewReader(conn)
			t.Cleanup(func() { _ = conn.Close() })
			return s
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(path)
			t.Fatalf("it does not accept the file:\n%s\n%s", text, s.out)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not answer: %v", err)
		}
	}
}

// do sends one command and returns the first line of the answer.
func (s *sentinel) do(command string) string {
	s.t.Helper()
	if err := s.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.conn, "%s\r\n", command); err != nil {
		s.t.Fatal(err)
	}
	line, err := s.in.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func (s *sentinel) want(command, answer string) {
	s.t.Helper()
	if got := s.do(command); got != answer {
		s.t.Errorf("%s: %s, want %s", command, got, answer)
	}
}

// stop ends it before its file is looked at.
func (s *sentinel) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.conn.Close()
}

// A real Sentinel accepts what was rendered, passwords with blanks and quotes
// included, and what it makes of the file is read as the same state. So an
// operator may go there and back.
func TestRealSentinelReadsAndRewrites(t *testing.T) {
	dir := t.TempDir()
	path, script := filepath.Join(dir, "sentinel.conf"), filepath.Join(dir, "n s.sh")
	write(t, script, "#!/bin/sh\n", 0o700)
	port := freePort(t)
	write(t, path, fmt.Sprintf("# ours\nport %d\nbind 127.0.0.1\nrequirepass \"our \\\"pass\\\" word\"\nsentinel monitor m 127.0.0.1 1 2\n", port), 0o600)
	f, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := f.State.Clone()
	s.MyID, s.CurrentEpoch = ourID, 9
	s.AnnounceIP, s.AnnouncePort, s.SentinelUser, s.SentinelPass = "127.0.0.1", 5, "su", "sp"
	s.DenyScriptsReconfig = false
	s.Users = []string{"default on nopass sanitize-payload ~* &* +@all"}
	g := s.Group("m")
	g.DownAfter, g.FailoverTimeout, g.ParallelSyncs, g.RebootDownAfter = 70*DefaultDownAfter, DefaultFailoverTimeout+1e6, 3, 5e6
	g.AuthUser, g.AuthPass = "u", `p 'a "b\`
	g.NotificationScript = script
	g.ConfigEpoch, g.LeaderEpoch = 4, 5
	g.Replicas = []Address{{"127.0.0.1", 2}, {"::1", 3}}
	g.Sentinels = []Neighbour{{Address{"127.0.0.1", 4}, theirID}}
	g.Renames = []Rename{{"CONFIG", "guess"}}
	k := NewGroup("k", "127.0.0.1", 6, 1)
	s.Groups = append(s.Groups, k)
	if _, err := f.Rewrite(s, false); err != nil {
		t.Fatal(err)
	}
	real := startSentinel(t, path, port)
	real.want("SENTINEL SET k quorum 2", "+OK")
	// It cannot write a password with blanks, so it gets another one first.
	real.want("SENTINEL SET m auth-pass plain", "+OK")
	real.want("SENTINEL SET m notification-script \"\"", "+OK")
	real.want("SENTINEL FLUSHCONFIG", "+OK")
	real.stop()

	again, err := Load(path, nil)
	if err != nil {
		text, _ := os.ReadFile(path)
		t.Fatalf("%v\n%s", err, text)
	}
	g = s.Group("m")
	g.AuthPass, g.NotificationScript = "plain", ""
	s.Group("k").Quorum = 2
	if what := s.normal().differs(again.State.normal()); what != "" {
		text, _ := os.ReadFile(path)
		t.Errorf("%s differ:\n%s", what, text)
	}
	if !bytes.HasPrefix(again.text, []byte("# ours\n")) || again.Server.RequirePass != `our "pass" word` {
		t.Errorf("got:\n%s", again.text)
	}
	s = again.State.Clone()
	s.Group("m").Quorum = 3
	if _, err := again.Rewrite(s, false); err != nil {
		t.Fatal(err)
	}
	startSentinel(t, path, port).stop()
}

// Every directive that the real server lists is accepted.
func TestRealServerKnowsNoMore(t *testing.T) {
	path, port := filepath.Join(t.TempDir(), "s.conf"), freePort(t)
	write(t, path, "", 0o600)
	cmd := exec.Command("redis-server", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no")
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start redis-server, which this test needs: %v", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var conn net.Conn
	for deadline := time.Now().Add(20 * time.Second); conn == nil; {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			conn = c
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("CONFIG GET *\r\n")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	var lines int
	if _, err := fmt.Fscanf(in, "*%d\r\n", &lines); err != nil || lines < 300 {
		t.Fatalf("%d lines, %v", lines, err)
	}
	for i := range lines {
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		text, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.TrimSpace(text); i%2 == 0 {
			if _, ok := findDirective(name); !ok {
				t.Errorf("%s is unknown", name)
			}
		}
	}
}
