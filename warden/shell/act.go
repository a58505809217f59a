package shell

import (
	"context"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

const (
	// OrderDeadline is the deadline of an action that names none: of a hold,
	// whose Limit says how long it lasts, and of those with a zero Limit. It
	// runs from the step that wanted the action, so that what waits behind a
	// slow order does not go out long after it was thought of.
	OrderDeadline = warden.Second
	// AfterLook is the deadline of the look that follows a promotion.
	AfterLook = 500 * warden.Millisecond
	// maxActions bounds the actions under way for one group. A mind that has
	// more of them is told that the next one was refused.
	maxActions = 256
)

// job is an action with its deadline.
type job struct {
	action group.Action
	due    time.Time
}

// orders carries out the actions of one group. Safe for concurrent use; begin
// and adopt come from the group's loop.
type orders struct {
	options *env
	group   warden.GroupName
	watch   *watch
	put     func(group.Event)
	ctx     context.Context
	wg      sync.WaitGroup

	mu       sync.Mutex
	adapter  warden.Adapter
	commands warden.Commands // nil: none
	lanes    map[laneKey]*lane
	pending  int
}

// laneKey names a session: one node, claimed for one epoch.
type laneKey struct {
	node  warden.NodeID
	epoch warden.Epoch
}

// lane serializes the orders of one session. Its queue is guarded by
// orders.mu, its session belongs to the one worker that runs while the queue
// is not empty.
type lane struct {
	key     laneKey
	adapter warden.Adapter
	queue   []job
	working bool
	session warden.Session // nil: not claimed
}

func newOrders(o *env, name warden.GroupName, a warden.Adapter, w *watch, put func(group.Event)) *orders {
	return &orders{options: o, group: name, adapter: a, watch: w, put: put, lanes: map[laneKey]*lane{}}
}

// start says until when orders are given.
func (o *orders) start(ctx context.Context) { o.ctx = ctx }

// wait returns when nothing is under way and every session is closed. The
// context given to start has to be over, and begin not called any more.
func (o *orders) wait() {
	o.wg.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		l.drop()
	}
	clear(o.lanes)
}

// adopt uses another adapter for sessions claimed from now on. Sessions that
// are claimed keep theirs until they are dropped.
func (o *orders) adopt(a warden.Adapter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.adapter = a
}

// instruct uses other commands for what begins from now on; nil: none.
func (o *orders) instruct(c warden.Commands) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.commands = c
}

func (o *orders) instructed() warden.Commands {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.commands
}

// begin starts one action and returns at once. The end comes as an ActionDone
// event, except of ActDrop.
func (o *orders) begin(a group.Action) {
	limit := a.Limit
	if limit <= 0 || a.Kind == group.ActHold {
		limit = OrderDeadline
	}
	j := job{action: a, due: time.Now().Add(time.Duration(limit))}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case a.Kind == group.ActDrop:
		o.drop(j)
	case o.pending >= maxActions:
		o.put(group.ActionDone{ID: a.ID, Node: a.Node, Result: refused("too many actions of this group are under way")})
	case a.Kind == group.ActLook:
		o.pending++
		o.wg.Go(func() { o.lookNow(j) })
	case a.Kind == group.ActUnblock:
		o.pending++
		o.wg.Go(func() { o.unblockNow(j) })
	case a.Kind == group.ActFence || a.Kind == group.ActRejoin || a.Kind == group.ActAsk:
		o.pending++
		commands := o.commands
		o.wg.Go(func() { o.command(commands, j) })
	default:
		o.pending++
		o.enqueue(laneKey{a.Node, a.Epoch}, j)
	}
}

// lookNow is ActLook: a look over the kept link, not over a session.
func (o *orders) lookNow(j job) {
	ctx, cancel := context.WithDeadline(o.ctx, j.due)
	defer cancel()
	done := group.ActionDone{ID: j.action.ID, Node: j.action.Node, Asked: o.options.Clock(), Result: warden.Result{Outcome: warden.Done}}
	var watched bool
	done.Observation, watched = o.watch.look(ctx, j.action.Node)
	if !watched {
		done.Result = refused("the node is not watched")
	}
	o.finish(done)
}

