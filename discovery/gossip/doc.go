// Package gossip is how Wardens talk to one another: hashicorp/memberlist
// behind a few verbs. The rest of the program cannot tell that it is there.
//
//	Send ──> outbox of that peer ──> one envelope for all that waits ──> TCP
//	TCP ──> envelope checked ──> OnMessage, message by message
//
// Every message has one addressee and goes straight to it, the moment it
// arises, to the address in our own address book. memberlist's failure
// detector (SWIM) watches Wardens, not databases, and its verdict is only a
// hint: a peer it calls dead is still sent to. Its broadcasts and its push/pull
// exchange only spread the addresses of Wardens, as a way of repair.
//
// The address book is fed by what peers say of themselves in envelopes, by
// memberlist, and by what was known before the start. Addresses heard in any
// other way (hellos on the databases, join entries, other Wardens' books) only
// make us greet that address; who answers is then known first hand.
//
// Two processes may run under one id when a data directory was copied. Each
// process therefore draws a random word, its life, and numbers its envelopes.
// An id of which two lives go on speaking is a conflict: it is reported, its
// messages are dropped, and both lives are told of each other.
package gossip
