package postgreslab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// Server is one cluster with an address. Its processes are a child of this one,
// or were started by somebody else on the same directory (a rejoin script);
// both are found. Safe for concurrent use.
type Server struct {
	Addr warden.NodeID
	// Dir is the data directory, Log what the server says.
	Dir, Log string

	lab *Lab

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended
}

// Server makes a server: a copy of the cluster under a name of its own, with
// further lines of configuration; upstream makes it a standby that copies from
// there as the given role, "" a primary. It is not started.
func (l *Lab) Server(ctx context.Context, name string, addr, upstream warden.NodeID, role string, lines ...string) (*Server, error) {
	s := &Server{Addr: addr, Dir: filepath.Join(l.Dir, name), Log: filepath.Join(l.Dir, name+".log"), lab: l}
	if err := l.clone(ctx, s.Dir); err != nil {
		return nil, err
	}
	files := map[string]string{
		"postgresql.conf": settings(addr.Host(), addr.Port(), lines),
		"pg_hba.conf":     "host all all all trust\nhost replication all all trust\n",
	}
	if upstream != "" {
		files["postgresql.auto.conf"] = fmt.Sprintf("primary_conninfo = 'host=%s port=%s user=%s application_name=%s sslmode=disable'\n",
			upstream.Host(), upstream.Port(), role, addr)
		files["standby.signal"] = ""
	}
	for file, text := range files {
		if err := s.write(file, text); err != nil {
			return nil, err
		}
	}
	return s, l.enrol(s)
}

// Foreign is a server that somebody else makes and starts, with its data in a
// directory of the lab.
func (l *Lab) Foreign(name string, addr warden.NodeID) *Server {
	return &Server{Addr: addr, Dir: filepath.Join(l.Dir, name), Log: filepath.Join(l.Dir, name+".log"), lab: l}
}

func (s *Server) write(file, text string) error {
	path := filepath.Join(s.Dir, file)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return s.lab.account.own(path)
}

// Start starts the server on what is in its directory, and does not wait until
// it answers.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	if err := s.lab.account.own(s.Log); err != nil { // a rejoin script writes there too
		return err
	}
	argv := []string{filepath.Join(s.lab.Bin, "postgres"), "-D", s.Dir}
	prefixed := s.lab.options.Prefix != nil
	if prefixed {
		argv = append(append(s.lab.options.Prefix(s.Addr.Host()), s.lab.account.dropping()...), argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	s.lab.prepare(cmd)
	if prefixed {
		cmd.SysProcAttr = (*account)(nil).attributes()
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // how it ended is in its log
	}()
	s.cmd, s.done = cmd, done
	return nil
}

// Pid is the process of the server, 0 if none runs.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid()
}

func (s *Server) pid() int {
	if s.cmd != nil {
		select {
		case <-s.done:
		default:
			return s.cmd.Process.Pid
		}
	}
	// Somebody else may have started it since.
	text, err := os.ReadFile(filepath.Join(s.Dir, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !ours(pid, s.Dir) {
		return 0
	}
	return pid
}

// Kill ends all processes of the server at once and returns when they are gone.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := s.pid()
	if pid == 0 {
		return nil
	}
	// Stopped first, so that it cannot make another child meanwhile.
	stop(pid)
	awaitState([]int{pid}, "T")
	all := append(childrenOf(pid), pid)
	for _, p := range all {
		kill(p)
	}
	if s.cmd != nil && s.cmd.Process.Pid == pid {
		<-s.done
	}
	if !awaitState(all, "ZX") {
		return errors.New("kill the server at " + string(s.Addr) + ": some of its processes have not ended")
	}
	freeMemory(s.Dir)
	return nil
}

// awaitState waits until each process is in one of the states of /proc or gone,
// and reports whether that came within some seconds.
func awaitState(pids []int, states string) bool {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for range 5000 {
		if !anyOutside(pids, states) {
			return true
		}
		<-poll.C
	}
	return false
}

// Pause makes all processes of the server stand still, Resume lets them go on.
// The connections stay open, and the kernel still takes in new ones.
func (s *Server) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := s.pid()
	if pid == 0 {
		return
	}
	stop(pid)
	awaitState([]int{pid}, "T")
	children := childrenOf(pid)
	for _, p := range children {
		stop(p)
	}
	awaitState(children, "T")
}

// Resume ends a Pause.
func (s *Server) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pid := s.pid(); pid != 0 {
		for _, p := range append(childrenOf(pid), pid) {
			goOn(p)
		}
	}
}

// Stop asks the server to shut down, as an operator does (fast mode), and
// returns when it has.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := s.pid()
	if pid == 0 {
		return nil
	}
	interrupt(pid)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for s.pid() != 0 {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("shut down the server at %s: %w", s.Addr, ctx.Err())
		}
	}
	return nil
}

// Query runs statements in a session of the superuser and returns the first
// column of the last one's rows.
func (s *Server) Query(ctx context.Context, sql string) ([]string, error) {
	c, err := Connect(ctx, s.Addr, Superuser, "lab")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Query(ctx, sql)
}

// Remove removes the data of a server that does not run, and its log.
func (s *Server) Remove() error {
	if err := errors.Join(os.RemoveAll(s.Dir), os.RemoveAll(s.Log)); err != nil {
		return fmt.Errorf("remove the data of the server: %w", err)
	}
	return nil
}

// Tail is the end of the log.
func (s *Server) Tail(lines int) string {
	text, err := os.ReadFile(s.Log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
