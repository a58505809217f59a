package failover

import (
	"fmt"

	"github.com/spineldb/warden/warden"
)

// hold begins to stop writes on the old primary of a switchover. Where clients
// are told only of who takes writes, it is agreed first that they are told of
// nobody: they would be sent to a primary that refuses them.
func (r *run) hold() {
	if !r.c.NameConfirmed {
		r.enter(Holding)
		return
	}
	r.propose(Withdrawing, warden.ReasonSwitchover, func(t *warden.Topology) { t.Phase = warden.PhaseSealing })
}

// nameAgain has it agreed that nothing came of the switchover, and reports whether
// that is needed: clients are told of nobody meanwhile.
func (r *run) nameAgain(why string) bool {
	if r.sc.Base.Phase != warden.PhaseSealing {
		return false
	}
	r.goBack(why)
	return true
}

func (r *run) holdDone(p pending, d ActionDone) {
	s := r.s
	if s.Stage != Holding {
		return
	}
	s.held = d.Result.Outcome != warden.Refused
	if d.Result.Outcome != warden.Done {
		if text := fmt.Sprintf("cannot hold writes on %s: %s", p.node, d.Result.Why); !r.nameAgain(text) {
			r.note("-failover-abort", "", "cannot hold writes")
			r.finish(warden.VerdictRefused, "cannot-hold", text)
		}
		return
	}
	// Counted from the asking, so that we think it ends before it does.
	s.holdUntil = p.at.Add(holdLimit)
	s.target = d.Result.Position
	r.say("writes on %s are held at %d", p.node, s.target)
	r.enter(Draining)
}

// drain polls the candidate until it has everything.
func (r *run) drain() {
	s := r.s
	if r.now.Sub(s.StageAt) > drainLimit {
		text := fmt.Sprintf("%s did not catch up within %s: nothing was changed, writes go on", s.Candidate, drainLimit)
		if !r.nameAgain(text) {
			r.note("-failover-abort-master-timeout", "", "")
			r.finish(warden.VerdictRefused, "cancelled", text)
		}
		return
	}
	r.poll(s.Candidate)
}
