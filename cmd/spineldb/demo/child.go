package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

const (
	groupName = "demo"
	// castSize is the number of Wardens, and that of nodes.
	castSize = 3
	// stopLimit is how long a child may take to end when asked to.
	stopLimit = 2 * time.Second
)

// engines are the kinds of nodes, and the program each one is; "" is this
// program itself, or found in another way (PostgreSQL).
func engines() map[string]string {
	return map[string]string{"embedded": "", "redis": "redis-server", "valkey": "valkey-server", enginePostgres: ""}
}

// child is one process of the cast.
type child struct {
	name string // "A", "W1"
	addr warden.NodeID
	port int
	// gossip is the second port of a Warden.
	gossip int
	args   []string
	log    string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	// server is a node of PostgreSQL, which is many processes.
	server *postgreslab.Server
}

// cast is all processes and the directory they live in.
type cast struct {
	dir    string
	self   string // this program
	server string // the program of a node, "" is self
	// postgres makes the nodes, where they are PostgreSQL's.
	postgres *postgreslab.Lab
	nodes    []*child
	wardens  []*child
	// lastWords are the last lines of the Wardens' logs, once it has ended.
	lastWords string
}

// newCast chooses ports and writes the configurations. end removes them.
func newCast(ctx context.Context, engine string) (c *cast, err error) {
	c = &cast{}
	if program := engines()[engine]; program != "" {
		if c.server, err = exec.LookPath(program); err != nil {
			return nil, exit.With(exit.Refused, "demo: there is no %s in PATH: install it, or use --engine embedded, which needs nothing", program)
		}
	}
	if c.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	base, err := freePorts(3 * castSize)
	if err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "spineldb-demo-"); err != nil {
		return nil, fmt.Errorf("make temporary directory: %w", err)
	}
	for i := range castSize {
		c.nodes = append(c.nodes, c.child(string(rune('A'+i)), base+i))
		w := c.child(fmt.Sprintf("W%d", i+1), base+castSize+i)
		w.gossip = base + 2*castSize + i
		c.wardens = append(c.wardens, w)
	}
	if engine == enginePostgres {
		if err := c.preparePostgres(ctx); err != nil {
			return nil, errors.Join(err, c.end())
		}
	}
	return c, nil
}

func (c *cast) child(name string, port int) *child {
	return &child{name: name, port: port, addr: warden.MakeNode("127.0.0.1", port), log: filepath.Join(c.dir, name+".log")}
}

// freePorts finds n ports in a row that are free for TCP and UDP. They lie
// below those that systems give to outgoing connections: such a connection
// could otherwise take the port of a node while it is dead, and one to the
// dead port could even meet itself.
func freePorts(n int) (int, error) {
	for range 200 {
		base := 20001 + 10*rand.IntN(1200)
		if portsFree(base, n) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("find %d free ports on 127.0.0.1 between 20000 and 32000: stop what uses them", n)
}

func portsFree(base, n int) bool {
	for port := base; port < base+n; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return false
		}
		_ = l.Close()
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			return false
		}
		_ = u.Close()
	}
	return true
}

// configure writes a Warden's warden.toml.
func (c *cast) configure(w *child, downAfter time.Duration) error {
	var join []string
	for _, other := range c.wardens {
		if other != w {
			join = append(join, strconv.Quote("127.0.0.1:"+strconv.Itoa(other.gossip)))
		}
	}
	text := fmt.Sprintf(`host = "127.0.0.1"
port = %d
gossip_port = %d
join = [%s]

[[masters]]
name = %q
ip = "127.0.0.1"
port = %d
quorum = %d
wardens = %d
down_after = "%dms"
`, w.port, w.gossip, strings.Join(join, ", "), groupName, c.nodes[0].port, castSize/2+1, castSize, downAfter.Milliseconds())
	if c.postgres != nil {
		text += c.postgresLines()
	}
	file := filepath.Join(c.dir, w.name+".toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration of %s: %w", w.name, err)
	}
	w.args = []string{c.self, "--warden", file}
	return nil
}

