package config

import (
	"math"
	"slices"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// AdapterPostgres is the Master.Adapter of PostgreSQL; every other group is
// one of servers that speak the Redis protocol.
const AdapterPostgres = "postgres"

const (
	postgresPort         = 5432
	defaultDatabase      = "postgres"
	defaultSSLMode       = "prefer"
	defaultMemberTimeout = 10 * warden.Second
	defaultMaxLag        = 1 << 20 // bytes
	defaultSyncStandbys  = 1
)

// Postgres is how PostgreSQL servers are reached and reach one another. It is
// zero in groups of another kind.
type Postgres struct {
	// Database is where Wardens meet.
	Database string
	// Passfile is a .pgpass for Wardens. Empty: what libpq would find.
	Passfile string
	// SSLMode and the files mean what they mean to libpq. SSLRootCert may be
	// "system".
	SSLMode, SSLRootCert, SSLCert, SSLKey string
	// ReplicationUser and what belongs to it is what standbys log in with at
	// their primary. Empty: they keep what they have. ReplicationPassfile is a path
	// on the hosts of the servers.
	ReplicationUser     string
	ReplicationPassword Secret
	ReplicationPassfile string
}

// postgresKeys are the keys of a [[masters]] block that only PostgreSQL has a
// use for, redisKeys those that only the others have.
func postgresKeys() []string {
	return []string{
		"dbname", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey", "replication_user", "replication_password_file",
		"replication_passfile", "durability", "sync_standbys", "sync_group_size", "member_timeout", "synchronous_mode_strict",
		"maximum_lag_on_failover", "check_timeline", "rejoin_command", "rejoin_timeout",
	}
}

func redisKeys() []string { return []string{"rename_commands"} }

// kind reads what belongs to one kind of database only, and refuses what
// belongs to another.
func (s *section) kind(m *Master) {
	if s.failed["adapter"] {
		// Which keys belong here is anybody's guess.
		s.known = append(s.known, append(redisKeys(), postgresKeys()...)...)
		return
	}
	if m.Adapter != AdapterPostgres {
		m.Renames = s.renames("rename_commands")
		s.foreign(postgresKeys(), "is for PostgreSQL only: set adapter = \"postgres\", or remove it")
		return
	}
	s.foreign(redisKeys(), "is for servers of the Redis protocol only: remove it")
	m.Postgres = s.postgres()
	s.durability(m)
	m.MaxLag = int64(s.whole("maximum_lag_on_failover", defaultMaxLag, 0, math.MaxInt32, "it is a number of bytes; 0 is any number"))
	if !s.flag("check_timeline", true) && !s.failed["check_timeline"] {
		s.wrong("check_timeline", "is false, which is not supported: a standby of another line of data is never promoted; remove it")
	}
	m.RejoinCommand = s.command("rejoin_command")
	m.RejoinTimeout = s.span("rejoin_timeout", m.CommandTimeout, minCommandTimeout)
	if m.AuthUser == "" && !s.failed["auth_user"] {
		s.wrong("auth_user", "is missing: name the role that Wardens log in as, see docs/postgresql.md")
	}
}

// foreign refuses keys of another kind of database, of which the reader then
// hears no more.
func (s *section) foreign(keys []string, why string) {
	for _, key := range keys {
		if s.has(key) {
			s.known = append(s.known, key)
			s.wrong(key, "%s", why)
		}
	}
}

// postgres reads how the servers are reached.
func (s *section) postgres() Postgres {
	p := Postgres{
		Database: s.word("dbname", defaultDatabase),
		Passfile: s.file("passfile"),
		SSLMode:  s.sslMode(), SSLCert: s.file("sslcert"), SSLKey: s.file("sslkey"),
		ReplicationUser:     s.word("replication_user", ""),
		ReplicationPassword: s.secretFile("replication_password_file"),
		ReplicationPassfile: s.word("replication_passfile", ""),
	}
	if s.values["sslrootcert"] == "system" {
		p.SSLRootCert = s.text("sslrootcert", "")
		if p.SSLMode != "verify-full" && !s.failed["sslmode"] {
			s.wrong("sslrootcert", "is \"system\", with which only sslmode = \"verify-full\" is safe: set that, or name a file")
		}
	} else {
		p.SSLRootCert = s.file("sslrootcert")
	}
	switch {
	case s.has("sslcert") && !s.has("sslkey"):
		s.wrong("sslcert", "is set without its key: set sslkey")
	case s.has("sslkey") && !s.has("sslcert"):
		s.wrong("sslkey", "is set without its certificate: set sslcert")
	}
	switch {
	case s.has("replication_password_file") && s.has("replication_passfile"):
		s.wrong("replication_passfile", "is set beside replication_password_file: keep one of the two")
	case p.ReplicationUser != "" || s.has("replication_user"):
	case s.has("replication_password_file"):
		s.wrong("replication_password_file", "is set without replication_user: name the role that standbys log in as")
	case s.has("replication_passfile"):
		s.wrong("replication_passfile", "is set without replication_user: name the role that standbys log in as")
	}
	return p
}

// word is text that is not empty where the key is written.
func (s *section) word(key, def string) string {
	text := s.text(key, def)
	if text == "" && s.has(key) && !s.failed[key] {
		s.wrong(key, "is empty: write a value, or remove the key")
		return def
	}
	return text
}

func (s *section) sslMode() string {
	modes := []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
	mode := s.text("sslmode", defaultSSLMode)
	if !slices.Contains(modes, mode) && !s.failed["sslmode"] {
		s.wrong("sslmode", "is %q: choose one of %s", wording.Shown(mode), strings.Join(modes, ", "))
	}
	return mode
}

// quorumKeys say how quorum durability is kept and mean nothing without it.
func quorumKeys() []string {
	return []string{"sync_standbys", "sync_group_size", "member_timeout", "synchronous_mode_strict"}
}

// durability reads what is promised about acknowledged writes.
func (s *section) durability(m *Master) {
	kinds := []string{"async", "quorum"}
	word := s.text("durability", kinds[0])
	if !slices.Contains(kinds, word) && !s.failed["durability"] {
		s.wrong("durability", "is %q: choose \"async\" (what a standby had not received is lost with the primary) or \"quorum\" (nothing acknowledged is)", wording.Shown(word))
	}
	if m.Durable = word == "quorum"; !m.Durable {
		if word == kinds[0] {
			s.foreign(quorumKeys(), "is set without durability = \"quorum\", so no write would wait for a standby: set that, or remove it")
		}
		s.known = append(s.known, quorumKeys()...)
		// By which it is kept if the Wardens agree on it at run time.
		m.SyncStandbys, m.MemberTimeout, m.SyncStrict = defaultSyncStandbys, defaultMemberTimeout, true
		return
	}
	m.SyncStandbys = s.whole("sync_standbys", defaultSyncStandbys, 1, math.MaxInt32, "it is how many standbys have a write before it is acknowledged")
	m.SyncGroupSize = s.whole("sync_group_size", 0, 0, math.MaxInt32, "it is how many standbys count, 0 for all that can")
	m.MemberTimeout = s.span("member_timeout", defaultMemberTimeout, MinDownAfter)
	m.SyncStrict = s.flag("synchronous_mode_strict", true)
	if s.failed["sync_standbys"] || s.failed["sync_group_size"] {
		return
	}
	if m.SyncGroupSize > 0 && m.SyncStandbys > m.SyncGroupSize {
		s.wrong("sync_group_size", "is %d, but sync_standbys (%d) of them are to have every write: raise it, or lower sync_standbys", m.SyncGroupSize, m.SyncStandbys)
	}
	if wanted := max(m.SyncStandbys, m.SyncGroupSize); len(m.Nodes) < wanted && !s.failed["nodes"] && !s.failed["ip"] {
		s.wrong("durability", "is \"quorum\" with %d %s known besides the primary, but %d %s needed: name the standbys in nodes", len(m.Nodes), wording.Plural(len(m.Nodes), "node"), wanted, needed(wanted))
	}
}

func needed(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
