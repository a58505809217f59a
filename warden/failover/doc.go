// Package failover is the third of the three minds: what is done?
//
// It runs in the leader only. Given the epoch it leads, the base it adopted
// and what is seen of the nodes, it walks through named stages and says at
// each Step which topology to propose next and which orders to give:
//
//	looking     read fresh positions from the replicas, choose the best
//	asking      the operator's pre_promote command may veto the choice (ask.go)
//	holding     (switchover) stop writes on the old primary
//	draining    (switchover) wait until the candidate has everything
//	deciding    {promoting, candidate} must be chosen before any order
//	claiming    shut older leaders out of the candidate, then look at it
//	catching-up an excluded replica has more: take it over first
//	fencing     demote the old primary if it can be reached
//	demoting    (switchover) demote the old primary, surely
//	promoting   order, then confirm by observation
//	publishing  {done, candidate} must be chosen, learned, served
//	repointing  every other node behind the new primary, some at a time
//
// In groups with quorum durability, resolving and sealing stand in the place of
// looking (or, in a switchover, before deciding): {sealing} is chosen, then
// enough members of every sync set are made to receive from nobody (seal.go).
// The sync set itself is changed by widening, naming, arming and narrowing
// (syncset.go).
//
// And, beside that road: affirming (a leader's first step for anything that
// needs no new primary), inspecting (a promotion that another leader began),
// reclaiming (the old primary, before going back to it), changing (list or
// settings), going-back (nothing was ordered, or it was surely not done).
//
// What an order's outcome is unknown for is looked at, never assumed. The
// choice of a candidate is a pure function that gives the reason for every
// node it does not take (candidate.go).
package failover
