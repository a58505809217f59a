// Package spineldb speaks to SpinelDB and to every other server of the Redis
// protocol: it is the warden.Adapter for them.
//
// One Link keeps up to three connections to its node, and each has one job, so
// that none can hold up another:
//
//	watch   PING and INFO, in one write
//	listen  subscribed to __warden__:hello and, for real Redis Sentinels, to
//	        __sentinel__:hello; its reader hears the server's end
//	speak   PUBLISH, which a paused server may keep waiting (opened on use)
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
