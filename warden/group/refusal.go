package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Refusals are told of when they begin, when they were repeated twice as often, and
// when they end: a condition that lasts for days, or comes and goes, is one report.
const (
	// waitsLeast is how long a failover has to be kept from being tried before that
	// is told of: what is over sooner is a part of the failover that follows.
	waitsLeast = 2 * warden.Second
	// turnAgain is how long a Warden leaves it to another one to tell.
	turnAgain = warden.Second
	// tellEvery is the most that a report is behind while attempts are repeated;
	// what was not repeated for that long is over.
	tellEvery   = warden.Minute
	maxRefusals = 8
)

// refusal is a report of something that was wanted and did not happen, as long as it
// may go on.
type refusal struct {
	report warden.Report
	// from is when it began first, since when it began last, and last when it was
	// repeated last.
	from, since, last warden.Instant
	// toldAt is when it was told of; due: there is more to tell.
	toldAt warden.Instant
	due    bool
	// waits: it is a state that lasts, and not attempts. It has ended then (0: it
	// goes on), and may begin again.
	waits bool
	ended warden.Instant
}

func (x *refusal) same(r *warden.Report) bool {
	return x.report.Reason == r.Reason && x.report.Code == r.Code && x.report.Old == r.Old
}

// refuse tells of an attempt in vain, or of the beginning of a time without one.
// What ended like it before is the same report.
func (p *step) refuse(r warden.Report, waits bool) {
	x := refusal{report: r, from: p.now.Add(-r.Took), last: p.now, waits: waits}
	x.since = x.from
	rest := slices.Clone(p.past().refusals)
	if i := slices.IndexFunc(rest, func(y refusal) bool { return y.same(&r) && y.waits == waits }); i >= 0 {
		y := &rest[i]
		x.from, x.toldAt = y.from, y.toldAt
		x.report.ID, x.report.Times, x.report.Took = y.report.ID, y.report.Times+1, p.now.Sub(y.from)
		rest = slices.Delete(rest, i, i+1)
	}
	p.tellOf(&x)
	if len(rest) >= maxRefusals {
		p.over(rest[0])
		rest = rest[1:]
	}
	rest = append(rest, x)
	p.remember(func(c *chronicle) { c.refusals = rest })
}

// tellOf tells of a refusal, unless that was done often lately.
func (p *step) tellOf(x *refusal) {
	n := x.report.Times
	if x.due = n&(n-1) != 0 && p.now.Sub(x.toldAt) < tellEvery; !x.due {
		x.toldAt = p.now
		p.tell(x.report)
	}
}

// end notes that a state is over.
func (p *step) end(x *refusal) {
	x.ended, x.last, x.due = p.now, p.now, true
	x.report.Took = p.now.Sub(x.from)
	x.report.Text += fmt.Sprintf(" (for %s)", p.now.Sub(x.since))
}

// over tells the rest of a refusal that will not be repeated.
func (p *step) over(x refusal) {
	if x.waits && x.ended == 0 {
		p.end(&x)
	}
	if x.due {
		p.tell(x.report)
	}
}

// settle ends the refusals that are over, and notices one that is about to be.
func (p *step) settle() {
	c := p.past()
	t := &p.s.el.Reg.Chosen
	n := p.s.mon.Find(t.Primary)
	if len(c.refusals) == 0 && c.waits == "" && (n == nil || !n.Down) {
		return
	}
	code := p.waitsFor(c.waits)
	if code != c.waits {
		p.remember(func(c *chronicle) { c.waits, c.waitsSince = code, p.now })
		c = p.past()
	}
	p.sweep(code)
	known := func(x refusal) bool {
		return x.waits && x.ended == 0 && x.report.Code == code && x.report.Old == t.Primary
	}
	if code == "" || p.now.Sub(c.waitsSince) < waitsLeast || slices.ContainsFunc(p.past().refusals, known) {
		return
	}
	if s := p.s; s.el.Lead != nil || s.el.Stand != nil || !p.tellsOfIt() {
		// Another one tells of it, unless it falls silent.
		p.remember(func(c *chronicle) { c.waitsSince = p.now.Add(turnAgain - waitsLeast) })
		return
	}
	p.refuse(p.unled(warden.ReasonFailover, code, p.waitsText(code)), true)
}

