package doctor

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/adapters/postgres"
	"github.com/spineldb/warden/warden"
)

// PostgresNode is what was found out about one server of PostgreSQL. Parts that
// could not be read are named in Unread, with the reason.
type PostgresNode struct {
	Node warden.NodeID
	// Health says how it answered; Err is the reason if not well.
	Health warden.Health
	Err    string
	Code   string // SQLSTATE of Err
	Unread map[string]string

	// Version is server_version_num, VersionText what people call it.
	Version     int
	VersionText string
	// KeyPID is the process that the server named when the connection was
	// opened, BackendPID the one that answers. A pooler makes them differ.
	KeyPID, BackendPID uint32

	Standby  bool
	System   string
	Started  int64 // when, in microseconds; with System it tells servers apart
	Timeline int64
	// Position is what is on disk, in bytes; Replayed what can be read.
	Position, Replayed int64
	// Forks are where older timelines ended, from the history of the present.
	Forks    []postgres.Left
	Receiver *Receiver
	Conninfo Conninfo

	Role     Role
	Rights   map[string]bool // by right.name; absent: could not be asked
	Settings map[string]Setting
	// Filed is what ALTER SYSTEM wrote; Faults are lines of the files that the
	// server does not accept.
	Filed  map[string]string
	Faults []Fault
	Scoped []ScopedSetting

	Standbys []Standby
	Slots    []Slot
	// Wardens are the names of Wardens' sessions. Superusers is how many client
	// sessions of superusers there are.
	Wardens    []string
	Superusers int
	Prepared   int
	Archiver   Archiver
	// HBA are the rules of pg_hba.conf in their order.
	HBA []HBARule
	// Replicator is the role that standbys log in as, nil: there is none of
	// that name, or none is known.
	Replicator *Role
	Checksums  bool

	// Ahead is how much the server's clock is ahead of ours; the truth is at
	// most Blur away.
	Ahead, Blur time.Duration
}

// Receiver is a standby's WAL receiver.
type Receiver struct {
	Status string `json:"status"`
	Host   string `json:"host"`
	Port   int    `json:"port"`
}

// Conninfo is primary_conninfo without its password.
type Conninfo struct {
	Set      bool   `json:"set"`
	Password bool   `json:"password"` // there is one in it
	Host     string `json:"host"`
	Port     string `json:"port"`
	User     string `json:"user"`
	Name     string `json:"name"` // application_name
}

// Role is a role of the server.
type Role struct {
	Name        string `json:"name"`
	Superuser   bool   `json:"superuser"`
	Replication bool   `json:"replication"`
	Login       bool   `json:"login"`
	Connections int    `json:"connections"` // -1: as many as it likes
}

// Setting is one row of pg_settings.
type Setting struct {
	Value   string `json:"value"` // in the unit of the setting, as a number where it is one
	Text    string `json:"text"`  // as SHOW prints it
	Source  string `json:"source"`
	Pending bool   `json:"pending"`
}

// Fault is a line of a configuration file that the server does not accept.
type Fault struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Name  string `json:"name"`
	Error string `json:"error"`
}

// ScopedSetting is a setting of one role, one database, or of one in another.
type ScopedSetting struct {
	Role     string `json:"role"`
	Database string `json:"database"`
	Name     string `json:"name"`
	Value    string `json:"value"`
}

// Standby is a row of pg_stat_replication.
type Standby struct {
	Node  warden.NodeID `json:"-"` // where it listens, if its name says so
	Name  string        `json:"name"`
	Addr  string        `json:"addr"`
	User  string        `json:"user"`
	State string        `json:"state"`
	Sync  string        `json:"sync"`
}

// Slot is a row of pg_replication_slots. Held is the WAL it keeps, in bytes.
type Slot struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Active bool   `json:"active"`
	Held   int64  `json:"held"`
	State  string `json:"state"`
}

// Archiver is pg_stat_archiver.
type Archiver struct {
	Failing bool   `json:"failing"` // the newest attempt failed
	File    string `json:"file"`
}

