package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// judgePostgres is everything that is said about one server.
func judgePostgres(g Group, n *PostgresNode) []Finding {
	out := apply(g, n.Node, n, []rule[*PostgresNode]{{"reachable", "it answers, and lets the role in", checkReachable}})
	if !n.reached() {
		return out
	}
	return append(out, apply(g, n.Node, n, []rule[*PostgresNode]{
		{"readable", "everything could be looked at", checkReadable},
		{"version", "the version is one that is supported", checkVersion},
		{"pooler", "the connection goes to the server itself", checkPooler},
		{"role", "the role is of the right kind", checkRole},
		{"rights", "the role has every right that orders need", checkRights},
		{"replication-role", "the role that standbys log in as may do so", checkReplicator},
		{"settings", "the settings that failover stands on are right", checkSettings},
		{"command-line", "orders can change the settings they have to", checkCommandLine},
		{"room", "there is room for every standby and its slot", checkRoom},
		{"commits", "no commit is acknowledged too early", checkCommits},
		{"timeouts", "no limit ends what Wardens keep open", checkTimeouts},
		{"logging", "no order writes a password into the log", checkLogging},
		{"archive", "archive and delays are not in the way", checkArchive},
		{"sealing", "a seal could be made, and undone", checkSealing},
		{"slots", "no slot holds WAL for nobody", checkSlots},
		{"leftovers", "nothing is left over from an earlier change", checkLeftovers},
		{"fence", "nothing gets around a fence", checkFence},
	})...)
}

// checkReachable tells apart why a node cannot be looked at.
func checkReachable(g Group, n *PostgresNode) []Finding {
	f := Finding{Severity: Error, Found: fmt.Sprintf("cannot be looked at: %s", n.Err), Why: "what Wardens cannot look at from their hosts counts as down, and is never chosen"}
	user := g.Login.User
	if user == "" {
		user = "of this account"
	}
	switch {
	case n.reached():
		return nil
	case n.Code == "28P01":
		f.Found, f.Remedy = "it refuses the password of the role "+user, "write the right one into auth_password_file, or ALTER ROLE "+quoteName(user)+" PASSWORD '...';"
	case n.Code == "28000":
		f.Found, f.Remedy = "pg_hba.conf does not let the role "+user+" in from here", "hostssl  "+g.database()+"  "+quoteName(user)+"  THIS-HOST/32  scram-sha-256   # in pg_hba.conf; or CREATE ROLE "+quoteName(user)+", if there is none"
	case n.Code == "3D000":
		f.Found, f.Remedy = "there is no database "+g.database(), `dbname = "postgres"   # or create it; the same one for all Wardens`
	case n.Code == "08P01" || n.Code == "0A000":
		f.Found, f.Remedy = "this is a pooler, or something else that is not PostgreSQL: "+n.Err, "name the server's own port in nodes, not that of a pooler"
	case n.Health == warden.HealthLoading:
		f.Severity, f.Remedy = Warning, "wait until it has started; if it does not, look into its log (a standby needs hot_standby = on)"
	case n.Health == warden.HealthBusy:
		f.Remedy = "ALTER SYSTEM SET max_connections = ...;   -- or end sessions that are not needed"
	case n.Health == warden.HealthRefused:
		f.Found, f.Remedy = "it refuses connections", "start it; or correct listen_addresses, the port, or the address in nodes"
	case n.Health == warden.HealthSilent:
		f.Found, f.Remedy = "it does not answer", "look at the host, the network and the firewall between here and there"
	case n.Health == warden.HealthDenied:
		f.Remedy = "correct sslmode, sslrootcert, sslcert and sslkey, or the files they name"
	default:
		f.Remedy = "look into the server's log"
	}
	return []Finding{f}
}

