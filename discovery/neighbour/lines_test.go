package neighbour_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/warden"
)

// Goal: a real Sentinel that wants a password is asked with it, over one kept
// connection that bears our name, and what it answers is shown. With other
// credentials than before the next question uses them, and fails if they are
// wrong. It gives no vote, as none is asked for.
func TestRealSentinelIsAsked(t *testing.T) {
	primary := launchRedis(t, false, `save ""`)
	at := primary.Node()
	sentinel := launchRedis(t, true, "sentinel monitor g "+at.Host()+" "+at.Port()+" 2", "sentinel down-after-milliseconds g 500")
	for _, user := range [][]any{
		{"ACL", "SETUSER", "warden", "on", ">good", "+sentinel|is-master-down-by-addr", "+client|setname", "+hello", "+ping", "allchannels"},
	} {
		if err := sentinel.Client.Do(t.Context(), user...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var password atomic.Value
	password.Store("good")
	lines := neighbour.NewLines(neighbour.LinesOptions{ID: ownID, Credentials: func() (string, string) { return "warden", password.Load().(string) }})
	t.Cleanup(lines.Close)
	book := neighbour.New(neighbour.Options{
		ID: ownID, Clock: clock, Ask: lines.Ask,
		Judge:   func(warden.GroupName, warden.NodeID) neighbour.Judgement { return neighbour.Judgement{Down: true} },
		Primary: func(warden.GroupName) warden.NodeID { return at },
	})
	book.Watch("g", neighbour.Memory{Epochs: neighbour.Epochs{Primary: at}})
	book.SetAskPeriod(50 * time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { book.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })

	heard := func() {
		id := sentinel.Client.Do(t.Context(), "SENTINEL", "MYID").Val().(string)
		book.Hello("127.0.0.1," + sentinel.Node().Port() + "," + id + ",0,g,127.0.0.1," + at.Port() + ",0")
	}
	heard()
	connections := func() int {
		list := sentinel.Client.Do(t.Context(), "CLIENT", "LIST").Val()
		return strings.Count(list.(string), " name=sentinel-00000000-cmd ")
	}
	adaptertest.Await(t, "it is asked", func() bool { return connections() == 1 })
	if e := book.Entries("g"); e[0].SaysDown {
		t.Errorf("it says down while the primary is up: %+v", e)
	}
	primary.Kill()
	adaptertest.Await(t, "it says down", func() bool { heard(); e := book.Entries("g"); return e[0].SaysDown })
	if e := book.Entries("g"); e[0].Vote != "" || connections() != 1 {
		t.Errorf("entries %+v, %d connections", e, connections())
	}

	password.Store("bad")
	adaptertest.Await(t, "wrong credentials are used", func() bool {
		_, err := lines.Ask(t.Context(), sentinel.Node(), at, 0)
		return err != nil && strings.Contains(err.Error(), "WRONGPASS") && !strings.Contains(err.Error(), "bad")
	})
	adaptertest.Await(t, "the connection with the old ones is gone", func() bool { return connections() == 0 })
	password.Store("good")
	if a, err := lines.Ask(t.Context(), sentinel.Node(), at, 0); err != nil || !a.Down {
		t.Errorf("with the right ones again: %+v, %v", a, err)
	}
	lines.Close()
	if _, err := lines.Ask(t.Context(), sentinel.Node(), at, 0); err == nil {
		t.Error("asked after the end")
	}
}
