package spineldb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

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
	// What waits for messages watches no context; closing ends it.
	stop := context.AfterFunc(life, w.cut)
	defer stop()
	if _, err := w.ask(begin); err != nil {
		return false, err
	}
	e := &ear{wire: w, in: reader{from: w.tap, room: make([]byte, earRoom)}, limit: l.adapter.opts.Timeout}
	refusal, err := l.subscribe(e)
	if err == nil && len(refusal) == len(channels) {
		err = refusal[channels[0]]
	}
	if err != nil {
		return false, err
	}
	return true, l.hear(e, refusal)
}

// earRoom is what a listening connection has for one message, in bytes. It
// grows when one is longer.
const earRoom = 512

// ear is a connection that is subscribed, or about to be.
type ear struct {
	wire  *wire
	in    reader
	limit time.Duration // of a write
	known []known
}

// known is a hello that was heard lately, and what it says.
type known struct {
	payload string
	hello   warden.Hello
}

// knownHellos is how many are remembered: most groups have fewer Wardens.
const knownHellos = 8

// say sends a command without waiting for the answer.
func (e *ear) say(words ...any) error {
	if err := e.wire.tap.SetWriteDeadline(time.Now().Add(e.limit)); err != nil {
		return err
	}
	_, err := e.wire.tap.Write(appendCommand(nil, e.wire.tap.words, words))
	return err
}

// news is what came over a subscribed connection: its kind ("message",
// "subscribe", empty for answers to PING and the like), and what goes with it.
type news struct{ kind, channel, payload string }

// next waits for what comes next. An error reply is the error.
func (e *ear) next(within time.Duration) (news, error) {
	if err := e.wire.tap.SetReadDeadline(time.Now().Add(within)); err != nil {
		return news{}, err
	}
	r, err := e.in.reply()
	if err == nil {
		err = r.err
	}
	var n news
	if parts, ok := r.val.([]any); ok && len(parts) == 3 {
		n.kind, _ = parts[0].(string)
		n.channel, _ = parts[1].(string)
		n.payload, _ = parts[2].(string) // of a subscription it is a number
	}
	return n, err
}

// channels are those that are listened to. Each is asked for by itself: a
// server whose rules refuse one would refuse both in one question.
var channels = []string{warden.HelloChannel, sentinelChannel}

// subscribe asks for the channels and tells which of them were refused and how.
func (l *link) subscribe(e *ear) (map[string]error, error) {
	refusal := map[string]error{}
	for _, channel := range channels {
		if err := e.say("SUBSCRIBE", channel); err != nil {
			return nil, err
		}
		for answered := false; !answered; {
			n, err := e.next(e.limit)
			switch {
			case isReply(err):
				l.adapter.opts.Logger.Debug("listen.refused", "node", l.node, "channel", channel, "why", warden.DetailOf(err))
				refusal[channel], answered = err, true
			case err != nil:
				return nil, err
			case n.kind == "subscribe":
				answered = true
			default: // a message on the channel before
				l.take(e, n)
			}
		}
	}
	return refusal, nil
}

// take hands on what was heard.
func (l *link) take(e *ear, n news) {
	switch {
	case n.kind != "message":
	case n.channel == warden.HelloChannel && l.events.Hello != nil:
		if hello, ok := e.read(n.payload); ok {
			l.events.Hello(hello)
		}
	case n.channel == sentinelChannel && l.events.Neighbour != nil && len(n.payload) <= warden.MaxHello:
		l.events.Neighbour(n.payload)
	}
}

// read reads a hello. Wardens say the same again and again.
func (e *ear) read(payload string) (warden.Hello, bool) {
	for _, k := range e.known {
		if k.payload == payload {
			return k.hello, true
		}
	}
	hello, err := warden.ParseHello(payload)
	if err != nil {
		return hello, false
	}
	if len(e.known) == knownHellos {
		e.known = e.known[:copy(e.known, e.known[1:])]
	}
	e.known = append(e.known, known{payload, hello})
	return hello, true
}

// hear reads messages until the connection ends. A channel that was refused is
// asked for again now and then: the operator may have allowed it.
func (l *link) hear(e *ear, refusal map[string]error) error {
	asked := false // a PING is on its way
	again := time.Now().Add(listenDenied)
	for {
		if len(refusal) > 0 && time.Now().After(again) {
			again = time.Now().Add(listenDenied)
			for channel := range refusal {
				if err := e.say("SUBSCRIBE", channel); err != nil {
					return err
				}
			}
		}
		n, err := e.next(listenQuiet)
		var timeout net.Error
		switch {
		case err == nil, isReply(err): // refused again
			asked = false
		case errors.As(err, &timeout) && timeout.Timeout() && !asked:
			if err := e.say("PING"); err != nil {
				return err
			}
			asked = true
			continue
		case errors.As(err, &timeout) && timeout.Timeout():
			return fmt.Errorf("no sign of life on the listening connection for %v", 2*listenQuiet)
		default:
			return err
		}
		if n.kind == "subscribe" {
			delete(refusal, n.channel)
		}
		l.take(e, n)
	}
}