// nodeArgs is how a node is started, the first time and again: A as a primary,
// the others as its replicas. What they were told since is in their files.
func (c *cast) nodeArgs(n *child) ([]string, error) {
	upstream := ""
	if n != c.nodes[0] {
		upstream = string(c.nodes[0].addr)
	}
	if c.server == "" {
		args := []string{c.self, "demo", nodeWord, string(n.addr), filepath.Join(c.dir, n.name+".state")}
		if upstream != "" {
			args = append(args, upstream)
		}
		return args, nil
	}
	dir := filepath.Join(c.dir, n.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", n.name, err)
	}
	file := filepath.Join(dir, "server.conf")
	if _, err := os.Stat(file); err == nil {
		return []string{c.server, file}, nil
	}
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %q\nsave \"\"\nappendonly yes\nrepl-diskless-sync-delay 0\n", n.port, dir)
	if upstream != "" {
		text += fmt.Sprintf("replicaof 127.0.0.1 %d\n", c.nodes[0].port)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", n.name, err)
	}
	return []string{c.server, file}, nil
}

// start starts a child; it may not listen yet.
func (c *cast) start(d *child) error {
	if d.server != nil {
		return d.server.Start()
	}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", d.name, err)
	}
	defer log.Close()
	cmd := exec.Command(d.args[0], d.args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = c.dir
	cmd.SysProcAttr = ChildAttributes()
	// Variables meant for the operator's own Wardens are not meant for these.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WARDEN_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	d.cmd, d.done = cmd, done
	return nil
}

func (c *cast) startNode(n *child) (err error) {
	if n.server != nil {
		return n.server.Start()
	}
	if n.args, err = c.nodeArgs(n); err != nil {
		return err
	}
	return c.start(n)
}

func (d *child) pid() int {
	if d.server != nil {
		return d.server.Pid()
	}
	if d.cmd == nil {
		return 0
	}
	return d.cmd.Process.Pid
}

// running reports whether the process was started and has not ended.
func (d *child) running() bool {
	if d.server != nil {
		return d.server.Pid() != 0
	}
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// kill ends the process without warning and returns when it is gone.
func (d *child) kill(ctx context.Context) error {
	if d.server != nil {
		return d.server.Kill()
	}
	if err := d.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", d.name, err)
	}
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end asks a process to end, then makes it. The error says what it could not end.
func (d *child) end() error {
	if !d.running() {
		return nil
	}
	if d.server != nil {
		return d.server.Kill() // there is nothing to save
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // unknown on some systems; then killed
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-d.done:
		return nil
	case <-limit.C:
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := d.kill(ctx); err != nil && d.running() {
		return fmt.Errorf("%w: end process %d yourself", err, d.pid())
	}
	return nil
}

// end ends everything and removes the directory.
func (c *cast) end() error {
	all := append(append([]*child{}, c.wardens...), c.nodes...)
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, d := range all {
		wait.Go(func() { errs[i] = d.end() })
	}
	wait.Wait()
	for _, w := range c.wardens {
		c.lastWords += tail(w, 4)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		errs = append(errs, fmt.Errorf("remove temporary directory: %w", err))
	}
	if c.postgres != nil {
		errs = append(errs, c.postgres.Close())
	}
	return errors.Join(errs...)
}

// tail is the last n lines of a child's log, each with its name.
func tail(d *child, n int) string {
	f, err := os.Open(d.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-4096), io.SeekStart)
	}
	text, _ := io.ReadAll(io.LimitReader(f, 4096))
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(text, nil))), "\n")
	var b strings.Builder
	for _, line := range lines[max(0, len(lines)-n):] {
		if line != "" {
			fmt.Fprintf(&b, "%s: %s\n", d.name, wording.Shown(line))
		}
	}
	return b.String()
}
