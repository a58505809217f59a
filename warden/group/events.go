package group

import "github.com/spineldb/warden/warden"

// Event is everything that can happen to a group's mind. The set is closed.
type Event interface{ event() }

// Tick says only that time has passed, which every Step is told. The shell
// delivers it when nothing else comes: at the Wake of the last Effects, and so
// that no two Steps are more than monitor.Stride apart.
type Tick struct {
	// Late is by how much it comes later than was planned: the process has too
	// much to do.
	Late warden.Duration
}

// Looked is the end of a look at a node that was begun at Asked. The minds keep
// the observation: it is never changed again.
type Looked struct {
	Node        warden.NodeID
	Asked       warden.Instant
	Observation *warden.Observation
}

// Beat is a node's good answer to the question, asked at Asked, whether it
// lives. It says nothing else of the node.
type Beat struct {
	Node  warden.NodeID
	Asked warden.Instant
}

// LinkEnded says that the kept connection to a node was lost by itself.
type LinkEnded struct {
	Node warden.NodeID
	Why  string
}

// KnockFailed and its absence tell of the one new connection per 10 s that is
// tried beside the kept ones. A finding, not a death.
type KnockFailed struct {
	Node warden.NodeID
	Why  string // empty: it went well
}

// Heard is a message of another Warden.
type Heard struct{ Message warden.Message }

// PeersKnown tells the Wardens we know an address of for this group (by
// gossip or hello), without ourselves, sorted. It only introduces.
type PeersKnown struct{ IDs []warden.WardenID }

// ActionDone is the end of an action.
type ActionDone struct {
	ID     uint64
	Node   warden.NodeID // of the action
	Result warden.Result
	// Observation is what a look or a claim saw; Health is empty otherwise.
	Observation warden.Observation
	// Asked is when the look in it was begun.
	Asked warden.Instant
}

// StoreFailed says that the register could not be written: the state stands
// as it was before the event that wanted it. StoreWorks ends it.
type StoreFailed struct{ Why string }

// StoreWorks says that a test write to the store went well again.
type StoreWorks struct{}

// Commanded is an operator's command. It is answered by CommandAnswer.
type Commanded struct {
	ID      uint64
	Command warden.Command
}

// Conflict says that our own id is heard from another live address.
type Conflict struct{ Where string }

// SentinelsWatch tells the real Redis Sentinels that watch this group now, by
// their ids, sorted. While there are any, they decide and this group's Wardens
// follow: two deciders are never safe.
type SentinelsWatch struct{ IDs []string }

func (SentinelsWatch) event() {}
func (Tick) event()           {}
func (Looked) event()         {}
func (Beat) event()           {}
func (LinkEnded) event()      {}
func (KnockFailed) event()    {}
func (Heard) event()          {}
func (PeersKnown) event()     {}
func (ActionDone) event()     {}
func (StoreFailed) event()    {}
func (StoreWorks) event()     {}
func (Commanded) event()      {}
func (Conflict) event()       {}
