package spineldb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

var errClosed = errors.New("link is closed")

var _ warden.Pulser = (*link)(nil)

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
	// cut ends the listening connection, which comes back; ear is what it is
	// now, nil while it is not subscribed.
	cut atomic.Pointer[context.CancelCauseFunc]
	ear atomic.Pointer[ear]
	// opened holds a token after a connection for looks was opened.
	opened chan struct{}

	talk *seat
	// said is the hello that was said last, as it is sent. For who sits on talk.
	said struct {
		hello   warden.Hello
		command []byte
		count   int // of commands in it
	}

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
	if err := l.talk.take(ctx); err != nil {
		return failed(err)
	}
	defer l.talk.leave()
	if l.ctx.Err() != nil {
		return warden.Observation{Health: warden.HealthSilent, Detail: errClosed.Error(), Priority: 100}
	}
	kept := l.talk.wire != nil
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
	l.nudge()
	return o
}

// lookOnce looks over the kept connection, or a new one where there is none.
// An error leaves the seat empty.
func (l *link) lookOnce(ctx context.Context) (o warden.Observation, err error) {
	if err := l.ready(ctx); err != nil {
		return o, err
	}
	o, err = l.talk.wire.look(ctx, l.wanted())
	if err != nil {
		l.talk.drop()
	}
	return o, err
}

// ready makes the kept connection one on which the next answer is that to the
// next question. The seat must be taken.
func (l *link) ready(ctx context.Context) error {
	if l.talk.wire != nil && l.talk.wire.settle(ctx) != nil {
		l.talk.drop()
	}
	if l.talk.wire != nil {
		return nil
	}
	return l.open(ctx)
}

// open opens the kept connection. The seat must be taken.
func (l *link) open(ctx context.Context) error {
	w, err := l.adapter.dial(ctx, l.node, "")
	if err != nil {
		return err
	}
	l.talk.wire = w
	l.tellLocal(w.local())
	select {
	case l.opened <- struct{}{}:
	default:
	}
	return nil
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
		if cut := l.cut.Load(); cut != nil {
			(*cut)(errRenamed)
		}
		return
	}
}

// publishLimit is how long a hello may keep the connection for itself: a server
// that is paused keeps PUBLISH waiting, and looks must not wait with it.
const publishLimit = 300 * time.Millisecond

// publications are the commands that publish a hello.
func publications(hello warden.Hello) ([][]any, error) {
	text, err := warden.EncodeHello(hello)
	if err != nil {
		return nil, err
	}
	asks := [][]any{{"PUBLISH", warden.HelloChannel, text}}
	if hello.Neighbour != "" {
		asks = append(asks, []any{"PUBLISH", sentinelChannel, hello.Neighbour})
	}
	return asks, nil
}

// Publish introduces this Warden on the node. See warden.Link.
func (l *link) Publish(ctx context.Context, hello warden.Hello) error {
	asks, err := publications(hello)
	if err != nil {
		return err
	}
	ctx, done := l.begin(ctx)
	defer done()
	if err := l.talk.take(ctx); err != nil {
		return fmt.Errorf("publish hello on %s: %w", l.node, err)
	}
	defer l.talk.leave()
	if l.ctx.Err() != nil {
		return fmt.Errorf("publish hello on %s: %w", l.node, errClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	kept := l.talk.wire != nil
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

// publishOnce publishes over the kept connection. Where a channel is refused, the
// other one has had its message.
func (l *link) publishOnce(ctx context.Context, asks [][]any) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	w, name, all := l.talk.wire, l.wanted(), asks
	if name != w.name {
		all = append([][]any{{"CLIENT", "SETNAME", name}}, asks...)
	}
	replies, err := w.ask(ctx, all...)
	if err != nil {
		l.talk.drop()
		return err
	}
	w.name = name
	var refusals []error
	for i, r := range replies[len(all)-len(asks):] {
		if r.err != nil {
			refusals = append(refusals, fmt.Errorf("channel %v: %w", asks[i][1], r.err))
		}
	}
	w.heeds = len(refusals) == 0
	return errors.Join(refusals...)
}

// mostOwed bounds the answers that nobody has read yet.
const mostOwed = 8

// Say publishes without waiting. The answers are read before the next look. See
// warden.Pulser.
func (l *link) Say(hello warden.Hello) bool {
	select {
	case <-l.talk.turn:
	default:
		return false
	}
	defer l.talk.leave()
	w := l.talk.wire
	if w == nil || !w.heeds || w.owed >= mostOwed || w.name != l.wanted() || w.tap.closed.Load() {
		return false
	}
	if hello != l.said.hello || l.said.command == nil {
		asks, err := publications(hello)
		if err != nil {
			return false
		}
		l.said.hello, l.said.count, l.said.command = hello, len(asks), nil
		for _, words := range asks {
			l.said.command = appendCommand(l.said.command, words)
		}
	}
	if _, err := w.tap.push(l.said.command); err != nil {
		l.talk.drop()
		return false
	}
	w.owed += l.said.count
	return true
}

// Close ends the watch: its goroutine, its connections, and every Look or
// Publish under way. It returns when all are gone.
func (l *link) Close() {
	l.cancel()
	<-l.talk.turn // whoever sits there has just been cancelled
	l.talk.drop()
	l.talk.leave()
	l.listening.Wait()
}
