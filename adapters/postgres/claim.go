package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/warden"
)

const (
	// maxClaimRounds bounds how often the lock is tried while older order
	// sessions are being shut out.
	maxClaimRounds = 200
	// claimPause is between two tries: a terminated session needs a moment.
	claimPause = 10 * time.Millisecond
	// idleLimit ends an order session that nobody uses, by the server itself,
	// so that a leader that stands still loses it. The session keeps itself
	// in use for as long as its Warden runs.
	idleLimit = "1s"
)

// Claim shuts older leaders out of a node and returns a session for orders.
//
// The lock is held by one session at a time, and it is taken before the mark in
// the file is read and written. So of two racing leaders the higher one
// terminates the lower, the lower one finds the higher and goes; and a leader
// that comes after both are gone finds the mark.
func (a *Adapter) Claim(ctx context.Context, node warden.NodeID, claim warden.Claim) (warden.Session, warden.Result) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	w, err := a.dial(ctx, node, dialing{name: markOf(claim, markOrder).String()})
	if err != nil {
		return nil, refused(fmt.Errorf("claim: %w", err))
	}
	s := newSession(a, node, w, claim)
	res := s.claimIt(ctx)
	if res.Outcome != warden.Done {
		w.close()
		return nil, res
	}
	s.stayInUse()
	return s, res
}

func refused(err error) warden.Result {
	return warden.Result{Outcome: warden.Refused, Why: warden.DetailOf(err)}
}

func unknown(err error) warden.Result {
	return warden.Result{Outcome: warden.Unknown, Why: warden.DetailOf(err)}
}

// supersededBy is the refusal of a claim. by says what the node shows.
func (s *session) supersededBy(by string) warden.Result {
	return warden.Result{Outcome: warden.Refused, Superseded: true,
		Why: fmt.Sprintf("claim %s: epoch %d is superseded: the node shows %s", s.node, s.claim.Epoch, by)}
}

// claimIt always ends as done or refused: nothing is ordered here, so nothing
// can be in doubt.
func (s *session) claimIt(ctx context.Context) warden.Result {
	fail := func(err error) warden.Result { return refused(fmt.Errorf("claim %s: %w", s.node, err)) }
	if version, err := strconv.Atoi(majorVersion(s.wire.conn)); err == nil && version >= 14 {
		if _, err := s.wire.ask(ctx, "SELECT set_config('idle_session_timeout', $1, false)", idleLimit); err != nil {
			return fail(err)
		}
	}
	// Looked at before the lock is taken: a leader that is late must not end a
	// newer one's session.
	others, err := s.wardens(ctx)
	if err != nil {
		return fail(err)
	}
	for _, o := range others {
		if o.epoch > s.claim.Epoch {
			return s.supersededBy(o.mark.String())
		}
	}
	if res := s.takeLock(ctx); res.Outcome != warden.Done {
		return res
	}
	if res := s.writeMark(ctx); res.Outcome != warden.Done {
		return res
	}
	if err := s.endOldHold(ctx); err != nil {
		return fail(err)
	}
	if err := s.awaitPromotion(ctx); err != nil {
		return fail(err)
	}
	return warden.Result{Outcome: warden.Done}
}

// endOldHold ends a hold, which belongs to the leader that is shut out now. On
// a standby it also lifts a fence from an earlier life as a primary: there it
// is of no use, and once the node is promoted it would refuse writes.
func (s *session) endOldHold(ctx context.Context) error {
	ended, err := s.endTimers(ctx)
	if err != nil {
		return err
	}
	if ended > 0 {
		return s.liftReadOnly(ctx)
	}
	r, err := s.wire.one(ctx, "SELECT pg_is_in_recovery()")
	if err != nil || !r.yes(0) {
		return err
	}
	return s.unfence(ctx)
}

// majorVersion is the first number of the server's version.
func majorVersion(c *pgconn.PgConn) string {
	text := c.ParameterStatus("server_version")
	for i, r := range text {
		if r < '0' || r > '9' {
			return text[:i]
		}
	}
	return text
}

