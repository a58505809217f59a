package election

import "github.com/spineldb/warden/warden"

// Next is the Warden whose turn comes first when there is something to do, of
// those that may vote, and how long it waits for that. Nobody: "".
func (s *State) Next(c Config, may func(warden.WardenID) bool) (first warden.WardenID, wait warden.Duration) {
	list := s.list(c, Want{})
	for _, id := range list {
		after := warden.Duration(rank(list, id, s.seen+1+warden.Epoch(c.Turn))) * s.step(c.Lag)
		if may(id) && (first == "" || after < wait) {
			first, wait = id, after
		}
	}
	return first, wait
}
