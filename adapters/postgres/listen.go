package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/warden"
)

const (
	// listenQuiet is how long the listener hears nothing before it asks whether
	// the server is still there, and what it is by now.
	listenQuiet = 5 * time.Second
	// Pauses between attempts to listen: they double from the first to the
	// last. Where the server refuses us, the pause is listenDenied.
	listenFirst  = 100 * time.Millisecond
	listenLast   = time.Second
	listenDenied = 5 * time.Second
)

// listen keeps the listening connection for as long as the link lives. Its
// reader waits, and so it is the first to hear that the server has ended.
func (l *link) listen() {
	pause := listenFirst
	for l.ctx.Err() == nil {
		stood, err := l.listenOnce()
		switch {
		case l.ctx.Err() != nil:
			return
		case stood:
			pause = listenFirst
			l.ended(err)
		case healthOf(err) == "denied":
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

// listenOnce connects and waits until the connection ends. stood: it had been
// of use.
func (l *link) listenOnce() (stood bool, err error) {
	begin, cancel := context.WithTimeout(l.ctx, l.adapter.opts.DialTimeout+l.adapter.opts.Timeout)
	defer cancel()
	w, err := l.adapter.dial(begin, l.node, dialing{name: l.wanted(), onNote: l.heard})
	if err != nil {
		return false, err
	}
	defer w.close()
	listens := false
	for {
		if !listens {
			if listens, err = l.subscribe(w); err != nil {
				return stood, err
			}
		} else if _, err := l.askListener(w, "SELECT 1"); err != nil {
			return stood, err
		}
		stood = true
		if err := l.wait(w); err != nil {
			return stood, err
		}
	}
}

// subscribe listens for hellos where the server is a primary; a standby
// refuses LISTEN, and is asked again whenever its role may have changed.
func (l *link) subscribe(w *wire) (listens bool, err error) {
	rows, err := l.askListener(w, "SELECT pg_is_in_recovery()")
	if err != nil || len(rows) != 1 || rows[0].yes(0) {
		return false, err
	}
	_, err = l.askListener(w, `LISTEN "`+warden.HelloChannel+`"`)
	return err == nil, err
}

func (l *link) askListener(w *wire, sql string) ([]row, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.adapter.opts.Timeout)
	defer cancel()
	return w.ask(ctx, sql)
}

// wait reads until it was quiet for listenQuiet or the role changed (nil), or
// until the connection ended.
func (l *link) wait(w *wire) error {
	for {
		ctx, cancel := context.WithTimeout(l.ctx, listenQuiet)
		l.wake.Store(&cancel)
		err := w.conn.WaitForNotification(ctx)
		woken := ctx.Err() != nil
		cancel()
		switch {
		case l.ctx.Err() != nil:
			w.close()
			return l.ctx.Err()
		case err == nil:
			continue // it has been handed on already
		case woken && (pgconn.Timeout(err) || !w.conn.IsClosed()):
			return nil
		}
		w.close()
		if w.conn.IsClosed() {
			<-w.conn.CleanupDone()
		}
		return fmt.Errorf("wait on the listening connection: %w", err)
	}
}

// heard hands on what was notified.
func (l *link) heard(channel, payload string) {
	if channel != warden.HelloChannel || l.events.Hello == nil {
		return
	}
	if hello, err := warden.ParseHello(payload); err == nil {
		l.events.Hello(hello)
	}
}
