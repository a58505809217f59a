// Package postgres speaks to PostgreSQL (13 and later) in streaming
// replication: it is the warden.Adapter for it, for asynchronous groups and for
// those that keep acknowledged writes on several nodes (warden.Keeper).
//
// One Link keeps up to three connections to its node, and each has one job:
//
//	watch   one query per look
//	listen  LISTEN on a primary; on a standby, which refuses LISTEN, merely a
//	        read that waits. Either way it hears the server's end at once
//	speak   NOTIFY (opened on use)
//
// Orders never travel on these. They travel on a claimed session: a direct
// connection of its own that holds an advisory lock named for the group. A
// newer leader terminates the holder and takes the lock, and what the
// terminated session had under way is discarded by the server. The newest epoch
// stays in the file that ALTER SYSTEM writes (warden.epoch), on standbys too.
//
// What SQL cannot do is turn a primary into a standby. Follow on a primary
// fences it (read-only by default, sessions ended) and says that it needs a
// rejoin; see fence.go. How a standby is kept from acknowledging anything is told
// in seal.go, how a primary is made to wait for standbys in waits.go.
//
// No connection here ever sends a cancel request: on a primary that waits for
// its standbys it would turn a waiting commit into an acknowledged one.
package postgres
