package e2e

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// writer is an unchanged Sentinel client that writes all the time. Each write
// has a number of its own; the numbers that the server confirmed are kept.
type writer struct {
	client *redis.Client
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	acked []int
	began time.Time     // when the newest confirmed write was sent
	last  time.Time     // when it was confirmed
	gap   time.Duration // the longest time between two confirmations
}

// write starts a writer that asks the given Wardens for the primary. timeout
// is how long it waits for one answer.
func (l *lab) write(timeout time.Duration, wardens ...*ward) *writer {
	l.t.Helper()
	var addrs []string
	for _, w := range wardens {
		addrs = append(addrs, w.addr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{cancel: cancel, done: make(chan struct{}), client: redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: groupName, SentinelAddrs: addrs, MaxRetries: -1,
		// The client's own pauses are not what is measured: between attempts to
		// connect it waits up to 1 s, and as long again after as many failed
		// attempts as the pool is large.
		DialerRetries: 1, PoolSize: 1 << 14,
		DialTimeout: 500 * time.Millisecond, ReadTimeout: timeout, WriteTimeout: timeout,
	})}
	go w.run(ctx)
	l.t.Cleanup(func() { w.stop() })
	await(l.t, "the writer has written", func() bool { return w.count() > 10 })
	return w
}

func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for id := 1; ctx.Err() == nil; id++ {
		// The write itself is not cancelled, so that each has a clear end.
		began := time.Now()
		err := w.client.Set(context.Background(), "w:"+strconv.Itoa(id), id, 0).Err()
		now := time.Now()
		w.mu.Lock()
		if err == nil {
			if !w.last.IsZero() {
				w.gap = max(w.gap, now.Sub(w.last))
			}
			w.acked, w.began, w.last = append(w.acked, id), began, now
		}
		w.mu.Unlock()
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// longestGap is the longest time without a confirmed write so far, and begins
// to count anew.
func (w *writer) longestGap() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	gap := max(w.gap, time.Since(w.last))
	w.gap = 0
	return gap
}

// stop ends the writer and returns the numbers of all confirmed writes.
func (w *writer) stop() []int {
	w.cancel()
	<-w.done
	_ = w.client.Close()
	return w.acked
}

// awaitAfter waits for the confirmation of a write that was sent after since,
// and returns how long after since it came.
func (w *writer) awaitAfter(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	var took time.Duration
	await(t, "the client writes again", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if took == 0 && w.began.After(since) {
			took = w.last.Sub(since)
		}
		return took != 0
	})
	return took
}

// lost are the confirmed writes that a server does not have.
func lost(t *testing.T, acked []int, n *node) []int {
	t.Helper()
	have := n.keys(t)
	var out []int
	for _, id := range acked {
		if !have["w:"+strconv.Itoa(id)] {
			out = append(out, id)
		}
	}
	return out
}
