// Package embeddednode is a small node of the Redis protocol for `spineldb demo`
// and for tests on machines without a database. It is not a database: do not
// keep data in it that matters.
//
// The data commands are those of miniredis, in memory. What a monitor needs is
// written here: replication with offsets, partial and full copies, roles that
// change, CLIENT LIST, KILL and PAUSE, INFO and ROLE, publish and subscribe,
// and a state file from which a node killed in the middle comes back with old
// data and its old lineage.
//
// Left out on purpose: RESP3, databases other than 0, scripts, streams,
// blocking commands, commands whose result is random (they would not be the
// same on a replica), WATCH, access control, and forwarding of PUBLISH to
// replicas. There is no password, so a node listens on loopback only.
//
//	client bytes -> resp.go -> client.go -> commands.go -> data.go   (miniredis)
//	                                          |            admin.go, info.go, pubsub.go
//	                                          v
//	                                       primary.go -> replicas
//	                                       replica.go <- upstream
//
// One mutex, Node.mu, guards everything: what is written to the data and what
// is written to the replication stream are then always the same, in one order.
package embeddednode