// other is a session of a Warden of this group on the node.
type other struct {
	mark
	pid string
}

// wardens lists the sessions of Wardens of this group, but for this one. Only
// our own role's count: anybody may choose a name.
func (s *session) wardens(ctx context.Context) ([]other, error) {
	rows, err := s.wire.ask(ctx, `SELECT pid, application_name FROM pg_stat_activity
		WHERE usename = current_user AND pid <> pg_backend_pid() AND starts_with(application_name, $1)`, markPrefix)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var found []other
	for _, r := range rows {
		if m, ok := parseMark(r.text(1)); ok && m.group == shorten(s.claim.Group) {
			found = append(found, other{m, r.text(0)})
		}
	}
	return found, nil
}

// takeLock takes the group's lock, and terminates whoever holds it for a lower
// epoch or for an earlier claim of our own.
func (s *session) takeLock(ctx context.Context) warden.Result {
	key := strconv.FormatInt(lockKey(s.claim.Group), 10)
	fail := func(err error) warden.Result { return refused(fmt.Errorf("claim %s: take the lock: %w", s.node, err)) }
	for range maxClaimRounds {
		r, err := s.wire.one(ctx, "SELECT pg_try_advisory_lock($1::bigint)", key)
		if err != nil {
			return fail(err)
		}
		if r.yes(0) {
			return warden.Result{Outcome: warden.Done}
		}
		rows, err := s.wire.ask(ctx, `SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND ((l.classid::bigint << 32) | l.objid::bigint) = $1::bigint
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, key)
		if err != nil {
			return fail(err)
		}
		for _, holder := range rows {
			m, ok := parseMark(holder.text(1))
			switch {
			case !ok:
				return fail(fmt.Errorf("it is held by session %s (%q), which is no Warden's: end it by pg_terminate_backend(%s)", holder.text(0), holder.text(1), holder.text(0)))
			case m.epoch > s.claim.Epoch, m.epoch == s.claim.Epoch && m.id != s.claim.Warden.Short():
				return s.supersededBy(m.String())
			}
			if _, err := s.wire.ask(ctx, "SELECT pg_terminate_backend($1::int)", holder.text(0)); err != nil {
				return fail(err)
			}
		}
		if err := pause(ctx, claimPause); err != nil {
			return fail(err)
		}
	}
	return fail(errors.New("older order sessions do not go away"))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// filed reads a setting from the file that ALTER SYSTEM writes, where it is
// before and after any reload or restart.
func (s *session) filed(ctx context.Context, name string) (value string, found bool, err error) {
	rows, err := s.wire.ask(ctx, `SELECT coalesce(setting, '') FROM pg_file_settings
		WHERE name = $1 AND sourcefile LIKE '%postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1`, name)
	if err != nil {
		return "", false, fmt.Errorf("read %s from the file of settings: %w", name, err)
	}
	if len(rows) == 0 {
		return "", false, nil
	}
	return rows[0].text(0), true, nil
}

// writeMark compares the epoch in the file with ours, and raises it.
func (s *session) writeMark(ctx context.Context) warden.Result {
	fail := func(err error) warden.Result { return refused(fmt.Errorf("claim %s: %w", s.node, err)) }
	text, found, err := s.filed(ctx, epochSetting)
	if err != nil {
		return fail(err)
	}
	if there, ok := parseEpoch(text, s.claim.Group); found && ok {
		if there > s.claim.Epoch {
			return s.supersededBy(epochSetting + " = " + text)
		}
		if there == s.claim.Epoch && text == epochText(s.claim) {
			return warden.Result{Outcome: warden.Done}
		}
	}
	if err := s.set(ctx, epochSetting, epochText(s.claim)); err != nil {
		return fail(err)
	}
	if err := s.reload(ctx); err != nil {
		return fail(err)
	}
	return warden.Result{Outcome: warden.Done}
}
