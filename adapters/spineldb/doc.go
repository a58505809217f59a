// Package spineldb speaks to SpinelDB and to every other server of the Redis
// protocol: it is the warden.Adapter for them.
//
// One Link keeps two connections to its node:
//
//	talk    PING and INFO, in one write, and PUBLISH. A paused server keeps
//	        PUBLISH waiting; then the connection is given up, so that no look
//	        waits with it.
//	listen  subscribed to __warden__:hello and, for real Redis Sentinels, to
//	        __sentinel__:hello; its reader hears the server's end. PING goes
//	        over it where a sign of life is enough.
//
// While all is well a hello and the question for a sign of life are sent without
// a wait for the answer: with hundreds of groups the waiting costs more than the
// work. go-redis reads every answer all the same.
//
// Their names carry the newest accepted epoch, as the mark for later leaders.
// Orders never travel on these. They travel on a claimed session: a connection
// of its own, named for the leader's epoch, behind which every order session
// with a lower epoch has been killed (see claim.go). What a killed connection
// had under way is discarded by the server, and that is the whole point: an
// order that an old leader sent late cannot take effect.
//
// Servers differ (Redis, Valkey, KeyDB, Dragonfly, Kvrocks, SpinelDB), so what
// a server can do is probed on each new connection and never assumed.
package spineldb
