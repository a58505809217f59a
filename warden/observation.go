package warden

import (
	"slices"
	"strings"
)

// Role is what a node says it is.
type Role string

// Roles. The empty role means the node did not say.
const (
	RolePrimary Role = "primary"
	RoleReplica Role = "replica"
)

// Health sorts a node's answer by what it proves.
type Health string

// Health of an answer. Silent and Refused are the only two that are no sign
// of life; of them only Refused is hard evidence (the connection ended and
// every new one is refused).
const (
	HealthGood    Health = "good"    // answered as it should
	HealthLoading Health = "loading" // alive, not ready: LOADING, MASTERDOWN, starting up
	HealthBusy    Health = "busy"    // alive, no room for us: max clients, BUSY script
	HealthDenied  Health = "denied"  // wrong password or missing permission: configuration, not death
	HealthError   Health = "error"   // answered with another error: alive, unfit
	HealthSilent  Health = "silent"  // no answer within the deadline
	HealthRefused Health = "refused" // connection reset or refused
)

// Alive reports whether an answer of this kind proves a living process.
func (h Health) Alive() bool { return h != HealthSilent && h != HealthRefused && h != "" }

// Replica is one line of what a primary says about its replicas.
type Replica struct {
	Node     NodeID `json:"node"`
	Online   bool   `json:"online"`
	Position int64  `json:"position"`
	// Name is what it calls itself, where members of a sync set do.
	Name string `json:"name,omitempty"`
}

// Fork is where a line of data ended and the next one began.
type Fork struct {
	Lineage string `json:"lineage"`
	// End is the position at which the line was left, in bytes.
	End int64 `json:"end"`
}

// Observation is what one look at a node saw. It is plain data; the adapter
// fills it, the core judges it.
type Observation struct {
	Health Health `json:"health"`
	// Detail is the error text when Health is not good. Never a secret.
	Detail string `json:"detail,omitempty"`
	Role   Role   `json:"role,omitempty"`
	// Upstream is whom a replica says it replicates from; LinkUp whether that
	// link stands; LinkDown for how long it does not (negative: never had one
	// since start or demotion).
	Upstream NodeID   `json:"upstream,omitempty"`
	LinkUp   bool     `json:"link_up,omitempty"`
	LinkDown Duration `json:"link_down,omitempty"`
	// Syncing: a full copy is under way, the data is not whole yet.
	Syncing bool `json:"syncing,omitempty"`
	// Position is the replication offset: on a primary what it has written,
	// on a replica what it has received and applied. In bytes.
	Position int64 `json:"position,omitempty"`
	// Lineage is the replication id, LineageBefore the one before it.
	Lineage       string `json:"lineage,omitempty"`
	LineageBefore string `json:"lineage_before,omitempty"`
	// RunID is the id of the server process; a change means it restarted.
	RunID string `json:"run_id,omitempty"`
	// Empty: the node holds no data at all.
	Empty bool `json:"empty,omitempty"`
	// Reloaded: the server has an append-only file, with data that was there when it
	// started or that it copied. Such a file keeps no replication id: it draws a new
	// one at each start.
	Reloaded bool `json:"reloaded,omitempty"`
	// Priority is the operator's preference, lower first; 0 excludes. 100 is
	// the default of the Redis protocol.
	Priority int `json:"priority"`
	// Unannounced: the node asks not to be listed to clients.
	Unannounced bool `json:"unannounced,omitempty"`
	// Replicas are those the node reports, when it is asked as a primary.
	Replicas []Replica `json:"replicas,omitempty"`
	// Server names the software and version, e.g. "redis 7.0.15".
	Server string `json:"server,omitempty"`
	// NoFollow: the server lacks any command to change its role, so it can be
	// watched but not failed over (SpinelDB 4.4.2).
	NoFollow bool `json:"no_follow,omitempty"`
	// NoDemote: no order can make this primary a replica; it can be fenced, and
	// has to be rejoined by somebody who has its disk.
	NoDemote bool `json:"no_demote,omitempty"`
	// ReadOnly: a primary that takes no writes because a Warden held or fenced
	// it. NeedsRejoin: it was fenced for the sake of another.
	ReadOnly    bool `json:"read_only,omitempty"`
	NeedsRejoin bool `json:"needs_rejoin,omitempty"`
	// Forks are the lines that the node's own grew out of, the newest last.
	// Empty: none, or not known.
	Forks []Fork `json:"forks,omitempty"`
	// NoSlot: a replica that streams, and its upstream keeps nothing for it while it
	// is away.
	NoSlot bool `json:"no_slot,omitempty"`
	// Sealed: a replica that receives from nobody, by order (Keeper).
	Sealed bool `json:"sealed,omitempty"`
	// Member is what a replica calls itself to its upstream, where it does; of a
	// sealed one what it called itself before, if that is known.
	Member string `json:"member,omitempty"`
	// Waits is what a primary waits for, or a replica would as a primary, in the
	// server's own words; empty: it does not.
	Waits string `json:"waits,omitempty"`
	// NoSync: the operator does not want it in a sync set.
	NoSync bool `json:"no_sync,omitempty"`
	// From is the node that the operator wants it to receive from, in place of
	// the primary; empty: none.
	From NodeID `json:"from,omitempty"`
	// Text is the node's own description of itself, as it came (INFO). It is
	// shown to operators who ask for it and never judged.
	Text string `json:"-"`
}

// Clone copies an observation so that its slices can be changed.
func (o Observation) Clone() Observation {
	o.Replicas, o.Forks = slices.Clone(o.Replicas), slices.Clone(o.Forks)
	return o
}

// maxDetail bounds the error texts of servers that we keep, in bytes.
const maxDetail = 300

// DetailOf is an error's text as a Detail: one line, and bounded.
func DetailOf(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, err.Error())
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return text
}
