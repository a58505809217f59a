package neighbour_test

import (
	"context"
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

// company is a Warden of our edges alone, on a primary and a replica, with one
// real Sentinel.
type company struct {
	*oneWarden
	t                          *testing.T
	book                       *neighbour.Book
	server                     *resp.Server
	links                      []warden.Link
	primary, replica, sentinel *adaptertest.Process
	saved                      atomic.Uint64 // the epoch of the last vote written
	switched                   atomic.Value  // warden.NodeID
}

const ownID = "00000000000000000000000000000000000000aa"

func gather(t *testing.T) *company {
	t.Helper()
	c := &company{t: t, oneWarden: &oneWarden{id: ownID, started: clock()}}
	c.primary = launchRedis(t, false, `save ""`)
	at := c.primary.Node()
	c.replica = launchRedis(t, false, `save ""`, "repl-diskless-sync-delay 0", "replicaof "+at.Host()+" "+at.Port())
	c.oneWarden.primary.Store(&at)
	c.book = neighbour.New(neighbour.Options{
		ID: ownID, Judge: neighbour.Judging(c.oneWarden), Clock: clock,
		Primary:  func(warden.GroupName) warden.NodeID { return c.serves() },
		Save:     func(_ context.Context, _ warden.GroupName, epoch uint64) error { c.saved.Store(epoch); return nil },
		Switched: func(_ warden.GroupName, to warden.NodeID, _ uint64) { c.switched.Store(to) },
	})
	c.book.Watch("g", neighbour.Memory{Epochs: neighbour.Epochs{Primary: at}})
	var err error
	if c.server, err = resp.New(resp.Options{Addr: "127.0.0.1:0", Directory: c.oneWarden, Neighbours: c.book}); err != nil {
		t.Fatal(err)
	}
	if err := c.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.server.Shutdown(context.Background()) }) //nolint:errcheck // the test is over
	adapter := redisadapter.New(redisadapter.Options{})
	for _, node := range []warden.NodeID{at, c.replica.Node()} {
		link := adapter.Open(node, warden.LinkEvents{Neighbour: c.book.Hello})
		t.Cleanup(link.Close)
		c.links = append(c.links, link)
	}
	c.sentinel = launchRedis(t, true, "sentinel monitor g "+at.Host()+" "+at.Port()+" 2",
		"sentinel down-after-milliseconds g 1000", "sentinel failover-timeout g 4000")
	return c
}

func (c *company) serves() warden.NodeID { return *c.oneWarden.primary.Load() }

// await publishes our hello on all nodes until what is so.
func (c *company) await(what string, is func() bool) {
	c.t.Helper()
	adaptertest.Await(c.t, what, func() bool {
		for _, link := range c.links {
			h := warden.Hello{ID: ownID, Client: c.server.Addr().String(), Group: "g", Primary: c.serves()}
			h.Neighbour = c.book.Own(h)
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
			_ = link.Publish(ctx, h) // one of the nodes will be dead
			cancel()
		}
		return is()
	})
}

// field asks the Sentinel for a field of an instance map.
func (c *company) field(key, what string) string {
	reply, err := c.sentinel.Client.Do(c.t.Context(), "SENTINEL", what, "g").Result()
	return fieldOf(reply, err, key)
}

// Goal: a real Sentinel meets us, counts us, asks us and fails over with our
// vote, which it gets only once we find the primary down ourselves; and we
// learn of all of it.
func TestBesideARealSentinel(t *testing.T) {
	c := gather(t)
	old, to := c.primary.Node(), c.replica.Node()
	c.await("the Sentinel counts us and its replica", func() bool {
		return c.field("num-other-sentinels", "MASTER") == "1" && c.field("num-slaves", "MASTER") == "1"
	})
	if got := c.field("runid", "SENTINELS"); got != ownID {
		t.Errorf("it knows us as %q", got)
	}
	c.await("we know the Sentinel", func() bool {
		e := c.book.Entries("g")
		return len(e) == 1 && e[0].Real && e[0].Client == string(c.sentinel.Node()) && len(c.book.Live("g")) == 1
	})
	c.primary.Kill()
	// It is down for the Sentinel alone: two are needed, and we say that it is not.
	c.await("the Sentinel finds it down", func() bool { return strings.Contains(c.field("flags", "MASTER"), "s_down") })
	if flags := c.field("flags", "MASTER"); strings.Contains(flags, "o_down") {
		t.Errorf("flags %q though we had not agreed", flags)
	}
	if flags := c.field("flags", "SENTINELS"); strings.Contains(flags, "s_down") {
		t.Errorf("we are %q to it", flags)
	}
	c.down.Store(true)
	c.await("the Sentinel has failed over with our vote", func() bool { return c.switched.Load() == to && c.saved.Load() > 0 })
	if v := c.book.Own(warden.Hello{Client: "127.0.0.1:1", Group: "g", Primary: old}); !strings.HasSuffix(v, ",0") {
		t.Errorf("before we adopt: %q, want no version", v)
	}
	c.oneWarden.primary.Store(&to)
	c.down.Store(false)
	v, e := c.book.Own(warden.Hello{Client: "127.0.0.1:1", Group: "g", Primary: to}), c.book.Epochs("g")
	if e.Config == 0 || !strings.HasSuffix(v, ","+strconv.FormatUint(e.Config, 10)) {
		t.Errorf("after we have adopted: %q at %+v", v, e)
	}
	c.await("the Sentinel is content", func() bool {
		return c.field("flags", "MASTER") == "master" && c.field("port", "MASTER") == to.Port()
	})
	if role, err := c.replica.Client.Do(t.Context(), "ROLE").Slice(); err != nil || role[0] != "master" {
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
