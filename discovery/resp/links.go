package resp

import (
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// linksLife is for how long a count of links is good enough: it takes a view of
// every group.
const linksLife = time.Second

// links counts in how many groups each other Warden or Sentinel is listed.
// There is one link to it for all of them. Safe for concurrent use.
type links struct {
	mu      sync.Mutex
	counted time.Time
	groups  map[string]int
}

// linkOf names a link: who is at its end, and where.
func linkOf(p warden.PeerView) string { return shownPeer(p) + " " + p.Client }

// linkCounts are the counts by linkOf, at most linksLife old. They are not
// changed any more.
func (s *Server) linkCounts() map[string]int {
	l := &s.links
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups != nil && time.Since(l.counted) < linksLife {
		return l.groups
	}
	groups := map[string]int{}
	for _, v := range s.views() {
		for _, p := range v.Peers {
			groups[linkOf(p)]++
		}
	}
	l.groups, l.counted = groups, time.Now()
	return groups
}
