// Package election is the second of the three minds: who may act, and what is
// agreed?
//
// For each group the Wardens keep one document, the topology, in a register
// that only an elected leader writes. The rules are those of Paxos, named as
// in docs/architecture.md and cited in the code:
//
//	V1  a candidate writes its epoch down as its own promise before it asks
//	V2  a voter grants above its promise, or again to the same run
//	V3  for a failover it must itself hold the primary for down
//	V4  the base is the newest topology among the grants; votes are counted in
//	    the list of Wardens in that base
//	A1  one proposal at a time, derived from the base or the last chosen step
//	A2  a voter accepts (E, s) at or above its promise and newer than it holds
//	A3  chosen: a majority of the list in the proposal, and at least quorum
//	A4  each answer carries the voter's own opinion of the primary
//	R1  the list of Wardens changes by one per step
//	R2  and only after one step of the leader's own epoch was chosen
//	R3  who is not in its newest list neither stands nor counts
//	R4  silence never removes a Warden
//
// Leaders are elected when there is something to do, and not kept. A lease of
// one second keeps the others calm meanwhile; safety never rests on it.
// Candidates take turns by rank instead of drawing lots.
//
// Sources: Lamport, "Paxos Made Simple" (2001), for V and A; Ongaro's
// correction of Raft's single-server membership change (2015) for R2.
package election
