// Package shell makes the minds of the groups do something: it owns the
// goroutines, reads the clock and performs what the minds decide. It decides
// nothing itself.
//
//	gossip ──Deliver──────┐                      ┌─ Persist   Store, synced
//	operators ──Command───┤    one loop          ├─ Send      Courier
//	looks at nodes ───────┼──► per group: ──────►├─ Act       orders on sessions
//	ends of actions ──────┤    event → Step      ├─ (the state is published)
//	the clock ──Tick──────┘                      ├─ Announce  log, subscribers
//	                                             └─ Answers   operators
//
// The order on the right is the order of performing and a safety rule: a vote
// is on disk before it is told, and a state that could not be written is
// thrown away with everything that would have followed from it.
//
// Everything outside comes in as an interface (Store, Courier, warden.Adapter)
// or as a function in Options. Nothing in here waits for a node, a peer or a
// subscriber on the loop of a group; the disk is the one thing that a loop
// waits for.
package shell
