package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ordered are the settings that orders change by ALTER SYSTEM.
func ordered(g Group) []string {
	names := []string{"primary_conninfo", "primary_slot_name", "default_transaction_read_only"}
	if g.Durable {
		names = append(names, "synchronous_standby_names")
	}
	return names
}

// checkCommandLine finds settings that orders cannot change.
func checkCommandLine(g Group, n *PostgresNode) []Finding {
	var out []Finding
	for _, name := range ordered(g) {
		if n.Settings[name].Source == "command line" {
			out = append(out, Finding{Severity: Error, Found: name + " is set on the server's command line",
				Why:    "that beats ALTER SYSTEM, so orders change nothing and this node does not do what it is told",
				Remedy: "take -c " + name + "=... out of the command that starts the server, and restart it"})
		}
	}
	if n.set("allow_alter_system") == "off" {
		out = append(out, Finding{Severity: Error, Found: "allow_alter_system is off", Why: "every order is given by ALTER SYSTEM",
			Remedy: "allow_alter_system = on   # in postgresql.conf; then SELECT pg_reload_conf();"})
	}
	for _, f := range n.Faults {
		out = append(out, Finding{Severity: Error, Found: fmt.Sprintf("%s, line %d: %s: %s", f.File, f.Line, f.Name, f.Error),
			Why: "a reload may leave settings as they are, those of an order too", Remedy: "correct the line, then SELECT pg_reload_conf();"})
	}
	return out
}

// wanted is a setting that has to have a value.
type wanted struct {
	name     string
	good     []string
	severity Severity
	why      string
	remedy   string
	durable  bool // in quorum groups alone
}

var wantedSettings = []wanted{
	{"wal_level", []string{"replica", "logical"}, Error, "standbys cannot copy", "ALTER SYSTEM SET wal_level = replica;   -- then restart", false},
	{"hot_standby", []string{"on"}, Error, "a standby cannot be looked at, so it is never chosen", "ALTER SYSTEM SET hot_standby = on;   -- then restart", false},
	{"recovery_target_timeline", []string{"latest"}, Error, "a standby does not follow a new primary onto its timeline", "ALTER SYSTEM SET recovery_target_timeline = 'latest';   -- then restart", false},
	{"fsync", []string{"on"}, Warning, "after a crash of its machine a server may return with damaged data, and stream it on", "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();", false},
	{"full_page_writes", []string{"on"}, Warning, "after a crash of its machine data may be damaged, and pg_rewind refuses to work", "ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();", false},
}

// checkSettings looks at the settings that replication and failover stand on.
func checkSettings(g Group, n *PostgresNode) []Finding {
	var out []Finding
	for _, w := range wantedSettings {
		if v, known := n.Settings[w.name]; known && !slices.Contains(w.good, v.Value) && (g.Durable || !w.durable) {
			out = append(out, Finding{Severity: w.severity, Found: w.name + " is " + v.Value, Why: w.why, Remedy: w.remedy})
		}
	}
	for _, name := range []string{"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"} {
		if n.set(name) != "" {
			out = append(out, Finding{Severity: Warning, Found: name + " is set", Why: "a standby with a target stops there: it pauses, ends, or promotes itself",
				Remedy: "ALTER SYSTEM RESET " + name + ";   -- or take it out of postgresql.conf; then restart"})
		}
	}
	if n.set("wal_log_hints") == "off" && !n.Checksums {
		out = append(out, Finding{Severity: Warning, Found: "neither wal_log_hints nor data checksums are on",
			Why:    "pg_rewind cannot be used, so an old primary has to be copied anew before it can return",
			Remedy: "ALTER SYSTEM SET wal_log_hints = on;   -- then restart; on every node"})
	}
	for _, name := range slices.Sorted(maps.Keys(n.Settings)) {
		if n.Settings[name].Pending && name != "primary_conninfo" {
			out = append(out, Finding{Severity: Note, Found: name + " was changed and waits for a restart", Why: "after the next restart the server differs from what was looked at here", Remedy: "restart the server at a quiet time"})
		}
	}
	return out
}

