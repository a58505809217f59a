// Package script runs the two scripts that an operator of Redis Sentinel may
// configure for a group, with Sentinel's arguments, order and patience:
//
//	notification-script       PATH EVENT PAYLOAD
//	client-reconfig-script    PATH GROUP ROLE start FROM-IP FROM-PORT TO-IP TO-PORT
//
// A script inherits the environment and nothing else: its input is empty, its
// output is discarded, and none of our descriptors is open in it. It leads a
// process group of its own, so that what it started can be ended with it.
//
// Scripts wait in one queue of at most 256, the oldest first, and at most 16
// run at a time. When the queue is full, the oldest one that is not running is
// dropped. A script that runs for longer than a minute is killed. One that was
// killed, or exits with 1, asks to be run again: after 30 seconds, then 60, and
// so on, doubling, ten runs in total. Any other exit code is final, and so is a
// script that cannot be executed.
//
// What happens to scripts is reported as events: -script-error and
// -script-timeout for everybody, +script-child and -script-child for the log.
//
// Commands are the other kind of an operator's programs, those that a change of
// the primary waits for (pre_promote, fence_command, rejoin_command). They run at
// once, one run each, get PATH, HOME, WARDEN_GROUP, WARDEN_NODE,
// WARDEN_NEW_PRIMARY and WARDEN_EPOCH as their whole environment (pre_promote also
// WARDEN_OLD_PRIMARY and WARDEN_REASON), and the end of what they write goes to
// the log. An Errand is one such run, and hooks are run as errands too. Exit code 0 is Done, any other Refused. A command that is late is
// sent SIGTERM and, half a second later, SIGKILL with its whole process group;
// whether it has done its work is then Unknown. What a command leaves behind in
// its process group ends with it; a service that it starts has to lead a session
// of its own, as pg_ctl and systemd see to, and to write elsewhere.
package script
