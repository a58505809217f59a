package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spineldb/warden/warden"
)

// lookQuery is the one query of a look. The two holes take what not every role
// may run: a function without permission fails the whole query, asked for or
// not. A standby without a receiver does not say which timeline its data is of;
// the newest it may be found out by is that of its newest WAL file. A file whose
// timeline has no history here does not count: pg_rewind leaves files of the line
// that it took back, and whoever follows a line has its history first. $2 is the
// timeline whose history is known already.
const lookQuery = `
WITH node AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby),
filed AS MATERIALIZED (%s),
line AS MATERIALIZED (
  SELECT standby, CASE WHEN standby
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), greatest(
      (SELECT timeline_id FROM pg_control_checkpoint()),
      (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
      (SELECT max(('x' || line)::bit(32)::int) FROM (
        SELECT left(name, 8) AS line FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{8}([0-9A-F]{16}|[.]history)$'
        GROUP BY 1 HAVING bool_or(length(name) = 24) AND (left(name, 8) = '00000001' OR bool_or(length(name) <> 24))) AS lines)))
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END AS timeline
  FROM node)
SELECT json_build_object(
  'standby', standby,
  'timeline', timeline,
  'history', %s,
  'system', (SELECT system_identifier FROM pg_control_system())::text,
  'started', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text,
  'version', current_setting('server_version'),
  'readonly', (SELECT bool_or(setting IN ('on', 'true', 'yes', '1')) FROM filed WHERE name = 'default_transaction_read_only'),
  'fenced', (SELECT max(setting) FROM filed WHERE name = 'warden.fenced'),
  'waits', current_setting('synchronous_standby_names'),
  'written', CASE WHEN NOT standby THEN pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0') END::bigint,
  'receiver', (SELECT json_build_object('status', status, 'host', sender_host, 'port', sender_port) FROM pg_stat_wal_receiver),
  'standing', CASE WHEN standby THEN (SELECT json_build_object(
    'replayed', pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint,
    'slot', current_setting('primary_slot_name'),
    'conninfo', regexp_replace(current_setting('primary_conninfo'), '(ssl)?password\s*=\s*(''([^''\\]|\\.)*''|\S+)', '', 'g'),
    'closed', current_setting('primary_conninfo') = '' AND (SELECT bool_or(setting = '') FROM filed WHERE name = 'primary_conninfo'),
    'kept', (SELECT max(setting) FROM filed WHERE name = 'warden.sealed'),
    'received', pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint,
    'receivers', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'),
    'startup', (SELECT max(wait_event) FROM pg_stat_activity WHERE backend_type = 'startup'))) END,
  'receivers', CASE WHEN standby THEN NULL ELSE (
    SELECT json_agg(json_build_object('name', r.application_name, 'slot', s.slot_name, 'addr', host(r.client_addr), 'state', r.state,
      'flushed', pg_wal_lsn_diff(r.flush_lsn, '0/0')::bigint))
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
    WHERE s.slot_type IS DISTINCT FROM 'logical' AND r.state IS DISTINCT FROM 'backup') END
)::text, CASE WHEN $1 <> '' THEN set_config('application_name', $1, false) END
FROM line`

const (
	filedColumns   = `SELECT name, setting FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf'`
	noFiledColumns = `SELECT ''::text AS name, ''::text AS setting WHERE false`
	historyColumn  = `CASE WHEN timeline > 1 AND timeline <> $2::int THEN
    pg_read_file('pg_wal/' || lpad(upper(to_hex(timeline)), 8, '0') || '.history', 0, 65536, true) END`
	noHistoryColumn = `CASE WHEN $2::int < 0 THEN '' END`
)

// lookText is the query for a role, by what it may read.
func (may abilities) lookText() string {
	filed, history := noFiledColumns, noHistoryColumn
	if may.files {
		filed = filedColumns
	}
	if may.history {
		history = historyColumn
	}
	return fmt.Sprintf(lookQuery, filed, history)
}

// probe finds out once per connection what the role may do.
func (w *wire) probe(ctx context.Context) error {
	if w.able.probed {
		return nil
	}
	r, err := w.one(ctx, `SELECT pg_has_role('pg_monitor', 'USAGE'), has_function_privilege('pg_read_file(text,bigint,bigint,boolean)', 'EXECUTE'),
		has_table_privilege('pg_file_settings', 'SELECT') AND has_function_privilege('pg_show_all_file_settings()', 'EXECUTE')`)
	if err != nil {
		return err
	}
	w.able = abilities{probed: true, monitor: r.yes(0), history: r.yes(1), files: r.yes(2)}
	w.lookText = w.able.lookText()
	return nil
}

var errMonitor = errors.New("the role may not see the state of replication: GRANT pg_monitor TO it")

// look observes the server over this connection, and renames the connection
// first (empty: as it is). An error that ends the connection is left to the caller.
func (a *Adapter) look(ctx context.Context, w *wire, node warden.NodeID, name string) (warden.Observation, error) {
	if err := w.probe(ctx); err != nil {
		return warden.Observation{}, err
	}
	if !w.able.monitor {
		return unfit(warden.HealthDenied, errMonitor.Error()), nil
	}
	r, err := w.one(ctx, w.lookText, name, strconv.FormatInt(w.past.timeline, 10))
	if err != nil {
		return warden.Observation{}, err
	}
	var s seen
	if err := json.Unmarshal(r[0], &s); err != nil {
		return unfit(warden.HealthError, "cannot read the answer of the look"), nil
	}
	if s.Timeline == w.past.timeline {
		s.History = w.past.history
	} else if s.History != "" {
		w.past.timeline, w.past.history = s.Timeline, s.History
	}
	s.settled = s.closed() && (w.sealed || s.Standing.Startup == waitRetry)
	o := s.observation(node, a.known())
	o.NoSlot = o.NoSlot && !a.opts.NoSlots
	return o, nil
}

// unfit is the observation of a node that answered, but not as it should.
func unfit(health warden.Health, detail string) warden.Observation {
	return warden.Observation{Health: health, Detail: detail, Priority: 100}
}

// failed is the observation of a look that got no answer.
func failed(err error) warden.Observation { return unfit(healthOf(err), warden.DetailOf(err)) }
