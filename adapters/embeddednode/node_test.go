package embeddednode

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// runNode runs a node in this process and ends it with the test.
func runNode(t *testing.T, o Options) (*Node, *redis.Client) {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return n, clientOf(t, n.Addr())
}

func clientOf(t *testing.T, node warden.NodeID) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: string(node), MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	t.Cleanup(func() { c.Close() })
	return c
}

// field is one line of INFO.
func field(t *testing.T, c *redis.Client, name string) string {
	t.Helper()
	text, err := c.Info(t.Context()).Result()
	if err != nil {
		t.Fatalf("info: %v", err)
	}
	_, rest, _ := strings.Cut(text, "\r\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// fill writes one key of every type.
func fill(t *testing.T, c *redis.Client) {
	t.Helper()
	for _, args := range [][]any{
		{"SET", "s", "with\r\nbreaks and \x00"}, {"HSET", "h", "f", "1", "g", "2"}, {"RPUSH", "l", "a", "b", "a"},
		{"SADD", "set", "x", "y"}, {"ZADD", "z", "1.5", "one", "-2", "two"}, {"SET", "soon", "v", "EX", "1000"}, {"SET", "empty", ""},
	} {
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
}

// dump reads everything that fill wrote.
func dump(t *testing.T, c *redis.Client) []any {
	t.Helper()
	var all []any
	for _, args := range [][]any{
		{"GET", "s"}, {"HMGET", "h", "f", "g"}, {"LRANGE", "l", "0", "-1"}, {"SISMEMBER", "set", "y"}, {"SCARD", "set"},
		{"ZRANGE", "z", "0", "-1", "WITHSCORES"}, {"GET", "empty"}, {"GET", "soon"}, {"DBSIZE"},
	} {
		v, err := c.Do(t.Context(), args...).Result()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		all = append(all, v)
	}
	if ttl := c.TTL(t.Context(), "soon").Val(); ttl < 900*time.Second || ttl > 1000*time.Second {
		t.Errorf("time to live of a copied key: %v", ttl)
	}
	return all
}

// Goal: a full copy holds every type of data, and the stream goes on after it.
func TestReplicaHasTheSameData(t *testing.T) {
	p, pc := runNode(t, Options{})
	fill(t, pc)
	_, rc := runNode(t, Options{ReplicaOf: p.Addr()})
	adaptertest.Await(t, "the replica has caught up", func() bool {
		return field(t, rc, "slave_repl_offset") == field(t, pc, "master_repl_offset") && field(t, rc, "master_link_status") == "up"
	})
	pc.Incr(t.Context(), "counter")
	pc.HDel(t.Context(), "h", "g")
	adaptertest.Await(t, "the replica has the later writes too", func() bool {
		return field(t, rc, "slave_repl_offset") == field(t, pc, "master_repl_offset")
	})
	if got, want := dump(t, rc), dump(t, pc); !reflect.DeepEqual(got, want) {
		t.Errorf("replica:\n%v\nprimary:\n%v", got, want)
	}
	err := rc.Set(t.Context(), "s", "x", 0).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "READONLY ") {
		t.Errorf("write to a replica: %v, want READONLY", err)
	}
}

// Goal: a node that is killed comes back with old data, its old lineage and its
// old role, and then follows the new primary without a full copy.
func TestKilledPrimaryComesBackWithItsLineage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	first := startChild(t, "127.0.0.1:0", "", file)
	_, rc := runNode(t, Options{ReplicaOf: first.Node()})
	fill(t, first.Client)
	lineage := field(t, first.Client, "master_replid")
	adaptertest.Await(t, "the replica has caught up", func() bool {
		return field(t, rc, "slave_repl_offset") == field(t, first.Client, "master_repl_offset")
	})
	want := dump(t, first.Client)
	adaptertest.Await(t, "the state file holds it all", func() bool {
		n := &Node{opts: Options{StateFile: file}, engine: mustEngine(t)}
		defer n.engine.close()
		return n.load() == nil && fmt.Sprint(n.repl.offset) == field(t, first.Client, "master_repl_offset")
	})
	first.Kill()
	if err := rc.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}

	again := startChild(t, string(first.Node()), "", file)
	if got := dump(t, again.Client); !reflect.DeepEqual(got, want) {
		t.Errorf("after the kill:\n%v\nbefore:\n%v", got, want)
	}
	if got := field(t, again.Client, "master_replid2"); got != lineage {
		t.Errorf("lineage after the kill: %s, want %s", got, lineage)
	}
	newPrimary := warden.NodeID(rc.Options().Addr)
	if err := again.Client.Do(t.Context(), "REPLICAOF", newPrimary.Host(), newPrimary.Port()).Err(); err != nil {
		t.Fatal(err)
	}
	adaptertest.Await(t, "the old primary follows the new one", func() bool { return field(t, again.Client, "master_link_status") == "up" })
	adaptertest.Await(t, "its new role is on disk", func() bool {
		n := &Node{opts: Options{StateFile: file}, engine: mustEngine(t)}
		defer n.engine.close()
		return n.load() == nil && n.repl.upstream == newPrimary
	})
	again.Kill()
	third := startChild(t, string(first.Node()), "", file)
	if role := field(t, third.Client, "role"); role != "slave" {
		t.Errorf("role after the second kill: %s, want slave", role)
	}
}

