package spineldb

import (
	"context"
	"strings"
	"testing"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// ears collects what a link hears.
type ears struct {
	hellos     chan warden.Hello
	neighbours chan string
}

func listenOn(t *testing.T, a *Adapter, node warden.NodeID) (warden.Link, ears) {
	t.Helper()
	e := ears{make(chan warden.Hello, 64), make(chan string, 64)}
	link := a.Open(node, warden.LinkEvents{
		Hello:     func(h warden.Hello) { e.hellos <- h },
		Neighbour: func(payload string) { e.neighbours <- payload },
	})
	t.Cleanup(link.Close)
	return link, e
}

const neighbourly = "127.0.0.1,26379,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,7,g,127.0.0.1,6379,6"

func neighbourHello() warden.Hello {
	return warden.Hello{ID: testClaim.Warden, Gossip: "a:1", Client: "a:2", Group: "g", Neighbour: neighbourly}
}

// Goal: one publication reaches Wardens and real Sentinels, each in its words.
func TestBothHellos(t *testing.T) {
	s := startRedis(t)
	link, ears := listenOn(t, New(Options{}), s.Node())
	awaitSubscribers(t, s, warden.HelloChannel, sentinelChannel)
	hello := neighbourHello()
	hello.Sentinel = strings.Repeat("b", 40)
	if err := link.Publish(soon(t), hello); err != nil {
		t.Fatalf("publish: %v", err)
	}
	want := hello
	want.Neighbour = ""
	if h := <-ears.hellos; h != want {
		t.Errorf("heard %+v, want %+v", h, want)
	}
	if p := <-ears.neighbours; p != neighbourly {
		t.Errorf("heard %q, want %q", p, neighbourly)
	}
	// Nothing of what is too long, or not a hello of ours, is handed on.
	for _, text := range []string{strings.Repeat("x", warden.MaxHello+1), "the end"} {
		if err := s.Client.Publish(t.Context(), sentinelChannel, text).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if p := <-ears.neighbours; p != "the end" {
		t.Errorf("heard %d bytes, want the message after them", len(p))
	}
	hello.Neighbour = ""
	if err := link.Publish(soon(t), hello); err != nil {
		t.Fatalf("publish: %v", err)
	}
	<-ears.hellos
	if len(ears.neighbours) != 0 {
		t.Errorf("an empty hello was published for Sentinels: %q", <-ears.neighbours)
	}
}

func awaitSubscribers(t *testing.T, s *redisServer, channels ...string) {
	t.Helper()
	adaptertest.Await(t, "the link listens", func() bool {
		n, err := s.Client.PubSubNumSub(t.Context(), channels...).Result()
		for _, c := range channels {
			if err != nil || n[c] == 0 {
				return false
			}
		}
		return true
	})
}

// Goal: a server whose rules refuse one of the two channels does not lose the
// other, in neither direction.
func TestOneChannelRefused(t *testing.T) {
	for _, c := range []struct{ name, allowed, refused string }{
		{"only Wardens", warden.HelloChannel, sentinelChannel},
		{"only Sentinels", sentinelChannel, warden.HelloChannel},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startRedis(t, "user watcher on >pw +@all resetchannels &"+c.allowed)
			link, ears := listenOn(t, New(Options{User: "watcher", Password: "pw"}), s.Node())
			awaitSubscribers(t, s, c.allowed)
			err := link.Publish(soon(t), neighbourHello())
			if err == nil || !strings.Contains(err.Error(), c.refused) || strings.Contains(err.Error(), c.allowed) {
				t.Errorf("publish: %v, want a complaint about %s alone", err, c.refused)
			}
			if c.allowed == warden.HelloChannel {
				<-ears.hellos
			} else {
				<-ears.neighbours
			}
			if len(ears.hellos)+len(ears.neighbours) != 0 {
				t.Error("the refused channel was heard")
			}
			// As soon as the operator allows it, it is heard too.
			if err := s.Client.Do(t.Context(), "ACL", "SETUSER", "watcher", "&"+c.refused).Err(); err != nil {
				t.Fatal(err)
			}
			awaitSubscribers(t, s, warden.HelloChannel, sentinelChannel)
		})
	}
}

// Goal: with neither channel the link still looks.
func TestBothChannelsRefused(t *testing.T) {
	s := startRedis(t, "user watcher on >pw +@all resetchannels")
	link, _ := listenOn(t, New(Options{User: "watcher", Password: "pw"}), s.Node())
	if o := link.Look(soon(t)); o.Health != warden.HealthGood || !strings.Contains(o.Text, "redis_version:") {
		t.Errorf("look: %+v", o)
	}
	if err := link.Publish(soon(t), neighbourHello()); err == nil || !strings.Contains(err.Error(), warden.HelloChannel) || !strings.Contains(err.Error(), sentinelChannel) {
		t.Errorf("publish: %v, want a complaint about both channels", err)
	}
}

// Goal: a script that runs without end is ended, and none is no error.
func TestUnblock(t *testing.T) {
	s := startRedis(t, "busy-reply-threshold 50")
	link := openLink(t, s.Node())
	if err := link.Unblock(soon(t)); err != nil {
		t.Errorf("nothing to end: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Client.Eval(context.Background(), "while true do end", nil).Err() }()
	adaptertest.Await(t, "the script blocks the server", func() bool {
		return link.Look(soon(t)).Health == warden.HealthBusy
	})
	if err := link.Unblock(soon(t)); err != nil {
		t.Errorf("unblock: %v", err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed by user") {
		t.Errorf("the script ended with %v", err)
	}
	if o := link.Look(soon(t)); o.Health != warden.HealthGood {
		t.Errorf("afterwards: %s (%s)", o.Health, o.Detail)
	}
	s.Kill()
	if err := link.Unblock(soon(t)); err == nil {
		t.Error("ending a script on a dead server went well")
	}
}

// Goal: a server whose script has written cannot be freed, and that is told.
func TestUnblockRefused(t *testing.T) {
	f := startFake(t, script(map[string]string{"SCRIPT KILL": "-UNKILLABLE Sorry the script already executed write commands\r\n"}))
	if err := openLink(t, f.node).Unblock(soon(t)); err == nil || !strings.Contains(err.Error(), "UNKILLABLE") {
		t.Errorf("unblock: %v, want the server's reason", err)
	}
}
