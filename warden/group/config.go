package group

import "github.com/spineldb/warden/warden"

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

	// CrashPoint, for tests, names the step after which the shell is to exit
	// at once (see CrashPoints). Empty in production.
	CrashPoint string
}
