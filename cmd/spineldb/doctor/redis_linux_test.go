package doctor

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// serve starts a redis-server with lines of configuration and waits until it
// answers the default user, whose password is that of a line "requirepass".
func serve(t *testing.T, lines ...string) (warden.NodeID, *redis.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node, err := warden.ParseNode(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	lines = append([]string{"bind 127.0.0.1", "port " + node.Port(), "dir " + dir, `save ""`, "appendonly no"}, lines...)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start redis-server, which these tests need (apt-get install -y redis-server): %v", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with those that save for it
		_ = cmd.Wait()
	})
	o := &redis.Options{Addr: string(node)}
	for _, line := range lines {
		if password, found := strings.CutPrefix(line, "requirepass "); found {
			o.Password = password
		}
	}
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	await(t, "redis-server answers", func() bool { return client.Ping(context.Background()).Err() == nil })
	return node, client
}

// Goal: mistakes on real servers of the Redis protocol are found.
func TestRedisMistakes(t *testing.T) {
	a, admin := serve(t)
	b, replica := serve(t, "replicaof "+a.Host()+" "+a.Port(), "replica-priority 0", "maxmemory 50mb")
	await(t, "the replica follows", func() bool {
		text, err := replica.Info(context.Background(), "replication").Result()
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	g := Group{Name: "m", Adapter: Spinel, Nodes: []warden.NodeID{a}, Quorum: 2, Wardens: 3}
	r := diagnose(t, g) // b is learned from a
	wantFinding(t, r, Note, a, "listed", string(b)+" copies from it")
	wantFinding(t, r, OK, a, "rights", "may do what orders need")
	wantFinding(t, r, Note, a, "persistence", "it saves nothing")
	wantFinding(t, r, Note, a, "memory", "maxmemory is not set")
	wantFinding(t, r, Note, a, "isolation", "min-replicas-to-write is 0")
	wantFinding(t, r, Error, "", "candidates", "every replica has replica-priority 0")
	wantFinding(t, r, Warning, b, "memory-limits", "maxmemory is 52428800")
	if err := admin.ConfigSet(context.Background(), "replica-read-only", "no").Err(); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, diagnose(t, g), Warning, a, "kind", "replica-read-only is no")
}

// Goal: users that lack something are told what, by DRYRUN or by trying.
func TestRedisUsers(t *testing.T) {
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile(`(?m)^user warden on >secret .*$`).FindString(string(page))
	if documented == "" {
		t.Fatal("docs/security.md shows no user")
	}
	a, _ := serve(t, documented, "user checked on >secret +acl|whoami +acl|dryrun "+strings.Join(strings.Fields(documented)[4:], " "),
		"user lean on >secret +ping +info +acl|whoami +acl|dryrun +config|get +role", "user blind on >secret +info")
	g := Group{Name: "m", Adapter: Spinel, Nodes: []warden.NodeID{a}, Quorum: 2, Wardens: 3}
	examine := func(user, password string) GroupReport {
		g.Login = Login{User: user, Password: password}
		return diagnose(t, g)
	}
	lean := examine("lean", "secret")
	for _, rule := range []string{"+replicaof", "+client|kill", "+multi", "&__warden__:hello +subscribe"} {
		wantFinding(t, lean, Error, a, "rights", rule)
	}
	if slices.ContainsFunc(lean.Findings, func(f Finding) bool { return f.Check == "rights" && strings.Contains(f.Found, "+ping") }) {
		t.Error("what the user may do is said to lack")
	}
	wantFinding(t, examine("checked", "secret"), OK, a, "rights", "may do what orders need")
	wantFinding(t, examine("warden", "secret"), Note, a, "rights", "may not ask for its own rights")
	wantFinding(t, examine("blind", "secret"), Error, a, "rights", "+ping")
	wantFinding(t, examine("lean", "wrong"), Error, a, "reachable", "auth_password_file")
	if r := examine("warden", "secret"); r.Worst() == Error {
		// A server on its own has nothing to fail over to, and nothing else is wrong.
		for _, f := range r.Findings {
			if f.Severity == Error && f.Check != "candidates" {
				t.Errorf("the documented user: %+v", f)
			}
		}
	}
}

// redisNode are facts of a server that nothing is wrong with.
func redisNode(node warden.NodeID, role string) *RedisNode {
	return &RedisNode{
		Node: node, Health: warden.HealthGood, Within: time.Millisecond,
		Info:   map[string]string{"role": role, "maxmemory": "1000", "used_memory": "10", "aof_enabled": "1", "master_link_status": "up", "slave_priority": "100", "redis_version": "7.0.15"},
		Config: map[string]string{"min-replicas-to-write": "1", "save": "", "appendonly": "yes", "replica-read-only": "yes"},
	}
}

// Goal: each rule finds its mistake, says how to mend it, and takes nothing else
// for one.
func TestRedisRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a, b, c *RedisNode)
		want   string
	}{
		"nothing": {func(_, _, _ *RedisNode) {}, ""},
		"denied": {func(_, b, _ *RedisNode) {
			b.Health, b.Err = warden.HealthDenied, "WRONGPASS invalid username-password pair"
		}, "error 10.0.0.2:5432 reachable"},
		"may not look":  {func(_, b, _ *RedisNode) { b.Health, b.Err = warden.HealthDenied, "NOPERM no permissions" }, "error 10.0.0.2:5432 reachable"},
		"loading":       {func(_, b, _ *RedisNode) { b.Health = warden.HealthLoading }, "warning 10.0.0.2:5432 reachable"},
		"not named":     {func(a, _, _ *RedisNode) { a.Info["slave0"] = "ip=10.0.0.9,port=6379,state=online,offset=1,lag=0" }, "note 10.0.0.1:5432 listed"},
		"cluster":       {func(a, _, _ *RedisNode) { a.Info["cluster_enabled"] = "1" }, "error 10.0.0.1:5432 kind"},
		"writable":      {func(_, b, _ *RedisNode) { b.Config["replica-read-only"] = "no" }, "warning 10.0.0.2:5432 kind"},
		"saves nothing": {func(a, _, _ *RedisNode) { a.Info["aof_enabled"], a.Config["appendonly"] = "0", "no" }, "note 10.0.0.1:5432 persistence, warning  alike"},
		"save fails":    {func(a, _, _ *RedisNode) { a.Info["rdb_last_bgsave_status"] = "err" }, "warning 10.0.0.1:5432 persistence"},
		"full":          {func(a, _, _ *RedisNode) { a.Info["used_memory"] = "950" }, "note 10.0.0.1:5432 memory"},
		"no limit": {func(a, b, c *RedisNode) {
			a.Info["maxmemory"], b.Info["maxmemory"], c.Info["maxmemory"] = "0", "0", "0"
		}, "note 10.0.0.1:5432 memory, note 10.0.0.2:5432 memory, note 10.0.0.3:5432 memory"},
		"link":           {func(_, b, _ *RedisNode) { b.Info["master_link_status"] = "down" }, "warning 10.0.0.2:5432 link"},
		"two primaries":  {func(_, b, _ *RedisNode) { b.Info["role"] = "master" }, "error  primary"},
		"no primary":     {func(a, _, _ *RedisNode) { a.Info["role"] = "slave" }, "error  primary"},
		"one priority 0": {func(_, b, _ *RedisNode) { b.Info["slave_priority"] = "0" }, ""},
		"all priority 0": {func(_, b, c *RedisNode) { b.Info["slave_priority"], c.Info["slave_priority"] = "0", "0" }, "error  candidates"},
		"never refuses":  {func(a, _, _ *RedisNode) { a.Config["min-replicas-to-write"] = "0" }, "note 10.0.0.1:5432 isolation, note  alike"},
		"protected": {func(_, b, _ *RedisNode) {
			b.Health, b.Err = warden.HealthDenied, "DENIED Redis is running in protected mode"
		}, "error 10.0.0.2:5432 reachable"},
		"older replica":  {func(_, b, _ *RedisNode) { b.Info["redis_version"] = "6.2.14" }, "warning 10.0.0.2:5432 versions"},
		"newer replica":  {func(_, b, _ *RedisNode) { b.Info["redis_version"] = "7.2.1" }, "note 10.0.0.2:5432 versions"},
		"another time":   {func(_, b, _ *RedisNode) { b.Ahead += 3 * time.Second }, "warning  clocks"},
		"an unsure time": {func(_, b, _ *RedisNode) { b.Ahead, b.Within = 3*time.Second, 3*time.Second }, ""},
		"tells no time":  {func(_, b, _ *RedisNode) { b.Ahead, b.Within = 3*time.Second, 0 }, ""},
		"deaf to Sentinels": {func(a, _, _ *RedisNode) {
			a.Denied = []string{"&__sentinel__:hello +subscribe"}
		}, "warning 10.0.0.1:5432 rights"},
		"smaller replica": {func(_, b, _ *RedisNode) { b.Info["maxmemory"] = "500" }, "warning 10.0.0.2:5432 memory-limits"},
	} {
		a, b, other := redisNode(nodeA, "master"), redisNode(nodeB, "slave"), redisNode(nodeC, "slave")
		c.change(a, b, other)
		g, all := Group{Name: "m", Adapter: Spinel, Nodes: []warden.NodeID{nodeA, nodeB, nodeC}}, []*RedisNode{a, b, other}
		var got []string
		for _, f := range append(slices.Concat(judgeRedis(g, a), judgeRedis(g, b), judgeRedis(g, other)), judgeRedisGroup(g, all)...) {
			if f.Severity == OK {
				continue
			}
			got = append(got, string(f.Severity)+" "+string(f.Node)+" "+f.Check)
			if f.Why == "" || f.Remedy == "" {
				t.Errorf("%s: %q says no why or no remedy", name, f.Found)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
