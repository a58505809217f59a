package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// How long the acts take and what they may take. The scenes are longer where
// somebody watches.
const (
	startLimit  = 15 * time.Second
	changeLimit = 8 * time.Second // beyond down_after
	rejoinLimit = 10 * time.Second
	rewindLimit = 40 * time.Second // where the data has to be wound back or copied
	countLimit  = 10 * time.Second
	pollEvery   = 10 * time.Millisecond
)

// planned is what was measured of a switchover.
type planned struct {
	done     bool
	from, to string
	took     time.Duration // from the order to its answer
	longest  time.Duration // between two acknowledged writes
}

// play is one performance.
type play struct {
	options options
	model   *model
	cast    *cast
	live    bool
	show    *printer

	writer  *writer
	tally   tally
	counted bool
	planned planned
	work    sync.WaitGroup
}

// scene is how long a situation is shown.
func (p *play) scene(plain, live time.Duration) time.Duration {
	if p.live {
		return live
	}
	return plain
}

// run plays all acts. What it started itself has ended when it returns; the
// cast has not.
func (p *play) run(ctx context.Context) error {
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer p.work.Wait()
	defer stopWatching()
	if err := p.open(ctx, watching); err != nil {
		return err
	}
	p.writer = newWriter(p.model, p.cast)
	defer p.writer.store.close()
	writing, stopWriting := context.WithCancel(watching)
	written := make(chan struct{})
	p.work.Go(func() { defer close(written); p.writer.run(writing) })
	defer stopWriting()
	err := p.acts(ctx)
	if err == nil && p.options.keep {
		p.encore(ctx)
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	stopWriting()
	<-written
	return errors.Join(err, p.count(context.WithoutCancel(ctx)))
}

// open starts the cast and waits until the Wardens agree.
func (p *play) open(ctx, watching context.Context) error {
	p.model.cast(p.cast)
	p.model.headline("starting three nodes and three Wardens")
	primary := p.cast.nodes[0]
	if err := p.cast.startNode(primary); err != nil {
		return err
	}
	p.model.say(time.Now(), "", fmt.Sprintf("node %s starts at %s as a primary (process %d)", primary.name, primary.addr, primary.pid()), terminal.Plain)
	if err := p.listens(ctx, primary); err != nil {
		return err
	}
	for _, n := range p.cast.nodes[1:] {
		if err := p.cast.startNode(n); err != nil {
			return err
		}
		p.model.say(time.Now(), "", fmt.Sprintf("node %s starts at %s as a replica of %s (process %d)", n.name, n.addr, primary.name, n.pid()), terminal.Plain)
	}
	for _, w := range p.cast.wardens {
		if err := p.cast.configure(w, p.options.downAfter); err != nil {
			return err
		}
		if err := p.cast.start(w); err != nil {
			return err
		}
		p.model.say(time.Now(), "", fmt.Sprintf("Warden %s starts at %s (process %d)", w.name, w.addr, w.pid()), terminal.Plain)
	}
	p.work.Go(func() { watchWardens(watching, p.model, p.cast.wardens) })
	p.model.headline("the Wardens meet one another and agree on a primary")
	return p.until(ctx, startLimit, "the Wardens did not agree on a primary with two replicas", settled)
}

// settled: all Wardens agree, and all nodes do what was agreed.
func settled(s picture) bool {
	for _, w := range s.wardens {
		if !w.heard || w.view.Provisional || !w.view.Agreed || w.view.Primary != s.primary || w.view.Topology.Phase != warden.PhaseDone {
			return false
		}
	}
	for _, n := range s.nodes {
		o := n.view.Observation
		follows := o.Role == warden.RoleReplica && o.LinkUp && o.Upstream == s.primary
		if !n.seen || n.down > 0 || n.addr != s.primary && !follows || n.addr == s.primary && o.Role != warden.RolePrimary {
			return false
		}
	}
	return true
}

// listens waits until a node accepts connections.
func (p *play) listens(ctx context.Context, n *child) error {
	return p.until(ctx, startLimit, n.name+" does not listen on "+string(n.addr), func(picture) bool {
		conn, err := net.DialTimeout("tcp", string(n.addr), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// until waits for a situation. It gives up after limit, or when a Warden ends.
func (p *play) until(ctx context.Context, limit time.Duration, otherwise string, is func(picture) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for !is(p.model.picture()) {
		for _, w := range p.cast.wardens {
			if w.cmd != nil && !w.running() {
				return fmt.Errorf("warden %s ended: see its last words above", w.name)
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s within %s", otherwise, limit)
			}
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

func (p *play) acts(ctx context.Context) error {
	p.model.headline("all is well: a client writes to A, B and C follow")
	p.model.say(time.Now(), "client", "asks the Wardens for the primary, and writes every 2ms", terminal.Plain)
	if err := duration.Pause(ctx, p.scene(1500*time.Millisecond, 3*time.Second)); err != nil {
		return err
	}
	old, err := p.strike(ctx)
	if err != nil {
		return err
	}
	if err := duration.Pause(ctx, p.scene(time.Second, 2500*time.Millisecond)); err != nil {
		return err
	}
	if err := p.bringBack(ctx, old); err != nil {
		return err
	}
	if err := duration.Pause(ctx, p.scene(500*time.Millisecond, 2*time.Second)); err != nil || !p.options.switchover {
		return err
	}
	return p.switchOver(ctx)
}

// strike kills the primary and waits until a client can write again.
func (p *play) strike(ctx context.Context) (*child, error) {
	s := p.model.picture()
	old := p.node(s.primary)
	if old == nil {
		return nil, fmt.Errorf("the Wardens name %q as the primary, which is no node of the demo", s.primary)
	}
	var killed error
	err := p.writer.do(ctx, func() {
		at := time.Now()
		p.model.headline(fmt.Sprintf("%s was killed: no write succeeds until the Wardens have replaced it", old.name))
		p.model.reach(markKill, at)
		p.model.act(at, "the kill", "kill", "kill -9 "+old.name+", the primary", terminal.Bad)
		p.model.died(old.addr, true)
		killed = old.kill(ctx)
	})
	if err := errors.Join(err, killed); err != nil {
		return nil, err
	}
	limit := p.options.downAfter + changeLimit
	err = p.until(ctx, limit, "no failover: no write was acknowledged again", func(s picture) bool {
		return !s.marks[markFirstWrite].IsZero()
	})
	if err != nil {
		return nil, err
	}
	p.model.headline("a new primary takes the writes; nobody touched the client")
	// What the Wardens say of it arrives a moment after the write itself.
	return old, p.until(ctx, startLimit, "the Wardens do not name another primary", func(s picture) bool {
		return s.primary != old.addr && s.primary != "" && !s.marks[markPromotion].IsZero()
	})
}

func (p *play) node(addr warden.NodeID) *child {
	for _, n := range p.cast.nodes {
		if n.addr == addr {
			return n
		}
	}
	return nil
}

// bringBack starts the dead primary again, as its own machine would.
func (p *play) bringBack(ctx context.Context, old *child) error {
	p.model.headline(old.name + " comes back and believes it is still the primary")
	if err := p.cast.startNode(old); err != nil {
		return err
	}
	p.model.died(old.addr, false)
	p.model.say(time.Now(), "", fmt.Sprintf("%s is started again, as a primary (process %d)", old.name, old.pid()), terminal.Plain)
	began := time.Now()
	limit := rejoinLimit
	if old.server != nil {
		limit = rewindLimit
	}
	err := p.until(ctx, limit, old.name+" did not come back as a replica", settled)
	if err != nil {
		return err
	}
	p.model.headline(old.name + " is a replica now: nobody was ever sent to it")
	p.model.say(time.Now(), "", fmt.Sprintf("%s is back as a replica, %s after its start", old.name, round(time.Since(began))), terminal.Good)
	return nil
}

// switchOver changes the primary as an operator would before maintenance.
func (p *play) switchOver(ctx context.Context) error {
	from := p.model.picture().primary
	name := p.name(from)
	p.model.headline("a planned switchover: nothing may be lost, or nothing is changed")
	began := time.Now()
	p.model.act(began, "the switchover", "switchover", "spineldb switchover: "+name+" is to be replaced", terminal.Warn)
	t := remote.Target{Timeout: changeLimit}
	r := t.Open(string(p.cast.wardens[0].addr))
	defer r.Close()
	limit, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	var a warden.Answer
	if err := r.AskJSON(limit, &a, "WARDEN", "SWITCHOVER", groupName); err != nil {
		return fmt.Errorf("switch over: %s", remote.Why(err))
	}
	if a.Verdict != warden.VerdictDone {
		return fmt.Errorf("switch over: %s: %s", a.Verdict, wording.Shown(a.Text))
	}
	took := time.Since(began)
	err := p.until(ctx, rejoinLimit, "the nodes did not settle after the switchover", func(s picture) bool {
		return s.primary != from && settled(s)
	})
	if err != nil {
		return err
	}
	if err := duration.Pause(ctx, p.scene(500*time.Millisecond, 2*time.Second)); err != nil {
		return err
	}
	s := p.model.picture()
	p.planned = planned{true, name, s.nameOf(s.primary), took, s.longest}
	text := fmt.Sprintf("%s took over from %s; the longest wait between two writes was %s", p.planned.to, name, round(s.longest))
	p.model.headline(text)
	p.model.say(time.Now(), "", text, terminal.Good)
	return duration.Pause(ctx, p.scene(0, time.Second))
}

// count stops nothing; it looks every write up.
func (p *play) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	p.model.headline("looking up every acknowledged write on the primary")
	t, err := p.writer.count(ctx)
	if err != nil {
		return err
	}
	p.tally, p.counted = t, true
	return nil
}
