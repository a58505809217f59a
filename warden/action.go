package warden

// ActionKind says what to do with a node.
type ActionKind string

// Kinds of actions. All but Look, Unblock, Mark and the operator's
// commands (Ask, Fence, Rejoin) travel on a session
// claimed for (group, epoch): the shell claims first if it holds none for this
// node and epoch, and reports the claim's refusal as the action's result.
const (
	ActLook    ActionKind = "look"    // one extra look, now, over the kept connection
	ActUnblock ActionKind = "unblock" // end a script that blocks the node, over the kept link
	ActClaim   ActionKind = "claim"   // claim, then look over the session
	ActPromote ActionKind = "promote" // then look over the session
	ActFollow  ActionKind = "follow"  // Target is the primary to follow
	ActHold    ActionKind = "hold"    // stop writes for at most Limit
	ActRelease ActionKind = "release" // end a hold
	ActSeal    ActionKind = "seal"    // then look over the session (Keeper)
	ActWait    ActionKind = "wait"    // make a primary wait by the last of Rules (Keeper)
	ActFence   ActionKind = "fence"   // run the operator's fence command; Target is the new primary
	ActAsk     ActionKind = "ask"     // run the operator's pre_promote command; Target is the old primary
	ActRejoin  ActionKind = "rejoin"  // run the operator's rejoin command; Target is the primary
	ActDrop    ActionKind = "drop"    // close all sessions of epochs up to Epoch (no answer)
	ActMark    ActionKind = "mark"    // write Epoch as the newest accepted one on all links (no answer)
)

// Action is one thing to do with one node.
type Action struct {
	ID     uint64 // unique in this group and run; answered by ActionDone
	Kind   ActionKind
	Node   NodeID
	Target NodeID
	// Avoid: replication id of the replaced primary that the node must not copy
	// from any more, of a follow; empty: none.
	Avoid string
	// Name and Sync are Following's, of a follow; Sync also of a promotion.
	Name string
	Sync *SyncRule
	// Rules are Keeper.Wait's.
	Rules []SyncRule
	// Reason is why the node would be promoted, of an ask.
	Reason Reason
	Epoch  Epoch
	// Limit: of a hold, how long it may last; else the deadline of the action.
	Limit Duration
	// NotAfter is the end of the leader's lease as it stands: the shell reads
	// its clock right before sending and answers Refused if it is later.
	NotAfter Instant
}
