package acl

import (
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// alike: incidents within this time of one like them are counted there.
	alike = time.Minute
	// alikeAmong: only the newest are compared, as in Redis.
	alikeAmong = 10
)

// incidents is the log of denials, the newest first.
type incidents struct {
	limit int

	mu     sync.Mutex
	lastID int64
	list   []warden.AccessLogEntry
}

// Record adds a denial to the log.
func (l *List) Record(i warden.AccessIncident) { l.incidents.add(i, time.Now().UnixMilli()) }

// Incidents returns the newest entries of the log, the newest first.
func (l *List) Incidents(n int) []warden.AccessLogEntry {
	l.incidents.mu.Lock()
	defer l.incidents.mu.Unlock()
	return slices.Clone(l.incidents.list[:max(0, min(n, len(l.incidents.list)))])
}

// ForgetIncidents empties the log.
func (l *List) ForgetIncidents() {
	l.incidents.mu.Lock()
	defer l.incidents.mu.Unlock()
	l.incidents.list = nil
}

func (x *incidents) add(i warden.AccessIncident, now int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry := warden.AccessLogEntry{AccessIncident: i, ID: x.lastID, Created: now}
	for at, old := range x.list[:min(len(x.list), alikeAmong)] {
		if old.Denial == i.Denial && old.User == i.User && now-old.Updated <= alike.Milliseconds() {
			entry.ID, entry.Created, entry.Count = old.ID, old.Created, old.Count
			x.list = slices.Delete(x.list, at, at+1)
			break
		}
	}
	if entry.Count == 0 {
		x.lastID++
	}
	entry.Count++
	entry.Updated = now
	x.list = slices.Insert(x.list, 0, entry)
	if len(x.list) > x.limit {
		x.list = x.list[:x.limit]
	}
}
