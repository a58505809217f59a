package doctor

// The questions to a server. Each has one row of one text, JSON.

const stateQuery = `
WITH node AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby)
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'text', current_setting('server_version'),
  'pid', pg_backend_pid(),
  'standby', standby,
  'system', (SELECT system_identifier FROM pg_control_system())::text,
  'started', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
  'timeline', CASE WHEN standby
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
      greatest((SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery())))
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END,
  'position', CASE WHEN standby
    THEN greatest(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0'), pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'))
    ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0') END::bigint,
  'replayed', CASE WHEN standby THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END,
  'checksums', current_setting('data_checksums') = 'on',
  'clock', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
)::text FROM node`

// roleQuery is about the role named, ourselves if none is.
const roleQuery = `
SELECT (SELECT json_build_object('name', rolname, 'superuser', rolsuper, 'replication', rolreplication OR rolsuper,
  'login', rolcanlogin, 'connections', rolconnlimit)
FROM pg_roles WHERE rolname = coalesce(nullif($1, ''), current_user))::text`

// watchedSettings are the settings that anything is said about.
var watchedSettings = []string{
	"allow_alter_system", "archive_command", "archive_library", "archive_mode", "default_transaction_read_only", "fsync", "full_page_writes",
	"hot_standby", "idle_session_timeout", "log_min_duration_statement", "log_statement", "max_connections", "max_locks_per_transaction",
	"max_prepared_transactions", "max_replication_slots", "max_slot_wal_keep_size", "max_wal_senders", "max_worker_processes", "port",
	"primary_conninfo", "primary_slot_name", "recovery_min_apply_delay", "recovery_target", "recovery_target_action", "recovery_target_lsn",
	"recovery_target_name", "recovery_target_time", "recovery_target_timeline", "recovery_target_xid", "restore_command", "ssl",
	"superuser_reserved_connections", "synchronous_commit", "synchronous_standby_names", "transaction_timeout", "wal_keep_size", "wal_level",
	"wal_log_hints", "wal_receiver_timeout", "wal_sender_timeout",
}

// There is a password in primary_conninfo, so its value stays on the server.
// Commands may contain some, too: only whether they are set is told.
const settingsQuery = `
SELECT coalesce(json_object_agg(name, json_build_object(
  'value', CASE WHEN name IN ('primary_conninfo', 'restore_command', 'archive_command') THEN CASE WHEN setting IN ('', '(disabled)') THEN '' ELSE 'set' END ELSE setting END,
  'text', CASE WHEN name IN ('primary_conninfo', 'restore_command', 'archive_command') THEN '' ELSE current_setting(name) END,
  'source', source, 'pending', pending_restart)), '{}')::text
FROM pg_settings WHERE name = ANY ($1::text[])`

const scopedQuery = `
SELECT coalesce(json_agg(json_build_object('role', coalesce(r.rolname, ''), 'database', coalesce(d.datname, ''),
  'name', split_part(c.entry, '=', 1), 'value', substr(c.entry, strpos(c.entry, '=') + 1))), '[]')::text
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
CROSS JOIN unnest(s.setconfig) AS c(entry)
WHERE split_part(c.entry, '=', 1) IN ('synchronous_commit', 'default_transaction_read_only')`

const receiverQuery = `
SELECT (SELECT json_build_object('status', status, 'host', coalesce(sender_host, ''), 'port', coalesce(sender_port, 0)) FROM pg_stat_wal_receiver)::text`

// conninfoQuery takes the words that matter out of primary_conninfo. Words that
// are quoted in ways nobody uses are not found, which is said by nothing.
const conninfoQuery = `
SELECT (SELECT json_build_object('set', setting <> '', 'password', setting ~ '(^|\s)password\s*=' OR setting ~ '^postgres(ql)?://[^/@]*:[^/@]*@',
  'host', coalesce(substring(setting FROM 'host\s*=\s*''?([^''\s]+)'), ''),
  'port', coalesce(substring(setting FROM 'port\s*=\s*''?([^''\s]+)'), ''),
  'user', coalesce(substring(setting FROM 'user\s*=\s*''?([^''\s]+)'), ''),
  'name', coalesce(substring(setting FROM 'application_name\s*=\s*''?([^''\s]+)'), ''))
FROM pg_settings WHERE name = 'primary_conninfo')::text`

const standbysQuery = `
SELECT coalesce(json_agg(json_build_object('name', application_name, 'addr', coalesce(host(client_addr), ''), 'user', usename,
  'state', coalesce(state, ''), 'sync', coalesce(sync_state, ''))), '[]')::text
FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'`

const slotsQuery = `
SELECT coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type, 'active', active, 'state', coalesce(wal_status, ''),
  'held', coalesce(greatest(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0), 0)::bigint)), '[]')::text
FROM pg_replication_slots WHERE NOT temporary`

const sessionsQuery = `
SELECT json_build_object(
  'wardens', (SELECT coalesce(json_agg(application_name), '[]') FROM pg_stat_activity
    WHERE usename = current_user AND application_name LIKE 'warden-%' AND pid <> pg_backend_pid()),
  'superusers', (SELECT count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
    WHERE r.rolsuper AND a.backend_type = 'client backend' AND r.rolname <> current_user),
  'prepared', (SELECT count(*) FROM pg_prepared_xacts))::text`

const filedQuery = `
SELECT coalesce(json_object_agg(name, setting), '{}')::text FROM pg_file_settings
WHERE sourcefile LIKE '%postgresql.auto.conf' AND name IN ('warden.epoch', 'warden.fenced', 'warden.sealed', 'default_transaction_read_only', 'synchronous_standby_names')`

// Settings that only a start could apply are no mistakes in the files.
const faultsQuery = `
SELECT coalesce(json_agg(json_build_object('file', coalesce(sourcefile, ''), 'line', coalesce(sourceline, 0), 'name', coalesce(name, ''), 'error', error)), '[]')::text
FROM pg_file_settings f WHERE error IS NOT NULL
AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = f.name AND s.pending_restart)`

const hbaQuery = `
SELECT coalesce(json_agg(json_build_object('line', line_number, 'type', coalesce(type, ''), 'databases', coalesce(database, '{}'), 'users', coalesce(user_name, '{}'),
  'address', coalesce(address, ''), 'netmask', coalesce(netmask, ''), 'method', coalesce(auth_method, ''), 'error', coalesce(error, '')) ORDER BY line_number), '[]')::text
FROM pg_hba_file_rules`

const archiverQuery = `
SELECT json_build_object('failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), 'file', coalesce(last_failed_wal, ''))::text
FROM pg_stat_archiver`

const historyQuery = `SELECT to_json(coalesce(pg_read_file($1, 0, 65536, true), ''))::text`
