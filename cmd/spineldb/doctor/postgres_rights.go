package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spineldb/warden/warden"
)

// right is one thing that Warden's role has to be allowed.
type right struct {
	name     string
	sql      string // whether the role has it
	grant    string // %s is the role
	severity Severity
	why      string // what does not work without it
}

// altered are the settings that orders change, and what for.
var altered = []struct {
	name, why string
	durable   bool // in quorum groups alone
}{
	{"primary_conninfo", "a standby cannot be told whom to follow", false},
	{"primary_slot_name", "a standby cannot be given a slot, so its primary may remove WAL that it still needs", false},
	{"default_transaction_read_only", "a primary can neither be held nor fenced", false},
	{"warden.epoch", "no order is given: a node could not remember the newest leader", false},
	{"warden.fenced", "a primary cannot be fenced", false},
	{"warden.sealed", "a standby cannot be sealed, so there is no failover", true},
	{"warden.armed", "waiting for standbys cannot be switched on with certainty", true},
	{"synchronous_standby_names", "nothing can be promised about acknowledged commits", true},
	{"recovery_min_apply_delay", "a standby that applies with a delay cannot be sealed, so there is no failover", true},
}

const promotionUnseen = "whether a promotion is under way cannot be seen, so a new leader might promote another standby beside it"

// rightsFor are the rights that a group needs on a server of a version.
func rightsFor(g Group, version int) []right {
	rights := []right{
		{"pg_monitor", "pg_has_role('pg_monitor', 'USAGE')", "GRANT pg_monitor TO %s;", Error, "the state of replication is hidden, and every look ends as denied"},
		{"pg_signal_backend", "pg_has_role('pg_signal_backend', 'USAGE')", "GRANT pg_signal_backend TO %s;", Warning, "sessions on an old primary cannot be ended, so they may go on writing after a failover"},
		execute("pg_promote(boolean, integer)", Error, "no standby can be promoted"),
		execute("pg_reload_conf()", Error, "no order takes effect"),
		execute("pg_show_all_file_settings()", Error, "the mark of the newest leader cannot be read, so no order is given"),
		{"pg_file_settings", "has_table_privilege('pg_file_settings', 'SELECT')", "GRANT SELECT ON pg_file_settings TO %s;", Error, "the mark of the newest leader cannot be read, so no order is given"},
		execute("pg_stat_file(text, boolean)", Warning, promotionUnseen),
		execute("pg_read_file(text, bigint, bigint, boolean)", Note, "timeline histories cannot be read, so the line before is guessed, which is wrong where several nodes were promoted from one line"),
	}
	if !g.Durable {
		rights = append(rights, execute("pg_wal_replay_resume()", Warning, promotionUnseen), execute("pg_wal_replay_pause()", Note, promotionUnseen+", where replay is paused"))
	} else {
		rights = append(rights,
			execute("pg_wal_replay_resume()", Error, "a standby whose replay is paused cannot be sealed, so there is no failover; and "+promotionUnseen),
			execute("pg_wal_replay_pause()", Note, "sealing a standby takes a tenth of a second longer"))
		if version >= 150000 {
			rights = append(rights, right{"pg_checkpoint", "pg_has_role('pg_checkpoint', 'USAGE')", "GRANT pg_checkpoint TO %s;", Error, "waiting for standbys cannot be switched on with certainty"})
		}
	}
	if version < 150000 {
		return rights // ALTER SYSTEM cannot be granted; see checkRole
	}
	for _, a := range altered {
		if a.durable && !g.Durable {
			continue
		}
		rights = append(rights, right{"ALTER SYSTEM " + a.name, "has_parameter_privilege('" + a.name + "', 'ALTER SYSTEM')",
			"GRANT ALTER SYSTEM ON PARAMETER " + a.name + " TO %s;", Error, a.why})
	}
	return rights
}

// execute is the right to call a function.
func execute(function string, severity Severity, why string) right {
	name, _, _ := strings.Cut(function, "(")
	return right{name, "has_function_privilege('" + function + "', 'EXECUTE')", "GRANT EXECUTE ON FUNCTION " + function + " TO %s;", severity, why}
}

