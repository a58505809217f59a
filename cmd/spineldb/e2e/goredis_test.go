package e2e

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// goPace is the pause between two writes of a Go client.
const goPace = 10 * time.Millisecond

// openGo starts the clients of go-redis, with its defaults: FailoverClient with
// a second one for the replicas, and FailoverClusterClient, which sends reads
// to all servers by itself.
func (m *market) openGo() {
	m.t.Helper()
	for _, protocol := range []int{2, 3} {
		suffix := "-resp" + strconv.Itoa(protocol)

		name := "go-failover" + suffix
		writing := redis.NewFailoverClient(m.goOptions(name+"-write", protocol))
		options := m.goOptions(name+"-read", protocol)
		options.ReplicaOnly = true
		reading := redis.NewFailoverClient(options)
		m.employ(name, writing, reading)

		name = "go-cluster" + suffix
		options = m.goOptions(name+"-read", protocol)
		options.RouteRandomly = true
		both := redis.NewFailoverClusterClient(options)
		m.employ(name, both, both)
	}
}

func (m *market) goOptions(name string, protocol int) *redis.FailoverOptions {
	o := &redis.FailoverOptions{MasterName: groupName, ClientName: name, Protocol: protocol}
	for _, w := range m.wardens {
		o.SentinelAddrs = append(o.SentinelAddrs, w.addr)
	}
	return o
}

// employ lets two clients write and read until the test is over.
func (m *market) employ(name string, writing, reading redis.UniversalClient) {
	c := &customer{name: name, version: "go-redis " + redis.Version(), readsAs: name + "-read"}
	m.customers = append(m.customers, c)
	ctx, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	acked := make(chan int, 1)
	loops.Go(func() {
		every(ctx, goPace, func(id int) {
			sent := time.Now()
			if err := writing.Set(ctx, "w:"+name+":"+strconv.Itoa(id), id, 0).Err(); err != nil {
				c.tell(deed{Kind: "error", Text: err.Error()})
				return
			}
			c.tell(deed{Kind: "write", ID: id, Sent: sent.UnixMilli(), Done: time.Now().UnixMilli()})
			select {
			case acked <- id:
			default:
			}
		})
	})
	loops.Go(func() {
		every(ctx, 2*goPace, func(int) {
			var id int
			select {
			case id = <-acked:
			default:
				return
			}
			value, err := reading.Get(ctx, "w:"+name+":"+strconv.Itoa(id)).Int()
			switch {
			case err == nil && value == id:
				c.tell(deed{Kind: "read", ID: id})
			case err != nil && err != redis.Nil:
				c.tell(deed{Kind: "error", Text: err.Error()})
			}
		})
	})
	c.stop = func() {
		cancel()
		loops.Wait()
		_ = writing.Close()
		_ = reading.Close() // the same one, perhaps
	}
	m.t.Cleanup(c.stop)
}

// every does something at a pace until the context ends.
func every(ctx context.Context, pace time.Duration, do func(round int)) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(round)
		}
	}
}