// checkRoom counts places for standbys and slots.
func checkRoom(g Group, n *PostgresNode) []Finding {
	var out []Finding
	others := int64(len(g.Nodes) - 1)
	for _, s := range []struct{ name, kind string }{{"max_wal_senders", "standby"}, {"max_replication_slots", "slot"}} {
		have, known := n.number(s.name)
		switch {
		case !known:
		case have < others:
			out = append(out, Finding{Severity: Error, Found: fmt.Sprintf("%s is %d, for %d other nodes", s.name, have, others),
				Why: "as the primary this node could not serve them all", Remedy: fmt.Sprintf("ALTER SYSTEM SET %s = %d;   -- then restart; standbys first where it is raised", s.name, max(2*others+2, 10))})
		case have < others+2:
			out = append(out, Finding{Severity: Warning, Found: fmt.Sprintf("%s is %d, for %d other nodes", s.name, have, others),
				Why:    "a base backup or a connection that was not noticed to have ended takes a " + s.kind + " of its own, and then a standby finds no place",
				Remedy: fmt.Sprintf("ALTER SYSTEM SET %s = %d;   -- then restart; standbys first where it is raised", s.name, max(2*others+2, 10))})
		}
	}
	if n.set("max_slot_wal_keep_size") == "-1" {
		out = append(out, Finding{Severity: Warning, Found: "max_slot_wal_keep_size is -1, without limit",
			Why:    "the slot of a standby that is gone keeps WAL until the disk of the primary is full, which stops it",
			Remedy: "ALTER SYSTEM SET max_slot_wal_keep_size = '20GB'; SELECT pg_reload_conf();   -- what the disk can spare"})
	}
	return out
}

// weakCommits are the values of synchronous_commit that wait for no standby's
// disk, and how bad that is.
func weakCommits(value string) (Severity, string) {
	switch value {
	case "off", "local":
		return Error, "such commits are acknowledged before any standby has them, so a failover loses them"
	case "remote_write":
		return Warning, "such commits are acknowledged before a standby has them on disk, so they are lost if the machines of both fail"
	}
	return OK, ""
}

// checkCommits finds commits that are acknowledged too early.
func checkCommits(g Group, n *PostgresNode) []Finding {
	var out []Finding
	s := n.Settings["synchronous_commit"]
	ours := slices.Contains([]string{"user", "database", "database user", "client", "session"}, s.Source)
	if severity, why := weakCommits(s.Value); g.Durable && !ours && severity != OK {
		out = append(out, Finding{Severity: severity, Found: "synchronous_commit is " + s.Value, Why: why,
			Remedy: "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();"})
	} else if !g.Durable && !ours && s.Value == "off" {
		out = append(out, Finding{Severity: Note, Found: "synchronous_commit is off",
			Why: "commits are acknowledged before they are on the primary's own disk; a crash loses the last ones even without a failover", Remedy: "ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf();"})
	}
	for _, c := range n.Scoped {
		severity, why := weakCommits(c.Value)
		if !g.Durable || c.Name != "synchronous_commit" || severity == OK || c.Role == n.Role.Name {
			continue
		}
		out = append(out, Finding{Severity: severity, Found: "synchronous_commit is " + c.Value + " for " + c.scope(), Why: why, Remedy: c.reset()})
	}
	names := n.set("synchronous_standby_names")
	switch {
	case g.Durable && strings.Contains(names, "*"):
		out = append(out, Finding{Severity: Error, Found: "synchronous_standby_names is " + n.Settings["synchronous_standby_names"].Text,
			Why:    "anybody who streams counts, a backup that is being taken too, so a failover cannot know who has a commit",
			Remedy: "take it out of postgresql.conf; Warden sets it by ALTER SYSTEM"})
	case !g.Durable && names != "":
		out = append(out, Finding{Severity: Note, Found: "synchronous_standby_names is " + n.Settings["synchronous_standby_names"].Text,
			Why:    "in an asynchronous group it is yours: Warden does not change it when a standby fails or is promoted, so commits may hang, and what it promises does not bind a failover",
			Remedy: `durability = "quorum"   # in the group's block, to have it kept; or ALTER SYSTEM RESET synchronous_standby_names;`})
	}
	return out
}

