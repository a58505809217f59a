package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/cmd/spineldb/remote"
)

const (
	usualPace = 2 * time.Millisecond
	// keepPace is the pace while everything is left running, so that the
	// nodes do not fill up.
	keepPace = 20 * time.Millisecond
	// retryAfter is how soon a client tries again after a failure.
	retryAfter = 5 * time.Millisecond
	// answerLimit is how long it waits for an answer. A held write must fit in.
	answerLimit = 3 * time.Second
	lookUpSize  = 500 // keys in one question
)

// writer writes numbers, one after the other, through an ordinary Sentinel
// client, and remembers which ones were acknowledged.
type writer struct {
	client *redis.Client
	model  *model
	pace   atomic.Int64
	// between takes work to be done between two writes.
	between chan func()

	// Owned by run, and by others after it has returned.
	acked   []int
	unknown []int
}

func newWriter(m *model, wardens []*child) *writer {
	var addrs []string
	for _, w := range wardens {
		addrs = append(addrs, string(w.addr))
	}
	w := &writer{model: m, between: make(chan func())}
	w.pace.Store(int64(usualPace))
	w.client = redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: groupName, SentinelAddrs: addrs, Protocol: 2, DisableIdentity: true,
		DialTimeout: time.Second, ReadTimeout: answerLimit, WriteTimeout: time.Second, ContextTimeoutEnabled: true,
		// Every failure is to be seen, so nothing is tried again unseen.
		MaxRetries: -1, DialerRetries: 1, PipelinePoolSize: -1,
		// After as many failed dials as the pool has room the client tries once
		// a second only, which would be measured instead of the failover.
		PoolSize: 1 << 16, MaxConcurrentDials: 4,
	})
	return w
}

func keyOf(n int) string { return "demo:" + strconv.Itoa(n) }

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	// A write that was begun is finished, so that its answer is counted.
	finish := context.WithoutCancel(ctx)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		select {
		case f := <-w.between:
			f()
		default:
		}
		limit, cancel := context.WithTimeout(finish, answerLimit)
		err := w.client.Set(limit, keyOf(n), n, 0).Err()
		cancel()
		now := time.Now()
		if err == nil {
			w.acked = append(w.acked, n)
			w.model.wrote(now)
			wait.Reset(time.Duration(w.pace.Load()))
			continue
		}
		sent := wasSent(err)
		if sent {
			w.unknown = append(w.unknown, n)
		}
		w.model.missed(now, sent)
		wait.Reset(retryAfter)
	}
}

// wasSent reports whether a failed write may have arrived all the same: it was
// not refused, and not for want of a connection.
func wasSent(err error) bool {
	var operation *net.OpError
	return !remote.IsReply(err) && (!errors.As(err, &operation) || operation.Op != "dial")
}

// do runs f between two writes, and returns after it.
func (w *writer) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case w.between <- func() { defer close(done); f() }:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

// tally is what became of the writes.
type tally struct {
	acked, lost int
	// unknown were never answered; arrived of them are there all the same.
	unknown, arrived int
}

// count looks every write up on the primary that the Wardens name. run must
// have returned.
func (w *writer) count(ctx context.Context) (tally, error) {
	t := tally{acked: len(w.acked), unknown: len(w.unknown)}
	found, err := w.lookUp(ctx, w.acked)
	if err != nil {
		return t, err
	}
	t.lost = t.acked - found
	t.arrived, err = w.lookUp(ctx, w.unknown)
	return t, err
}

// lookUp counts how many of the numbers are there.
func (w *writer) lookUp(ctx context.Context, numbers []int) (found int, err error) {
	for len(numbers) > 0 {
		part := numbers[:min(lookUpSize, len(numbers))]
		numbers = numbers[len(part):]
		keys := make([]string, len(part))
		for i, n := range part {
			keys[i] = keyOf(n)
		}
		values, err := w.ask(ctx, keys)
		if err != nil {
			return found, fmt.Errorf("look up the writes: %w", err)
		}
		for i, v := range values {
			if v == strconv.Itoa(part[i]) {
				found++
			}
		}
	}
	return found, nil
}

// ask reads keys; a connection to a primary that is gone costs a second try.
func (w *writer) ask(ctx context.Context, keys []string) (values []any, err error) {
	for range 20 {
		if values, err = w.client.MGet(ctx, keys...).Result(); err == nil {
			return values, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil, err
}
