package metrics

import (
	"sync"

	"github.com/spineldb/warden/warden"
)

// Results of an attempt to move the primary.
const (
	resultDone        = "done"
	resultNotElected  = "not_elected"
	resultNoCandidate = "no_candidate"
	resultTooFew      = "sealed_too_few"
	resultCancelled   = "cancelled"
	resultUnfinished  = "unfinished"
)

// unknownReason is that of an attempt that ended before it was known what for.
const unknownReason = warden.Reason("unknown")

// ends are the events that end an attempt without a new primary.
var ends = map[string]string{
	"-failover-abort-not-elected":    resultNotElected,
	"-failover-abort-no-good-slave":  resultNoCandidate,
	"-seal-failed":                   resultTooFew,
	"-failover-abort":                resultCancelled,
	"-failover-abort-master-timeout": resultCancelled,
	"-failover-abort-timeout":        resultUnfinished,
	"-failover-abort-slave-timeout":  resultUnfinished,
	"-leader-lost":                   resultUnfinished,
	// What comes next was led by another Warden.
	"+config-update-from": resultUnfinished,
	// The end of those that moved nothing, such as a recovery.
	"+failover-end":             resultDone,
	"+failover-end-for-timeout": resultDone,
}

// step is a part of an attempt, from one event to the next one.
type step struct{ from, to, name string }

// steps are the parts in their order. A part whose events do not follow one
// another, as where a new leader goes on with the work of another one, is not
// measured.
var steps = []step{
	{"+odown", "+try-failover", "turn"},
	{"+try-failover", "+elected-leader", "elect"},
	{"+elected-leader", "+selected-slave", "choose"},
	{"+selected-slave", "+failover-state-send-slaveof-noone", "decide"},
	{"+failover-state-send-slaveof-noone", "+failover-state-wait-promotion", "claim"},
	{"+failover-state-wait-promotion", "+promoted-slave", "promote"},
	{"+promoted-slave", "+switch-master", "publish"},
	{"+switch-master", "+failover-end", "follow"},
}

// totalStep is from the first mark of an attempt to the new primary.
const totalStep = "total"

// attempt is one attempt of this Warden to move the primary of a group.
type attempt struct {
	// odown is when the primary was found down by enough Wardens, 0: it is not.
	odown warden.Instant
	// began is when this Warden stood; 0: no attempt runs.
	began warden.Instant
	// mark is the newest event that a step begins with, and when it was.
	mark   string
	markAt warden.Instant
	reason warden.Reason
	done   bool
}

// attempts are those of all groups. Safe for concurrent use.
type attempts struct {
	mu  sync.Mutex
	all map[warden.GroupName]*attempt
}

func (a *attempts) forget(name warden.GroupName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.all, name)
}

// take follows the attempts by their events.
func (a *attempts) take(m *Metrics, e warden.Event) {
	now, why := m.directory.Now(), warden.Reason("")
	if e.Name == "+elected-leader" {
		// Not under the lock: the directory has locks of its own, under which
		// others may announce.
		if v, ok := m.directory.Group(e.Group); ok {
			why = v.LeadsFor
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[warden.GroupName]*attempt{}
	}
	t := a.all[e.Group]
	if t == nil {
		t = &attempt{}
		a.all[e.Group] = t
	}
	switch e.Name {
	case "+odown":
		t.odown = now
	case "-odown":
		t.odown = 0
	case "+try-failover":
		t.end(m, e.Group, resultUnfinished) // of one that ended without a word
		t.begin(now)
	}
	if t.began != 0 { // else it is somebody else's, or no move of the primary
		if why != "" {
			t.reason = why
		}
		t.pass(m, e, now)
	}
	if e.Name == "+switch-master" {
		t.odown = 0 // of the primary before
	}
}

// begin: this Warden stands.
func (t *attempt) begin(now warden.Instant) {
	*t = attempt{odown: t.odown, began: now, reason: unknownReason}
	if t.odown != 0 {
		t.mark, t.markAt, t.reason = "+odown", t.odown, warden.ReasonFailover
	}
}

// end counts an attempt that runs, and was not counted yet.
func (t *attempt) end(m *Metrics, group warden.GroupName, result string) {
	if t.began != 0 && !t.done {
		m.changes.WithLabelValues(string(group), string(t.reason), result).Inc()
	}
	t.began, t.done = 0, false
}

// pass measures the step that an event ends, begins the next one, and counts the
// attempt when that is over.
func (t *attempt) pass(m *Metrics, e warden.Event, now warden.Instant) {
	for _, s := range steps {
		if s.to == e.Name && s.from == t.mark {
			m.steps.WithLabelValues(s.name).Observe(seconds(now.Sub(t.markAt)))
		}
		if s.to == e.Name {
			t.mark, t.markAt = e.Name, now
		}
	}
	switch result, over := ends[e.Name]; {
	case over:
		t.end(m, e.Group, result)
	case e.Name == "+switch-master" && !t.done:
		from := t.began
		if t.odown != 0 {
			from = t.odown
		}
		m.steps.WithLabelValues(totalStep).Observe(seconds(now.Sub(from)))
		m.changes.WithLabelValues(string(e.Group), string(t.reason), resultDone).Inc()
		t.done = true // what follows is measured and not counted again
	}
}
