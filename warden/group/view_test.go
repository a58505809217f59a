package group

import (
	"testing"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/warden"
)

// Goal: a view says what its Warden was elected for, and nothing once it leads
// no more.
func TestViewSaysWhatALeaderIsElectedFor(t *testing.T) {
	h := newHouse(t, 1, nil)
	s := h.state[0]
	if v := View(h.config[0], s, h.now); v.Leading || v.LeadsFor != "" {
		t.Errorf("a Warden that does not lead leads for %q", v.LeadsFor)
	}
	s.el.Lead = &election.Leadership{Want: election.Want{Reason: warden.ReasonSwitchover}}
	if v := View(h.config[0], s, h.now); !v.Leading || v.LeadsFor != warden.ReasonSwitchover {
		t.Errorf("a Warden that leads a switchover leads for %q", v.LeadsFor)
	}
}
