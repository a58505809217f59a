// Package sim runs whole quorums of Wardens on virtual time: the real minds
// (warden/group), a model of the disks they write, a network that loses,
// repeats and delays, and model databases. One seed decides everything, so a
// failure found once is a failure for ever: run the seed again.
//
// A seed is one simulated minute. First the storm: Wardens crash between two
// effects, are paused, have their clocks moved and their disks fail; messages
// and orders are lost or late; databases crash, hang, come back old, empty or
// as somebody else; operators give orders. After every step the S promises
// are checked (contracts.go). Then the calm: everything is healed, the L
// promises are demanded, and the primary is taken away once more.
//
// The databases are of Redis in half of the worlds, and of PostgreSQL in the
// others (kind.go): with timelines, receivers and walsenders, fences in files,
// and in a quarter of all worlds with commits that wait for a sync set, so that
// S8 can be checked at every acknowledgement and every promotion (durable.go).
//
// The same world is used, without chance, by conversations: text files in
// testdata/ in which a schedule is written down and what every Warden did and
// said is printed below it (conversation.go).
//
// Every promise has a sabotage: a deliberate break of the mechanism that
// keeps it, after which the check must turn red (sabotage.go).
//
// The world is one goroutine, has no clock of its own and never waits.
package sim
