package spineldb

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// redisServer is a real redis-server, a child of the test.
type redisServer struct {
	t      *testing.T
	node   warden.NodeID
	dir    string
	cmd    *exec.Cmd
	client *redis.Client
	once   sync.Once
}

var _ adaptertest.Server = (*redisServer)(nil)

// startRedis starts a redis-server with further lines of configuration, and
// waits until it accepts connections.
func startRedis(t *testing.T, lines ...string) *redisServer {
	t.Helper()
	return startRedisIn(t, t.TempDir(), "127.0.0.1", lines...)
}

func startRedisIn(t *testing.T, dir, host string, lines ...string) *redisServer {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("find redis-server (install Redis 7 to run these tests): %v", err)
	}
	port := freePort(t, host)
	config := append([]string{
		"bind " + host, "port " + strconv.Itoa(port), "dir " + dir,
		`save ""`, "appendonly no", "daemonize no", "repl-diskless-sync-delay 0", "enable-debug-command yes",
	}, lines...)
	file := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		t.Fatalf("write the configuration: %v", err)
	}
	s := &redisServer{t: t, node: warden.MakeNode(host, port), dir: dir, cmd: exec.Command(binary, file)}
	s.cmd.SysProcAttr = dieWithParent()
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	s.client = redis.NewClient(&redis.Options{Addr: string(s.node), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, ReadTimeout: time.Minute, DisableIdentity: true})
	t.Cleanup(func() { s.Kill(); s.client.Close() })
	await(t, "redis-server accepts connections", func() bool {
		conn, err := net.Dial("tcp", string(s.node))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return s
}

// breakConfig removes the directory of the configuration file, so that it
// cannot be written again.
func (s *redisServer) breakConfig() {
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Fatal(err)
	}
}

func freePort(t *testing.T, host string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// await polls until what is true.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for !is() {
		select {
		case <-poll.C:
		case <-end.C:
			t.Fatalf("still not: %s", what)
		}
	}
}

func (s *redisServer) Node() warden.NodeID { return s.node }

func (s *redisServer) Write(ctx context.Context, n int) error {
	for range n {
		next, err := s.client.Incr(ctx, "written").Result()
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := s.client.Set(ctx, "key:"+strconv.FormatInt(next, 10), "value", 0).Err(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func (s *redisServer) Count(ctx context.Context) (int, error) {
	n, err := s.client.DBSize(ctx).Result()
	return int(n), err
}

// Clients counts the connections that are not those of the harness's own pool.
func (s *redisServer) Clients(ctx context.Context) (int, error) {
	text, err := s.client.ClientList(ctx).Result()
	return strings.Count(text, "\n") - int(s.client.PoolStats().TotalConns), err
}

func (s *redisServer) FullCopies(ctx context.Context) (int, error) {
	text, err := s.client.Info(ctx, "stats").Result()
	if err != nil {
		return 0, err
	}
	n, _ := parseInfo(text).number("sync_full")
	return int(n), nil
}

func (s *redisServer) Kill() {
	s.once.Do(func() {
		if err := s.cmd.Process.Kill(); err != nil {
			s.t.Errorf("kill redis-server: %v", err)
		}
		_ = s.cmd.Wait() // reports that it was killed
	})
}

func (s *redisServer) Pause()  { s.signal(syscall.SIGSTOP) }
func (s *redisServer) Resume() { s.signal(syscall.SIGCONT) }

func (s *redisServer) signal(sig os.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal redis-server: %v", err)
	}
}

// harness runs the conformance suite against redis-server.
func harness(host string) adaptertest.Harness {
	return adaptertest.Harness{
		Adapter: func(*testing.T) warden.Adapter { return New(Options{}) },
		Start: func(t *testing.T, upstream warden.NodeID) adaptertest.Server {
			var lines []string
			if upstream != "" {
				lines = append(lines, "replicaof "+upstream.Host()+" "+upstream.Port())
			}
			return startRedisIn(t, t.TempDir(), host, lines...)
		},
		Denied: func(t *testing.T) (warden.Adapter, adaptertest.Server) {
			return New(Options{Password: "wrong"}), startRedis(t, "requirepass right")
		},
		Loading:  startLoading,
		Full:     startFull,
		CanPause: true,
		Frames:   []string{"adapters/spineldb.(*", "go-redis/v9.(*PubSub)"},
	}
}

// startLoading starts a server that takes a few seconds to read its file.
func startLoading(t *testing.T) adaptertest.Server {
	t.Helper()
	dir := t.TempDir()
	first := startRedisIn(t, dir, "127.0.0.1")
	if err := first.client.Do(t.Context(), "DEBUG", "POPULATE", 3000).Err(); err != nil {
		t.Fatalf("fill the server: %v", err)
	}
	if err := first.client.Save(t.Context()).Err(); err != nil {
		t.Fatalf("save: %v", err)
	}
	first.Kill()
	return startRedisIn(t, dir, "127.0.0.1", "key-load-delay 1000", "loading-process-events-interval-bytes 1024")
}

// startFull starts a server whose only place is taken.
func startFull(t *testing.T) adaptertest.Server {
	t.Helper()
	s := startRedis(t, "maxclients 1")
	await(t, "the only place is taken", func() bool { return s.client.Ping(t.Context()).Err() == nil })
	return s
}

func TestConformanceRedis(t *testing.T) {
	adaptertest.Run(t, harness("127.0.0.1"))
}
