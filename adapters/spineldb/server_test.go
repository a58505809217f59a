package spineldb

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// redisServer is a real redis-server, a child of the test.
type redisServer struct {
	*adaptertest.Process
	t   *testing.T
	dir string
}

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
	s := &redisServer{Process: adaptertest.Launch(t, exec.Command(binary, file)), t: t, dir: dir}
	s.Serves(warden.MakeNode(host, port))
	adaptertest.Await(t, "redis-server accepts connections", func() bool {
		conn, err := net.Dial("tcp", string(s.Node()))
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
	if err := first.Client.Do(t.Context(), "DEBUG", "POPULATE", 3000).Err(); err != nil {
		t.Fatalf("fill the server: %v", err)
	}
	if err := first.Client.Save(t.Context()).Err(); err != nil {
		t.Fatalf("save: %v", err)
	}
	first.Kill()
	return startRedisIn(t, dir, "127.0.0.1", "key-load-delay 1000", "loading-process-events-interval-bytes 1024")
}

// startFull starts a server whose only place is taken.
func startFull(t *testing.T) adaptertest.Server {
	t.Helper()
	s := startRedis(t, "maxclients 1")
	adaptertest.Await(t, "the only place is taken", func() bool { return s.Client.Ping(t.Context()).Err() == nil })
	return s
}

func TestConformanceRedis(t *testing.T) {
	adaptertest.Run(t, harness("127.0.0.1"))
}