// unblockNow is ActUnblock. It needs no session: ending a script changes no
// role, so there is nothing that an older leader could do with it too late.
func (o *orders) unblockNow(j job) {
	ctx, cancel := context.WithDeadline(o.ctx, j.due)
	defer cancel()
	done := group.ActionDone{ID: j.action.ID, Node: j.action.Node, Result: warden.Result{Outcome: warden.Done}}
	switch watched, err := o.watch.unblock(ctx, j.action.Node); {
	case !watched:
		done.Result = refused("the node is not watched")
	case err != nil:
		done.Result = refused(err.Error())
	}
	o.finish(done)
}

// command is ActAsk, ActFence and ActRejoin: a program of the operator, which runs
// beside everything else and is no order over a session. A question orders
// nothing, so the lease does not matter to it.
func (o *orders) command(commands warden.Commands, j job) {
	ctx, cancel := context.WithDeadline(o.ctx, j.due)
	defer cancel()
	a := j.action
	done := group.ActionDone{ID: a.ID, Node: a.Node}
	call := warden.Call{Group: o.group, Node: a.Node, Primary: a.Target, Epoch: a.Epoch, Reason: a.Reason}
	if a.Kind == group.ActAsk {
		call.Primary, call.Old, a.NotAfter = a.Node, a.Target, 0
	}
	switch why := o.late(ctx, a); {
	case why != "":
		done.Result = refused(why)
	case commands == nil:
		done.Result = refused("no command is configured for it")
	case a.Kind == group.ActAsk:
		done.Result = commands.PrePromote(ctx, call)
	case a.Kind == group.ActFence:
		done.Result = commands.Fence(ctx, call)
	default:
		done.Result = commands.Rejoin(ctx, call)
	}
	o.finish(done)
}

// drop lets go of the sessions of epochs up to the action's, of one node or,
// without a node, of all. It stands in line behind the orders given before
// it, so that a release given in the same step still goes out.
func (o *orders) drop(j job) {
	for key := range o.lanes {
		if key.epoch <= j.action.Epoch && (j.action.Node == "" || j.action.Node == key.node) {
			o.enqueue(key, j)
		}
	}
}

// enqueue appends a job to its lane and sees that somebody works there. The
// caller holds o.mu.
func (o *orders) enqueue(key laneKey, j job) {
	l := o.lanes[key]
	if l == nil {
		l = &lane{key: key, adapter: o.adapter}
		o.lanes[key] = l
	}
	l.queue = append(l.queue, j)
	if !l.working {
		l.working = true
		o.wg.Go(func() { o.work(l) })
	}
}

// work carries out a lane's jobs one after the other until none is left.
func (o *orders) work(l *lane) {
	for {
		o.mu.Lock()
		if len(l.queue) == 0 {
			l.working = false
			if l.session == nil {
				delete(o.lanes, l.key)
			}
			o.mu.Unlock()
			return
		}
		j := l.queue[0]
		l.queue = l.queue[1:]
		if l.session == nil {
			l.adapter = o.adapter
		}
		o.mu.Unlock()
		if j.action.Kind == group.ActDrop {
			l.drop()
			continue
		}
		o.finish(o.carry(l, j))
	}
}

// finish reports the end of an action. After the end of the group nobody is
// there to hear it.
func (o *orders) finish(done group.ActionDone) {
	o.mu.Lock()
	o.pending--
	o.mu.Unlock()
	if o.ctx.Err() == nil {
		o.put(done)
	}
}

// drop closes the lane's session; the next order would have to claim again.
func (l *lane) drop() {
	if l.session != nil {
		l.session.Close()
		l.session = nil
	}
}
