package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// book notes what happened, with the time since the start.
type book struct {
	mu    sync.Mutex
	began time.Time
	lines []string
}

func (b *book) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprintf("%s ", time.Since(b.began))+fmt.Sprintf(format, args...))
}

func (b *book) expect(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.lines, want) {
		t.Errorf("happened\n%q\nwant\n%q", b.lines, want)
	}
}

type finalError struct{}

func (finalError) Error() string { return "gone" }
func (finalError) Final() bool   { return true }

func run(t *testing.T, o Options, test func(t *testing.T, q *Queue, b *book)) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{began: time.Now()}
		o.Dropped = func(lane string, jobs int) { b.note("dropped %d of %s", jobs, lane) }
		q := New(o)
		test(t, q, b)
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Goal: a job that fails is tried again with growing pauses, and what comes after
// it does not overtake it, but other lanes do.
func TestTriesInOrder(t *testing.T) {
	run(t, Options{Most: 3 * time.Second}, func(t *testing.T, q *Queue, b *book) {
		q.Add(Job{Lane: "a", Limit: time.Second, Tries: 5, Done: func(err error) { b.note("a1 ended: %v", err) }, Do: func(_ context.Context, try int) error {
			b.note("a1 try %d", try)
			if try < 4 {
				return errors.New("no")
			}
			return nil
		}})
		q.Add(Job{Lane: "a", Limit: time.Second, Do: func(context.Context, int) error { b.note("a2"); return nil }})
		time.Sleep(time.Millisecond)
		q.Add(Job{Lane: "b", Limit: time.Second, Do: func(context.Context, int) error { b.note("b"); return nil }})
		time.Sleep(time.Minute)
		b.expect(t, "0s a1 try 1", "1ms b", "1s a1 try 2", "3s a1 try 3", "6s a1 try 4", "6s a1 ended: <nil>", "6s a2")
	})
}

// Goal: tries are bounded in number and in time, and some errors are final.
func TestGivesUp(t *testing.T) {
	run(t, Options{}, func(t *testing.T, q *Queue, b *book) {
		ended := func(err error) { b.note("ended: %v", err) }
		q.Add(Job{Lane: "a", Limit: 5 * time.Second, Tries: 2, Done: ended, Do: func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		q.Add(Job{Lane: "a", Limit: time.Second, Tries: 9, Done: ended, Do: func(context.Context, int) error {
			return fmt.Errorf("post: %w", finalError{})
		}})
		time.Sleep(time.Minute)
		b.expect(t, "11s ended: context deadline exceeded", "11s ended: post: gone")
	})
}

// Goal: a full lane drops the oldest job that is not being done, and says so at
// once and then not for each.
func TestDropsTheOldest(t *testing.T) {
	run(t, Options{Waiting: 3}, func(t *testing.T, q *Queue, b *book) {
		for i := range 8 {
			q.Add(Job{Lane: "a", Limit: time.Minute, Do: func(context.Context, int) error {
				b.note("begins %d", i)
				time.Sleep(time.Second)
				return nil
			}})
			if i == 0 {
				synctest.Wait() // it is being done
			}
		}
		time.Sleep(time.Minute)
		b.expect(t, "0s begins 0", "0s dropped 1 of a", "1s begins 6", "2s begins 7", "3s dropped 4 of a")
	})
}

// Goal: only so many run at the same time, whatever the number of lanes.
func TestRunsSoManyAtATime(t *testing.T) {
	run(t, Options{Running: 2}, func(t *testing.T, q *Queue, b *book) {
		var mu sync.Mutex
		running, most := 0, 0
		for i := range 9 {
			q.Add(Job{Lane: strconv.Itoa(i), Limit: time.Minute, Do: func(context.Context, int) error {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				return nil
			}})
		}
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if most != 2 || running != 0 {
			t.Errorf("%d ran at the same time, %d run now", most, running)
		}
	})
}

// Goal: closing ends what runs and what waits for another try or for room, calls
// nobody, and takes no more; a job that does not end is not waited for for ever.
func TestClose(t *testing.T) {
	run(t, Options{Running: 2}, func(t *testing.T, q *Queue, b *book) {
		never := func(err error) { t.Errorf("Done was called: %v", err) }
		q.Add(Job{Lane: "hangs", Limit: time.Hour, Tries: 9, Done: never, Do: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }})
		q.Add(Job{Lane: "fails", Limit: time.Hour, Tries: 9, Done: never, Do: func(context.Context, int) error { return errors.New("no") }})
		q.Add(Job{Lane: "fails", Limit: time.Hour, Done: never, Do: func(context.Context, int) error { b.note("runs"); return nil }})
		synctest.Wait()
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
		q.Add(Job{Lane: "late", Limit: time.Hour, Done: never, Do: func(context.Context, int) error { b.note("runs"); return nil }})
		time.Sleep(time.Minute)
		b.expect(t)
	})
	synctest.Test(t, func(t *testing.T) {
		q := New(Options{})
		let := make(chan struct{})
		q.Add(Job{Lane: "deaf", Limit: time.Hour, Do: func(context.Context, int) error { <-let; return nil }})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		close(let)
	})
}
