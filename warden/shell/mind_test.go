package shell

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: the real mind fits the shell: a Warden alone finds its nodes, makes
// its first agreement, writes it down and serves it; when the primary dies it
// promotes the replica, in the order claim, look, promote, and serves that.
func TestRealMindFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, world := newWorld(t)
		b.start(t)
		defer b.stop(t)
		b.until(t, "the first agreement", func(v warden.GroupView) bool { return v.Topology.Birth != "" && len(v.Nodes) == 2 })
		if node, _ := b.shell.Primary("g"); node != world.primary {
			t.Errorf("serves %s, want %s", node, world.primary)
		}
		world.kill()
		b.adapter.link(world.primary).events.Ended(world.primary, "reset")
		died := time.Now()
		b.until(t, "the failover", func(v warden.GroupView) bool {
			return v.Topology.Primary == world.replica && v.Topology.Phase == warden.PhaseDone
		})
		if took := time.Since(died); took > 2*time.Second {
			t.Errorf("failover took %s, want at most down_after + 1 s", took)
		}
		if node, _ := b.shell.Primary("g"); node != world.replica {
			t.Errorf("serves %s, want %s", node, world.replica)
		}
		if b.store.regs["g"].Chosen.Primary != world.replica {
			t.Errorf("register %+v", b.store.regs["g"])
		}
		if b.count("announce +switch-master") != 1 || b.count("promote") != 1 {
			t.Errorf("got %q", b.all())
		}
		answer := b.shell.Command(t.Context(), warden.Command{Group: "g", Wish: warden.WishPause, Wait: true})
		if answer.Verdict != warden.VerdictDone && answer.Verdict != warden.VerdictStarted {
			t.Errorf("pause: %+v", answer)
		}
		b.until(t, "the pause", func(v warden.GroupView) bool { return v.Paused })
	})
}

// Goal: the record of a failover replays, thought by thought, to the same view.
func TestRealMindReplays(t *testing.T) {
	dir := t.TempDir()
	var want warden.GroupView
	synctest.Test(t, func(t *testing.T) {
		b, world := newWorld(t)
		b.options.RecordDir = dir
		b.start(t)
		b.until(t, "the first agreement", func(v warden.GroupView) bool { return v.Topology.Birth != "" && len(v.Nodes) == 2 })
		world.kill()
		b.until(t, "the failover", func(v warden.GroupView) bool { return v.Topology.Primary == world.replica })
		l := b.loop()
		b.stop(t)
		shown := l.shown.Load()
		want = shown.mind.View(shown.config, 0)
	})
	f, err := os.Open(filepath.Join(dir, "g.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got warden.GroupView
	var config group.Config
	err = Replay(f, func(c group.Config, reg warden.Register, now warden.Instant) Mind {
		config = c
		return newGroupMind(c, reg, now)
	}, func(_ Recorded, m Mind, _ group.Effects) { got = m.View(&config, 0) })
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("replay ends at\n%+v\nthe run did at\n%+v", got, want)
	}
}

// until waits, in the bubble's time, for a view of group "g".
func (b *bench) until(t *testing.T, what string, is func(warden.GroupView) bool) {
	t.Helper()
	for range 3000 {
		if v, _ := b.shell.Group("g"); is(v) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	v, _ := b.shell.Group("g")
	t.Fatalf("waited 30 s for %s: %+v\n%q", what, v, b.all())
}

// world is a primary with one replica.
type world struct {
	primary, replica warden.NodeID
	mu               sync.Mutex
	dead, promoted   bool
}

// newWorld is a bench with the real mind, a Warden alone, over such a pair.
func newWorld(t *testing.T) (*bench, *world) {
	b := newBench(t)
	w := &world{primary: "10.0.0.1:6379", replica: "10.0.0.2:6379"}
	b.adapter.look = w.look
	b.adapter.order = w.order
	b.adapter.over = w.look
	b.options.NewMind = nil
	b.options.ID = "0123456789012345678901234567890123456789"
	b.options.Groups[0].Config = group.Config{
		Group: "g", Primary: w.primary, Quorum: 1, Alone: true,
		DownAfter: warden.Second, CrashAfter: warden.Second, FailoverTimeout: 10 * warden.Second,
		HelloInterval: warden.Second, ParallelSyncs: 1,
	}
	return b, w
}

func (w *world) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
}

func (w *world) look(_ context.Context, node warden.NodeID) warden.Observation {
	w.mu.Lock()
	defer w.mu.Unlock()
	good := warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Priority: 100, Position: 1000,
		Lineage: "line1", RunID: "run-" + string(node), Server: "redis 7.0.15"}
	switch {
	case node == w.primary && w.dead:
		return warden.Observation{Health: warden.HealthRefused, Detail: "connection refused"}
	case node == w.primary:
		good.Replicas = []warden.Replica{{Node: w.replica, Online: true, Position: 1000}}
	case w.promoted:
		good.Lineage, good.LineageBefore = "line2", "line1"
	default:
		good.Role, good.Upstream, good.LinkUp = warden.RoleReplica, w.primary, !w.dead
	}
	return good
}

func (w *world) order(_ context.Context, what string) warden.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.promoted = w.promoted || what == "promote "+string(w.replica)
	return warden.Result{Outcome: warden.Done}
}
