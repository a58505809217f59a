package spineldb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// listenQuiet is how long nothing is asked on the listening connection before
	// a look asks whether the server is still there, and how long the answer may
	// take.
	listenQuiet = 5 * time.Second
	// Pauses between attempts to listen: they double from the first to the
	// last, unless a look gets through before. Where the server refuses us, the pause is listenDenied.
	listenFirst  = 100 * time.Millisecond
	listenLast   = 4 * time.Second
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
		case <-l.opened: // it can be reached again
			wait.Stop()
		case <-wait.C:
		}
		pause = min(2*pause, listenLast)
	}
}

// errRenamed ends a listening connection that has to bear another name: while
// it is subscribed it cannot be given one.
var errRenamed = errors.New("the mark has changed")

// errMute ends a listening connection on which nothing is answered any more.
var errMute = fmt.Errorf("no sign of life on the listening connection for %v", listenQuiet)

// listenOnce subscribes and reads until the connection ends. stood: it had
// been subscribed.
func (l *link) listenOnce() (stood bool, err error) {
	life, end := context.WithCancelCause(l.ctx)
	defer end(nil)
	l.cut.Store(&end) // before the name is read, so that no change is missed
	defer func() {
		if cause := context.Cause(life); cause == errRenamed || cause == errMute {
			err = cause
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
	stop := context.AfterFunc(life, func() { w.tap.Close() })
	defer stop()
	e := &ear{wire: w}
	e.spoke.Store(int64(sinceStart()))
	refusal, err := l.subscribe(begin, e)
	if err == nil && len(refusal) == len(channels) {
		err = refusal[channels[0]]
	}
	if err != nil {
		return false, w.explain(err)
	}
	l.ear.Store(e)
	defer l.ear.Store(nil)
	return true, l.hear(e, refusal)
}

// ear is a connection that is subscribed. The PubSub of go-redis is not used:
// it keeps 64 KB of buffers for each connection, and there is one to every node.
// Instead what arrives is read as the answer to a question that the tap keeps
// from being sent.
type ear struct {
	wire *wire
	// asked is the instant of the PING that is not answered, as the caller of
	// Pulse counts it; own: it was no Pulse; 0: all were answered.
	asked atomic.Int64
	spoke atomic.Int64 // when the last PING was sent, by sinceStart
	known []known      // of who reads
}

// known is a hello that was heard lately, and what it says.
type known struct {
	payload string
	hello   warden.Hello
}

// knownHellos is how many are remembered: most groups have fewer Wardens.
const knownHellos = 8

// read reads a hello. Wardens say the same again and again.
func (e *ear) read(payload string) (hello warden.Hello, ok bool) {
	for i := range e.known {
		if e.known[i].payload == payload {
			return e.known[i].hello, true
		}
	}
	hello, err := warden.ParseHello(payload)
	if err != nil {
		return hello, false
	}
	if len(e.known) == knownHellos {
		e.known = slices.Delete(e.known, 0, 1)
	}
	e.known = append(e.known, known{payload, hello})
	return hello, true
}

// own stands for the instant of a PING that nobody waits for.
const own = -1

// ping is what a PING looks like on its way.
var ping = []byte("*1\r\n$4\r\nPING\r\n")

// start is what times of an ear are counted from.
var start = time.Now()

func sinceStart() time.Duration { return time.Since(start) }

// ask sends a PING, unless the last one is not answered. What is written are some
// bytes on a connection on which nothing else waits, so it does not block.
func (e *ear) ask(asked int64) bool {
	if !e.asked.CompareAndSwap(0, asked) {
		return false
	}
	e.spoke.Store(int64(sinceStart()))
	if _, err := e.wire.tap.push(ping); err != nil {
		e.wire.tap.Close()
		return false
	}
	return true
}

// Pulse asks for a sign of life over the listening connection. See
// warden.Pulser.
func (l *link) Pulse(asked warden.Instant) bool {
	e := l.ear.Load()
	return e != nil && asked > 0 && e.ask(int64(asked))
}

// answered hands on the answer to a PING.
func (l *link) answered(e *ear, good bool) {
	if asked := e.asked.Swap(0); asked > 0 && l.events.Pulse != nil && l.ctx.Err() == nil {
		l.events.Pulse(l.node, warden.Instant(asked), good)
	}
}

// news is what came over a subscribed connection: its kind ("message",
// "subscribe", "pong"), and what goes with it.
type news struct{ kind, channel, payload string }

// next waits for what comes next, or first sends words and waits then. An error
// reply is the error.
func (e *ear) next(ctx context.Context, words ...any) (n news, err error) {
	if len(words) == 0 {
		e.wire.tap.mute = true
		defer func() { e.wire.tap.mute = false }()
		words = []any{"PING"}
	}
	val, err := e.wire.conn.Do(ctx, words...).Result()
	switch val := val.(type) {
	case string: // a server that answers as if nothing were subscribed
		n.kind = strings.ToLower(val)
	case []any:
		n.kind = textAt(val, 0)
		n.channel, n.payload = textAt(val, 1), textAt(val, 2)
	}
	return n, err
}

// textAt is one part of a reply, "" when it is no text.
func textAt(parts []any, i int) string {
	if i >= len(parts) {
		return ""
	}
	s, _ := parts[i].(string)
	return s
}

// channels are those that are listened to. Each is asked for by itself: a
// server whose rules refuse one would refuse both in one question.
var channels = []string{warden.HelloChannel, sentinelChannel}

// subscribe asks for the channels and tells which of them were refused and how.
func (l *link) subscribe(ctx context.Context, e *ear) (map[string]error, error) {
	refusal := map[string]error{}
	for _, channel := range channels {
		words := []any{"SUBSCRIBE", channel}
		for answered := false; !answered; words = nil {
			n, err := e.next(ctx, words...)
			switch {
			case isReply(err):
				if !e.wire.up.Load() {
					return nil, err // to the login
				}
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

// hear reads messages until the connection ends. A channel that was refused is
// asked for again now and then: the operator may have allowed it.
func (l *link) hear(e *ear, refusal map[string]error) error {
	again := time.Now().Add(listenDenied)
	wake := time.AfterFunc(listenDenied, func() { e.ask(own) }) // the answer ends the wait below
	defer wake.Stop()
	for {
		var words []any
		switch {
		case len(refusal) == 0:
			wake.Stop()
		case time.Now().After(again):
			again = time.Now().Add(listenDenied)
			wake.Reset(listenDenied)
			words = []any{"SUBSCRIBE", anyOf(refusal)}
		}
		n, err := e.next(l.ctx, words...)
		switch {
		case isReply(err):
			if len(words) == 0 { // else a channel was refused again
				l.answered(e, false)
			}
		case err != nil:
			return err
		case n.kind == "subscribe":
			delete(refusal, n.channel)
		case n.kind == "pong":
			l.answered(e, true)
		default:
			l.take(e, n)
		}
	}
}

// anyOf is any of the channels: Go begins its walk anywhere, so each has its turn.
func anyOf(refusal map[string]error) string {
	for channel := range refusal {
		return channel
	}
	return ""
}

// nudge sees to it that the listening connection is not a dead one: where
// nothing was asked on it for a while it asks, and where that is not answered
// it ends the connection. It never blocks.
func (l *link) nudge() {
	e := l.ear.Load()
	if e == nil {
		return
	}
	switch quiet := sinceStart() - time.Duration(e.spoke.Load()); {
	case quiet < listenQuiet:
	case e.ask(own):
	default:
		if cut := l.cut.Load(); cut != nil {
			(*cut)(errMute)
		}
	}
}
