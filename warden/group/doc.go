// Package group is the whole mind of one group: it joins the three minds
// (monitor, election, failover), turns what they notice into events under
// Sentinel's names, and says what this Warden wants to stand for.
//
//	event -> monitor: what is up and down
//	      -> want:    what should be done (want.go)
//	      -> election: may we? what is agreed?
//	      -> failover: if we lead, the next proposal and the next orders
//	      -> effects: persist, send, act, announce, in this order
//
// Step is a plain function of values. The same events at the same instants
// give the same effects, so a recorded event log is a replay.
package group
