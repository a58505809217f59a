// Package rest answers HTTP: health checks for proxies and orchestrators, the
// state of groups for people and programs, operators' orders, and a stream of
// events. It reads all of it from a warden.Directory and decides nothing.
//
// openapi.json describes every request; a test holds it to the code.
//
// # Health checks
//
// A check is about one node of one group. It answers 200 or 503, and why:
//
//	GET /groups/mymaster/nodes/10.0.0.1:6379/primary
//	GET /primary?group=mymaster&node=10.0.0.1:6379
//
// Where this Warden watches one group only, its name may be left out. A node may
// not: an answer about "some" node would make every server of a proxy a primary.
//
// At most one node of a group is answered 200 on /primary, by all Wardens taken
// together: see refusePrimary, which does not answer 200 before no other Warden
// can answer it for the primary before.
//
// # Bounds
//
// Answers are made from a view of the group that is at most 20 ms old and of the
// present primary, what is about all groups from views of the last second. Headers, bodies, connections and times are bounded. A
// reader of events who does not take them is cut, and resumes with the number of
// the last one it has.
package rest