func (c ScopedSetting) scope() string {
	switch {
	case c.Role == "" && c.Database == "":
		return "all roles"
	case c.Database == "":
		return "the role " + c.Role
	case c.Role == "":
		return "the database " + c.Database
	}
	return "the role " + c.Role + " in the database " + c.Database
}

// reset is the SQL that takes it back.
func (c ScopedSetting) reset() string {
	switch {
	case c.Role == "" && c.Database == "":
		return "ALTER ROLE ALL RESET " + c.Name + ";"
	case c.Database == "":
		return "ALTER ROLE " + quoteName(c.Role) + " RESET " + c.Name + ";"
	case c.Role == "":
		return "ALTER DATABASE " + quoteName(c.Database) + " RESET " + c.Name + ";"
	}
	return "ALTER ROLE " + quoteName(c.Role) + " IN DATABASE " + quoteName(c.Database) + " RESET " + c.Name + ";"
}

// checkTimeouts finds limits of the server that end what Wardens keep open.
func checkTimeouts(_ Group, n *PostgresNode) []Finding {
	var out []Finding
	for _, t := range []struct{ name, why string }{
		{"idle_session_timeout", "it ends the connections that Wardens keep, and each end looks like the end of the server until they have looked again"},
		{"transaction_timeout", "it ends the sessions that end a hold, so a switchover that is given up leaves the primary read-only"},
	} {
		if v, known := n.number(t.name); known && v > 0 {
			out = append(out, Finding{Severity: Warning, Found: t.name + " is " + n.Settings[t.name].Text + " for the role " + n.Role.Name, Why: t.why,
				Remedy: "ALTER ROLE " + quoteName(n.Role.Name) + " SET " + t.name + " = 0;"})
		}
	}
	for _, name := range []string{"wal_sender_timeout", "wal_receiver_timeout"} {
		if v, known := n.number(name); known && v == 0 {
			out = append(out, Finding{Severity: Note, Found: name + " is 0, without limit", Why: "a stream whose other side has vanished is kept, and so is its slot",
				Remedy: "ALTER SYSTEM SET " + name + " = '60s'; SELECT pg_reload_conf();"})
		}
	}
	return out
}

// checkLogging finds passwords that orders would write into the log.
func checkLogging(g Group, n *PostgresNode) []Finding {
	statement, duration := n.set("log_statement"), n.set("log_min_duration_statement")
	if (statement == "" || statement == "none") && duration != "0" {
		return nil
	}
	what := "log_statement is " + statement
	if duration == "0" && (statement == "" || statement == "none") {
		what = "log_min_duration_statement is 0"
	}
	if !n.Conninfo.Password && !g.ReplicationPassword {
		return nil
	}
	return []Finding{{Severity: Warning, Found: what + ", and primary_conninfo has a password in it",
		Why:    "orders to follow another node are logged with the password in clear text",
		Remedy: "keep the password in a file on the database hosts (passfile) and take it out of primary_conninfo; or ALTER ROLE " + quoteName(n.Role.Name) + " SET log_statement = 'none';   -- by a superuser"}}
}

// checkArchive looks at settings of archives that get in the way.
func checkArchive(_ Group, n *PostgresNode) []Finding {
	var out []Finding
	mode := n.set("archive_mode")
	if n.Archiver.Failing && mode != "off" && (!n.Standby || mode == "always") {
		out = append(out, Finding{Severity: Warning, Found: "archiving fails, at " + n.Archiver.File,
			Why: "WAL is kept until it is archived, until the disk is full", Remedy: "look into the server's log for the reason, and correct archive_command"})
	}
	if delay, known := n.number("recovery_min_apply_delay"); known && delay > 0 {
		out = append(out, Finding{Severity: Warning, Found: "recovery_min_apply_delay is " + n.Settings["recovery_min_apply_delay"].Text,
			Why:    "promoting this node takes as long as it needs to apply what it has received",
			Remedy: "keep delayed standbys out of the group, or mark the node nofailover"})
	}
	return out
}
