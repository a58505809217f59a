package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// lookQuery is the one query of a look. The two holes take what not every role
// may run: a function without permission fails the whole query, asked for or
// not. A standby without a receiver does not say which timeline its data is of;
// the newest it may be found out by is that of its newest WAL file.
const lookQuery = `
WITH node AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby),
line AS MATERIALIZED (
  SELECT standby, CASE WHEN standby
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), greatest(
      (SELECT timeline_id FROM pg_control_checkpoint()),
      (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
      (SELECT max(('x' || left(name, 8))::bit(32)::int) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$')))
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END AS timeline
  FROM node)
SELECT json_build_object(
  'standby', standby,
  'timeline', timeline,
  'history', %s,
  'system', (SELECT system_identifier FROM pg_control_system())::text,
  'started', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text,
  'version', current_setting('server_version'),
  'readonly', current_setting('default_transaction_read_only') = 'on',
  'position', CASE WHEN standby
    THEN greatest(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0'), pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'))
    ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0') END::bigint,
  'replayed', CASE WHEN standby THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') END::bigint,
  'receiver', (SELECT json_build_object('status', status, 'host', sender_host, 'port', sender_port) FROM pg_stat_wal_receiver),
  'conninfo', CASE WHEN standby THEN regexp_replace(current_setting('primary_conninfo'),
    'password\s*=\s*(''([^''\\]|\\.)*''|\S+)', '', 'g') END,
  'replicas', CASE WHEN standby THEN NULL ELSE (
    SELECT json_agg(json_build_object('name', r.application_name, 'addr', host(r.client_addr), 'state', r.state,
      'flushed', pg_wal_lsn_diff(r.flush_lsn, '0/0')::bigint))
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
    WHERE s.slot_type IS DISTINCT FROM 'logical' AND r.state IS DISTINCT FROM 'backup') END
)::text, CASE WHEN $1 <> '' THEN set_config('application_name', $1, false) END
FROM line`

const historyColumn = `CASE WHEN timeline > 1 THEN
    pg_read_file('pg_wal/' || lpad(upper(to_hex(timeline)), 8, '0') || '.history', 0, 65536, true) END`

// lookText is the query for a role, one for each answer to "may it read files".
var lookText = map[bool]string{true: fmt.Sprintf(lookQuery, historyColumn), false: fmt.Sprintf(lookQuery, "NULL")}

// seen is the answer to lookQuery.
type seen struct {
	Standby  bool   `json:"standby"`
	Timeline int64  `json:"timeline"`
	History  string `json:"history"`
	System   string `json:"system"`
	Started  string `json:"started"`
	Version  string `json:"version"`
	ReadOnly bool   `json:"readonly"`
	Position int64  `json:"position"`
	Replayed int64  `json:"replayed"`
	Receiver *struct {
		Status string `json:"status"`
		Host   string `json:"host"`
		Port   int    `json:"port"`
	} `json:"receiver"`
	Conninfo string `json:"conninfo"`
	Replicas []struct {
		Name    string `json:"name"`
		Addr    string `json:"addr"`
		State   string `json:"state"`
		Flushed int64  `json:"flushed"`
	} `json:"replicas"`
}

// probe finds out once per connection what the role may do.
func (w *wire) probe(ctx context.Context) error {
	if w.able.probed {
		return nil
	}
	r, err := w.one(ctx, `SELECT pg_has_role('pg_monitor', 'USAGE'), has_function_privilege('pg_read_file(text,bigint,bigint,boolean)', 'EXECUTE')`)
	if err != nil {
		return err
	}
	w.able = abilities{probed: true, monitor: r.yes(0), history: r.yes(1)}
	return nil
}

var errMonitor = errors.New("the role may not see the state of replication: GRANT pg_monitor TO it")

