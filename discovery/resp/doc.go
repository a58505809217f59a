// Package resp is the port that Redis-Sentinel clients talk to. It answers in
// RESP2 or RESP3 (each connection chooses with HELLO), reads what it shows from
// a warden.Directory, and takes operators' commands to it. It decides nothing.
//
// # Commands for clients
//
// The 15 commands of Redis Sentinel (ACL, AUTH, CLIENT, COMMAND, HELLO, INFO,
// PING, PSUBSCRIBE, PUBLISH, PUNSUBSCRIBE, ROLE, SENTINEL, SHUTDOWN, SUBSCRIBE,
// UNSUBSCRIBE), QUIT and WARDEN, with all their subcommands, in the shapes that
// Redis Sentinel 7.2 gives them: numbers inside instance maps are bulk strings,
// a fact that is missing is a field that is missing, maps are maps in RESP3 and
// flat arrays in RESP2. Valkey's PRIMARY spellings are answered too.
//
// What changes this one Warden (SENTINEL SET, MONITOR, REMOVE, CONFIG SET, DEBUG,
// FLUSHCONFIG, SIMULATE-FAILURE, SHUTDOWN) goes to Options.Steward; here only
// the words are checked, all of a request before anything is done. What real
// Sentinels tell and ask (PUBLISH __sentinel__:hello, IS-MASTER-DOWN-BY-ADDR)
// goes to Options.Neighbours. docs/protocol.md lists what differs from Sentinel,
// and a test compares everything else with a real one.
//
// The address of a group is the same whether asked as GET-MASTER-ADDR-BY-NAME
// or read from MASTER(S) and INFO: there is one source for it. A known group that
// has no address to serve answers nil to the first, and an entry flagged s_down
// with an empty ip to the others.
//
// REPLICAS leaves out what must not be read from: nodes with foreign data, live
// nodes that still call themselves a primary, and those that ask not to be
// announced. MASTER and INFO count the unannounced and the not yet demoted.
//
// # Events
//
// Events are published under their names (SUBSCRIBE +switch-master, PSUBSCRIBE
// [-+]sdown, PSUBSCRIBE *). Debug events are not published. Besides, every event
// is published on the channel __warden__:events as one JSON object in one line,
// shaped like the entries of WARDEN EVENTS; it must be subscribed by its full
// name, so that PSUBSCRIBE * shows each event once, as everywhere.
//
// A crowd of more than 16 subscribers gets an event together with those of the
// next 50 ms, except that +switch-master and what came before it go at once.
//
// # The command WARDEN
//
// For people and the command line. It stands under the same AUTH. All answers
// but that of HELP are JSON in one bulk string; the Go types that decode them
// are named in brackets.
//
//	WARDEN STATUS [group]                            [Status] this Warden and its groups
//	WARDEN EXPLAIN group                             [Explanation] why things are as they are
//	WARDEN REPORTS group [id | count]                [ReportList] what became of changes
//	WARDEN DRILL group                               [warden.Answer] what if the primary died now
//	WARDEN FACTS                                     what this process and its machine are like
//	WARDEN FAILOVER group [TO host:port] [NOWAIT]    [warden.Answer]
//	WARDEN SWITCHOVER group [TO host:port] [NOWAIT]  [warden.Answer]
//	WARDEN CONFIG GET group                          [warden.SettingsView]
//	WARDEN CONFIG SET group [REVISION n]             [warden.Answer] have settings agreed, all or none;
//	    name=value ... [UNSET name ...]              of a node: host:port/name
//	WARDEN PAUSE group                               [warden.Answer]
//	WARDEN RESUME group                              [warden.Answer]
//	WARDEN FORGET group warden-id                    [warden.Answer]
//	WARDEN RECOVER group LOST id[,id...]             [warden.Answer]
//	WARDEN RESET glob                                [ResetAnswers] one answer per group
//	WARDEN EVENTS [count]                            [EventLog] the newest, oldest first
//	WARDEN EVENTS SINCE seq [count]                  [EventLog] the oldest after seq
//	WARDEN VERSION                                   [Version]
//	WARDEN HELP                                      an array of lines
//
// An operator's command that was refused is an Answer like any other; RESP
// errors are kept for mistakes in the request itself (ERR ...) and for a group
// that this Warden does not know. Without NOWAIT, FAILOVER and SWITCHOVER answer
// when the change is finished. The last 4,096 events are kept in memory, and
// their numbers start at 1 with the process.
//
// # Bounds
//
// Nothing a client does costs others more than its share. A request is at most
// 1 MiB (64 KiB before AUTH) and 1,024 words, and memory follows what has
// arrived, not what was announced. Each client has one goroutine, which reads
// and answers, and a second one only while it reads slower than it is written
// to.
//
// On Linux a client that asks for an address, the id or a sign of life is left
// to the lobby between two such questions (get-master-addr-by-name and its other
// spelling, myid, PING): one goroutine,
// which reads and answers for all who rest there, never waits for any of them,
// and sends a client back to its own goroutine for everything else: any other
// request, one in pieces, answers that are not taken at once, the end. Nobody
// rests who has still to log in, is subscribed, has its answers switched off
// or may be cut for idling; only plain TCP connections do.
//
// The queue of a client is bounded; when that is full it is not read from
// either, and it is cut when a write makes no progress for WriteTimeout. Events
// never wait: a subscriber whose queue is full is cut, and asks again when it is
// back.
package resp
