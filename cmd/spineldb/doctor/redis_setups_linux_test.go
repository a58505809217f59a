package doctor

import (
	"context"
	"maps"
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
		"appendonly yes", "maxmemory 200mb", "min-replicas-to-write 1", "min-replicas-max-lag 5", "repl-diskless-sync-delay 0", "auto-aof-rewrite-percentage 0",
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

// mistake is one made on a server, how it is taken back, and what finds it.
type mistake struct {
	wrong, right func()
	severity     Severity
	node         warden.NodeID
	check, words string
}

// setting changes one setting of a server.
func (g trio) setting(t *testing.T, at int, name, value string) func() {
	return func() { order(t, g.admins[at], "CONFIG", "SET", name, value) }
}

// dump is the file that a server saves to.
func (g trio) dump(t *testing.T, at int) string {
	t.Helper()
	dir, err := g.admins[at].ConfigGet(context.Background(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir["dir"], "dump.rdb")
}

// save has a server save, and waits until that has ended so.
func (g trio) save(t *testing.T, at int, status string) {
	t.Helper()
	order(t, g.admins[at], "BGSAVE")
	await(t, "the save ends with "+status, func() bool {
		text, err := g.admins[at].Info(context.Background(), "persistence").Result()
		return err == nil && strings.Contains(text, "rdb_last_bgsave_status:"+status)
	})
}

// settingMistakes are in single settings, for the most part.
func settingMistakes(t *testing.T, g trio) map[string]mistake {
	a, b, c := g.Nodes[0], g.Nodes[1], g.Nodes[2]
	set := func(at int, name, value string) func() { return g.setting(t, at, name, value) }
	return map[string]mistake{
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
	}
}

// stateMistakes are in what the servers do.
func stateMistakes(t *testing.T, g trio) map[string]mistake {
	a, b, c := g.Nodes[0], g.Nodes[1], g.Nodes[2]
	set := func(at int, name, value string) func() { return g.setting(t, at, name, value) }
	return map[string]mistake{
		"two primaries": {func() { order(t, g.admins[2], "REPLICAOF", "NO", "ONE") },
			func() { order(t, g.admins[2], "REPLICAOF", a.Host(), a.Port()) }, Error, "", "primary", string(a) + ", " + string(c)},
		"memory is full": {func() {
			text, err := g.admins[1].Info(context.Background(), "memory").Result()
			if err != nil {
				t.Fatal(err)
			}
			order(t, g.admins[1], "CONFIG", "SET", "maxmemory", strconv.FormatInt((&RedisNode{Info: parseInfo(text)}).number("used_memory")+1, 10))
		}, set(1, "maxmemory", "200mb"), Note, b, "memory", "nine tenths"},
		"no limit": {set(0, "maxmemory", "0"), set(0, "maxmemory", "200mb"), Note, a, "memory", "maxmemory is not set"},
		"a save that fails": {func() {
			_ = os.Remove(g.dump(t, 1)) // there may be one of a full copy
			// A directory of that name cannot be replaced by a file.
			if err := os.MkdirAll(filepath.Join(g.dump(t, 1), "in the way"), 0o700); err != nil {
				t.Fatal(err)
			}
			g.save(t, 1, "err")
		}, func() {
			if err := os.RemoveAll(g.dump(t, 1)); err != nil {
				t.Fatal(err)
			}
			g.save(t, 1, "ok")
		}, Warning, b, "persistence", "the last save failed"},
		"another source": {func() { order(t, g.admins[1], "REPLICAOF", "127.0.0.1", "1") },
			func() { order(t, g.admins[1], "REPLICAOF", a.Host(), a.Port()) }, Warning, b, "sources", "it copies from 127.0.0.1:1"},
	}
}

// Goal: servers without a mistake yield nothing, and each mistake made on one
// of them is found, with its node and a remedy; taken back it is not found.
func TestRedisSetups(t *testing.T) {
	g := serveTrio(t)
	clean := func(after string) {
		t.Helper()
		for _, f := range diagnose(t, g.Group).Findings {
			if f.Severity != OK {
				t.Errorf("after %s: %+v", after, f)
			}
		}
	}
	clean("the start")
	all := settingMistakes(t, g)
	maps.Copy(all, stateMistakes(t, g))
	for name, m := range all {
		m.wrong()
		g.Excluded = nil
		if name == "priority and tags" {
			g.Excluded = []warden.NodeID{g.Nodes[2]}
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

// Goal: servers that cannot be a group are told so: one in cluster mode, a
// primary without a replica, replicas without a primary.
func TestRedisNoGroup(t *testing.T) {
	lone, _ := serve(t)
	g := Group{Name: "m", Adapter: Spinel, Nodes: []warden.NodeID{lone}, Quorum: 2, Wardens: 3}
	wantFinding(t, diagnose(t, g), Error, lone, "candidates", "it has no replica")
	cluster, _ := serve(t, "cluster-enabled yes")
	g.Nodes = []warden.NodeID{cluster}
	wantFinding(t, diagnose(t, g), Error, cluster, "kind", "cluster mode")
	orphan, _ := serve(t, "replicaof 127.0.0.1 1")
	g.Nodes = []warden.NodeID{orphan}
	r := diagnose(t, g)
	wantFinding(t, r, Error, "", "primary", "no node that can be looked at is a primary")
	wantFinding(t, r, Warning, orphan, "link", "its link to 127.0.0.1:1 is down")
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
		value := strings.Repeat("x", 300_000)
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
