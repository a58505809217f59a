package group

import "github.com/spineldb/warden/warden"

// Effects is what a Step wants done. The shell performs the fields in the
// order in which they stand; that order is a safety rule ("the vote is on disk
// before it is told"), not a habit. If Persist fails, nothing after it
// happens, the new state is thrown away and the group is told StoreFailed, and
// then of the event once more, unless that was a command: what was seen or heard
// is not lost.
type Effects struct {
	// Persist is the register to sync to disk; nil when nothing changed.
	Persist *warden.Register
	// Send goes straight to single Wardens.
	Send []Envelope
	// Act are orders and looks at nodes. They run concurrently and come back
	// as ActionDone events.
	Act []Action
	// Announce are events for the log, subscribers and scripts. The state that
	// answers queries has changed by then.
	Announce []warden.Event
	// Reports tell what became of attempts to change the primary; of one with the
	// ID of an earlier one the newer counts. They are for whoever keeps them.
	Reports []warden.Report
	// Answers end operator commands.
	Answers []CommandAnswer
	// HelloEvery is the time between two hellos on a node from now on (0: as
	// before).
	HelloEvery warden.Duration
	// Wake is when the next Tick is due at the latest (0: no wish).
	Wake warden.Instant
}

// Envelope is one message to one Warden.
type Envelope struct {
	To      warden.WardenID
	Message warden.Message
}

// CommandAnswer answers the operator command of that number.
type CommandAnswer struct {
	ID     uint64
	Answer warden.Answer
}

// Action is one thing to do with one node.
type Action = warden.Action

// Kinds of actions, see warden.ActionKind.
const (
	ActLook    = warden.ActLook
	ActUnblock = warden.ActUnblock
	ActClaim   = warden.ActClaim
	ActPromote = warden.ActPromote
	ActFollow  = warden.ActFollow
	ActHold    = warden.ActHold
	ActRelease = warden.ActRelease
	ActDrop    = warden.ActDrop
	ActMark    = warden.ActMark
	ActSeal    = warden.ActSeal
	ActWait    = warden.ActWait
	ActFence   = warden.ActFence
	ActAsk     = warden.ActAsk
	ActRejoin  = warden.ActRejoin
)
