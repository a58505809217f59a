// Package monitor is the first of the three minds: is it down?
//
// It keeps what this Warden has seen of every node of one group and what the
// other Wardens said of the primary, and judges: up, subjectively down
// (SDOWN, this Warden's own opinion) or objectively down (ODOWN, `quorum`
// fresh opinions). It decides nothing else. Being pure, it learns the time
// only from its caller.
//
// Three rules shape it:
//
//   - Silence is counted in witnessed time: only time during which this Warden
//     was itself awake adds to it (promise S6). A process that was paused or
//     whose clock jumped enters TILT, has no opinions, and leaves TILT when it
//     has looked at every node again and one second was calm.
//   - Any answer that proves life ends silence. A wrong password is a mistake
//     in a configuration file, not a death.
//   - Replicas are witnesses, against silence only: while a replica still
//     receives data straight from the primary, the primary is not down
//     (at most for three times down_after).
//
// Sources: Redis Sentinel's SDOWN/ODOWN/TILT (sentinel.c, 7.0), whose wall
// clock and early trust are what the first rule replaces.
package monitor
