package neighbour_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	redisadapter "github.com/spineldb/warden/adapters/spineldb"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// launchRedis starts a redis-server, as a Sentinel if it is to be one.
func launchRedis(t *testing.T, sentinel bool, lines ...string) *adaptertest.Process {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("find redis-server (install Redis 7 to run these tests): %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "redis.conf")
	text := strings.Join(append([]string{"bind 127.0.0.1", "port " + strconv.Itoa(port), "dir " + dir, "daemonize no"}, lines...), "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if sentinel {
		args = append(args, "--sentinel")
	}
	p := adaptertest.Launch(t, exec.Command(binary, args...))
	p.Serves(warden.MakeNode("127.0.0.1", port))
	adaptertest.Await(t, "redis-server answers", func() bool { return p.Client.Ping(t.Context()).Err() == nil })
	return p
}

// oneWarden is what the rest of a Warden looks like to a Book and to clients:
// one group with one primary, which is down when the test says so.
type oneWarden struct {
	warden.Directory
	id      string
	started warden.Instant
	primary atomic.Pointer[warden.NodeID]
	down    atomic.Bool
}

func clock() warden.Instant { return warden.Instant(time.Now().UnixNano()) }

func (w *oneWarden) Now() warden.Instant { return clock() }
func (w *oneWarden) Self() warden.SelfView {
	return warden.SelfView{ID: warden.WardenID(w.id), RunID: w.id, Started: w.started, Groups: 1}
}
func (w *oneWarden) Groups() []warden.GroupName { return []warden.GroupName{"g"} }
func (w *oneWarden) Primary(name warden.GroupName) (warden.NodeID, bool) {
	return *w.primary.Load(), name == "g"
}

func (w *oneWarden) Group(name warden.GroupName) (warden.GroupView, bool) {
	at := *w.primary.Load()
	return warden.GroupView{
		Name: "g", At: clock(), Primary: at, Quorum: 2,
		Nodes: []warden.NodeView{{Node: at, Primary: true, Down: w.down.Load()}},
	}, name == "g"
}

// Goal: a real Sentinel meets us, counts us, asks us and fails over with our
// vote, which it gets only once we find the primary down ourselves; and we
// learn of all of it.
func TestBesideARealSentinel(t *testing.T) {
	const id = "00000000000000000000000000000000000000aa"
	primary := launchRedis(t, false, `save ""`)
	at := primary.Node()
	replica := launchRedis(t, false, `save ""`, "repl-diskless-sync-delay 0", "replicaof "+at.Host()+" "+at.Port())

	w := &oneWarden{id: id, started: clock()}
	w.primary.Store(&at)
	told := make(chan string, 256)
	var saved atomic.Uint64
	book := neighbour.New(neighbour.Options{
		ID: id, Judge: neighbour.Judging(w), Clock: clock,
		Primary:  func(warden.GroupName) warden.NodeID { return *w.primary.Load() },
		Save:     func(_ context.Context, _ warden.GroupName, epoch uint64) error { saved.Store(epoch); return nil },
		Announce: func(e warden.Event) { told <- e.Name + " " + e.Payload },
		Switched: func(_ warden.GroupName, to warden.NodeID, epoch uint64) {
			told <- fmt.Sprintf("switched %s %d", to, epoch)
		},
	})
	book.Watch("g", neighbour.Memory{Epochs: neighbour.Epochs{Primary: at}})
	server, err := resp.New(resp.Options{Addr: "127.0.0.1:0", Directory: w, Neighbours: book})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown(context.Background()) //nolint:errcheck // the test is over
	adapter := redisadapter.New(redisadapter.Options{})
	publish := func() {}
	for _, node := range []warden.NodeID{at, replica.Node()} {
		link := adapter.Open(node, warden.LinkEvents{Neighbour: book.Hello})
		defer link.Close()
		before := publish
		publish = func() {
			before()
			h := warden.Hello{ID: id, Client: server.Addr().String(), Group: "g", Primary: *w.primary.Load()}
			h.Neighbour = book.Own(h)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_ = link.Publish(ctx, h) // one of the nodes will be dead
		}
	}

	sentinel := launchRedis(t, true, "sentinel monitor g "+at.Host()+" "+at.Port()+" 2",
		"sentinel down-after-milliseconds g 1000", "sentinel failover-timeout g 4000")
	field := func(key string, args ...any) string {
		reply, err := sentinel.Client.Do(t.Context(), append([]any{"SENTINEL"}, args...)...).Result()
		return fieldOf(reply, err, key)
	}
	adaptertest.Await(t, "the Sentinel counts us and its replica", func() bool {
		publish()
		return field("num-other-sentinels", "MASTER", "g") == "1" && field("num-slaves", "MASTER", "g") == "1"
	})
	if got := field("runid", "SENTINELS", "g"); got != id {
		t.Errorf("it knows us as %q", got)
	}
	adaptertest.Await(t, "we know the Sentinel", func() bool {
		e := book.Entries("g")
		return len(e) == 1 && e[0].Real && e[0].Client == string(sentinel.Node()) && len(book.Live("g")) == 1
	})
	primary.Kill()
	// It is down for the Sentinel alone: two are needed, and we say that it is not.
	adaptertest.Await(t, "the Sentinel finds it down", func() bool {
		publish()
		return strings.Contains(field("flags", "MASTER", "g"), "s_down")
	})
	if flags := field("flags", "MASTER", "g"); strings.Contains(flags, "o_down") {
		t.Errorf("flags %q though we had not agreed", flags)
	}
	if flags := field("flags", "SENTINELS", "g"); strings.Contains(flags, "s_down") {
		t.Errorf("we are %q to it", flags)
	}
	w.down.Store(true)
	switched := false
	adaptertest.Await(t, "the Sentinel has failed over with our vote", func() bool {
		publish()
		for len(told) > 0 {
			line := <-told
			switched = switched || strings.HasPrefix(line, "switched "+string(replica.Node())+" ")
		}
		return switched && saved.Load() > 0
	})
	if v := book.Own(warden.Hello{Client: "127.0.0.1:1", Group: "g", Primary: at}); !strings.HasSuffix(v, ",0") {
		t.Errorf("before we adopt: %q, want no version", v)
	}
	to := replica.Node()
	w.primary.Store(&to)
	w.down.Store(false)
	if v, e := book.Own(warden.Hello{Client: "127.0.0.1:1", Group: "g", Primary: to}), book.Epochs("g"); e.Config == 0 || !strings.HasSuffix(v, ","+strconv.FormatUint(e.Config, 10)) {
		t.Errorf("after we have adopted: %q at %+v", v, e)
	}
	adaptertest.Await(t, "the Sentinel is content", func() bool {
		publish()
		return field("flags", "MASTER", "g") == "master" && field("port", "MASTER", "g") == to.Port()
	})
	if role, err := replica.Client.Do(t.Context(), "ROLE").Slice(); err != nil || role[0] != "master" {
		t.Errorf("role of the promoted node: %v (%v)", role, err)
	}
}

// fieldOf reads a field of an instance map, or of the only one in a list.
func fieldOf(reply any, err error, key string) string {
	if list, ok := reply.([]any); ok && len(list) == 1 {
		reply = list[0]
	}
	switch m := reply.(type) {
	case map[any]any:
		s, _ := m[key].(string)
		return s
	case []any:
		for i := 0; i+1 < len(m); i += 2 {
			if m[i] == key {
				s, _ := m[i+1].(string)
				return s
			}
		}
	}
	if err != nil && err != redis.Nil {
		return err.Error()
	}
	return ""
}
