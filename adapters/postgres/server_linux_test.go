package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// The tests run real servers, as the user postgres when they run as root. All
// but the first are copies of one data directory that was shut down cleanly.

// install is what this machine has.
type install struct {
	bin      string
	as       *syscall.Credential // nil: as ourselves
	base     string              // directory of all servers
	template string
	err      error
}

var installed install

var prepare = sync.OnceFunc(func() { installed.err = installed.prepare() })

func TestMain(m *testing.M) {
	code := m.Run()
	if installed.base != "" {
		os.RemoveAll(installed.base)
	}
	os.Exit(code)
}

func (i *install) prepare() error {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	slices.Sort(found)
	if path, err := exec.LookPath("postgres"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return errors.New("find postgres: install PostgreSQL 15 or later to run these tests (apt-get install -y postgresql)")
	}
	i.bin = filepath.Dir(found[len(found)-1])
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("find the user postgres, because the server does not run as root: %w", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		i.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	base, err := os.MkdirTemp("", "warden-postgres-")
	if err != nil {
		return err
	}
	i.base = base
	if i.as != nil {
		if err := os.Chown(base, int(i.as.Uid), int(i.as.Gid)); err != nil {
			return err
		}
	}
	i.template = filepath.Join(base, "template")
	return i.fill(i.template)
}

// command is a program of the installation, which ends with the test.
func (i *install) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(i.bin, name), args...)
	cmd.Dir = i.base
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + i.base}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.as, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// fill makes a new cluster with the role of docs/postgresql.md and a table.
func (i *install) fill(dir string) error {
	if out, err := i.command("initdb", "-D", dir, "-N", "-U", "postgres", "--auth=trust", "--wal-segsize=1", "--no-locale", "-E", "UTF8").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	page, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		return err
	}
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindSubmatch(page)
	if block == nil {
		return errors.New("docs/postgresql.md shows no SQL")
	}
	sql := string(block[1]) + "CREATE TABLE records (id bigint); GRANT ALL ON records TO PUBLIC;\n"
	single := i.command("postgres", "--single", "-j", "-F", "-D", dir, "-c", "log_min_messages=warning", "-c", "max_connections=30", "-c", "wal_log_hints=on", "postgres")
	single.Stdin = strings.NewReader(strings.ReplaceAll(sql, ";\n", ";\n\n"))
	if out, err := single.CombinedOutput(); err != nil || strings.Contains(string(out), "ERROR") {
		return fmt.Errorf("create the role: %w: %s", err, out)
	}
	return nil
}

// server is a real server, a child of the test.
type server struct {
	t    *testing.T
	dir  string
	node warden.NodeID
	cmd  *exec.Cmd
	log  string
	once sync.Once
}

var _ adaptertest.Server = (*server)(nil)

// shape is what kind of server is started.
type shape struct {
	upstream warden.NodeID // a standby of it
	name     string        // what it calls itself to its upstream, instead of its address
	fresh    bool          // with a system identifier of its own
	hba      string        // instead of trust
	lines    []string      // of configuration
	dir      string        // an existing data directory
}

// start starts a server and waits until it accepts connections.
func start(t *testing.T, sh shape) *server {
	t.Helper()
	s := launch(t, sh)
	adaptertest.Await(t, "postgres accepts connections", func() bool {
		_, err := s.query(t.Context(), "SELECT 1")
		return err == nil || healthOf(err) == warden.HealthDenied
	})
	return s
}

func launch(t *testing.T, sh shape) *server {
	t.Helper()
	prepare()
	if installed.err != nil {
		t.Fatal(installed.err)
	}
	s := &server{t: t, dir: sh.dir, node: warden.MakeNode("127.0.0.1", freePort(t))}
	if s.dir == "" {
		s.dir = filepath.Join(installed.base, strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())+"-"+s.node.Port())
		if sh.fresh {
			if err := installed.fill(s.dir); err != nil {
				t.Fatal(err)
			}
		} else if out, err := exec.Command("cp", "-a", installed.template, s.dir).CombinedOutput(); err != nil {
			t.Fatalf("copy the data directory: %v: %s", err, out)
		}
	}
	s.log = s.dir + ".log"
	lines := append([]string{
		"listen_addresses = '127.0.0.1'", "port = " + s.node.Port(), "unix_socket_directories = ''", "fsync = off", "wal_log_hints = on",
		"shared_buffers = '16MB'", "max_connections = 30", "wal_keep_size = '64MB'", "wal_retrieve_retry_interval = '100ms'", "autovacuum = off", "log_min_messages = log",
	}, sh.lines...)
	s.write("postgresql.conf", strings.Join(lines, "\n")+"\n")
	if sh.hba != "" {
		s.write("pg_hba.conf", sh.hba+"\n")
	}
	if sh.upstream != "" {
		c := conninfo{{"host", sh.upstream.Host()}, {"port", sh.upstream.Port()}, {"user", "warden"}, {"application_name", cmp.Or(sh.name, string(s.node))}}
		s.write("postgresql.auto.conf", "primary_conninfo = '"+strings.ReplaceAll(c.String(), "'", "''")+"'\n")
		s.write("standby.signal", "")
	}
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = installed.command("postgres", "-D", s.dir)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start postgres: %v", err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			if text, err := os.ReadFile(s.log); err == nil {
				t.Logf("log of %s:\n%s", s.node, text[max(0, len(text)-6000):])
			}
		}
		os.RemoveAll(s.dir)
	})
	return s
}

