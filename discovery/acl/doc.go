// Package acl keeps the users of the client port and what each may do: Redis
// ACLs as far as a monitor needs them. A List reads the rules that Redis users
// know, from `user` lines of a configuration, from a file, or from ACL SETUSER,
// and answers whether a request is allowed. It talks to nobody: the commands
// AUTH and ACL are answered by discovery/resp, which asks a List.
//
// # Rules
//
// All rules of Redis 7.2 are read: on, off, nopass, >password, <password, #hash,
// !hash, resetpass, +command, -command, +command|subcommand, +command|argument,
// +@category, -@category, allcommands, nocommands, &pattern, allchannels,
// resetchannels, ~pattern, %R~pattern, allkeys, resetkeys, (selector),
// clearselectors, sanitize-payload, skip-sanitize-payload and reset. They apply
// from left to right, and a later one wins. Rules about keys are kept and shown,
// although no command here has keys. A new user is off and may nothing: no
// command, and no channel unless Options.AllChannels says so.
//
// A user with +@all may also run what the catalogue of commands does not know.
// +sentinel allows no order to the command WARDEN, which is a container of its
// own in the categories @admin, @slow and @dangerous, as SENTINEL is.
//
// # What users need
//
// A client that only looks for its primary, in whatever language:
//
//	user app on >secret resetchannels &* -@all +auth +hello +ping +role +info
//	    +command +client|setname +client|setinfo +client|getname +client|id
//	    +subscribe +psubscribe +unsubscribe +punsubscribe
//	    +sentinel|get-master-addr-by-name +sentinel|master +sentinel|masters
//	    +sentinel|replicas +sentinel|slaves +sentinel|sentinels +sentinel|myid
//
// (in one line). &* stands for the channels of events; naming the few that a
// client listens to works as well, except for clients that subscribe by pattern:
// Redis grants a pattern only word for word.
//
// Another Sentinel or Warden that talks to this port: +ping +client|setname
// +publish +subscribe +sentinel|is-master-down-by-addr and the channel
// &__sentinel__:hello.
//
// The command line of this program: +hello +ping +warden|status +warden|explain
// +warden|events +warden|drill +warden|facts +warden|reports +sentinel|ckquorum +subscribe +unsubscribe and
// the channel &__warden__:events to look; +warden to give orders as well.
//
// # What is safer than in Redis
//
// Where a password is required and the file of users does not mention the
// default user, that password stays required; Redis would let everybody in.
// Arguments in rules such as +info|server may hold no blanks, and no rule in a
// selector may end in a parenthesis: written to a file, they would be read as
// other rules. ACL LOAD cuts the connections of users
// that are gone and those whose subscriptions are not allowed any more, and no
// others.
package acl
