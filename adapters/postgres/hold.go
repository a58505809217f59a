package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spineldb/warden/warden"
)

// A hold has to end by itself, also when its leader dies, and PostgreSQL has no
// setting with an end. So two sessions are left behind on the server that sleep
// for as long as the hold may last: one then takes the setting out of the file,
// the other reloads. Their client has gone at once; the server does not look
// for it before it has an answer to send. Whoever claims or fences the node ends
// them first, and the one that changes the file looks for a newer epoch or a
// fence before it does.

// Hold makes new transactions read-only by default, ends sessions that are in
// a transaction, and tells the position after the last write. See
// warden.Session. Unlike a paused Redis it makes clients see errors (25006),
// and a session that asks for a transaction that writes is not held.
func (s *session) Hold(ctx context.Context, limit warden.Duration) warden.Result {
	if limit < warden.Millisecond {
		return refused(fmt.Errorf("hold %s: limit %v is shorter than 1ms", s.node, limit))
	}
	ctx, done, over := s.begin(ctx, "hold")
	if over != nil {
		return *over
	}
	defer done()
	notReady := func(err error) warden.Result { return refused(fmt.Errorf("hold %s: not ordered: %w", s.node, err)) }
	r, err := s.wire.one(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return notReady(err)
	}
	if r.yes(0) {
		return notReady(errors.New("it is a standby, which takes no writes"))
	}
	if _, fenced, err := s.filed(ctx, fencedSetting); err != nil || fenced {
		if err == nil {
			err = errors.New("it is fenced already")
		}
		return notReady(err)
	}
	if _, err := s.endTimers(ctx); err != nil {
		return notReady(err)
	}
	if err := s.leaveTimers(ctx, limit); err != nil {
		return notReady(err)
	}
	if err := s.set(ctx, readOnly, "on"); err != nil {
		return s.verdict("hold", err)
	}
	res, err := s.hold(ctx)
	if err != nil {
		return unknown(fmt.Errorf("hold %s: it may be held: %w", s.node, err))
	}
	return res
}

// hold is what comes after the point at which writes may be held.
func (s *session) hold(ctx context.Context) (warden.Result, error) {
	if err := s.reloadUntil(ctx, readOnly, "on"); err != nil {
		return warden.Result{}, err
	}
	// A transaction that began before keeps its right to write.
	notes, err := s.terminate(ctx, "xact_start IS NOT NULL")
	if err != nil {
		return warden.Result{}, err
	}
	// Commits need not be on disk yet (synchronous_commit = off), and only what
	// is on disk is streamed. The commit of a record of our own flushes all.
	for _, sql := range []string{"SELECT set_config('default_transaction_read_only', 'off', false)", "SELECT pg_logical_emit_message(true, 'warden', 'hold')"} {
		if _, err := s.wire.ask(ctx, sql); err != nil {
			return warden.Result{}, err
		}
	}
	r, err := s.wire.one(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")
	if err != nil {
		return warden.Result{}, err
	}
	position := r.number(0)
	if _, err := s.wire.ask(ctx, "RESET default_transaction_read_only"); err != nil {
		return warden.Result{}, err
	}
	return warden.Result{Outcome: warden.Done, Position: position, Notes: notes}, nil
}

// leaveTimers leaves the two sessions that end the hold, and waits until both
// sleep.
func (s *session) leaveTimers(ctx context.Context, limit warden.Duration) error {
	seconds := strconv.FormatFloat(float64(limit)/float64(warden.Second), 'f', 3, 64)
	superseded := "EXISTS (SELECT FROM pg_file_settings WHERE name = '" + fencedSetting +
		"' OR name = '" + epochSetting + "' AND setting <> " + quoteSQL(epochText(s.claim)) + ")"
	timers := [][]string{
		// In one statement: the first answer that cannot be sent still lets the
		// next statement begin, the second ends the session.
		{"SELECT CASE WHEN " + superseded + " THEN pg_terminate_backend(pg_backend_pid()) END FROM pg_sleep(" + seconds + ")", "ALTER SYSTEM RESET " + readOnly},
		// Twice, in case the other one is slow.
		{"SELECT pg_reload_conf(), pg_sleep(1), pg_reload_conf() FROM pg_sleep(" + seconds + " + 0.1)"},
	}
	for _, statements := range timers {
		w, err := s.adapter.dial(ctx, s.node, dialing{name: markOf(s.claim, markHold).String(), writes: true})
		if err != nil {
			return err
		}
		// Those of these that the version has would end the session too soon.
		if _, err := w.ask(ctx, `SELECT set_config(name, '0', false) FROM pg_settings
			WHERE name IN ('client_connection_check_interval', 'transaction_timeout')`); err != nil {
			w.close()
			return fmt.Errorf("prepare a timer: %w", err)
		}
		if err := w.leave(statements...); err != nil {
			return fmt.Errorf("leave a timer: %w", err)
		}
	}
	return s.await(ctx, `SELECT count(*) = $2::int FROM pg_stat_activity
		WHERE usename = current_user AND application_name = $1 AND wait_event = 'PgSleep'`,
		markOf(s.claim, markHold).String(), strconv.Itoa(len(timers)))
}

// endTimers ends the timers of every hold of the group, and waits until they
// are gone.
func (s *session) endTimers(ctx context.Context) (ended int, err error) {
	all, err := s.wardens(ctx)
	if err != nil {
		return 0, err
	}
	for _, o := range all {
		if o.kind != markHold {
			continue
		}
		ended++
		if _, err := s.wire.ask(ctx, "SELECT pg_terminate_backend($1::int)", o.pid); err != nil {
			return 0, fmt.Errorf("end the timer of a hold: %w", err)
		}
		if err := s.await(ctx, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1::int)", o.pid); err != nil {
			return 0, fmt.Errorf("end the timer of a hold: %w", err)
		}
	}
	return ended, nil
}
