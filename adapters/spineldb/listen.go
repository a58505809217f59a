package spineldb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

const (
	// listenQuiet is how long the listener hears nothing before it asks whether
	// the server is still there. Our own hellos usually come more often.
	listenQuiet = 5 * time.Second
	// Pauses between attempts to listen: they double from the first to the
	// last. Where the server refuses us, the pause is listenDenied.
	listenFirst  = 100 * time.Millisecond
	listenLast   = time.Second
	listenDenied = 5 * time.Second
)

// sentinelChannel is where real Redis Sentinels introduce themselves. Its
// payloads are handed on as they are: the adapter neither writes nor reads them.
const sentinelChannel = "__sentinel__:hello"

// listen keeps the listening connection for as long as the link lives. Its
// reader waits for hellos, and so it is the first to hear that the server has
// ended.
func (l *link) listen() {
	pause := listenFirst
	for l.ctx.Err() == nil {
		stood, err := l.listenOnce()
		switch {
		case l.ctx.Err() != nil:
			return
		case errors.Is(err, errRenamed):
			continue
		case stood:
			pause = listenFirst
			l.ended(err)
		case isReply(err):
			l.adapter.opts.Logger.Debug("listen.refused", "node", l.node, "why", warden.DetailOf(err))
			pause = listenDenied
		}
		wait := time.NewTimer(pause)
		select {
		case <-l.ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		pause = min(2*pause, listenLast)
	}
}

// errRenamed ends a listening connection that has to bear another name: while
// it is subscribed it cannot be given one.
var errRenamed = errors.New("the mark has changed")

// listenOnce subscribes and reads until the connection ends. stood: it had
// been subscribed.
func (l *link) listenOnce() (stood bool, err error) {
	life, end := context.WithCancelCause(l.ctx)
	defer end(nil)
	l.rename.Store(&end) // before the name is read, so that no change is missed
	defer func() {
		if context.Cause(life) == errRenamed {
			err = errRenamed
		}
	}()
	begin, cancel := context.WithTimeout(life, l.adapter.opts.DialTimeout+l.adapter.opts.Timeout)
	defer cancel()
	w, err := l.adapter.dial(begin, l.node, l.wanted())
	if err != nil {
		return false, err
	}
	defer w.close()
	// Reads of go-redis do not watch their context; closing ends them.
	stop := context.AfterFunc(life, func() { w.tap.Close() })
	defer stop()
	sub := w.client.Subscribe(begin) // nothing yet
	defer sub.Close()
	refusal, err := l.subscribe(begin, sub)
	if err == nil && len(refusal) == len(channels) {
		err = refusal[channels[0]]
	}
	if err != nil {
		return false, w.explain(err)
	}
	return true, l.hear(sub, refusal)
}

// channels are those that are listened to. Each is asked for by itself: a
// server whose rules refuse one would refuse both in one question.
var channels = []string{warden.HelloChannel, sentinelChannel}

// subscribe asks for the channels and tells which of them were refused and how.
func (l *link) subscribe(ctx context.Context, sub *redis.PubSub) (map[string]error, error) {
	refusal := map[string]error{}
	for _, channel := range channels {
		if err := sub.Subscribe(ctx, channel); err != nil {
			return nil, err
		}
		for answered := false; !answered; {
			message, err := sub.ReceiveTimeout(ctx, l.adapter.opts.Timeout)
			switch _, stands := message.(*redis.Subscription); {
			case isReply(err):
				l.adapter.opts.Logger.Debug("listen.refused", "node", l.node, "channel", channel, "why", warden.DetailOf(err))
				refusal[channel], answered = err, true
			case err != nil:
				return nil, err
			case stands:
				answered = true
			default: // a message on the channel before
				l.take(message)
			}
		}
	}
	return refusal, nil
}

// take hands on what was heard.
func (l *link) take(message any) {
	m, ok := message.(*redis.Message)
	switch {
	case !ok:
	case m.Channel == warden.HelloChannel && l.events.Hello != nil:
		if hello, err := warden.ParseHello(m.Payload); err == nil {
			l.events.Hello(hello)
		}
	case m.Channel == sentinelChannel && l.events.Neighbour != nil && len(m.Payload) <= warden.MaxHello:
		l.events.Neighbour(m.Payload)
	}
}

// hear reads messages until the connection ends. A channel that was refused is
// asked for again now and then: the operator may have allowed it.
func (l *link) hear(sub *redis.PubSub, refusal map[string]error) error {
	asked := false // a PING is on its way
	again := time.Now().Add(listenDenied)
	for {
		if len(refusal) > 0 && time.Now().After(again) {
			again = time.Now().Add(listenDenied)
			for channel := range refusal {
				if err := l.ask(func(ctx context.Context) error { return sub.Subscribe(ctx, channel) }); err != nil {
					return err
				}
			}
		}
		message, err := sub.ReceiveTimeout(l.ctx, listenQuiet)
		var timeout net.Error
		switch {
		case err == nil, isReply(err): // refused again
			asked = false
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			if err := l.ask(func(ctx context.Context) error { return sub.Ping(ctx) }); err != nil {
				return err
			}
			asked = true
			continue
		case errors.As(err, &timeout) && timeout.Timeout():
			return fmt.Errorf("no sign of life on the listening connection for %v", 2*listenQuiet)
		default:
			return err
		}
		if s, ok := message.(*redis.Subscription); ok {
			delete(refusal, s.Channel)
		}
		l.take(message)
	}
}

// ask sends something on the listening connection, within the usual time.
func (l *link) ask(send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.adapter.opts.Timeout)
	defer cancel()
	return send(ctx)
}
