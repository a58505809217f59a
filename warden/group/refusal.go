package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Refusals are told of when they begin, when they were repeated twice as often, and
// when they end: a condition that lasts for days is one report.
const (
	// waitsLeast is how long a failover has to be kept from being tried before that
	// is told of: what is over sooner is a part of the failover that follows.
	waitsLeast = 2 * warden.Second
	// tellEvery is the most that a report is behind while attempts are repeated;
	// what was not repeated for that long is over.
	tellEvery   = warden.Minute
	maxRefusals = 8
)

// refusal is a report of something that was wanted and did not happen, as long as it
// may go on.
type refusal struct {
	report warden.Report
	from   warden.Instant
	last   warden.Instant
	told   int // Times that were told of
	toldAt warden.Instant
	// waits: it is a state that lasts, and not attempts.
	waits bool
}

func (x *refusal) same(r *warden.Report) bool {
	return x.report.Reason == r.Reason && x.report.Code == r.Code && x.report.Old == r.Old
}

// refuse tells of an attempt in vain, or of the beginning of a time without one.
// What ended like it before is the same report.
func (p *step) refuse(r warden.Report, waits bool) {
	x := refusal{report: r, from: p.now.Add(-r.Took), last: p.now, waits: waits}
	rest := slices.Clone(p.past().refusals)
	if i := slices.IndexFunc(rest, func(y refusal) bool { return y.same(&r) && !y.waits }); i >= 0 {
		y := &rest[i]
		x.from, x.told, x.toldAt = y.from, y.told, y.toldAt
		x.report.ID, x.report.Times, x.report.Took = y.report.ID, y.report.Times+1, p.now.Sub(y.from)
		rest = slices.Delete(rest, i, i+1)
	}
	if n := x.report.Times; n&(n-1) == 0 || p.now.Sub(x.toldAt) >= tellEvery {
		x.told, x.toldAt = n, p.now
		p.tell(x.report)
	}
	if len(rest) >= maxRefusals {
		p.over(rest[0])
		rest = rest[1:]
	}
	rest = append(rest, x)
	p.remember(func(c *chronicle) { c.refusals = rest })
}

// over tells how a refusal ended, as far as that was not told.
func (p *step) over(x refusal) {
	if x.waits {
		x.report.Took = p.now.Sub(x.from)
		x.report.Text += fmt.Sprintf(" (for %s)", x.report.Took)
	} else if x.told == x.report.Times {
		return
	}
	p.tell(x.report)
}

// settle ends the refusals that are over, and notices one that is about to be.
func (p *step) settle() {
	c := p.past()
	t := &p.s.el.Reg.Chosen
	n := p.s.mon.Find(t.Primary)
	if len(c.refusals) == 0 && c.waits == "" && (n == nil || !n.Down) {
		return
	}
	code, text := p.waitsFor(c.waits)
	if code != c.waits {
		p.remember(func(c *chronicle) { c.waits, c.waitsSince = code, p.now })
		c = p.past()
	}
	left := c.refusals[:0:0]
	for _, x := range c.refusals {
		if p.goesOn(&x, code) {
			left = append(left, x)
		} else {
			p.over(x)
		}
	}
	if len(left) < len(c.refusals) {
		p.remember(func(c *chronicle) { c.refusals = left })
	}
	known := func(x refusal) bool { return x.waits && x.report.Code == code && x.report.Old == t.Primary }
	if code == "" || text == "" || p.now.Sub(c.waitsSince) < waitsLeast || slices.ContainsFunc(left, known) {
		return
	}
	p.refuse(p.unled(warden.ReasonFailover, code, text), true)
}

// goesOn reports whether a refusal may be repeated, or lasts. waits is why no
// failover is tried now.
func (p *step) goesOn(x *refusal, waits string) bool {
	t := &p.s.el.Reg.Chosen
	if t.Primary != x.report.Old && t.Phase == warden.PhaseDone {
		return false
	}
	switch {
	case x.waits:
		return x.report.Code == waits
	case x.report.Reason == warden.ReasonFailover:
		n := p.s.mon.Find(x.report.Old)
		return n != nil && n.Down
	}
	return p.now.Sub(x.last) < tellEvery
}

