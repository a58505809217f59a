// Package check is a model checker over the shipped core: it takes the real
// mind of every Warden (warden/group, with monitor, election and failover in
// it) and walks, breadth first, through every state that a small world of
// three Wardens and three nodes can come to.
//
// A step of a world is one of these: a message arrives, in any order, twice,
// late, or never (so it is lost); a Warden's timer fires, whenever it likes; a
// Warden dies and keeps what it had synced, or starts again; an order arrives
// at a node, late, or never; the node refuses it; its outcome stays unknown.
// The scopes (scope.go) say how many of each there may be. The promises S1 to
// S7 and S9 are checked at every step (ledger.go).
//
// It can be exhaustive because the minds are pure functions of values. What a
// Warden is and knows is kept once (mind.go), a world is a handful of numbers
// that name such values (world.go), and a step of a mind that was taken once
// is looked up afterwards. Two memories that differ only in what no decision
// depends on are one: rest.go says which fields those are, and why; whatever
// it does not name, a field that is new in the core among it, counts. Two
// Wardens that the scope treats alike may change places (swap.go).
//
// Clocks are not related to one another. Each Warden has its own, which stands
// still while messages come and go and leaps when one of its timers fires. So
// whatever holds here holds without any lease or clock. What the clocks are
// for (leases that keep the others calm, TILT, silence, holds of a
// switchover) cannot be shown in this way and is left to warden/sim.
//
// The first broken promise ends a search. Breadth first, its trace is one of
// the shortest; it is told as a conversation (trace.go). Every sabotage of the
// core has to be found (sabotage.go).
package check
