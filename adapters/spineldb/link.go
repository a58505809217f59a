package spineldb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spineldb/warden/warden"
)

var errClosed = errors.New("link is closed")

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
	name atomic.Pointer[mark]
	// rename ends the listening connection, which comes back under the name.
	rename atomic.Pointer[context.CancelCauseFunc]

	watch *seat
	speak *seat

	localMu sync.Mutex
	local   string
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
		return warden.Observation{Health: warden.HealthSilent, Detail: errClosed.Error(), Priority: 100}
	}
	kept := l.watch.wire != nil
	o, err := l.lookOnce(ctx)
	if err != nil && kept && hangUp(err) && ctx.Err() == nil {
		// The end of an old connection proves little: the server may have
		// restarted, or an operator may have killed our client.
		l.ended(err)
		o, err = l.lookOnce(ctx)
	}
	if err != nil {
		return failed(err)
	}
	return o
}

// lookOnce looks over the kept connection, or a new one where there is none.
// An error leaves the seat empty.
func (l *link) lookOnce(ctx context.Context) (o warden.Observation, err error) {
	if l.watch.wire == nil {
		w, err := l.adapter.dial(ctx, l.node, "")
		if err != nil {
			return o, err
		}
		l.watch.wire = w
		l.tellLocal(w.local())
	}
	o, err = l.watch.wire.look(ctx, l.wanted())
	if err != nil {
		l.watch.drop()
	}
	return o, err
}

// wanted is the name that kept connections should bear now.
func (l *link) wanted() string {
	if m := l.name.Load(); m != nil {
		return m.String()
	}
	return ""
}

func (l *link) tellLocal(ip string) {
	l.localMu.Lock()
	changed := ip != "" && ip != l.local
	l.local = ip
	l.localMu.Unlock()
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
// server that is loading or runs a script answers, and that is enough; one
// that has no room for a new connection, or turns it away, does not.
func (l *link) Knock(ctx context.Context) error {
	ctx, done := l.begin(ctx)
	defer done()
	w, err := l.adapter.dial(ctx, l.node, "")
	if err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	defer w.close()
	replies, err := w.ask(ctx, []any{"PING"})
	if err != nil {
		return fmt.Errorf("knock at %s: %w", l.node, err)
	}
	if err := replies[0].err; err != nil {
		if h := healthOf(err); h != warden.HealthLoading && h != warden.HealthBusy {
			return fmt.Errorf("knock at %s: %w", l.node, err)
		}
	}
	return nil
}

// Unblock ends a script that keeps the node from answering, as Sentinel does
// it. It uses a connection of its own: what was asked on the kept ones waits
// for the script.
func (l *link) Unblock(ctx context.Context) error {
	ctx, done := l.begin(ctx)
	defer done()
	w, err := l.adapter.dial(ctx, l.node, "")
	if err != nil {
		return fmt.Errorf("end the script: %w", err)
	}
	defer w.close()
	replies, err := w.ask(ctx, []any{"SCRIPT", "KILL"})
	if err == nil {
		err = replies[0].err
	}
	if err != nil && !strings.HasPrefix(err.Error(), "NOTBUSY") {
		return fmt.Errorf("end the script on %s: %w", l.node, err)
	}
	return nil
}

// Mark names the kept connections for the newest accepted epoch. An older
// epoch than the one marked is ignored: a mark never goes back.
func (l *link) Mark(claim warden.Claim) {
	m := markOf(claim, true)
	for {
		old := l.name.Load()
		if old != nil && (*old == m || old.group == m.group && old.epoch > m.epoch) {
			return
		}
		if !l.name.CompareAndSwap(old, &m) {
			continue
		}
		if end := l.rename.Load(); end != nil {
			(*end)(errRenamed)
		}
		return
	}
}

// Publish introduces this Warden on the node. See warden.Link. It uses a connection of its own,
// because a paused server keeps PUBLISH waiting.
func (l *link) Publish(ctx context.Context, hello warden.Hello) error {
	text, err := warden.EncodeHello(hello)
	if err != nil {
		return err
	}
	asks := [][]any{{"PUBLISH", warden.HelloChannel, text}}
	if hello.Neighbour != "" {
		asks = append(asks, []any{"PUBLISH", sentinelChannel, hello.Neighbour})
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
	err = l.publishOnce(ctx, asks)
	if err != nil && kept && hangUp(err) && ctx.Err() == nil {
		// A hello may arrive twice; it says the same both times.
		err = l.publishOnce(ctx, asks)
	}
	if err != nil {
		return fmt.Errorf("publish hello on %s: %w", l.node, err)
	}
	return nil
}

// publishOnce publishes over the connection for that. Where a channel is
// refused, the other one has had its message.
func (l *link) publishOnce(ctx context.Context, asks [][]any) error {
	name := l.wanted()
	if l.speak.wire == nil {
		w, err := l.adapter.dial(ctx, l.node, name)
		if err != nil {
			return err
		}
		l.speak.wire = w
	}
	w := l.speak.wire
	all := asks
	if name != w.name {
		all = append([][]any{{"CLIENT", "SETNAME", name}}, asks...)
	}
	replies, err := w.ask(ctx, all...)
	if err != nil {
		l.speak.drop()
		return err
	}
	w.name = name
	var refusals []error
	for i, r := range replies[len(all)-len(asks):] {
		if r.err != nil {
			refusals = append(refusals, fmt.Errorf("channel %v: %w", asks[i][1], r.err))
		}
	}
	return errors.Join(refusals...)
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
