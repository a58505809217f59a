package archive

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// queueLength is how many things may wait to be written.
	queueLength = 4096
	// gatherFor is how long things are gathered before they are written.
	gatherFor = 100 * time.Millisecond
)

// writer writes from one goroutine what others put into its queue.
type writer[T any] struct {
	queue chan T
	stop  chan struct{}
	done  chan struct{}
	lost  atomic.Int64 // since the start
	told  int64        // of these, when it was last said that all is well
	log   *slog.Logger
	// what is written, in the plural, and where; for the log.
	what, where string
	failing     bool
}

// startWriter begins to write. write is called by one goroutine, with no more
// things than were put; what it fails to write is lost. end is called at last.
func startWriter[T any](w *writer[T], write func([]T) error, end func() error) *writer[T] {
	w.queue, w.stop, w.done = make(chan T, queueLength), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.done)
		for w.next(write) {
		}
		if err := end(); err != nil {
			w.log.Warn("the last "+w.what+" may not be on disk", "where", w.where, "error", err)
		}
	}()
	return w
}

// put has something written. It never blocks: what does not fit is lost.
func (w *writer[T]) put(thing T) {
	select {
	case w.queue <- thing:
	default:
		w.lost.Add(1)
	}
}

// next writes what has gathered. It reports false after the last time.
func (w *writer[T]) next(write func([]T) error) bool {
	var batch []T
	more := true
	select {
	case thing := <-w.queue:
		batch = append(batch, thing)
		pause := time.NewTimer(gatherFor)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-w.stop:
		}
	case <-w.stop:
		more = false
	}
	for len(w.queue) > 0 { // there is no other reader
		batch = append(batch, <-w.queue)
	}
	if len(batch) == 0 {
		return more
	}
	err := write(batch)
	if err != nil {
		w.lost.Add(int64(len(batch)))
	}
	w.tell(err)
	return true
}

// tell warns once when something is lost, and says when that is over.
func (w *writer[T]) tell(err error) {
	lost := w.lost.Load() - w.told
	switch {
	case err == nil && lost > 0 && !w.failing:
		err = fmt.Errorf("the disk is too slow")
		fallthrough
	case err != nil && !w.failing:
		w.failing = true
		w.log.Warn(w.what+" are not kept on disk now, and will be missing after a restart: see that the disk has room", "where", w.where, "error", err)
	case err == nil && w.failing:
		w.failing = false
		w.log.Info(w.what+" are kept on disk again", "where", w.where, "lost", lost)
		w.told += lost
	}
}

// close writes what is left and ends, within ctx. Nothing may be put after it.
func (w *writer[T]) close(ctx context.Context) error {
	close(w.stop)
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write the last %s to %s: %w", w.what, w.where, ctx.Err())
	}
}