func mustEngine(t *testing.T) *engine {
	t.Helper()
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Goal: a primary that wrote alone has gone its own way: it gets a full copy.
func TestDivergedPrimaryIsCopiedAnew(t *testing.T) {
	p, pc := runNode(t, Options{})
	r, rc := runNode(t, Options{ReplicaOf: p.Addr()})
	fill(t, pc)
	adaptertest.Await(t, "caught up", func() bool { return field(t, rc, "slave_repl_offset") == field(t, pc, "master_repl_offset") })
	if err := rc.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	pc.Set(t.Context(), "lost", "1", 0)
	rc.Set(t.Context(), "kept", "1", 0)
	if err := pc.Do(t.Context(), "REPLICAOF", r.Addr().Host(), r.Addr().Port()).Err(); err != nil {
		t.Fatal(err)
	}
	adaptertest.Await(t, "the old primary has the new history", func() bool { return pc.Get(t.Context(), "kept").Val() == "1" })
	if n := pc.Exists(t.Context(), "lost").Val(); n != 0 {
		t.Error("a write of the abandoned history is still there")
	}
	if got := field(t, rc, "sync_full"); got != "1" {
		t.Errorf("full copies given: %s, want 1", got)
	}
}

// Goal: what a transaction may and may not do.
func TestTransaction(t *testing.T) {
	_, c := runNode(t, Options{})
	conn := c.Conn()
	defer conn.Close()
	do := func(args ...any) string {
		v, err := conn.Do(t.Context(), args...).Result()
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(v)
	}
	for _, step := range []struct{ line, want string }{
		{"MULTI", "OK"},
		{"SET a 1", "QUEUED"},
		{"GET a", "QUEUED"},
		{"EXEC", "[OK 1]"},
		{"MULTI", "OK"},
		{"SET a 2", "QUEUED"},
		{"NOSUCH", "ERR unknown command 'NOSUCH'"},
		{"EXEC", "EXECABORT"},
		{"GET a", "1"},
		{"EXEC", "ERR EXEC without MULTI"},
		{"MULTI", "OK"},
		{"SUBSCRIBE x", "ERR Command not allowed"},
		{"DISCARD", "OK"},
		{"SELECT 1", "ERR DB index"},
		{"SPOP a", "ERR unknown command"},
		{"BLPOP a 0", "ERR unknown command"},
		{"EVAL 1 0", "ERR unknown command"},
		{"GET", "ERR wrong number"},
		{"CLIENT KILL ID nobody", "0"},
		{"CLIENT PAUSE 10 ALL", "ERR syntax error"},
		{"HELLO 3", "NOPROTO"},
	} {
		var args []any
		for w := range strings.FieldsSeq(step.line) {
			args = append(args, w)
		}
		if got := do(args...); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: %q, want %q", step.line, got, step.want)
		}
	}
}

// Goal: an embedded node has no password, so it must not be reachable.
func TestOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "example.com:80", "127.0.0.1"} {
		if n, err := New(Options{Addr: addr}); err == nil {
			n.listener.Close()
			n.engine.close()
			t.Errorf("listens on %q", addr)
		}
	}
}

// Goal: Run leaves nothing behind, also when a client is in a pause.
func TestRunEndsCleanly(t *testing.T) {
	n, err := New(Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	c := clientOf(t, n.Addr())
	if err := c.Do(t.Context(), "CLIENT", "PAUSE", "60000", "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- c.Set(context.Background(), "a", "b", 0).Err() }()
	sub := c.Subscribe(t.Context(), "news")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	if err := <-written; err == nil {
		t.Error("a write went through a pause")
	}
	adaptertest.Await(t, "no goroutine of the node is left", func() bool {
		buf := make([]byte, 1<<20)
		return !strings.Contains(string(buf[:runtime.Stack(buf, true)]), "embeddednode.(*")
	})
}

// Goal: nothing a client sends can hurt the reader, and what it takes is what
// an encoder makes.
func FuzzReadCommand(f *testing.F) {
	for _, seed := range []string{
		"*1\r\n$4\r\nPING\r\n", "PING\r\n", "*-1\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n", "*1\r\n$99999999999\r\n",
		"*99999999\r\n", "$5\r\n", "\r\n", "*1\r\n$4\r\nPINGxx", "*0\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(data), lineSize)
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			again, err := readCommand(bufio.NewReaderSize(bytes.NewReader(appendCommand(nil, args...)), lineSize))
			if err != nil || len(args) != len(again) || len(args) > 0 && !reflect.DeepEqual(args, again) {
				t.Fatalf("read %q, and encoded and read again %q (%v)", args, again, err)
			}
		}
	})
}
