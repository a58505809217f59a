package gossip

import (
	"errors"
	"time"

	"github.com/spineldb/warden/warden"
)

// receive takes an envelope from the wire. It runs on the goroutine of that
// connection and never blocks.
func (g *Gossip) receive(raw []byte) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	if g.closed {
		return
	}
	env, messages, left, err := decode(raw)
	g.stats.refused.Add(uint64(left))
	if err != nil {
		g.refuse(err)
		return
	}
	switch {
	case env.To != "" && env.To != g.opts.Self:
		// Our address was somebody else's before. The sender learns ours when
		// we greet it.
		g.stats.refused.Add(1)
		return
	case env.From == g.opts.Self:
		g.hearSelf(env)
		return
	}
	h := g.book.hear(env, time.Now())
	g.answer(env, h)
	if h.refused {
		g.stats.refused.Add(uint64(len(messages)))
		return
	}
	g.stats.received.Add(uint64(len(messages)))
	for _, m := range messages {
		g.opts.OnMessage(m)
	}
}

// refuse notes an envelope that could not be read.
func (g *Gossip) refuse(err error) {
	g.stats.refused.Add(1)
	var newer newerFormat
	if !errors.As(err, &newer) {
		g.log.Debug("gossip: envelope refused", "error", err)
		return
	}
	if g.opts.OnNewerFormat == nil || newer.From == g.opts.Self || !g.mayReport("newer "+string(newer.From)) {
		return
	}
	peer := Peer{ID: newer.From}
	if address, known := g.book.address(newer.From); known {
		peer.Gossip = address
	}
	g.note(func() { g.opts.OnNewerFormat(peer, newer.Major) })
}

// hearSelf hears our own id: an echo of our own greeting, or another process.
func (g *Gossip) hearSelf(env Envelope) {
	if env.Life == g.life {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.own) < maxPeers && env.Dialed != "" {
			g.own[env.Dialed] = true
		}
		return
	}
	g.report(g.opts.Self, env.Gossip)
	if env.Ask {
		g.call(call{address: env.Gossip})
	}
}

// answer does what an envelope asks for beside its messages.
func (g *Gossip) answer(env Envelope, h heard) {
	for _, twin := range env.Twins {
		g.call(call{address: twin, ask: true})
	}
	if env.Ask {
		g.call(call{address: env.Gossip})
	}
	if h.news && g.opts.OnPeer != nil {
		g.note(func() { g.opts.OnPeer(h.peer) })
	}
	switch {
	case h.conflict:
		twins := []string{h.peer.Gossip, h.older}
		for _, address := range twins {
			g.call(call{address: address, ask: true, twins: twins})
		}
		g.report(env.From, h.peer.Gossip+" and "+h.older)
	case h.older != "":
		// The peer moved. Nobody should speak at its old address any more.
		g.call(call{address: h.older, ask: true, after: lateAfter + streamTimeout})
	}
}

// learn takes an address from memberlist or the last run's book.
func (g *Gossip) learn(p Peer) {
	peer, news, dial := g.book.learn(p, time.Now())
	if news && g.opts.OnPeer != nil {
		g.note(func() { g.opts.OnPeer(peer) })
	}
	if dial {
		g.call(call{address: p.Gossip, ask: true})
	}
}

// report tells of a conflict, now and then.
func (g *Gossip) report(id warden.WardenID, where string) {
	if !g.mayReport("conflict " + string(id)) {
		return
	}
	g.log.Warn("gossip: two processes run under one id: was a data directory copied?", "id", id.Short(), "where", where)
	if g.opts.OnConflict != nil {
		g.note(func() { g.opts.OnConflict(id, where) })
	}
}

// mayReport reports whether it is time to tell of something again.
func (g *Gossip) mayReport(what string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for old, at := range g.reported {
		if now.After(at) {
			delete(g.reported, old)
		}
	}
	if _, lately := g.reported[what]; lately || len(g.reported) >= maxPeers {
		return false
	}
	g.reported[what] = now.Add(reportPause)
	return true
}

// note queues a callback. Callbacks are never made where memberlist or a
// connection waits; when too many wait, the newest is lost.
func (g *Gossip) note(f func()) {
	select {
	case g.notes <- f:
	default:
		g.log.Warn("gossip: a notice was lost: callbacks are too slow")
	}
}

func (g *Gossip) takeNotes() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case f := <-g.notes:
			g.gate.RLock()
			if !g.closed {
				f()
			}
			g.gate.RUnlock()
		}
	}
}
