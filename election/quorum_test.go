package election

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"github.com/spineldb/warden/warden"
)

var everybody = []warden.WardenID{"w1", "w2", "w3", "w4", "w5"}

// set is the Wardens whose bit is set.
func set(mask uint) []warden.WardenID {
	var out []warden.WardenID
	for i, id := range everybody {
		if mask&(1<<i) != 0 {
			out = append(out, id)
		}
	}
	return out
}

// TestQuorumsAgainstCounting compares the functions that decide with a slower
// twin that only counts on its fingers, for all lists of up to five Wardens, all
// sets of answers and all quorums.
func TestQuorumsAgainstCounting(t *testing.T) {
	for listed := uint(1); listed < 32; listed++ {
		for answered := range uint(32) {
			both := bits.OnesCount(listed & answered)
			if got := count(set(listed), set(answered)); got != both {
				t.Fatalf("count(%v, %v) = %d, want %d", set(listed), set(answered), got, both)
			}
			if got := count(set(listed), append(set(answered), set(answered)...)); got != both {
				t.Fatalf("answers told twice count twice: %d, want %d", got, both)
			}
			for quorum := range 7 {
				n := bits.OnesCount(listed)
				want := 2*both > n && both >= quorum
				if got := both >= needed(set(listed), quorum); got != want {
					t.Fatalf("%d of %d with quorum %d: enough is %v, want %v", both, n, quorum, got, want)
				}
			}
		}
	}
}

// TestQuorumsMeet checks what everything rests on: two sets of answers that are
// enough have a Warden in common, also when the list grew or shrank by one in
// between (R1).
func TestQuorumsMeet(t *testing.T) {
	enough := func(listed, answered uint) bool {
		return count(set(listed), set(answered)) >= needed(set(listed), 1)
	}
	for a := uint(1); a < 32; a++ {
		for i := -1; i < len(everybody); i++ {
			b := a
			if i >= 0 {
				b ^= 1 << i
			}
			for x := range uint(32) {
				for y := range uint(32) {
					if b != 0 && enough(a, x) && enough(b, y) && a&x&b&y == 0 {
						t.Fatalf("lists %v and %v: %v and %v are both enough and do not meet", set(a), set(b), set(x), set(y))
					}
				}
			}
		}
	}
}

// TestBirthsMeet checks the rule of the first agreement: with N Wardens in all
// and 2·quorum > N, or N configured, two sets that are enough have a Warden in
// common, whatever part of the N each candidate has listed.
func TestBirthsMeet(t *testing.T) {
	for _, rule := range []struct{ quorum, configured int }{{3, 0}, {4, 0}, {1, 5}, {2, 5}, {3, 5}} {
		enough := func(listed, answered uint) bool {
			return bits.OnesCount(listed&answered) >= neededAtBirth(set(listed), rule.quorum, rule.configured)
		}
		for a := uint(1); a < 32; a++ {
			for b := uint(1); b < 32; b++ {
				for x := range uint(32) {
					y := 31 &^ x // the most that does not meet x
					if enough(a, x) && enough(b, y) {
						t.Fatalf("quorum %d, wardens %d: %v of %v and %v of %v are both enough", rule.quorum, rule.configured, set(x), set(a), set(y), set(b))
					}
				}
			}
		}
	}
	// What start-up warns of: quorum 2 of 5, and no number configured.
	if neededAtBirth(set(3), 2, 0) != 2 || neededAtBirth(set(28), 2, 0) != 2 {
		t.Error("2 of 2 and 2 of 3 are enough for two births with quorum 2: if this changed, the warning may go")
	}
}

// TestRankIsATurn checks that in each epoch everybody has a turn of their own,
// and that the first turn wanders.
func TestRankIsATurn(t *testing.T) {
	for n := 1; n <= 5; n++ {
		list := everybody[:n]
		var first []warden.WardenID
		for e := warden.Epoch(1); e <= warden.Epoch(n); e++ {
			var turns []int
			for _, id := range list {
				r := rank(list, id, e)
				turns = append(turns, r)
				if r == 0 {
					first = append(first, id)
				}
			}
			slices.Sort(turns)
			for i, r := range turns {
				if i != r {
					t.Errorf("%d Wardens, epoch %d: turns %v", n, e, turns)
				}
			}
		}
		slices.Sort(first)
		if !slices.Equal(first, list) {
			t.Errorf("%d Wardens: first in %d epochs were %v", n, n, first)
		}
	}
	if r := rank(everybody, "w9", 3); r != 0 {
		t.Errorf("rank of a stranger is %d", r)
	}
	if r := rank(everybody, "w1", ^warden.Epoch(0)); r < 0 || r > 4 {
		t.Errorf("rank in the last epoch of all is %d", r)
	}
}

func TestSortedUnion(t *testing.T) {
	a := []warden.WardenID{"w3", "w1"}
	if got := fmt.Sprint(sortedUnion(a, "w2", "w1")); got != "[w1 w2 w3]" || a[0] != "w3" {
		t.Errorf("got %s, and the argument is %v", got, a)
	}
}
