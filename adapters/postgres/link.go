package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

// link is a kept watch on one node.
type link struct {
	adapter *Adapter
	node    warden.NodeID
	events  warden.LinkEvents

	// ctx ends with Close.
	ctx       context.Context
	cancel    context.CancelFunc
	listening sync.WaitGroup

	// name is what the kept connections are to be called (see Mark).
	name atomic.Pointer[warden.Claim]
	// wake ends the listener's wait, so that it looks at the role again.
	wake atomic.Pointer[context.CancelFunc]

	watch *seat
	speak *seat

	// What follows belongs to whoever sits on watch.
	local  string
	role   warden.Role
	upAt   time.Time // when the link to the upstream last stood; zero: never in this life
	lifeOf string    // the RunID that upAt is of
}

// seat holds one kept connection. Whoever has taken the seat may use and
// replace what sits there; nil means that there is no connection now.
type seat struct {
	turn chan struct{}
	wire *wire
}

func newSeat() *seat {
	s := &seat{turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

func (s *seat) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the connection: %w", ctx.Err())
	}
}

func (s *seat) leave() { s.turn <- struct{}{} }

// drop closes the connection on the seat. The seat must be taken.
func (s *seat) drop() {
	s.wire.close()
	s.wire = nil
}

// begin joins the caller's ctx with the life of the link.
func (l *link) begin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := l.adapter.within(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Look asks the node how it is. See warden.Link.
func (l *link) Look(ctx context.Context) warden.Observation {
	ctx, done := l.begin(ctx)
	defer done()
	if err := l.watch.take(ctx); err != nil {
		return failed(err)
	}
	defer l.watch.leave()
	if l.ctx.Err() != nil {
		return unfit(warden.HealthSilent, errClosed.Error())
	}
	kept := l.watch.wire != nil
	o, err := l.lookOnce(ctx)
	if err != nil && kept && hangUp(err) && ctx.Err() == nil {
		// The end of an old connection proves little: the server may have
		// restarted, or an operator may have ended our session.
		l.ended(err)
		o, err = l.lookOnce(ctx)
	}
	if err != nil {
		return failed(err)
	}
	l.remember(&o)
	return o
}

// lookOnce looks over the kept connection, or a new one where there is none.
// An error leaves the seat empty.
func (l *link) lookOnce(ctx context.Context) (o warden.Observation, err error) {
	if l.watch.wire == nil {
		w, err := l.adapter.dial(ctx, l.node, dialing{name: l.wanted(), writes: true})
		if err != nil {
			return o, err
		}
		l.watch.wire = w
		l.tellLocal(w.local())
	}
	o, err = l.adapter.look(ctx, l.watch.wire, l.node, l.wanted())
	if err != nil {
		l.watch.drop()
	}
	return o, err
}

// remember fills in for how long a standby's link has been down, which the
// server does not say, and tells the listener of a changed role.
func (l *link) remember(o *warden.Observation) {
	if o.Health != warden.HealthGood {
		return
	}
	if l.lifeOf != o.RunID {
		l.lifeOf, l.upAt = o.RunID, time.Time{}
	}
	switch {
	case o.Role != warden.RoleReplica:
		l.upAt = time.Time{}
	case o.LinkUp:
		l.upAt = time.Now()
	case l.upAt.IsZero():
		o.LinkDown = -warden.Second // we have not seen one since its start
	default:
		o.LinkDown = max(warden.Duration(time.Since(l.upAt)), warden.Millisecond)
	}
	if l.role != o.Role {
		l.role = o.Role
		if wake := l.wake.Load(); wake != nil {
			(*wake)()
		}
	}
}

// wanted is the name that kept connections should bear now.
func (l *link) wanted() string {
	if c := l.name.Load(); c != nil {
		return markOf(*c, markWatch).String()
	}
	return markPrefix + markWatch
}

func (l *link) tellLocal(ip string) {
	changed := ip != "" && ip != l.local
	l.local = ip
	if changed && l.events.Local != nil {
		l.events.Local(l.node, ip)
	}
}

func (l *link) ended(err error) {
	l.adapter.opts.Logger.Debug("link.ended", "node", l.node, "why", warden.DetailOf(err))
	if l.events.Ended != nil && l.ctx.Err() == nil {
		l.events.Ended(l.node, warden.DetailOf(err))
	}
}

// Knock opens one new connection, asks for a sign of life and closes it. A
// server that is starting up answers, and that is enough; one that has no room
// for a new connection, or turns it away, does not.
func (l *link) Knock(ctx context.Context) error {
	ctx, done := l.begin(ctx)
	defer done()
	w, err := l.adapter.dial(ctx, l.node, dialing{name: markPrefix + "knock"})
	if err != nil {
		if healthOf(err) == warden.HealthLoading {
			return nil
		}
		return fmt.Errorf("knock: %w", err)
	}
	defer w.close()
	if _, err := w.one(ctx, "SELECT 1"); err != nil {
		return fmt.Errorf("knock at %s: %w", l.node, err)
	}
	return nil
}

// Unblock does nothing: PostgreSQL serves each session by itself, so that no
// script of a client keeps the server from answering.
func (l *link) Unblock(context.Context) error { return nil }

// Mark names the kept connections for the newest accepted epoch. An older
// epoch than the one marked is ignored: a mark never goes back.
func (l *link) Mark(claim warden.Claim) {
	for {
		old := l.name.Load()
		if old != nil && old.Group == claim.Group && old.Epoch > claim.Epoch {
			return
		}
		if l.name.CompareAndSwap(old, &claim) {
			return
		}
	}
}

// Publish introduces this Warden on the node, if it is a primary: a standby
// takes no NOTIFY, and that is no error. See warden.Link. It uses a connection
// of its own, so that what keeps it waiting does not look like a death.
func (l *link) Publish(ctx context.Context, hello warden.Hello) error {
	text, err := warden.EncodeHello(hello)
	if err != nil {
		return err
	}
	ctx, done := l.begin(ctx)
	defer done()
	if err := l.speak.take(ctx); err != nil {
		return fmt.Errorf("publish hello on %s: %w", l.node, err)
	}
	defer l.speak.leave()
	if l.ctx.Err() != nil {
		return fmt.Errorf("publish hello on %s: %w", l.node, errClosed)
	}
	kept := l.speak.wire != nil
	err = l.publishOnce(ctx, text)
	if err != nil && kept && hangUp(err) && ctx.Err() == nil {
		// A hello may arrive twice; it says the same both times.
		err = l.publishOnce(ctx, text)
	}
	if err != nil {
		return fmt.Errorf("publish hello on %s: %w", l.node, err)
	}
	return nil
}

func (l *link) publishOnce(ctx context.Context, text string) error {
	if l.speak.wire == nil {
		w, err := l.adapter.dial(ctx, l.node, dialing{name: l.wanted(), writes: true})
		if err != nil {
			return err
		}
		l.speak.wire = w
	}
	_, err := l.speak.wire.ask(ctx, "SELECT pg_notify($1, $2) WHERE NOT pg_is_in_recovery()", warden.HelloChannel, text)
	if err != nil {
		l.speak.drop()
	}
	return err
}

// Close ends the watch: its goroutine, its connections, and every Look or
// Publish under way. It returns when all are gone.
func (l *link) Close() {
	l.cancel()
	for _, s := range []*seat{l.watch, l.speak} {
		<-s.turn // whoever sits there has just been cancelled
		s.drop()
		s.leave()
	}
	l.listening.Wait()
}