// HBARule is a row of pg_hba_file_rules.
type HBARule struct {
	Line      int      `json:"line"`
	Type      string   `json:"type"`
	Databases []string `json:"databases"`
	Users     []string `json:"users"`
	Address   string   `json:"address"`
	Netmask   string   `json:"netmask"`
	Method    string   `json:"method"`
	Error     string   `json:"error"`
}

func (n *PostgresNode) reached() bool { return n.Health == warden.HealthGood }

func (n *PostgresNode) report() NodeReport {
	r := NodeReport{Node: n.Node, Reached: n.Health.Alive()}
	if n.reached() {
		r.Role, r.Server = warden.RolePrimary, "postgresql "+n.VersionText
		if n.Standby {
			r.Role = warden.RoleReplica
		}
	}
	return r
}

func (n *PostgresNode) replicas() []warden.NodeID {
	var out []warden.NodeID
	for _, s := range n.Standbys {
		if s.Node != "" {
			out = append(out, s.Node)
		}
	}
	return out
}

// set is the value of a setting, "" where it is unknown.
func (n *PostgresNode) set(name string) string { return n.Settings[name].Value }

// number is the value of a setting that is one.
func (n *PostgresNode) number(name string) (int64, bool) {
	v, err := strconv.ParseInt(n.set(name), 10, 64)
	return v, err == nil
}

// markedFor is the group in the lasting mark of Wardens, "EPOCH GROUP".
func (n *PostgresNode) markedFor() warden.GroupName {
	_, group, _ := strings.Cut(strings.TrimSpace(n.Filed["warden.epoch"]), " ")
	return warden.GroupName(group)
}

// major is the version as people count it.
func (n *PostgresNode) major() int { return n.Version / 10000 }

// forkOf is where the timeline was left on the way to the present one.
func (n *PostgresNode) forkOf(timeline int64) (position int64, found bool) {
	for _, f := range n.Forks {
		if f.Timeline == timeline {
			return f.Position, true
		}
	}
	return 0, false
}

// admission is what pg_hba.conf does with a connection.
type admission int

const (
	admitted admission = iota
	rejected
	unclear // names, groups or networks of the server decide, which are not seen here
)

// admits follows pg_hba.conf for a replication connection of user from addr:
// the first rule that fits decides. encrypted: the connection is by TLS.
func admits(rules []HBARule, user string, addr netip.Addr, encrypted bool) (admission, HBARule) {
	for _, r := range rules {
		if r.Error != "" || r.Type == "local" || r.Type == "hostgssenc" || r.Type == "hostssl" && !encrypted || r.Type == "hostnossl" && encrypted {
			continue
		}
		fits := [3]admission{oneOf(r.Databases, "replication"), oneOf(r.Users, "all", user), r.covers(addr)}
		switch {
		case fits[0] == rejected || fits[1] == rejected || fits[2] == rejected:
			continue
		case fits[0] == unclear || fits[1] == unclear || fits[2] == unclear:
			return unclear, r
		case r.Method == "reject":
			return rejected, r
		}
		return admitted, r
	}
	return rejected, HBARule{}
}

// oneOf says whether one of the words is listed, or cannot be told.
func oneOf(list []string, words ...string) admission {
	verdict := rejected
	for _, entry := range list {
		for _, word := range words {
			if entry == word {
				return admitted
			}
		}
		if strings.HasPrefix(entry, "+") || strings.HasPrefix(entry, "/") {
			verdict = unclear // members of a role, or a pattern
		}
	}
	return verdict
}

// covers says whether the rule is for an address.
func (r HBARule) covers(addr netip.Addr) admission {
	if r.Address == "all" {
		return admitted
	}
	network, err := netip.ParseAddr(r.Address)
	mask, errMask := netip.ParseAddr(r.Netmask)
	if err != nil || errMask != nil || !addr.IsValid() {
		return unclear // a name, samehost, samenet
	}
	network, mask, addr = network.Unmap(), mask.Unmap(), addr.Unmap()
	if network.BitLen() != addr.BitLen() {
		return rejected
	}
	bits := 0
	for _, b := range mask.AsSlice() {
		for ; b != 0; b <<= 1 {
			bits++
		}
	}
	if netip.PrefixFrom(network, bits).Masked().Contains(addr) {
		return admitted
	}
	return rejected
}
