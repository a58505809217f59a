package election

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// needed is how many Wardens of list must agree: more than half, and at least
// quorum (A3).
func needed(list []warden.WardenID, quorum int) int {
	return max(len(list)/2+1, quorum)
}

// neededAtBirth is the rule of the first agreement only: a majority of as many
// Wardens as are listed or configured. It is unique whenever twice the quorum
// exceeds the number of Wardens, or the configured number is right.
func neededAtBirth(list []warden.WardenID, quorum, configured int) int {
	return max(quorum, max(len(list), configured)/2+1)
}

// count is how many of ids are in list, each once.
func count(list, ids []warden.WardenID) int {
	n := 0
	for _, id := range list {
		if slices.Contains(ids, id) {
			n++
		}
	}
	return n
}

// rank is a Warden's place in the order of turns of an epoch: sorted ids,
// rotated by the epoch, so that the first turn wanders.
func rank(list []warden.WardenID, self warden.WardenID, e warden.Epoch) int {
	i := slices.Index(list, self)
	if i < 0 || len(list) == 0 {
		return 0
	}
	n := len(list)
	return (i - int(uint64(e)%uint64(n)) + n) % n
}

// sortedUnion is a and the ids, sorted, each once.
func sortedUnion(a []warden.WardenID, ids ...warden.WardenID) []warden.WardenID {
	out := append(append(make([]warden.WardenID, 0, len(a)+len(ids)), a...), ids...)
	slices.Sort(out)
	return slices.Compact(out)
}
