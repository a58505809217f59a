package resp

import (
	"context"
	"errors"

	"github.com/spineldb/warden/warden"
)

// Setting is a name with its values, as one option of SENTINEL SET, one
// parameter of SENTINEL CONFIG, or one timer of SENTINEL DEBUG.
type Setting struct {
	Name   string
	Values []string
}

// GroupSettings are what instance maps show of a group's configuration beyond
// its view.
type GroupSettings struct {
	NotificationScript string
	ReconfigScript     string
}

// ScriptJob is one script that runs or waits, as SENTINEL PENDING-SCRIPTS shows it.
type ScriptJob struct {
	Args    []string
	Running bool
	// PID is 0 while it waits.
	PID int
	// RunTime is for how long it runs, RunDelay in how long it is due.
	RunTime, RunDelay warden.Duration
	// Retries is how often it has failed and is tried again.
	Retries int
}

// Errors a Steward answers with. An error that is a Refusal is told to the
// client word for word, any other as "ERR " and its text.
var (
	// ErrUnknownGroup: there is no such group.
	ErrUnknownGroup = errors.New("no such group")
	// ErrNotSaved: the configuration could not be written; it is said in the log why.
	ErrNotSaved = errors.New("configuration not saved")
)

// Refusal is an error in the words of Sentinel, its code included ("ERR ...").
type Refusal struct{ Text string }

func (r Refusal) Error() string { return r.Text }

// Steward changes what this one Warden was configured with, as Sentinel's SET,
// MONITOR, REMOVE and CONFIG SET do. A change is on disk when its call returns;
// a call that fails has changed nothing. The words of requests (numbers, names
// of options) are checked before it is called, what they mean is checked by
// it. Safe for concurrent use.
type Steward interface {
	// Monitor begins to watch a group.
	Monitor(ctx context.Context, name warden.GroupName, host string, port, quorum int) error
	// Remove ends the watch on a group.
	Remove(ctx context.Context, name warden.GroupName) error
	// Set changes options of one group, all of them or none. Names are in
	// lower case and known to Sentinel 7.2 or Valkey.
	Set(ctx context.Context, name warden.GroupName, options []Setting) error
	// Settings of a group; zero for an unknown one.
	Settings(name warden.GroupName) GroupSettings
	// Parameters are those of SENTINEL CONFIG, in Sentinel's order, with one
	// value each.
	Parameters() []Setting
	SetParameters(ctx context.Context, parameters []Setting) error
	// Flush writes the configuration.
	Flush(ctx context.Context) error
	// Timers are those of SENTINEL DEBUG in Sentinel's order, names in upper
	// case, one value each, in milliseconds. They are not kept across restarts.
	Timers() []Setting
	SetTimers(ctx context.Context, timers []Setting) error
	// Simulate has the process exit with status 99 at a point of the next
	// failover: flags are 1 (after the election) and 2 (after the promotion).
	Simulate(flags int)
	Simulated() int
	// Scripts that run or wait, the oldest first.
	Scripts() []ScriptJob
	// Shutdown begins to end the process and returns.
	Shutdown()
}

// Neighbours is what real Redis Sentinels tell and ask a Warden that watches
// the same groups. Safe for concurrent use.
type Neighbours interface {
	// Hello takes in a payload of __sentinel__:hello that was published here.
	Hello(payload string)
	// Down answers SENTINEL IS-MASTER-DOWN-BY-ADDR: whether this Warden holds
	// the primary at that address for subjectively down, and, when a candidate
	// asks (not "*"), whom it voted for in which epoch. A vote is on disk before
	// this returns. leader is "*" for nobody.
	Down(ctx context.Context, primary warden.NodeID, epoch uint64, candidate string) (down bool, leader string, leaderEpoch uint64)
}
