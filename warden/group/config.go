package group

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// Config is one group's configuration as its mind needs it, all durations in
// nanoseconds. It may change between two Steps (SIGHUP).
type Config struct {
	Group warden.GroupName
	Self  warden.WardenID
	Run   warden.Run
	// Client is the address of this Warden's client port, told to the others.
	Client string
	// NewBirth is the Birth this Warden proposes if it leads a first agreement
	// (or a recovery): random, drawn by the shell anew for every run.
	NewBirth warden.Birth
	// Primary is the configured primary; Nodes are further nodes configured by
	// name. Nodes named here may be made to follow whatever their lineage.
	Primary warden.NodeID
	Nodes   []warden.NodeID
	// TrustsMet: nodes that were met count as if they were named, as to Sentinel.
	TrustsMet bool
	// Tags are the operator's wishes about single nodes. The list is never changed.
	Tags []warden.NodeTags

	// Turn is a number by which the group differs from others (TurnOf its name): it
	// says which Warden tries first, so that groups that
	// fail together do not all wait for one.
	Turn uint64

	Quorum int
	// Wardens is how many Wardens there will be, 0 when not configured.
	Wardens int
	// Alone: quorum 1, no join, no Wardens > 1: may agree alone.
	Alone bool

	DownAfter        warden.Duration
	CrashAfter       warden.Duration
	FailoverTimeout  warden.Duration
	HelloInterval    warden.Duration
	FailoverCooldown warden.Duration
	ParallelSyncs    int
	ReplicaWitness   bool

	// PriorityFirst: of several replicas the one with the lower priority is
	// promoted, as Sentinel does it; else the one with the most data.
	PriorityFirst bool
	// SentinelLife: of the answers to PING only PONG, LOADING and MASTERDOWN are
	// signs of life, and the latter two without a limit, as Sentinel counts.
	SentinelLife bool
	// RebootDownAfter: a primary that restarted and is still loading after
	// this long counts as down; 0: it never does for that.
	RebootDownAfter warden.Duration
	// Expected is how many Wardens there were in an earlier life of which this
	// Warden has lost the register, itself included: before a first agreement
	// it has to hear a majority of the others. 0: there was none.
	Expected int
	// LookEvery bounds the time between two looks (0: 1 s); TiltTrigger and
	// TiltPeriod are those of the monitor; ElectionTimeout is how long an
	// operator's command waits for a leader. 0 is the default of each.
	LookEvery, TiltTrigger, TiltPeriod, ElectionTimeout warden.Duration

	// HelloCalm is the time between two hellos while every Warden of the list is
	// heard: on PostgreSQL each one costs a transaction id. 0: HelloInterval.
	HelloCalm warden.Duration
	// Keeps: the servers can keep acknowledged writes (Policy.Durable).
	Keeps bool
	// Policy is what only the failover judges by: durability, lag, and the
	// operator's commands.
	failover.Policy

	// Load counts how often the configuration was read. With each a rejoin that
	// failed is tried again at once.
	Load uint64

	// CrashPoint, for tests, names the step after which the shell is to exit
	// at once (see CrashPoints). Empty in production.
	CrashPoint string
}

// TurnOf is the Turn of a group: the same number wherever the name is.
func TurnOf(name warden.GroupName) uint64 {
	hash := uint32(2166136261) // FNV-1a
	for _, b := range []byte(name) {
		hash = (hash ^ uint32(b)) * 16777619
	}
	return uint64(hash)
}
