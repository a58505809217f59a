package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
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
	lookUpSize  = 500 // numbers in one question
)

// store is where the numbers are written: the primary that the Wardens name.
type store interface {
	// write writes one number. sent says of an error that the write may have
	// arrived all the same.
	write(ctx context.Context, n int) (sent bool, err error)
	// find counts how many of the numbers are there.
	find(ctx context.Context, numbers []int) (int, error)
	close()
}

// writer writes numbers, one after the other, through an ordinary client, and
// remembers which ones were acknowledged.
type writer struct {
	store store
	model *model
	pace  atomic.Int64
	// between takes work to be done between two writes.
	between chan func()

	// Owned by run, and by others after it has returned.
	acked   []int
	unknown []int
}

func newWriter(m *model, c *cast) *writer {
	w := &writer{model: m, between: make(chan func())}
	w.pace.Store(int64(usualPace))
	if c.postgres != nil {
		w.store = newPostgresStore(c.wardens)
	} else {
		w.store = newRedisStore(c.wardens)
	}
	return w
}

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
		sent, err := w.store.write(limit, n)
		cancel()
		now := time.Now()
		if err == nil {
			w.acked = append(w.acked, n)
			w.model.wrote(now)
			wait.Reset(time.Duration(w.pace.Load()))
			continue
		}
		if sent {
			w.unknown = append(w.unknown, n)
		}
		w.model.missed(now, sent)
		wait.Reset(retryAfter)
	}
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
		n, err := w.ask(ctx, part)
		if err != nil {
			return found, fmt.Errorf("look up the writes: %w", err)
		}
		found += n
	}
	return found, nil
}

// ask looks for numbers; a connection to a primary that is gone costs a second
// try.
func (w *writer) ask(ctx context.Context, numbers []int) (found int, err error) {
	for range 20 {
		if found, err = w.store.find(ctx, numbers); err == nil {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return 0, err
}
