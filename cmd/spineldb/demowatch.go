package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	demoLookEvery = 100 * time.Millisecond
	demoLookLimit = 2 * time.Second
)

// watchWardens keeps the model up to date with what the Wardens say, until ctx
// ends; it returns when nothing of it is left.
func watchWardens(ctx context.Context, m *demoModel, wardens []*demoChild) {
	var wait sync.WaitGroup
	defer wait.Wait()
	t := target{timeout: demoLookLimit}
	in := make(chan stream)
	tales := newTales(m)
	for _, w := range wardens {
		wait.Go(func() { lookOften(ctx, t, m, w.addr) })
		wait.Go(func() { followOften(ctx, t, w, in) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-in:
			for _, h := range s.events {
				tales.hear(h)
			}
		}
	}
}

// lookOften asks one Warden for its state again and again.
func lookOften(ctx context.Context, t target, m *demoModel, addr warden.NodeID) {
	r := t.open(string(addr))
	defer func() { r.close() }()
	ticker := time.NewTicker(demoLookEvery)
	defer ticker.Stop()
	for {
		var s statusAnswer
		limit, cancel := context.WithTimeout(ctx, demoLookLimit)
		err := r.askJSON(limit, &s, "WARDEN", "STATUS")
		cancel()
		if ctx.Err() != nil {
			return
		}
		i := slices.IndexFunc(s.Groups, func(g warden.GroupView) bool { return g.Name == demoGroup })
		if err != nil || i < 0 {
			m.heard(addr, "", warden.GroupView{}, false)
			r.close() // a question that took too long has closed it anyway
			r = t.open(string(addr))
		} else {
			m.heard(addr, s.Self.ID, s.Groups[i], true)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// followOften follows one Warden's events, and begins again when that ends.
func followOften(ctx context.Context, t target, w *demoChild, in chan<- stream) {
	f := newFollowed(100)
	for ctx.Err() == nil {
		t.follow(ctx, report{Server: string(w.addr), ID: warden.WardenID(w.name)}, f, in)
		select {
		case <-ctx.Done():
		case <-time.After(demoLookEvery):
		}
	}
}
