package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Settings that orders read and write. Those named "warden" are ours and mean
// nothing to the server; they keep on the node what a later leader has to know.
const (
	// epochSetting and fencedSetting: the newest epoch that claimed the node, and
	// the primary for whose sake the node was fenced.
	epochSetting  = "warden.epoch"
	fencedSetting = "warden.fenced"
	// sealedSetting is what a seal has changed (see closed), armedSetting that
	// commits are known to wait (see arm).
	sealedSetting = "warden.sealed"
	armedSetting  = "warden.armed"

	readOnly     = "default_transaction_read_only"
	upstreamInfo = "primary_conninfo"
	upstreamSlot = "primary_slot_name"
	applyDelay   = "recovery_min_apply_delay"
	waitNames    = "synchronous_standby_names"
)

// settings are those of a node as an order finds them.
type settings struct {
	standby, readOnly bool
	// As the session sees them now.
	conninfo, slot, delay, names string
	// file is what ALTER SYSTEM has written.
	file map[string]string
	// fixed are those that the server's command line sets: no order changes them.
	fixed []string
}

// settings reads them, in one query.
func (s *session) settings(ctx context.Context) (settings, error) {
	r, err := s.wire.one(ctx, `SELECT pg_is_in_recovery(), current_setting('primary_conninfo'), current_setting('primary_slot_name'),
		current_setting('recovery_min_apply_delay'), current_setting('synchronous_standby_names'),
		(SELECT coalesce(json_object_agg(name, coalesce(setting, '') ORDER BY seqno), '{}')::text FROM pg_file_settings
			WHERE sourcefile LIKE '%postgresql.auto.conf' AND name IS NOT NULL),
		(SELECT coalesce(string_agg(name, ','), '') FROM pg_settings WHERE source = 'command line'), current_setting('default_transaction_read_only') = 'on'`)
	if err != nil {
		return settings{}, fmt.Errorf("read settings: %w", err)
	}
	set := settings{
		standby: r.yes(0), conninfo: r.text(1), slot: r.text(2), delay: r.text(3), names: r.text(4),
		fixed: strings.Split(r.text(6), ","), readOnly: r.yes(7),
	}
	if err := json.Unmarshal(r[5], &set.file); err != nil {
		return settings{}, fmt.Errorf("read the file of settings: %w", err)
	}
	return set, nil
}

// free is an error if the command line beats what is to be set.
func (s settings) free(names ...string) error {
	for _, name := range names {
		if slices.Contains(s.fixed, name) {
			return fmt.Errorf("%s is set on the server's command line, which beats every order: move it to postgresql.conf", name)
		}
	}
	return nil
}

// awaitNew waits until a new connection shows a value, and returns that
// connection. The server forks it only when it has told all its processes of
// the change, so from then on each acts by it before it does anything else.
func (s *session) awaitNew(ctx context.Context, name, value string) (*wire, error) {
	for {
		w, err := s.adapter.dial(ctx, s.node, dialing{name: markPrefix + "ask", writes: true})
		if err != nil {
			return nil, err
		}
		r, err := w.one(ctx, "SELECT current_setting($1) = $2", name, value)
		if err == nil && r.yes(0) {
			return w, nil
		}
		w.close()
		if err == nil {
			err = pause(ctx, lookAgain)
		}
		if err != nil {
			return nil, fmt.Errorf("a new connection to %s does not show %s as ordered: %w", s.node, name, err)
		}
	}
}

// closed is what a seal took away from a standby, kept in warden.sealed until it
// is given back. Anybody may read that, so no password is in it.
type closed struct {
	Conninfo string `json:"conninfo"`
	// Delay is what the file said of recovery_min_apply_delay; nil: nothing.
	Delay *string `json:"delay,omitempty"`
	// Delayed: the delay was changed.
	Delayed bool `json:"delayed,omitempty"`
}

// closed reads what a seal has kept; not found: there is no seal of ours.
func (s settings) closed() (c closed, found bool) {
	text := s.file[sealedSetting]
	if text == "" {
		return closed{}, false
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return closed{}, true // what it kept is lost; it has to go all the same
	}
	return c, true
}

// upstream is the connection string to build a new one from: what is set, or
// what a seal has kept of it.
func (s settings) upstream() (conninfo, error) {
	text := s.conninfo
	if kept, found := s.closed(); found && text == "" {
		text = kept.Conninfo
	}
	c, err := parseConninfo(text)
	if err != nil {
		return nil, fmt.Errorf("primary_conninfo: %w", err)
	}
	return c, nil
}

// restorable is an error if a seal could not be undone: it has to drop the
// password, so that must be known from elsewhere.
func (a *Adapter) restorable(c conninfo) error {
	if c.get("sslpassword") != "" || c.get("password") != "" && a.opts.ReplicationPassword == "" && a.opts.ReplicationPassfile == "" {
		return fmt.Errorf("primary_conninfo holds a password that could not be restored after a seal: give Warden the replication password, or use a passfile on the database host")
	}
	return nil
}

// openAgain gives back what a seal took, but for the connection string.
func (s *session) openAgain(ctx context.Context, set settings) error {
	kept, found := set.closed()
	if !found {
		return nil
	}
	// A seal that was cut off in the middle may have left a pause.
	r, err := s.wire.one(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END")
	if err == nil && r.yes(0) {
		_, err = s.wire.ask(ctx, "SELECT pg_wal_replay_resume()")
	}
	if err != nil {
		return fmt.Errorf("resume replay: %w", err)
	}
	if kept.Delayed {
		if kept.Delay != nil {
			err = s.set(ctx, applyDelay, *kept.Delay)
		} else {
			err = s.reset(ctx, applyDelay)
		}
		if err != nil {
			return err
		}
	}
	return s.reset(ctx, sealedSetting)
}

// asPrimary undoes on a new primary what the seal has left behind. It is to be
// one that would follow its old upstream if it were a standby again, as any other.
func (s *session) asPrimary(ctx context.Context, set settings) error {
	if _, found := set.closed(); !found {
		return nil
	}
	have, err := set.upstream()
	if err != nil {
		return err
	}
	if to := have.upstream(); to != "" && set.conninfo == "" {
		if err := s.set(ctx, upstreamInfo, s.adapter.streamFrom(have, s.node, warden.Following{Primary: to}).String()); err != nil {
			return err
		}
	}
	if err := s.openAgain(ctx, set); err != nil {
		return err
	}
	return s.reload(ctx)
}
