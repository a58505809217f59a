package shell

import (
	"context"
	"sync"
	"time"

	"github.com/spineldb/warden/warden/group"
)

// ProbePause is the time between two test writes to a store that failed.
const ProbePause = time.Second

// mender tries a failed store once per ProbePause, for all groups together,
// and tells those that wait when it works again. Safe for concurrent use.
type mender struct {
	store Store
	ctx   context.Context

	mu      sync.Mutex
	waiting []*loop
	running bool
	wg      sync.WaitGroup
}

// await has l told StoreWorks after the next test write that goes well.
func (m *mender) await(l *loop) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, have := range m.waiting {
		if have == l {
			return
		}
	}
	m.waiting = append(m.waiting, l)
	if !m.running && m.ctx.Err() == nil {
		m.running = true
		m.wg.Go(m.run)
	}
}

func (m *mender) run() {
	ticker := time.NewTicker(ProbePause)
	defer ticker.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-ticker.C:
		}
		if err := m.store.Probe(); err == nil {
			m.release()
			return
		}
	}
}

// release tells all that wait and ends the work; a loop that
// fails again starts it anew.
func (m *mender) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.waiting {
		l.inbox.put(group.StoreWorks{})
	}
	m.waiting, m.running = nil, false
}
