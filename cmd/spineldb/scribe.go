package main

import (
	"context"
	"sync"
	"time"
)

const (
	// gatherFor is how long changes are gathered before they are written.
	gatherFor = 50 * time.Millisecond
	// lookEvery is how often it is looked for changes that nobody has marked.
	lookEvery = 2 * time.Second
)

// scribe writes in the background what has changed, so that a slow disk
// holds nothing up.
type scribe struct {
	// dirty has room for one note that the disk is behind.
	dirty chan struct{}
}

func newScribe() scribe { return scribe{make(chan struct{}, 1)} }

// Mark notes that the disk is behind. It never blocks.
func (s scribe) Mark() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// follow calls refresh when something has changed, and report when it begins
// to fail or fails in another way. What it returns ends it, with a last call.
func (s scribe) follow(refresh func() error, report func(error)) func(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		look := time.NewTicker(lookEvery)
		defer look.Stop()
		failed := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			case <-s.dirty:
				select {
				case <-ctx.Done():
					return
				case <-time.After(gatherFor):
				}
			}
			why := ""
			err := refresh()
			if err != nil {
				why = err.Error()
			}
			if why != "" && why != failed {
				report(err)
			}
			failed = why
		}
	})
	return func(context.Context) error {
		cancel()
		wg.Wait()
		return refresh()
	}
}
