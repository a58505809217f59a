package spineldb

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// Goal: S3 under a race. Of many leaders that claim one node at once, at most
// the newest is left with a session that takes orders.
func TestRacingClaims(t *testing.T) {
	s := startRedis(t)
	const leaders = 8
	ctx := soon(t)
	sessions := make([]warden.Session, leaders)
	var race sync.WaitGroup
	for i := range leaders {
		claim := warden.Claim{Group: "g", Epoch: warden.Epoch(i + 1), Warden: warden.WardenID(strings.Repeat(string("abcdef01"[i]), 40))}
		race.Go(func() {
			// An earlier claim may be cut by a later one; that is a refusal.
			sessions[i], _ = New(Options{}).Claim(ctx, s.Node(), claim)
		})
	}
	race.Wait()
	for i, session := range sessions {
		newest := i == leaders-1
		if session == nil {
			if newest {
				t.Error("the newest leader was refused")
			}
			continue
		}
		defer session.Close()
		if res := session.Release(ctx); (res.Outcome == warden.Done) != newest {
			t.Errorf("order of epoch %d: %s (%s)", i+1, res.Outcome, res.Why)
		}
	}
}

// Goal: the kept connections that an order cuts come back by themselves, with
// the mark, and the end is reported.
func TestKeptConnectionsAreCutAndComeBack(t *testing.T) {
	s := startRedis(t)
	ended := make(chan string, 8)
	link := New(Options{}).Open(s.Node(), warden.LinkEvents{Ended: func(_ warden.NodeID, why string) { ended <- why }})
	defer link.Close()
	mark := markOf(testClaim, true).String()
	for e := range testClaim.Epoch + 1 { // the mark rises while the link stands
		link.Mark(warden.Claim{Group: testClaim.Group, Epoch: e, Warden: testClaim.Warden})
		link.Look(soon(t))
	}
	named := func() int { return strings.Count(s.Client.ClientList(context.Background()).Val(), "name="+mark+" ") }
	adaptertest.Await(t, "both kept connections bear the mark", func() bool {
		link.Look(soon(t))
		return named() == 2
	})
	if len(ended) != 0 {
		t.Errorf("a change of the mark was reported as an end: %s", <-ended)
	}
	session, res := New(Options{}).Claim(soon(t), s.Node(), testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	if res := session.Promote(soon(t), nil); res.Outcome != warden.Done {
		t.Fatalf("promote: %+v", res)
	}
	if why := <-ended; why == "" {
		t.Error("the end has no reason")
	}
	if o := link.Look(soon(t)); o.Health != warden.HealthGood {
		t.Errorf("the look after the cut: %s (%s)", o.Health, o.Detail)
	}
	adaptertest.Await(t, "both connections are back under the mark", func() bool { return named() == 2 })
}

// Goal: a pooled client is told to ask again when a node changes its role.
func TestClientsAreCut(t *testing.T) {
	s := startRedis(t)
	c := redis.NewClient(&redis.Options{Addr: string(s.Node()), MaxRetries: -1, DisableIdentity: true})
	defer c.Close()
	conn := c.Conn()
	defer conn.Close()
	sub := c.Subscribe(t.Context(), "news")
	defer sub.Close()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	session, res := New(Options{}).Claim(soon(t), s.Node(), testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	if res := session.Follow(soon(t), warden.Following{Primary: "127.0.0.1:1"}); res.Outcome != warden.Done || len(res.Notes) != 0 {
		t.Fatalf("follow: %+v", res)
	}
	if err := conn.Ping(t.Context()).Err(); err == nil {
		t.Error("an ordinary client was not cut")
	}
	if m, err := sub.ReceiveTimeout(t.Context(), 10*time.Second); err == nil {
		t.Errorf("a subscriber was not cut: %v", m)
	}
	role := s.Client.Do(context.Background(), "ROLE")
	if role.Err() != nil { // the harness's own client was cut as well
		role = s.Client.Do(context.Background(), "ROLE")
	}
	if got, err := role.Slice(); err != nil || got[0] != "slave" {
		t.Errorf("role: %v (%v)", got, err)
	}
}

// Goal: addresses of IPv6 go through every order and observation.
func TestIPv6(t *testing.T) {
	p := startRedisIn(t, t.TempDir(), "::1")
	r := startRedisIn(t, t.TempDir(), "::1")
	var ip string
	var once sync.Once
	told := make(chan struct{})
	link := New(Options{}).Open(r.Node(), warden.LinkEvents{Local: func(_ warden.NodeID, local string) {
		once.Do(func() { ip = local; close(told) })
	}})
	defer link.Close()
	session, res := New(Options{}).Claim(soon(t), r.Node(), testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	if res := session.Follow(soon(t), warden.Following{Primary: p.Node()}); res.Outcome != warden.Done {
		t.Fatalf("follow: %+v", res)
	}
	adaptertest.Await(t, "the replica's link is up", func() bool {
		o := link.Look(soon(t))
		return o.Upstream == p.Node() && o.LinkUp
	})
	primary := openLink(t, p.Node())
	adaptertest.Await(t, "the primary reports the replica", func() bool {
		o := primary.Look(soon(t))
		return len(o.Replicas) == 1 && o.Replicas[0].Node == r.Node()
	})
	<-told
	if ip != "::1" {
		t.Errorf("local address %q, want ::1", ip)
	}
}

// Goal: where no configuration file can be written, the order is done and says so.
func TestConfigRewriteFails(t *testing.T) {
	s := startRedis(t)
	s.breakConfig()
	session, res := New(Options{}).Claim(soon(t), s.Node(), testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	res = session.Promote(soon(t), nil)
	if res.Outcome != warden.Done || len(res.Notes) != 1 || !strings.HasPrefix(res.Notes[0], "config-rewrite-failed: ") {
		t.Errorf("promote: %+v, want done with a note", res)
	}
}

// Goal: with a restricted user, watching works where ordering does not.
func TestRestrictedUser(t *testing.T) {
	s := startRedis(t, "user watcher on >pw +ping +info +role +client|setname +client|id +client|list +command|info +subscribe +publish &__warden__:hello")
	a := New(Options{User: "watcher", Password: "pw"})
	link := a.Open(s.Node(), warden.LinkEvents{})
	defer link.Close()
	link.Mark(testClaim)
	if o := link.Look(soon(t)); o.Health != warden.HealthGood || o.NoFollow {
		t.Errorf("look: %+v", o)
	}
	if err := link.Publish(soon(t), warden.Hello{ID: testClaim.Warden, Gossip: "a:1", Group: "g"}); err != nil {
		t.Errorf("publish: %v", err)
	}
	session, res := a.Claim(soon(t), s.Node(), testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	if res := session.Promote(soon(t), nil); res.Outcome != warden.Refused || !strings.Contains(res.Why, "NOPERM") {
		t.Errorf("promote: %+v, want refused for lack of permission", res)
	}
}