// write writes a file of the data directory.
func (s *server) write(name, text string) {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if installed.as != nil {
		if err := os.Chown(file, int(installed.as.Uid), int(installed.as.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		// Below those that the kernel gives to whoever dials: nobody takes it
		// before the server does.
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// connect is a client of the server.
func (s *server) connect(ctx context.Context, role string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable application_name=test", s.node.Host(), s.node.Port(), role))
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, cfg)
}

// query runs statements in one new session and returns the last value.
func (s *server) query(ctx context.Context, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := s.connect(ctx, "postgres")
	if err != nil {
		return "", err
	}
	defer c.Close(context.Background())
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 || len(results[len(results)-1].Rows) == 0 {
		return "", err
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

// must is query for what cannot fail.
func (s *server) must(sql string) string {
	s.t.Helper()
	value, err := s.query(context.Background(), sql)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func (s *server) Node() warden.NodeID { return s.node }

func (s *server) Write(ctx context.Context, n int) error {
	_, err := s.query(ctx, fmt.Sprintf("INSERT INTO records SELECT generate_series(1, %d)", n))
	return err
}

func (s *server) Count(ctx context.Context) (int, error) {
	value, err := s.query(ctx, "SELECT count(*) FROM records")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

func (s *server) Clients(ctx context.Context) (int, error) {
	value, err := s.query(ctx, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

// FullCopies: the server never gives one by itself.
func (s *server) FullCopies(context.Context) (int, error) { return 0, nil }

// signal sends a signal to the postmaster and then to its children.
func (s *server) signal(sig syscall.Signal) (pids []int) {
	pids = []int{s.cmd.Process.Pid}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pids[0], pids[0]))
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
	return pids
}

// Kill ends all processes, and waits for them: a server does not start in a data
// directory that one of them still uses.
func (s *server) Kill() {
	s.once.Do(func() {
		pids := s.signal(syscall.SIGKILL)
		_ = s.cmd.Wait()
		for _, pid := range pids[1:] {
			adaptertest.Await(s.t, "the process has ended", func() bool {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				return err != nil || strings.Contains(string(stat), ") Z ")
			})
		}
		// The kernel would keep its shared memory for ever, and has 4096 segments.
		if lock, err := os.ReadFile(filepath.Join(s.dir, "postmaster.pid")); err == nil {
			if lines := strings.Split(string(lock), "\n"); len(lines) > 6 && len(strings.Fields(lines[6])) == 2 {
				_ = exec.Command("ipcrm", "-m", strings.Fields(lines[6])[1]).Run() // it may be gone
			}
		}
	})
}

func (s *server) Pause()  { s.signal(syscall.SIGSTOP) }
func (s *server) Resume() { s.signal(syscall.SIGCONT) }

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// harness runs the conformance suite against PostgreSQL.
func harness() adaptertest.Harness {
	primaries := map[string]bool{}
	return adaptertest.Harness{
		Adapter: func(*testing.T) warden.Adapter { return New(options()) },
		Start: func(t *testing.T, upstream warden.NodeID) adaptertest.Server {
			// All copies of the template are of one lineage. The second primary of
			// a test must not be of the first one's.
			fresh := upstream == "" && primaries[t.Name()]
			primaries[t.Name()] = primaries[t.Name()] || upstream == ""
			return start(t, shape{upstream: upstream, fresh: fresh})
		},
		Denied: func(t *testing.T) (warden.Adapter, adaptertest.Server) {
			o := options()
			o.Password = "wrong"
			return New(o), start(t, shape{hba: "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256"})
		},
		Loading:  startLoading,
		Full:     startFull,
		CanPause: true,
		Traits: adaptertest.Traits{
			Promotion: "pg_promote", StartingUp: "57P03", NeverEmpty: true, HoldRefuses: true, PositionDrifts: true, NeedsRejoin: true, Keeps: true,
		},
		Frames: []string{"adapters/postgres.(*", "pgconn.(*"},
	}
}

// startLoading starts a standby that asks an archive, which takes its time,
// before it has a consistent state.
func startLoading(t *testing.T) adaptertest.Server {
	t.Helper()
	primary := start(t, shape{})
	return launchUntil(t, shape{upstream: primary.node, lines: []string{"restore_command = 'sleep 0.5; false'"}})
}

// launchUntil waits only until the server answers at all.
func launchUntil(t *testing.T, sh shape) *server {
	t.Helper()
	s := launch(t, sh)
	adaptertest.Await(t, "postgres answers", func() bool {
		_, err := s.query(t.Context(), "SELECT 1")
		return healthOf(err).Alive()
	})
	return s
}

// startFull starts a server whose only place is taken.
func startFull(t *testing.T) adaptertest.Server {
	t.Helper()
	s := start(t, shape{lines: []string{"max_connections = 4", "superuser_reserved_connections = 3"}})
	// The session that waited for the start may not have left its place yet.
	adaptertest.Await(t, "the only place is taken", func() bool {
		c, err := s.connect(soon(t), "warden")
		if err == nil {
			t.Cleanup(func() { c.Close(context.Background()) })
		}
		return err == nil
	})
	return s
}

func TestConformance(t *testing.T) {
	adaptertest.Run(t, harness())
}
