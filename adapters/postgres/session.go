package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/warden"
)

const (
	// useEvery keeps an order session in use (see idleLimit).
	useEvery = 300 * time.Millisecond
	// lookAgain is between two looks while an order takes effect.
	lookAgain = 5 * time.Millisecond
)

// session gives orders to one claimed node. Its connection is never replaced:
// when it is lost, the session is over, and the leader has to claim again.
type session struct {
	adapter *Adapter
	node    warden.NodeID
	claim   warden.Claim

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	using  sync.WaitGroup

	mu   sync.Mutex // one order at a time
	wire *wire
}

var errSessionOver = errors.New("the order session has ended: the node closed it (a newer leader, a restart), or an earlier order broke it; claim again")

func newSession(a *Adapter, node warden.NodeID, w *wire, c warden.Claim) *session {
	ctx, cancel := context.WithCancel(context.Background())
	return &session{adapter: a, node: node, claim: c, ctx: ctx, cancel: cancel, wire: w}
}

// stayInUse keeps the server from ending the session while its Warden runs. A
// Warden that stands still does not, and then the server ends it.
func (s *session) stayInUse() {
	s.using.Go(func() {
		for pause(s.ctx, useEvery) == nil {
			if !s.mu.TryLock() {
				continue // an order uses it
			}
			ctx, cancel := context.WithTimeout(s.ctx, s.adapter.opts.Timeout)
			_, err := s.wire.ask(ctx, "SELECT 1")
			cancel()
			s.mu.Unlock()
			if err != nil && s.wire.over.Load() {
				return
			}
		}
	})
}

// Close ends the session's connection, and with it what may still be on its
// way. It does not wait for an order under way: that ends as unknown.
func (s *session) Close() {
	s.cancel()
	s.wire.close()
	s.using.Wait()
}

// begin takes the session for one order. A result other than nil is the end of
// the order: nothing was sent.
func (s *session) begin(ctx context.Context, what string) (context.Context, func(), *warden.Result) {
	ctx, cancel := s.adapter.within(ctx)
	s.mu.Lock()
	done := func() { s.mu.Unlock(); cancel() }
	err := ctx.Err()
	if err == nil && s.wire.ended() {
		err = errSessionOver
	}
	if err != nil {
		done()
		res := refused(fmt.Errorf("%s %s: not sent: %w", what, s.node, err))
		return nil, nil, &res
	}
	return ctx, done, nil
}

// verdict is the result of the statement that carries out an order: refused if
// the server said so or cannot have seen it.
func (s *session) verdict(what string, err error) warden.Result {
	switch {
	case err == nil:
		return warden.Result{Outcome: warden.Done}
	case sqlState(err) != "" && !fatal(err):
		return refused(fmt.Errorf("%s %s: %w", what, s.node, err))
	case pgconn.SafeToRetry(err):
		return refused(fmt.Errorf("%s %s: not sent: %w", what, s.node, err))
	}
	return unknown(fmt.Errorf("%s %s: sent, but no answer: %w", what, s.node, err))
}

// quoteSQL writes a string literal. ALTER SYSTEM takes no parameters.
func quoteSQL(text string) string {
	if strings.Contains(text, `\`) {
		return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// set writes a setting to the file. Ours must be known to the session first:
// servers refuse ALTER SYSTEM for a name they never saw.
func (s *session) set(ctx context.Context, name, value string) error {
	if strings.HasPrefix(name, "warden.") {
		if _, err := s.wire.ask(ctx, "SET "+name+" = "+quoteSQL(value)); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	if _, err := s.wire.ask(ctx, "ALTER SYSTEM SET "+name+" = "+quoteSQL(value)); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}

// reset takes a setting out of the file, if it is there.
func (s *session) reset(ctx context.Context, name string) error {
	if _, found, err := s.filed(ctx, name); err != nil || !found {
		return err
	}
	if strings.HasPrefix(name, "warden.") {
		if _, err := s.wire.ask(ctx, "SET "+name+" = ''"); err != nil {
			return fmt.Errorf("reset %s: %w", name, err)
		}
	}
	if _, err := s.wire.ask(ctx, "ALTER SYSTEM RESET "+name); err != nil {
		return fmt.Errorf("reset %s: %w", name, err)
	}
	return nil
}

func (s *session) reload(ctx context.Context) error {
	r, err := s.wire.one(ctx, "SELECT pg_reload_conf()")
	if err == nil && !r.yes(0) {
		err = errors.New("the server could not be signalled")
	}
	if err != nil {
		return fmt.Errorf("reload settings: %w", err)
	}
	return nil
}

// reloadUntil reloads and waits until this session shows a value. The
// postmaster has it by then too: it reads the file before it tells its children.
func (s *session) reloadUntil(ctx context.Context, name, value string) error {
	if err := s.reload(ctx); err != nil {
		return err
	}
	return s.await(ctx, "SELECT current_setting($1) = $2", name, value)
}

// await asks until the answer is yes.
func (s *session) await(ctx context.Context, sql string, args ...string) error {
	for {
		r, err := s.wire.one(ctx, sql, args...)
		if err != nil {
			return err
		}
		if r.yes(0) {
			return nil
		}
		if err := pause(ctx, lookAgain); err != nil {
			return err
		}
	}
}

// Look observes the node over the session. That the session has ended is no
// evidence against the node: a newer leader ends sessions too. So it is
// reported as silence, never as a refusal.
func (s *session) Look(ctx context.Context) warden.Observation {
	ctx, done, over := s.begin(ctx, "look at")
	if over != nil {
		return unfit(warden.HealthSilent, over.Why)
	}
	defer done()
	o, err := s.adapter.look(ctx, s.wire, s.node, "")
	if err == nil {
		return o
	}
	o = failed(err)
	if o.Health == warden.HealthRefused {
		o.Health = warden.HealthSilent
	}
	return o
}
