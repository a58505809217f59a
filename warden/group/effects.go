package group

import "github.com/spineldb/warden/warden"

// Effects is what a Step wants done. The shell performs the fields in the
// order in which they stand; that order is a safety rule ("the vote is on disk
// before it is told"), not a habit. If Persist fails, nothing after it
// happens, the new state is thrown away and the group is told StoreFailed.
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
	// Answers end operator commands.
	Answers []CommandAnswer
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

// ActionKind says what to do with a node.
type ActionKind string

// Kinds of actions. All but Look, Watch, Unwatch and Mark travel on a session
// claimed for (group, epoch): the shell claims first if it holds none for this
// node and epoch, and reports the claim's refusal as the action's result.
const (
	ActLook    ActionKind = "look"    // one extra look, now, over the kept connection
	ActClaim   ActionKind = "claim"   // claim, then look over the session
	ActPromote ActionKind = "promote" // then look over the session
	ActFollow  ActionKind = "follow"  // Target is the primary to follow
	ActHold    ActionKind = "hold"    // stop writes for at most Limit
	ActRelease ActionKind = "release" // end a hold
	ActDrop    ActionKind = "drop"    // close all sessions of epochs up to Epoch (no answer)
	ActMark    ActionKind = "mark"    // write Epoch as the newest accepted one on all links (no answer)
)

// Action is one thing to do with one node.
type Action struct {
	ID     uint64 // unique in this group and run; answered by ActionDone
	Kind   ActionKind
	Node   warden.NodeID
	Target warden.NodeID
	Epoch  warden.Epoch
	// Limit: of a hold, how long it may last; else the deadline of the action.
	Limit warden.Duration
	// NotAfter is the end of the leader's lease as it stands: the shell reads
	// its clock right before sending and answers Refused if it is later.
	NotAfter warden.Instant
}