// quoteName writes a name into SQL.
func quoteName(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && name != "" && (name[0] < '0' || name[0] > '9') {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// checkRights names every right that is missing, one by one.
func checkRights(g Group, n *PostgresNode) []Finding {
	if n.Role.Superuser {
		return nil
	}
	var out []Finding
	for _, r := range rightsFor(g, n.Version) {
		if has, asked := n.Rights[r.name]; asked && !has {
			out = append(out, Finding{Severity: r.severity, Found: "the role " + n.Role.Name + " lacks " + r.name,
				Why: r.why, Remedy: fmt.Sprintf(r.grant, quoteName(n.Role.Name)) + "   -- on the primary, in the database " + g.database()})
		}
	}
	return out
}

func (g Group) database() string {
	if g.Login.Database == "" {
		return "postgres"
	}
	return g.Login.Database
}

// checkRole looks at what kind of role Warden has.
func checkRole(_ Group, n *PostgresNode) []Finding {
	var out []Finding
	name := quoteName(n.Role.Name)
	if n.Version < 150000 && !n.Role.Superuser && n.Role.Name != "" {
		out = append(out, Finding{Severity: Error, Found: fmt.Sprintf("the role %s is no superuser, on version %s", n.Role.Name, n.VersionText),
			Why:    "before version 15 only a superuser may use ALTER SYSTEM, by which every order is given",
			Remedy: "ALTER ROLE " + name + " SUPERUSER;   -- or upgrade to 15 or later"})
	}
	if !n.Role.Replication && n.Role.Name != "" {
		out = append(out, Finding{Severity: Warning, Found: "the role " + n.Role.Name + " lacks REPLICATION",
			Why:    "no replication slots can be made, so a primary may remove WAL that a standby still needs, which then has to be copied anew",
			Remedy: "ALTER ROLE " + name + " REPLICATION;"})
	}
	if c := n.Role.Connections; c >= 0 && c < 20 && n.Role.Name != "" {
		out = append(out, Finding{Severity: Warning, Found: fmt.Sprintf("the role %s may have %d sessions", n.Role.Name, c),
			Why: "each Warden keeps up to three and opens more to give orders", Remedy: "ALTER ROLE " + name + " CONNECTION LIMIT -1;"})
	}
	if n.Superusers > 0 && !n.Role.Superuser {
		out = append(out, Finding{Severity: Note, Found: fmt.Sprintf("%d client sessions are of superusers", n.Superusers),
			Why:    "a fence cannot end them unless the role is a superuser as well, and they may go on writing",
			Remedy: "let applications log in as roles that are no superusers"})
	}
	return out
}

// checkReplicator looks at whom standbys log in as.
func checkReplicator(g Group, n *PostgresNode) []Finding {
	user := g.replicator(n)
	switch {
	case user == "":
		return []Finding{{Severity: Note, Found: "it is not known whom standbys log in as",
			Why: "neither replication_user nor primary_conninfo nor a standby says so; a new standby uses what it was set up with", Remedy: `replication_user = "replicator"`}}
	case n.Replicator == nil && n.Unread["roles"] == "":
		return []Finding{{Severity: Error, Found: "there is no role " + user, Why: "standbys log in as it, so none can follow this node",
			Remedy: "CREATE ROLE " + quoteName(user) + " LOGIN REPLICATION PASSWORD '...';"}}
	case n.Replicator != nil && !(n.Replicator.Login && n.Replicator.Replication):
		return []Finding{{Severity: Error, Found: "the role " + user + " lacks LOGIN or REPLICATION", Why: "standbys log in as it, so none can follow this node",
			Remedy: "ALTER ROLE " + quoteName(user) + " LOGIN REPLICATION;"}}
	}
	return nil
}

// checkHBA follows pg_hba.conf of each node for each of the others: any of them
// may be the primary tomorrow.
func checkHBA(g Group, all []*PostgresNode) []Finding {
	var out []Finding
	for _, n := range all {
		user := g.replicator(n)
		if n.Unread["pg_hba_file_rules"] != "" {
			out = append(out, Finding{Severity: Note, Node: n.Node, Found: "pg_hba.conf cannot be looked at",
				Why:    "whether the other nodes may copy from here shows only when they have to",
				Remedy: fmt.Sprintf("GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO %[1]s; GRANT SELECT ON pg_hba_file_rules TO %[1]s;   -- if you want it looked at", quoteName(n.Role.Name))})
			continue
		}
		for _, r := range n.HBA {
			if r.Error != "" {
				out = append(out, Finding{Severity: Error, Node: n.Node, Found: fmt.Sprintf("line %d of pg_hba.conf is not valid: %s", r.Line, r.Error),
					Why: "the server keeps its old rules, and does not start with these", Remedy: "correct the line, then SELECT pg_reload_conf();"})
			}
		}
		for _, other := range all {
			if other != n && user != "" {
				out = append(out, admit(n, other, user, g.Login.SSLMode)...)
			}
		}
	}
	return out
}

// admit says whether other may copy from n.
func admit(n, other *PostgresNode, user, sslMode string) []Finding {
	addr, err := netip.ParseAddr(other.Node.Host())
	if err != nil || n.streamsTo(other) {
		return nil // a name; or it does, which proves more than the rules
	}
	encrypted := n.set("ssl") == "on" && sslMode != "disable"
	verdict, r := admits(n.HBA, user, addr, encrypted)
	if verdict != rejected {
		return nil
	}
	kind, bits, found := "host", addr.BitLen(), fmt.Sprintf("no line of pg_hba.conf lets %s copy from here as %s", addr, user)
	if encrypted {
		kind = "hostssl"
	}
	if r.Method != "" {
		found = fmt.Sprintf("line %d of pg_hba.conf rejects %s as %s", r.Line, addr, user)
	}
	return []Finding{{Severity: Warning, Node: n.Node, Found: found, Why: "after a failover to this node " + string(other.Node) + " could not follow it",
		Remedy: fmt.Sprintf("%s  replication  %s  %s/%d  scram-sha-256   # in pg_hba.conf, above any line that rejects it; then SELECT pg_reload_conf();", kind, user, addr, bits)}}
}

// streamsTo reports whether other copies from n now.
func (n *PostgresNode) streamsTo(other *PostgresNode) bool {
	r := other.Receiver
	return r != nil && r.Status == "streaming" && warden.MakeNode(r.Host, r.Port) == n.Node
}