// checkReadable names what the role was not shown, in one finding. What is
// optional has findings of its own.
func checkReadable(_ Group, n *PostgresNode) []Finding {
	var hidden []string
	for _, part := range slices.Sorted(maps.Keys(n.Unread)) {
		if part != "pg_hba_file_rules" && part != "timeline history" {
			hidden = append(hidden, part+" ("+n.Unread[part]+")")
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	return []Finding{{Severity: Warning, Found: "could not be looked at: " + strings.Join(hidden, "; "),
		Why: "what depends on it was not checked", Remedy: "give the role the rights of docs/postgresql.md, and run this again"}}
}

// Versions that the adapter knows, and the one that its tests run.
const (
	oldest, newest = 13, 18
	tested         = 15
)

func checkVersion(_ Group, n *PostgresNode) []Finding {
	switch major := n.major(); {
	case major == 0 || major == tested:
		return nil
	case major < oldest:
		return []Finding{{Severity: Error, Found: "version " + n.VersionText, Why: fmt.Sprintf("versions before %d change replication by a file and a restart", oldest), Remedy: "upgrade"}}
	case major > newest:
		return []Finding{{Severity: Warning, Found: "version " + n.VersionText, Why: fmt.Sprintf("it is newer than %d, the newest that this build knows", newest), Remedy: "try a switchover on a copy first"}}
	case major < 15:
		return []Finding{{Severity: Note, Found: "version " + n.VersionText, Why: "before version 15 the role has to be a superuser; this version is not among those that the tests run", Remedy: "try a switchover on a copy first"}}
	default:
		return []Finding{{Severity: Note, Found: "version " + n.VersionText, Why: fmt.Sprintf("the tests run version %d", tested), Remedy: "try a switchover on a copy first"}}
	}
}

// checkPooler finds out whether somebody stands between. A pooler names another
// process when the connection is opened than the one that answers, because it
// hands out several of them.
func checkPooler(_ Group, n *PostgresNode) []Finding {
	if n.BackendPID == 0 || n.KeyPID == n.BackendPID {
		return nil
	}
	return []Finding{{Severity: Error, Found: "a pooler stands between here and the server",
		Why:    "orders hold a lock on their session, and a pooler gives sessions to others; and while it runs a dead server seems to listen",
		Remedy: "name the server's own port in nodes (it listens on " + n.set("port") + ")"}}
}

const gib = 1 << 30

// checkSlots finds WAL that is kept for nobody, and standbys that lost theirs.
func checkSlots(_ Group, n *PostgresNode) []Finding {
	var out []Finding
	for _, s := range n.Slots {
		drop := "SELECT pg_drop_replication_slot('" + strings.ReplaceAll(s.Name, "'", "''") + "');"
		switch {
		case s.State == "lost":
			out = append(out, Finding{Severity: Warning, Found: "the slot " + s.Name + " has lost WAL that its reader needs",
				Why: "its reader cannot go on and has to be copied anew", Remedy: drop + "   -- then copy the reader anew"})
		case !s.Active && (s.Held >= gib || s.State == "unreserved"):
			out = append(out, Finding{Severity: Warning, Found: fmt.Sprintf("the slot %s is not in use and holds %.1f GiB of WAL", s.Name, float64(s.Held)/gib),
				Why: "it goes on until the disk is full, or until max_slot_wal_keep_size is reached", Remedy: drop + "   -- if its reader does not return"})
		case !s.Active && !strings.HasPrefix(s.Name, "warden_") && s.Type == "physical":
			out = append(out, Finding{Severity: Note, Found: "the slot " + s.Name + " is not in use, and is not Warden's",
				Why: "nobody but you will drop it", Remedy: drop + "   -- if its reader does not return"})
		case s.Type == "logical" && !n.Standby:
			out = append(out, Finding{Severity: Note, Found: "the slot " + s.Name + " is logical",
				Why: "it does not move to a promoted standby by itself, so its reader has to begin anew after a failover", Remedy: "17 and later: sync_replication_slots = on, and the slot made with failover = true"})
		}
	}
	return out
}

// checkSealing looks at what keeps a member of a sync set from being sealed. A
// seal empties primary_conninfo and keeps what was in it, but for the password.
func checkSealing(g Group, n *PostgresNode) []Finding {
	if !g.Durable {
		return nil
	}
	var out []Finding
	if n.Conninfo.Password && !g.ReplicationPassword && !g.ReplicationPassfile {
		out = append(out, Finding{Severity: Error, Found: "primary_conninfo has a password in it, and the configuration has none",
			Why:    "a seal could not be undone, so this node is never sealed and does not count in a failover",
			Remedy: `replication_user and replication_passfile (a .pgpass on the database hosts) in the group's block; or replication_password_file`})
	}
	if n.Settings["recovery_min_apply_delay"].Source == "command line" {
		out = append(out, Finding{Severity: Error, Found: "recovery_min_apply_delay is set on the server's command line",
			Why: "it beats orders, so this node is never sealed and does not count in a failover", Remedy: "take it out of the command that starts the server, and restart it"})
	}
	if _, sealed := n.Filed["warden.sealed"]; sealed && n.Standby {
		out = append(out, Finding{Severity: Warning, Found: "it is sealed: it receives from nobody",
			Why: "a failover is under way, or was given up and this node could not be told; the primary waits for members that cannot acknowledge", Remedy: "spineldb explain tells which, and a majority of Wardens releases it by itself; if there is none any more: spineldb release " + string(g.Name)})
	}
	return out
}

// Undoing a fence or a hold by hand.
const undoFence = "ALTER SYSTEM RESET default_transaction_read_only; SET warden.fenced = ''; ALTER SYSTEM RESET warden.fenced; SELECT pg_reload_conf();"

// checkLeftovers finds what a change that was not finished has left.
func checkLeftovers(g Group, n *PostgresNode) []Finding {
	var out []Finding
	holding := slices.ContainsFunc(n.Wardens, func(name string) bool { return strings.HasSuffix(name, "-hold") })
	by, fenced := n.Filed["warden.fenced"]
	switch {
	case fenced && !n.Standby:
		command := "rejoin it: stop it, pg_rewind (or set the data aside and pg_basebackup) from " + by + ", standby.signal, start it"
		if g.Rejoin {
			command = "the leader runs rejoin_command for it; if that does not help, " + command
		}
		out = append(out, Finding{Severity: Error, Found: "it is fenced, because " + by + " became the primary",
			Why: "it is read-only and copies from nobody, so its data grows old", Remedy: command + "\nonly if " + by + " is no primary, and this node shall be it: " + undoFence})
	case n.Filed["default_transaction_read_only"] == "on" && !holding && !n.Standby:
		out = append(out, Finding{Severity: Error, Found: "it is read-only by ALTER SYSTEM, and nothing is going on that would end it",
			Why: "writes are refused; a switchover was given up and the server restarted, or somebody set it", Remedy: undoFence})
	case n.set("default_transaction_read_only") == "on" && !fenced && !holding && !n.Standby && n.Settings["default_transaction_read_only"].Source == "configuration file":
		out = append(out, Finding{Severity: Warning, Found: "default_transaction_read_only is on", Why: "clients of the primary cannot write by default, and Warden does not see that as its own doing",
			Remedy: "take it out of postgresql.conf; then SELECT pg_reload_conf();"})
	}
	if n.Prepared > 0 {
		out = append(out, Finding{Severity: Note, Found: fmt.Sprintf("%d transactions are prepared", n.Prepared),
			Why: "they can be committed in spite of a fence or a hold, and they hold locks until somebody ends them", Remedy: "SELECT * FROM pg_prepared_xacts;   -- COMMIT PREPARED or ROLLBACK PREPARED what was forgotten"})
	}
	if of := n.markedFor(); of != "" && of != g.Name {
		out = append(out, Finding{Severity: Error, Found: "it was last ordered by Wardens of the group " + string(of),
			Why:    "two groups, or one under two names, would order the node to and fro; orders of this group are not told apart by epoch",
			Remedy: "take it out of one of the groups; after a renaming, on each node: SET warden.epoch = ''; ALTER SYSTEM RESET warden.epoch;"})
	}
	return out
}

// checkFence finds roles and databases that a fence does not bind.
func checkFence(_ Group, n *PostgresNode) []Finding {
	var out []Finding
	for _, c := range n.Scoped {
		if c.Name == "default_transaction_read_only" && c.Value == "off" && c.Role != n.Role.Name {
			out = append(out, Finding{Severity: Warning, Found: "default_transaction_read_only is off for " + c.scope(),
				Why: "a fence and a hold make new transactions read-only by default, and this beats the default", Remedy: c.reset()})
		}
	}
	return out
}
