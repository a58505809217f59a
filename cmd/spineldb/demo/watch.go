package demo

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

const (
	lookEvery = 100 * time.Millisecond
	lookLimit = 2 * time.Second
)

// watchWardens keeps the model up to date with what the Wardens say, until ctx
// ends; it returns when nothing of it is left.
func watchWardens(ctx context.Context, m *model, wardens []*child) {
	var wait sync.WaitGroup
	defer wait.Wait()
	t := remote.Target{Timeout: lookLimit}
	in := make(chan remote.Batch)
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
			for _, h := range s.Events {
				tales.hear(h)
			}
		}
	}
}

// lookOften asks one Warden for its state again and again.
func lookOften(ctx context.Context, t remote.Target, m *model, addr warden.NodeID) {
	r := t.Open(string(addr))
	defer func() { r.Close() }()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		var s remote.Status
		limit, cancel := context.WithTimeout(ctx, lookLimit)
		err := r.AskJSON(limit, &s, "WARDEN", "STATUS")
		cancel()
		if ctx.Err() != nil {
			return
		}
		i := slices.IndexFunc(s.Groups, func(g warden.GroupView) bool { return g.Name == groupName })
		if err != nil || i < 0 {
			m.heard(addr, "", warden.GroupView{}, false)
			r.Close() // a question that took too long has closed it anyway
			r = t.Open(string(addr))
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
func followOften(ctx context.Context, t remote.Target, w *child, in chan<- remote.Batch) {
	f := remote.NewProgress(100)
	for ctx.Err() == nil {
		t.Follow(ctx, remote.Report{Server: string(w.addr), ID: warden.WardenID(w.name)}, f, in)
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}
