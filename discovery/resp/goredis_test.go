package resp

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

func sentinelClient(t *testing.T, s *Server, change func(*redis.Options)) *redis.SentinelClient {
	t.Helper()
	o := &redis.Options{Addr: s.Addr().String(), DialTimeout: 5 * time.Second}
	if change != nil {
		change(o)
	}
	c := redis.NewSentinelClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Goal: a real client library understands the answers, in both protocols and
// with a password.
func TestGoRedisAsks(t *testing.T) {
	for _, c := range []struct {
		name     string
		protocol int
		password string
	}{{"RESP2", 2, ""}, {"RESP3", 3, ""}, {"RESP3 with password", 3, "secret"}, {"RESP2 with password", 2, "secret"}} {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t, newFake(), func(o *Options) { o.Password = c.password })
			client := sentinelClient(t, s, func(o *redis.Options) { o.Protocol, o.Password = c.protocol, c.password })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			addr, err := client.GetMasterAddrByName(ctx, "mymaster").Result()
			if err != nil || len(addr) != 2 || addr[0] != "10.0.0.1" || addr[1] != "6379" {
				t.Errorf("address: %q, %v", addr, err)
			}
			if _, err := client.GetMasterAddrByName(ctx, "nobody").Result(); err != redis.Nil {
				t.Errorf("unknown group: %v", err)
			}
			master, err := client.Master(ctx, "mymaster").Result()
			if err != nil || master["ip"] != "10.0.0.1" || master["flags"] != "master" || len(master) != 20 {
				t.Errorf("master: %v, %v", master, err)
			}
			masters, err := client.Masters(ctx).Result()
			if err != nil || len(masters) != 2 {
				t.Errorf("masters: %v, %v", masters, err)
			}
			replicas, err := client.Replicas(ctx, "mymaster").Result()
			if err != nil || len(replicas) != 2 || replicas[0]["port"] != "6379" || len(replicas[0]) != 21 {
				t.Errorf("replicas: %v, %v", replicas, err)
			}
			peers, err := client.Sentinels(ctx, "mymaster").Result()
			if err != nil || len(peers) != 2 || peers[1]["ip"] != "10.1.0.3" || len(peers[0]) != 14 {
				t.Errorf("peers: %v, %v", peers, err)
			}
			if text, err := client.CkQuorum(ctx, "mymaster").Result(); err != nil || text[:2] != "OK" {
				t.Errorf("ckquorum: %q, %v", text, err)
			}
			if text, err := client.Failover(ctx, "mymaster").Result(); err != nil || text != "OK" {
				t.Errorf("failover: %q, %v", text, err)
			}
			if n, err := client.Reset(ctx, "*").Result(); err != nil || n != 2 {
				t.Errorf("reset: %d, %v", n, err)
			}
			if c.password != "" {
				bad := sentinelClient(t, s, func(o *redis.Options) { o.Password = "wrong" })
				if err := bad.Ping(ctx).Err(); err == nil {
					t.Error("a wrong password was accepted")
				}
			}
		})
	}
}

// Goal: the line that describes a client is one that a real library can read.
func TestGoRedisClientInfo(t *testing.T) {
	s := startServer(t, newFake(), nil)
	client := redis.NewClient(&redis.Options{Addr: s.Addr().String(), ClientName: "probe"})
	t.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	info, err := client.ClientInfo(ctx).Result()
	if err != nil || info.Name != "probe" || info.LastCmd != "client|info" || info.Resp != 3 || info.LibName == "" {
		t.Errorf("got %+v, %v", info, err)
	}
	list, err := client.Command(ctx).Result()
	if err != nil || list["sentinel"] == nil {
		t.Errorf("got %v, %v", list, err)
	}
}

// Goal: a real client library gets the events, and its pings in subscribe mode
// are answered.
func TestGoRedisListens(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		s := startServer(t, newFake(), nil)
		client := sentinelClient(t, s, func(o *redis.Options) { o.Protocol = protocol })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		sub := client.PSubscribe(ctx, "[-+]sdown", "+switch-master")
		t.Cleanup(func() { _ = sub.Close() })
		for range 2 {
			if _, err := sub.Receive(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := sub.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		} else if _, ok := m.(*redis.Pong); !ok {
			t.Errorf("RESP%d: got %v, want a pong", protocol, m)
		}
		s.Publish(event("+sdown", "master mymaster 10.0.0.1 6379"))
		s.Publish(event("+switch-master", "mymaster 10.0.0.1 6379 10.0.0.2 6379"))
		for _, want := range []redis.Message{
			{Pattern: "[-+]sdown", Channel: "+sdown", Payload: "master mymaster 10.0.0.1 6379"},
			{Pattern: "+switch-master", Channel: "+switch-master", Payload: "mymaster 10.0.0.1 6379 10.0.0.2 6379"},
		} {
			m, err := sub.ReceiveMessage(ctx)
			if err != nil || m.Pattern != want.Pattern || m.Channel != want.Channel || m.Payload != want.Payload {
				t.Errorf("RESP%d: got %v, %v", protocol, m, err)
			}
		}
	}
}

// Goal: a failover client finds the primary through the server, and the new one
// after +switch-master. The data nodes are two more servers of this package:
// they answer PING, which is all that is asked of them.
func TestGoRedisFollowsAFailover(t *testing.T) {
	first, second := startServer(t, newFake(), nil), startServer(t, newFake(), nil)
	node := func(s *Server) warden.NodeID {
		n, err := warden.ParseNode(s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	dir := newFake()
	dir.Change(func(v *warden.GroupView) { v.Primary, v.Peers = node(first), nil })
	s := startServer(t, dir, nil)
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: "mymaster", SentinelAddrs: []string{s.Addr().String()}, MaxRetries: 5,
	})
	t.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if first.stats.commands.Load() == 0 || second.stats.commands.Load() != 0 {
		t.Fatal("the ping went to the wrong node")
	}
	eventually(t, "the client to subscribe", func() bool { n, _, _ := s.hub.counts(); return n == 1 })
	// What answers queries changes first, then the event: clients ask at once.
	dir.Change(func(v *warden.GroupView) { v.Primary = node(second) })
	s.Publish(event("+switch-master", "mymaster "+node(first).Host()+" "+node(first).Port()+" "+node(second).Host()+" "+node(second).Port()))
	eventually(t, "pings to reach the new primary", func() bool {
		_ = client.Ping(ctx).Err()
		return second.stats.commands.Load() > 0
	})
}
