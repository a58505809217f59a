package election

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: turns and attempts grow with what votes take and with how late the
// process is, within bounds, and shrink again.
func TestTurnsFollowTheRounds(t *testing.T) {
	const ms = warden.Millisecond
	var s State
	for _, test := range []struct {
		round, lag, step, life warden.Duration
	}{
		{0, 0, turnStep, attemptLife},
		{30 * ms, 10 * ms, turnStep, attemptLife},
		{100 * ms, 0, 100 * ms, attemptLife},
		{200 * ms, 0, 200 * ms, 400 * ms},
		{0, 100 * ms, 200 * ms, attemptLife},
		{10 * warden.Second, 0, turnMost, 2 * turnMost},
		{0, 10 * warden.Second, turnMost, attemptLife},
	} {
		s.round = test.round
		if step, life := s.step(test.lag), s.life(); step != test.step || life != test.life {
			t.Errorf("votes take %s, %s late: turns %s and attempts %s, want %s and %s", test.round, test.lag, step, life, test.step, test.life)
		}
	}
	s = State{}
	for epoch, test := range []struct{ answered, round warden.Duration }{
		{200 * ms, 200 * ms}, {300 * ms, 300 * ms}, {100 * ms, 200 * ms}, {0, 100 * ms},
	} {
		e := warden.Epoch(epoch + 1)
		s.stood, s.stoodAt = e, 1000
		s.timed(e-1, 2000)
		s.timed(e, s.stoodAt.Add(test.answered))
		s.timed(e, s.stoodAt.Add(warden.Minute)) // only the first answer counts
		if s.round != test.round {
			t.Errorf("after an answer in %s votes take %s, want %s", test.answered, s.round, test.round)
		}
	}
}

// Goal: groups of different Turn begin with different Wardens, and each has all of
// them in turn.
func TestTurnsOfGroupsDiffer(t *testing.T) {
	list := []warden.WardenID{"w1", "w2", "w3"}
	first := map[warden.WardenID]int{}
	for turn := range uint64(30) {
		seen := map[int]bool{}
		for _, id := range list {
			s := State{}
			s.Reg.Chosen = warden.Topology{Birth: "B", Version: warden.Version{Epoch: 1, Step: 1}, Wardens: list}
			wait := s.wait(Config{Self: id, Turn: turn + 1<<63}, Want{}, 0)
			seen[int(wait/turnStep)] = true
			if wait == 0 {
				first[id]++
			}
		}
		if len(seen) != len(list) {
			t.Errorf("turn %d: two Wardens try at once: %v", turn, seen)
		}
	}
	for _, id := range list {
		if first[id] != 10 {
			t.Errorf("%s is first for %d groups of 30", id, first[id])
		}
	}
}
