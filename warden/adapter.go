package warden

import "context"

// Outcome is how an order to a node ended. It answers the one question the
// caller has: could it have happened?
type Outcome string

// Outcomes. Unknown is first-class: look before doing anything else.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // the node surely did not do it
	Unknown Outcome = "unknown" // it may have done it
)

// Result is an Outcome with its explanation. Notes are side effects worth an
// event although the order itself is done (CONFIG REWRITE failed, say).
type Result struct {
	Outcome Outcome
	// Why is empty when done. Never a secret.
	Why   string
	Notes []string
	// Superseded: refused because a newer leader has claimed the node.
	Superseded bool
	// Position is the node's replication offset in bytes, where the order
	// reports one (Hold).
	Position int64
}

// Claim names the leader on whose behalf orders are given.
type Claim struct {
	Group  GroupName
	Epoch  Epoch
	Warden WardenID
}

// Hello is one introduction heard on a monitored node. It makes Wardens dial
// one another and nothing else; it is never evidence.
type Hello struct {
	ID     WardenID
	Gossip string // host:port of the sender's gossip
	Client string // host:port of the sender's client port
	Group  GroupName
	Epoch  Epoch
	// Primary is the sender's idea of the primary.
	Primary NodeID
	// Sentinel is the id under which Sentinel's clients and real Sentinels know
	// the sender (myid of sentinel.conf), when that is not ID.
	Sentinel string
	// Neighbour is what is published beside it for real Redis Sentinels, in
	// their own words (__sentinel__:hello); empty: nothing.
	Neighbour string
}

// Adapter is what we ask of a kind of database. It is safe for concurrent use.
type Adapter interface {
	// Open starts watching one node. It returns at once; connecting happens
	// in the background and on use. events tells of what comes by itself.
	Open(node NodeID, events LinkEvents) Link
	// Claim opens a new connection of its own to the node, shuts out every
	// order session of the same group with a lower epoch, and returns a
	// session for orders. A node that a newer leader has claimed refuses, and
	// the Result says Superseded. The session is nil unless Done.
	Claim(ctx context.Context, node NodeID, claim Claim) (Session, Result)
}

// LinkEvents are callbacks from a Link, called from the link's own goroutines.
// They must not block.
type LinkEvents struct {
	// Ended: the kept connection was lost. The link reconnects by itself at
	// its next Look; the shell asks for one at once.
	Ended func(node NodeID, why string)
	// Hello: another Warden (or this one) introduced itself on this node.
	Hello func(Hello)
	// Neighbour: somebody (this Warden too) published a hello in the words of
	// Redis Sentinel. The payload is untrusted.
	Neighbour func(payload string)
	// Local: the local address of the connection to the node became known.
	Local func(node NodeID, localIP string)
	// Pulse: the node answered a Pulse of that instant; good: as it should.
	Pulse func(node NodeID, asked Instant, good bool)
}

// Pulser is a Link that can speak to its node without waiting for the answer.
type Pulser interface {
	// Pulse asks over a connection that is kept anyway. It never blocks. The
	// answer, if there is one, comes by LinkEvents.Pulse with the same instant.
	// false: it cannot be asked now (the last one is not answered, say), so
	// look.
	Pulse(asked Instant) bool
	// Say is Publish without waiting whether it goes well. It never blocks.
	// false: it cannot be said so now; Publish.
	Say(hello Hello) bool
}

// Link is a kept watch on one node. One connection for looking, one that
// listens. Safe for concurrent use.
type Link interface {
	// Look asks the node how it is. It never fails: what went wrong is in the
	// Observation's Health. The caller sets a deadline.
	Look(ctx context.Context) Observation
	// Knock opens one new connection, beside the kept ones, asks for a sign
	// of life and closes it. It finds servers that only serve old connections.
	Knock(ctx context.Context) error
	// Mark writes the newest accepted epoch where a later leader will see it
	// (the names of the kept connections). Takes effect before the next Look
	// at the latest. Never blocks.
	Mark(claim Claim)
	// Publish introduces this Warden on the node, to Wardens and, with
	// hello.Neighbour, to real Redis Sentinels. One of the two that is refused
	// does not keep the other from going out; the error names it.
	Publish(ctx context.Context, hello Hello) error
	// Unblock ends a script that keeps the node from answering. An error says
	// that the script still runs, or may. Nothing to end is no error.
	Unblock(ctx context.Context) error
	// Close ends the watch and every goroutine and socket of it.
	Close()
}

// Session gives orders to one node that was claimed for one leader. Orders
// of one session are given one at a time.
type Session interface {
	// Promote makes the node a primary that takes writes; one that already is
	// a primary takes writes again if Wardens had taken them away. sync is what
	// it waits for from its first commit on; nil: that is left as it is.
	Promote(ctx context.Context, sync *SyncRule) Result
	// Follow makes the node a replica of another and disconnects its clients.
	// A primary that no order can make a replica (Observation.NoDemote) is
	// fenced: it takes no writes from then on and says NeedsRejoin. That is
	// Done too.
	Follow(ctx context.Context, f Following) Result
	// Hold stops writes on the node for at most limit and returns the
	// position after the last one. It ends by itself.
	Hold(ctx context.Context, limit Duration) Result
	// Release ends a Hold.
	Release(ctx context.Context) Result
	// Look observes the node over the claimed session.
	Look(ctx context.Context) Observation
	// Close gives the claim's connection back. The marks stay.
	Close()
}

// Following says how a node is to replicate.
type Following struct {
	Primary NodeID
	// Avoid is the replication id of a replaced primary that the node must not
	// copy its data from any more; empty: none. Where the server cannot be told
	// so, or refuses, the order is given all the same (a refusal is noted).
	Avoid string
	// Name is what the node calls itself to its upstream (a Member's Name);
	// empty: it is no member and must not carry a member's name.
	Name string
	// Sync is what the node would wait for as a primary. It is put in place
	// while the node is a replica, because a server that begins to wait does
	// not do so at once. nil: it is left as it is.
	Sync *SyncRule
}

// Keeper is a Session of a database that can keep acknowledged writes on
// several nodes (groups with quorum durability). Adapters whose databases
// cannot do not have it.
type Keeper interface {
	// Seal makes a replica receive from nobody. Done only when nothing can
	// arrive any more, whatever becomes of the replica or of this Warden; a
	// Look over the session then gives a position that does not grow. Follow
	// ends it.
	Seal(ctx context.Context) Result
	// Wait makes a primary wait by the last of the rules. Done only when every
	// commit satisfies that rule, reported from now on or before: the others may
	// be forgotten then. Rules before it are those by which receivers may still
	// be answered.
	Wait(ctx context.Context, rules []SyncRule) Result
}

// Commands are an operator's programs for what no order to a database can do.
// They run on the leader's host; each call ends within the context's deadline.
// Safe for concurrent use.
type Commands interface {
	// Fence makes sure that a node takes no writes any more, by whatever is
	// below it (power, hypervisor, network). Done: it surely does not.
	Fence(ctx context.Context, call Call) Result
	// PrePromote says whether a node may be promoted: Done if it may. Anything
	// else is a veto, whatever the reason.
	PrePromote(ctx context.Context, call Call) Result
	// Rejoin makes a node a replica of the primary that is told, with its
	// disk rebuilt if need be.
	Rejoin(ctx context.Context, call Call) Result
}

// Call is what a command is told.
type Call struct {
	Group   GroupName
	Node    NodeID
	Primary NodeID // the new one
	// Old is the primary that would be replaced, and Reason is why; of PrePromote.
	Old    NodeID
	Reason Reason
	Epoch  Epoch
}
