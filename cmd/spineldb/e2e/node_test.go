package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// node is one redis-server with a directory that survives restarts.
type node struct {
	lab     *lab
	name    string
	addr    warden.NodeID
	dir     string
	process *process
	client  *redis.Client
}

// addNode starts a server as a primary, or as a replica of upstream.
func (l *lab) addNode(upstream *node, lines ...string) *node {
	l.t.Helper()
	n := l.prepareNode(warden.MakeNode(l.host, freePort(l.t, l.host)), upstream, lines...)
	n.start()
	return n
}

// prepareNode makes the configuration of a server and starts nothing.
func (l *lab) prepareNode(addr warden.NodeID, upstream *node, lines ...string) *node {
	l.t.Helper()
	l.made++
	name := "redis-" + strconv.Itoa(l.made)
	n := &node{lab: l, name: name, addr: addr, dir: filepath.Join(l.dir, name)}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	config := append([]string{
		"bind " + addr.Host(), "port " + addr.Port(), "dir " + n.dir,
		`save ""`, "appendonly no", "daemonize no", "repl-diskless-sync-delay 0",
	}, lines...)
	if upstream != nil {
		config = append(config, "replicaof "+upstream.addr.Host()+" "+upstream.addr.Port())
	}
	if err := os.WriteFile(n.config(), []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
	n.connect("")
	l.t.Cleanup(func() { n.client.Close() })
	l.nodes = append(l.nodes, n)
	return n
}

// connect makes the client of the test anew, with a password or, where that is
// empty, without. Connections of the client before are closed.
func (n *node) connect(password string) {
	if n.client != nil {
		n.client.Close()
	}
	n.client = redis.NewClient(&redis.Options{Addr: string(n.addr), Password: password, Dialer: n.lab.dial, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second, ContextTimeoutEnabled: true, DisableIdentity: true})
}

func (n *node) config() string { return filepath.Join(n.dir, "redis.conf") }

// start starts the server, for the first time or again, with what it has in
// its directory, and waits until it answers.
func (n *node) start() {
	n.lab.t.Helper()
	n.process = n.lab.spawn(n.name, filepath.Join(n.dir, "log"), nil, redisBinary, n.config())
	await(n.lab.t, n.name+" answers", func() bool {
		if !n.process.alive() {
			n.lab.t.Fatalf("%s ended at once:\n%s", n.name, n.process.tail(10))
		}
		return n.client.Ping(n.lab.ctx(2*time.Second)).Err() == nil
	})
}

// file is the configuration as it is now; servers rewrite it.
func (n *node) file() string {
	data, err := os.ReadFile(n.config())
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return string(data)
}

// pause makes the process stand still, resume lets it go on.
func (n *node) pause()  { n.lab.t.Helper(); n.process.signal(n.lab.t, syscall.SIGSTOP) }
func (n *node) resume() { n.lab.t.Helper(); n.process.signal(n.lab.t, syscall.SIGCONT) }

// replication is INFO replication as a map; empty while there is no answer.
func (n *node) replication() map[string]string {
	out := map[string]string{}
	text, err := n.client.Info(n.lab.ctx(2*time.Second), "replication").Result()
	if err != nil {
		return out
	}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			out[key] = value
		}
	}
	return out
}

func (n *node) isPrimary() bool { return n.replication()["role"] == "master" }

// follows reports whether the server is a replica of other, in sync.
func (n *node) follows(other *node) bool {
	r := n.replication()
	return r["role"] == "slave" && r["master_host"] == other.addr.Host() && r["master_port"] == other.addr.Port() && r["master_link_status"] == "up"
}

// keys are all keys of the server.
func (n *node) keys(t *testing.T) map[string]bool {
	t.Helper()
	all, err := n.client.Keys(n.lab.ctx(10*time.Second), "*").Result()
	if err != nil {
		t.Fatalf("list the keys of %s: %v", n.name, err)
	}
	out := make(map[string]bool, len(all))
	for _, k := range all {
		out[k] = true
	}
	return out
}

// set writes one key and fails the test if that does not go well.
func (n *node) set(key, value string) {
	n.lab.t.Helper()
	if err := n.client.Set(n.lab.ctx(5*time.Second), key, value, 0).Err(); err != nil {
		n.lab.t.Fatalf("write to %s: %v", n.name, err)
	}
}

func (n *node) get(key string) string {
	value, err := n.client.Get(n.lab.ctx(2*time.Second), key).Result()
	if err != nil {
		return ""
	}
	return value
}

// do runs a command that must succeed.
func (n *node) do(args ...any) {
	n.lab.t.Helper()
	if err := n.client.Do(n.lab.ctx(5*time.Second), args...).Err(); err != nil {
		n.lab.t.Fatalf("%v on %s: %v", args, n.name, err)
	}
}

// ctx is a context for one question: it ends after limit.
func (l *lab) ctx(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	l.t.Cleanup(cancel)
	return ctx
}
