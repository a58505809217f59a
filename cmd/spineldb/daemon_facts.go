package main

import (
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

// facts answers WARDEN FACTS. Its groups are those that run, with what clients
// have set.
func (d *daemon) facts() any {
	s := d.steward.now.Load()
	f := remote.Facts{
		ID: d.store.Identity(), Version: currentVersion().Version, UnixMS: time.Now().UnixMilli(),
		Disk: d.commits.sum(), Settings: s.Settings(), Groups: []remote.GroupSettings{},
	}
	for _, m := range s.Masters {
		f.Groups = append(f.Groups, remote.GroupSettings{Name: m.Name, Settings: m.Settings()})
	}
	return f
}

// keptCommits is how many of the last commits are summed up.
const keptCommits = 128

// commitTimes remembers how long the last commits of the store took. Safe for
// concurrent use.
type commitTimes struct {
	mu     sync.Mutex
	last   []time.Duration // a ring of at most keptCommits
	next   int
	failed int
}

func (c *commitTimes) add(took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed++
	}
	if len(c.last) < keptCommits {
		c.last = append(c.last, took)
		return
	}
	c.last[c.next] = took
	c.next = (c.next + 1) % keptCommits
}

func (c *commitTimes) sum() remote.Disk {
	c.mu.Lock()
	sorted, failed := slices.Sorted(slices.Values(c.last)), c.failed
	c.mu.Unlock()
	out := remote.Disk{Commits: len(sorted), Failed: failed}
	if n := len(sorted); n > 0 {
		out.MedianNS, out.WorstNS = warden.Duration(sorted[n/2]), warden.Duration(sorted[n-1])
	}
	return out
}