// sweep ends what is over. waits is why no failover is tried now.
func (p *step) sweep(waits string) {
	all := p.past().refusals
	stopped := func(x refusal) bool { return x.waits && x.ended == 0 && x.report.Code != waits }
	if !slices.ContainsFunc(all, func(x refusal) bool { return stopped(x) || p.isOver(&x) }) {
		return
	}
	left := all[:0:0]
	for _, x := range all {
		if p.isOver(&x) {
			p.over(x)
			continue
		}
		if stopped(x) {
			p.end(&x)
			p.tellOf(&x)
		}
		left = append(left, x)
	}
	p.remember(func(c *chronicle) { c.refusals = left })
}

// isOver reports whether a refusal will not be repeated, or nobody would call that a
// repetition.
func (p *step) isOver(x *refusal) bool {
	t := &p.s.el.Reg.Chosen
	if t.Primary != x.report.Old && t.Phase == warden.PhaseDone {
		return true
	}
	goesOn := x.waits && x.ended == 0
	if n := p.s.mon.Find(x.report.Old); x.report.Reason == warden.ReasonFailover && !x.waits {
		goesOn = n != nil && n.Down
	}
	return !goesOn && p.now.Sub(x.last) >= tellEvery
}

// waitsFor is why this Warden does not try to replace a primary that it finds down.
// While somebody tries it is what it was.
func (p *step) waitsFor(was string) string {
	s, t := p.s, &p.s.el.Reg.Chosen
	n := s.mon.Find(t.Primary)
	switch {
	case n == nil || !n.Down || !s.el.Born() || s.el.Lead != nil || s.mon.Tilt:
		return ""
	case s.el.Stand != nil || p.now < s.el.HoldUntil:
		return was
	case s.mon.Veto:
		return "vetoed"
	case !p.majorityHeard():
		return "no-majority"
	case !s.mon.Odown:
		return "no-quorum"
	case t.Settings.Paused:
		return "paused"
	case p.besideSentinels():
		return "sentinels"
	case p.cooling(t):
		return "cooldown"
	case len(s.el.Denials) > 0 && !p.heldBack(warden.ReasonFailover):
		return "not-elected"
	}
	return ""
}

// waitsText tells more about what waitsFor says.
func (p *step) waitsText(code string) string {
	s := p.s
	switch code {
	case "vetoed":
		return "a replica still receives its writes"
	case "no-majority":
		return fmt.Sprintf("a majority of the %s that are listed is not heard", plural(len(s.el.Reg.Chosen.Wardens), "Warden"))
	case "no-quorum":
		return fmt.Sprintf("%d of %d needed find it down", s.mon.Agreeing, p.c.Quorum)
	case "paused":
		return "the group is paused: resume it"
	case "sentinels":
		return p.sentinelsDecide() + " about this group"
	case "cooldown":
		return fmt.Sprintf("failover_cooldown (%s) is not over", p.c.FailoverCooldown)
	}
	return "denied by " + strings.Join(s.el.Denials, "; ")
}

// tellsOfIt reports whether this Warden tells of a failover that nobody tries: the
// first one in the list that could have led it, because it finds the primary down
// and may vote. Whose turn it would be changes with each epoch.
func (p *step) tellsOfIt() bool {
	s := p.s
	down := func(o warden.Opinion) bool { return o.Down }
	for _, id := range s.el.Reg.Chosen.Wardens {
		if id == p.c.Self {
			return p.mayVote(id)
		}
		if s.mon.Heard(p.monitorConfig(), id, s.el.Reg.Chosen.Primary, down) && p.mayVote(id) {
			return false
		}
	}
	return false
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
