package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/spineldb/warden/warden"
)

// A primary cannot be made a standby by SQL. What can be done is the soft
// fence: new transactions are read-only by default, and every session is ended,
// so that clients come again and find that out. It is soft because a session
// may still ask for a transaction that writes, and because sessions of
// superusers can only be ended by a superuser. In the file of ALTER SYSTEM,
// warden.fenced tells a fence from a hold and names the primary for whose sake
// it was made.

// others are the sessions of clients, but for those of Wardens.
const others = `backend_type = 'client backend' AND pid <> pg_backend_pid()
	AND NOT (usename = current_user AND starts_with(application_name, '` + markPrefix + `'))`

// fence takes writes away from a primary for the sake of another.
func (s *session) fence(ctx context.Context, primary warden.NodeID) (notes []string, err error) {
	// A timer of an earlier hold would undo the fence.
	if _, err := s.endTimers(ctx); err != nil {
		return nil, err
	}
	if err := s.set(ctx, fencedSetting, string(primary)); err != nil {
		return nil, err
	}
	if err := s.set(ctx, readOnly, "on"); err != nil {
		return nil, err
	}
	if err := s.reloadUntil(ctx, readOnly, "on"); err != nil {
		return nil, err
	}
	return s.terminate(ctx, "true")
}

// terminate ends client sessions and waits until they are gone. Those that our
// role may not end are told in a note.
func (s *session) terminate(ctx context.Context, which string) (notes []string, err error) {
	rows, err := s.wire.ask(ctx, `SELECT a.pid, coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false)
		OR NOT coalesce((SELECT rolsuper FROM pg_roles r WHERE r.oid = a.usesysid), true)
		FROM pg_stat_activity a WHERE `+others+` AND (`+which+`)`)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	spared, ended := 0, "{"
	for _, r := range rows {
		if r.yes(1) {
			_, err = s.wire.ask(ctx, "SELECT pg_terminate_backend($1::int)", r.text(0))
		}
		switch {
		case !r.yes(1) || sqlState(err) != "" && !fatal(err):
			spared++
			err = nil
		case err != nil:
			return nil, fmt.Errorf("end session %s: %w", r.text(0), err)
		default:
			if len(ended) > 1 {
				ended += ","
			}
			ended += r.text(0)
		}
	}
	if spared > 0 {
		notes = append(notes, fmt.Sprintf("not-fenced: %d sessions of %s could not be ended (superusers, or pg_signal_backend is not granted) and may go on writing", spared, s.node))
	}
	err = s.await(ctx, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY ($1::int[]))", ended+"}")
	return notes, err
}

// unfence lifts a fence or a hold, if there is one.
func (s *session) unfence(ctx context.Context) error {
	_, fenced, err := s.filed(ctx, fencedSetting)
	if err != nil {
		return err
	}
	if _, held, err := s.filed(ctx, readOnly); err != nil || !fenced && !held {
		return err
	}
	if _, err := s.endTimers(ctx); err != nil {
		return err
	}
	return s.liftReadOnly(ctx)
}

// liftReadOnly takes back what a fence or a hold set.
func (s *session) liftReadOnly(ctx context.Context) error {
	if err := s.reset(ctx, readOnly); err != nil {
		return err
	}
	if err := s.reset(ctx, fencedSetting); err != nil {
		return err
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	return s.await(ctx, "SELECT coalesce(sourcefile, '') NOT LIKE '%postgresql.auto.conf' FROM pg_settings WHERE name = $1", readOnly)
}

// Release ends a Hold. A fence made since then for the sake of a new primary
// stays while that node is one, or cannot be asked: the switchover went well.
// If it is still a standby the switchover was given up, and the fence is lifted.
func (s *session) Release(ctx context.Context) warden.Result {
	ctx, done, over := s.begin(ctx, "release")
	if over != nil {
		return *over
	}
	defer done()
	successor, fenced, err := s.filed(ctx, fencedSetting)
	if err != nil {
		return refused(fmt.Errorf("release %s: %w", s.node, err))
	}
	if fenced {
		switch standby, err := s.adapter.isStandby(ctx, warden.NodeID(successor)); {
		case err != nil:
			return warden.Result{Outcome: warden.Done, Notes: []string{fmt.Sprintf("still-fenced: %s stays read-only: %s cannot be asked: %s", s.node, successor, warden.DetailOf(err))}}
		case !standby:
			return warden.Result{Outcome: warden.Done}
		}
	}
	if err := s.unfence(ctx); err != nil {
		return s.verdict("release", err)
	}
	return warden.Result{Outcome: warden.Done}
}

// isStandby asks another node what it is.
func (a *Adapter) isStandby(ctx context.Context, node warden.NodeID) (bool, error) {
	if node == "" {
		return false, errors.New("no address is written down")
	}
	w, err := a.dial(ctx, node, dialing{name: markPrefix + "ask"})
	if err != nil {
		return false, err
	}
	defer w.close()
	r, err := w.one(ctx, "SELECT pg_is_in_recovery()")
	if err != nil {
		return false, err
	}
	return r.yes(0), nil
}