// waitsFor is why this Warden, whose turn it would be, does not try to replace a
// primary that it finds down. While somebody tries it is what it was.
func (p *step) waitsFor(was string) (code, text string) {
	s, t := p.s, &p.s.el.Reg.Chosen
	n := s.mon.Find(t.Primary)
	if n == nil || !n.Down || !s.el.Born() || s.el.Lead != nil {
		return "", ""
	}
	if s.el.Stand != nil || s.el.Leader(p.electionConfig(), p.now) != "" {
		return was, ""
	}
	if !p.wouldLead() {
		return "", ""
	}
	switch {
	case s.mon.Veto:
		return "vetoed", "a replica still receives its writes"
	case !p.majorityHeard():
		return "no-majority", fmt.Sprintf("a majority of the %s that are listed is not heard", plural(len(t.Wardens), "Warden"))
	case !s.mon.Odown:
		return "no-quorum", fmt.Sprintf("%d of %d needed find it down", s.mon.Agreeing, p.c.Quorum)
	case t.Settings.Paused:
		return "paused", "the group is paused: resume it"
	case p.besideSentinels():
		return "sentinels", p.sentinelsDecide() + " about this group"
	case s.lastMove != 0 && p.now.Sub(s.lastMove) < p.c.FailoverCooldown && t.Phase == warden.PhaseDone:
		return "cooldown", fmt.Sprintf("failover_cooldown (%s) is not over", p.c.FailoverCooldown)
	case len(s.el.Denials) > 0 && !p.heldBack(warden.ReasonFailover):
		return "not-elected", "denied by " + strings.Join(s.el.Denials, "; ")
	}
	return "", ""
}

// wouldLead reports whether it would be this Warden's turn, of those that find the
// primary down and may vote.
func (p *step) wouldLead() bool {
	s := p.s
	primary := s.el.Reg.Chosen.Primary
	first, _ := s.el.Next(func(id warden.WardenID) bool {
		return p.mayVote(id) && (id == p.c.Self || s.mon.Heard(p.monitorConfig(), id, primary, func(o warden.Opinion) bool { return o.Down }))
	})
	return first == p.c.Self
}

// unled is the report of something that nobody was elected for.
func (p *step) unled(reason warden.Reason, code, text string) warden.Report {
	s, t := p.s, &p.s.el.Reg.Chosen
	number := p.past().count + 1
	p.remember(func(c *chronicle) { c.count = number })
	base := stepOf(t)
	r := warden.Report{ID: fmt.Sprintf("r%d.%d-%s", p.c.Run, number, p.c.Self.Short()), Group: p.c.Group, Warden: p.c.Self, Reason: reason,
		Verdict: warden.VerdictRefused, Code: code, Text: text, Times: 1, Old: t.Primary, Base: &base, Lacks: -1}
	if n := s.mon.Find(t.Primary); n != nil && n.Down {
		r.Cause, r.Took = p.why(n), max(p.now.Sub(n.DownAt), 0)
		r.Stages = []warden.ReportStage{{Name: "down", Took: r.Took}}
	}
	p.reportWardens(&r, t.Wardens)
	return r
}

// refusedOrder tells of an operator's order to change the primary that was refused
// before anybody was elected for it.
func (p *step) refusedOrder(cmd *warden.Command, code, text string) {
	reason := warden.ReasonForced
	switch {
	case !p.s.el.Born(), cmd.Wish != warden.WishFailover && cmd.Wish != warden.WishSwitchover:
		return
	case cmd.Wish == warden.WishSwitchover:
		reason = warden.ReasonSwitchover
	}
	r := p.unled(reason, code, text)
	r.Took = 0
	r.Stages = nil
	p.refuse(r, false)
}
