package doctor

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// trio is a group of three servers with nothing wrong, the first one the
// primary, and an administrator of each.
type trio struct {
	Group
	admins []*redis.Client
}

const nodePassword = "the-password-of-the-nodes"

func serveTrio(t *testing.T) trio {
	t.Helper()
	sound := []string{
		"appendonly yes", "maxmemory 200mb", "min-replicas-to-write 1", "min-replicas-max-lag 5", "repl-diskless-sync-delay 0",
		"requirepass " + nodePassword, "masterauth " + nodePassword,
	}
	out := trio{Group: Group{Name: "m", Adapter: Spinel, Quorum: 2, Wardens: 3, DownAfter: 10 * warden.Second, Login: Login{Password: nodePassword}}}
	for i := range 3 {
		lines := sound
		if i > 0 {
			lines = append(slices.Clone(sound), "replicaof "+out.Nodes[0].Host()+" "+out.Nodes[0].Port())
		}
		node, admin := serve(t, lines...)
		out.Nodes, out.admins = append(out.Nodes, node), append(out.admins, admin)
	}
	await(t, "both replicas are in step", func() bool {
		text, err := out.admins[0].Info(context.Background(), "replication").Result()
		return err == nil && strings.Contains(text, "min_slaves_good_slaves:2")
	})
	return out
}

// order gives one command to a server and demands that it is taken.
func order(t *testing.T, at *redis.Client, args ...any) {
	t.Helper()
	if err := at.Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// Goal: servers without a mistake yield nothing, and each mistake made on one
// of them is found, with its node and a remedy; taken back it is not found.
func TestRedisSetups(t *testing.T) {
	g := serveTrio(t)
	a, b, c := g.Nodes[0], g.Nodes[1], g.Nodes[2]
	clean := func(after string) {
		t.Helper()
		for _, f := range diagnose(t, g.Group).Findings {
			if f.Severity != OK {
				t.Errorf("after %s: %+v", after, f)
			}
		}
	}
	clean("the start")
	set := func(at int, name, value string) func() {
		return func() { order(t, g.admins[at], "CONFIG", "SET", name, value) }
	}
	for name, m := range map[string]struct {
		wrong, right func()
		severity     Severity
		node         warden.NodeID
		check, words string
	}{
		"append-only file":  {set(1, "appendonly", "no"), set(1, "appendonly", "yes"), Warning, "", "alike", `appendonly is "no" on ` + string(b)},
		"eviction":          {set(2, "maxmemory-policy", "allkeys-lru"), set(2, "maxmemory-policy", "noeviction"), Warning, "", "alike", "allkeys-lru\" on " + string(c)},
		"no masterauth":     {set(0, "masterauth", ""), set(0, "masterauth", nodePassword), Error, a, "passwords", "no masterauth"},
		"wrong masterauth":  {set(0, "masterauth", "stale"), set(0, "masterauth", nodePassword), Error, a, "passwords", "its masterauth is not the password of"},
		"writable":          {set(1, "replica-read-only", "no"), set(1, "replica-read-only", "yes"), Warning, b, "kind", "replica-read-only yes"},
		"lag switched off":  {set(0, "min-replicas-max-lag", "0"), set(0, "min-replicas-max-lag", "5"), Note, a, "isolation", "min-replicas-max-lag is 0"},
		"lag too long":      {set(0, "min-replicas-max-lag", "60"), set(0, "min-replicas-max-lag", "5"), Note, a, "isolation", "CONFIG SET min-replicas-max-lag 10"},
		"both replicas":     {set(0, "min-replicas-to-write", "2"), set(0, "min-replicas-to-write", "1"), Note, a, "isolation", "and there are 3 nodes"},
		"refuses writes":    {set(0, "min-replicas-to-write", "3"), set(0, "min-replicas-to-write", "1"), Error, a, "isolation", "it refuses writes"},
		"priority and tags": {set(1, "replica-priority", "0"), set(1, "replica-priority", "100"), Error, "", "candidates", "CONFIG SET replica-priority 100"},
		"a user on one": {func() { order(t, g.admins[0], "ACL", "SETUSER", "app", "on", ">hunter2", "+get") },
			func() { order(t, g.admins[0], "ACL", "DELUSER", "app") }, Warning, "", "users", "app (not on " + string(b)},
		"connections": {func() {
			text, err := g.admins[2].Info(context.Background(), "clients").Result()
			if err != nil {
				t.Fatal(err)
			}
			order(t, g.admins[2], "CONFIG", "SET", "maxclients", strconv.FormatInt((&RedisNode{Info: parseInfo(text)}).number("connected_clients")+1, 10))
		}, set(2, "maxclients", "1000"), Warning, c, "clients", "CLIENT LIST"},
		"another source": {func() { order(t, g.admins[1], "REPLICAOF", "127.0.0.1", "1") },
			func() { order(t, g.admins[1], "REPLICAOF", a.Host(), a.Port()) }, Warning, b, "sources", "it copies from 127.0.0.1:1"},
	} {
		m.wrong()
		g.Excluded = nil
		if name == "priority and tags" {
			g.Excluded = []warden.NodeID{c}
		}
		r := diagnose(t, g.Group)
		wantFinding(t, r, m.severity, m.node, m.check, m.words)
		for _, f := range r.Findings {
			if text := f.Found + f.Why + f.Remedy; strings.Contains(text, nodePassword) || strings.Contains(text, "hunter2") || strings.Contains(text, "stale") {
				t.Errorf("%s: a secret is shown: %+v", name, f)
			}
		}
		m.right()
		g.Excluded = nil
	}
	await(t, "both replicas are in step again", func() bool {
		text, err := g.admins[0].Info(context.Background(), "replication").Result()
		return err == nil && strings.Contains(text, "min_slaves_good_slaves:2")
	})
	clean("everything was taken back")
}

// Goal: a backlog and a buffer that are too small for what is written are found
// while it is written.
func TestRedisWriteRate(t *testing.T) {
	g := serveTrio(t)
	a := g.Nodes[0]
	for i := range 400 { // 40 MB
		order(t, g.admins[0], "SET", "key"+strconv.Itoa(i), strings.Repeat("x", 100_000))
	}
	order(t, g.admins[0], "CONFIG", "SET", "client-output-buffer-limit", "replica 2000000 0 0")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		value := strings.Repeat("x", 100_000)
		for ctx.Err() == nil {
			_ = g.admins[0].Set(ctx, "written", value, 0).Err()
		}
	}()
	defer func() { stop(); <-done }()
	await(t, "a small backlog and a small buffer are found", func() bool {
		all := Examine(t.Context(), g.Group, patience).Findings
		has := func(check string) bool {
			return slices.ContainsFunc(all, func(f Finding) bool { return f.Check == check && f.Node == a && f.Severity == Warning })
		}
		return has("backlog") && has("buffers")
	})
}

// Goal: what only another way of starting shows: no configuration file, and a
// supervisor that restarts what saves nothing.
func TestRedisStarts(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node, err := warden.ParseNode(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", node.Port(), "--dir", dir, "--save", "", "--supervised", "systemd")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket.LocalAddr().String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	admin := redis.NewClient(&redis.Options{Addr: string(node)})
	defer admin.Close()
	await(t, "redis-server answers", func() bool { return admin.Ping(context.Background()).Err() == nil })
	r := diagnose(t, Group{Name: "m", Adapter: Spinel, Nodes: []warden.NodeID{node}, Quorum: 2, Wardens: 3})
	wantFinding(t, r, Warning, node, "config-file", "without a configuration file")
	wantFinding(t, r, Warning, node, "persistence", "systemd supervises it")
}
