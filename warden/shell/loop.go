package shell

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// tickMax is the longest time between two Steps of a group: after so long
// without any other event comes a Tick. The mind notices by a Step that comes
// far too late that this process stood still (TILT).
func tickMax(c *group.Config) warden.Duration {
	return monitor.TickMost(c.TiltTrigger, c.DownAfter)
}

// tickGrid is what ticks of all groups come together on, at most so much too
// early: hundreds of groups that wake up one by one cost more than their work.
const tickGrid = 100 * warden.Millisecond

// tickMin keeps a mind whose Wake lies in the past from turning in circles.
const tickMin = warden.Millisecond

// shown is what queries read: one mind, and the configuration it thought with.
type shown struct {
	mind    Mind
	config  *group.Config
	primary warden.NodeID // asked for far more often than it changes
}

// change is a new configuration for a running group.
type change struct {
	config   group.Config
	adapter  warden.Adapter
	commands warden.Commands
}

// loop runs one group. The fields in the first block belong to its goroutine;
// the rest is safe for concurrent use.
type loop struct {
	mind    Mind
	config  *group.Config
	wake    warden.Instant // of the last step; zero: no wish
	stepped warden.Instant // the last step

	name    warden.GroupName
	options *env
	log     *slog.Logger
	shown   atomic.Pointer[shown]
	inbox   *inbox
	changes chan change
	watch   *watch
	orders  *orders
	desk    desk
	mended  *mender
	record  *recorder // nil: nothing is recorded
	cancel  context.CancelFunc
	done    chan struct{}
}

// newLoop prepares a group's loop; start runs it.
func newLoop(o *env, m *mender, g GroupOptions, reg warden.Register) *loop {
	now := o.Clock()
	l := &loop{
		name: g.Config.Group, options: o, config: &g.Config, mended: m,
		log:     o.Logger.With("group", string(g.Config.Group)),
		mind:    o.NewMind(g.Config, reg, now),
		inbox:   newInbox(),
		changes: make(chan change, 1),
		done:    make(chan struct{}),
	}
	l.record = newRecorder(o, g.Config, reg, now)
	l.watch = newWatch(o, l.name, g.Adapter, l.introduction, l.inbox.put, l.inbox.lay)
	l.watch.pace(l.config)
	l.orders = newOrders(o, l.name, g.Adapter, l.watch, l.inbox.put)
	l.orders.commands = g.Commands
	l.publish(l.mind)
	return l
}

// start runs the loop until stop.
func (l *loop) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.watch.start(ctx)
	l.orders.start(ctx)
	go l.run(ctx)
}

// stop ends the loop, its links and its sessions, and waits for them until ctx
// ends. Orders that are under way are cut off.
func (l *loop) stop(ctx context.Context) error {
	l.cancel()
	if err := waitFor(ctx, l.done, "stop group "+string(l.name)+": its loop still waits for the store"); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		l.watch.wait()
		l.orders.wait()
	}()
	return waitFor(ctx, gone, "stop group "+string(l.name)+": a node's connection does not close")
}

// run is the loop: next event, Step, perform. A Tick comes when nothing else
// does: every Step is told the time.
func (l *loop) run(ctx context.Context) {
	defer close(l.done)
	defer l.desk.closeAll()
	l.record.begin()
	defer l.record.close()
	l.watch.sync(l.mind.Watch(l.config, l.options.Clock()))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case c := <-l.changes:
			l.apply(c)
		default:
		}
		if e, ok := l.inbox.take(); ok {
			l.step(e)
			continue
		}
		now := l.options.Clock()
		if due := l.due(); now < due {
			timer.Reset(time.Duration(due.Sub(now)))
		} else {
			l.step(l.tick(now.Sub(due)))
			continue
		}
		select {
		case <-ctx.Done():
		case c := <-l.changes:
			l.apply(c)
		case <-l.inbox.ready:
		case <-timer.C:
		}
	}
}

// tick is a Tick that comes so late. The first one was due at no time.
func (l *loop) tick(late warden.Duration) group.Tick {
	if l.stepped == 0 {
		return group.Tick{}
	}
	return group.Tick{Late: late}
}

// due is when the next Tick has to come.
func (l *loop) due() warden.Instant {
	most := tickMax(l.config)
	due := l.stepped.Add(most)
	if most >= 5*tickGrid {
		due -= due % warden.Instant(tickGrid)
	}
	if l.wake != 0 && l.wake < due {
		due = l.wake
	}
	return max(due, l.stepped.Add(tickMin))
}

// apply takes over a new configuration. Another adapter means other
// credentials: links and sessions are opened anew with it.
func (l *loop) apply(c change) {
	l.config = &c.config
	l.watch.pace(l.config)
	l.orders.instruct(c.commands)
	if c.adapter != nil {
		l.watch.adopt(c.adapter)
		l.orders.adopt(c.adapter)
	}
	l.record.configured(c.config, l.options.Clock())
	l.publish(l.mind)
	l.watch.sync(l.mind.Watch(l.config, l.options.Clock()))
}

// publish makes a mind the one that answers queries.
func (l *loop) publish(m Mind) {
	l.mind = m
	l.shown.Store(&shown{mind: m, config: l.config, primary: m.Primary(l.config)})
}

// introduction is what the hello on this group's nodes says.
func (l *loop) introduction() warden.Hello {
	s := l.shown.Load()
	return warden.Hello{ID: l.options.ID, Group: l.name, Epoch: s.mind.Epoch(), Primary: s.primary}
}
