package neighbour

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// tickEvery is how often silence is looked for.
const tickEvery = 500 * time.Millisecond

// Run ticks and asks until ctx ends, and returns when nothing is under way.
func (b *Book) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	if b.o.Ask != nil {
		asking.Go(func() { b.keepAsking(ctx) })
	}
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.Tick()
		}
	}
}

// Tick looks for Sentinels that have become silent.
func (b *Book) Tick() {
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	now := b.o.Clock()
	for _, g := range b.groups {
		for _, n := range g.sentinels {
			if n.down == 0 && now.Sub(n.last()) >= max(g.downAfter, Life) {
				n.down = now
				b.event(g, "+sdown", warden.LevelWarning, b.sentinelDetails(g, n.Sentinel))
			}
		}
		b.count(g, now)
	}
}

// count tells who is alive, if that has changed.
func (b *Book) count(g *groupBook, now warden.Instant) {
	live := g.alive(now)
	if slices.Equal(live, g.live) {
		return
	}
	g.live = live
	b.say(func() { b.o.Changed(g.name, slices.Clone(live)) })
}

// alive are the ids of the live Sentinels, sorted.
func (g *groupBook) alive(now warden.Instant) []string {
	var ids []string
	for _, n := range g.sentinels {
		if n.alive(now) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// Live are the ids of the Sentinels that watch a group now, sorted.
func (b *Book) Live(name warden.GroupName) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if g := b.groups[name]; g != nil {
		return g.alive(b.o.Clock())
	}
	return nil
}

// Entries are the Sentinels of a group, alive or not, sorted by id, as clients
// are shown them.
func (b *Book) Entries(name warden.GroupName) []warden.PeerView {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.groups[name]
	if g == nil {
		return nil
	}
	now := b.o.Clock()
	views := make([]warden.PeerView, 0, len(g.sentinels))
	for _, n := range g.sentinels {
		v := warden.PeerView{ID: warden.WardenID(n.ID), Real: true, Client: string(n.Client), HeardAgo: -1}
		if n.heard != 0 {
			v.HeardAgo = now.Sub(n.heard)
		}
		if n.down != 0 {
			v.Down, v.DownAgo = true, now.Sub(n.down)
		}
		a := b.counting(n, now)
		v.SaysDown, v.Vote, v.VoteEpoch = a.Down, warden.WardenID(a.Leader), warden.Epoch(a.Epoch)
		views = append(views, v)
	}
	return views
}

// Known are the Sentinels of a group, to be written down.
func (b *Book) Known(name warden.GroupName) []Sentinel {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.groups[name]
	if g == nil {
		return nil
	}
	known := make([]Sentinel, len(g.sentinels))
	for i, n := range g.sentinels {
		known[i] = n.Sentinel
	}
	return known
}

// Epochs are those of a group as they stand.
func (b *Book) Epochs(name warden.GroupName) Epochs {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := Epochs{Current: b.current}
	if g := b.groups[name]; g != nil {
		e.Config, e.Primary, e.Leader = g.claim.agreed, g.claim.at, g.vote.epoch
	}
	return e
}

// say puts off what is to be told until b.mu is free. The caller holds it.
func (b *Book) say(what func()) { b.told = append(b.told, what) }

// tell calls what was put off, in order, one at a time.
func (b *Book) tell() {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.mu.Lock()
	what := b.told
	b.told = nil
	b.mu.Unlock()
	for _, f := range what {
		f()
	}
}

func (b *Book) event(g *groupBook, name string, level warden.Level, payload string) {
	b.say(func() {
		b.o.Announce(warden.Event{Group: g.name, Name: name, Level: level, Payload: payload})
	})
}

// primary is the address of a group's primary: before the first agreement of
// Wardens nothing is served while it is down, and then it is the one that
// Sentinels named last. The caller holds b.mu.
func (b *Book) primary(g *groupBook) warden.NodeID {
	if at := b.o.Primary(g.name); at != "" {
		return at
	}
	return g.claim.at
}

// masterDetails names the group as Sentinel does. The caller holds b.mu, so
// Primary must not wait for the Book.
func (b *Book) masterDetails(g *groupBook) string {
	at := b.primary(g)
	return "master " + string(g.name) + " " + at.Host() + " " + at.Port()
}

func (b *Book) sentinelDetails(g *groupBook, s Sentinel) string {
	master := b.masterDetails(g)
	return "sentinel " + s.ID + " " + s.Client.Host() + " " + s.Client.Port() + " @ " + master[len("master "):]
}