// look observes the server over this connection, and renames the connection
// first (empty: as it is). An error that ends the connection is left to the caller.
func (w *wire) look(ctx context.Context, node warden.NodeID, name string) (warden.Observation, error) {
	if err := w.probe(ctx); err != nil {
		return warden.Observation{}, err
	}
	if !w.able.monitor {
		return warden.Observation{Health: warden.HealthDenied, Detail: errMonitor.Error(), Priority: 100}, nil
	}
	r, err := w.one(ctx, lookText[w.able.history], name)
	if err != nil {
		return warden.Observation{}, err
	}
	var s seen
	if err := json.Unmarshal(r[0], &s); err != nil {
		return warden.Observation{Health: warden.HealthError, Detail: "cannot read the answer of the look", Priority: 100}, nil
	}
	return s.observation(node), nil
}

// observation translates what was seen on node.
func (s seen) observation(node warden.NodeID) warden.Observation {
	o := warden.Observation{
		Health: warden.HealthGood, Role: warden.RolePrimary, Position: s.Position, RunID: s.Started, Priority: 100,
		Lineage: lineage(s.System, s.Timeline), LineageBefore: lineage(s.System, s.before()),
	}
	o.Server, _, _ = strings.Cut("postgresql "+s.Version, " (")
	if s.Standby {
		o.Role = warden.RoleReplica
		if c, err := parseConninfo(s.Conninfo); err == nil {
			o.Upstream = c.upstream()
		}
		if r := s.Receiver; r != nil && r.Status == "streaming" {
			// Whom it really hears, whatever is set by now.
			if sender := makeNode(r.Host, r.Port); sender != "" {
				o.Upstream = sender
			}
			o.LinkUp = true
		}
	}
	for _, r := range s.Replicas {
		if id := listenAddress(node, r.Name, r.Addr); id != "" {
			o.Replicas = append(o.Replicas, warden.Replica{Node: id, Online: r.State == "streaming", Position: r.Flushed})
		}
	}
	o.Text = s.text(o)
	return o
}

// text is for operators, in the shape of INFO.
func (s seen) text(o warden.Observation) string {
	lines := []string{"# Replication", "role:" + string(o.Role), "timeline:" + strconv.FormatInt(s.Timeline, 10),
		"system_identifier:" + s.System, "position:" + strconv.FormatInt(s.Position, 10)}
	if s.Standby {
		lines = append(lines, "replayed:"+strconv.FormatInt(s.Replayed, 10), "upstream:"+string(o.Upstream), "streaming:"+strconv.FormatBool(o.LinkUp))
	} else {
		lines = append(lines, "default_transaction_read_only:"+strconv.FormatBool(s.ReadOnly))
	}
	for _, r := range o.Replicas {
		lines = append(lines, fmt.Sprintf("standby:%s,streaming=%v,position=%d", r.Node, r.Online, r.Position))
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// lineage names a line of data: the cluster it belongs to, and its timeline.
func lineage(system string, timeline int64) string {
	if system == "" || timeline < 1 {
		return ""
	}
	return system + "/" + strconv.FormatInt(timeline, 10)
}

// before is the timeline from which the present one branched off, 0 for none.
// Where the history file cannot be read it is taken to be the number before;
// that is so unless several nodes were promoted from one line.
func (s seen) before() int64 {
	var parent int64
	for line := range strings.Lines(s.History) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil && n > 0 && n < s.Timeline {
			parent = n // the last line is the nearest
		}
	}
	if parent == 0 {
		parent = s.Timeline - 1
	}
	return parent
}

// listenAddress is where a standby listens, as the primary node can tell. An
// application_name that is an address wins: Follow sets it, and an operator may.
// Else it is the address the standby comes from with the primary's own port.
// That can only be a guess, and a guess that names the primary itself is none.
func listenAddress(node warden.NodeID, name, addr string) warden.NodeID {
	if id, err := warden.ParseNode(name); err == nil {
		return id
	}
	if name == "pg_receivewal" || name == "pg_basebackup" {
		return "" // they receive, but nothing listens there
	}
	port, err := strconv.Atoi(node.Port())
	if err != nil {
		return ""
	}
	if id := makeNode(addr, port); id != node {
		return id
	}
	return ""
}

// failed is the observation of a look that got no answer.
func failed(err error) warden.Observation {
	return warden.Observation{Health: healthOf(err), Detail: warden.DetailOf(err), Priority: 100}
}
