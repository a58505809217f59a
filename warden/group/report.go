package group

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// chronicle is what is remembered for reports. Nothing is decided by it. It is
// replaced, never changed.
type chronicle struct {
	count uint64 // of the reports without an epoch
	// draft is the report of the attempt that is led, nil if there is none; from is
	// its beginning, elected when this Warden was. told: it was told of once.
	draft         *warden.Report
	from, elected warden.Instant
	told          bool
	// refusals are those that may still go on, see refuse.
	refusals []refusal
	// before are the decisions that were accepted since the last finished change.
	before []decision
	// waits is why no failover is tried although one is wanted, since when.
	waits      string
	waitsSince warden.Instant
}

// decision is one accepted topology, and when it was accepted.
type decision struct {
	step warden.ReportStep
	at   warden.Instant
}

// maxBefore bounds the decisions that are remembered.
const maxBefore = 8

func (p *step) past() chronicle {
	if p.s.reports == nil {
		return chronicle{}
	}
	return *p.s.reports
}

// remember changes the chronicle.
func (p *step) remember(do func(c *chronicle)) {
	c := p.past()
	do(&c)
	p.s.reports = &c
}

// tell has a report kept.
func (p *step) tell(r warden.Report) { p.f.Reports = append(p.f.Reports, r) }

func stepOf(t *warden.Topology) warden.ReportStep {
	return warden.ReportStep{Version: t.Version, Phase: t.Phase, Reason: t.Reason, Primary: t.Primary, Leader: t.Leader}
}

// decided notes what was accepted, for whoever goes on after a leader that died.
func (p *step) decided() {
	t := &p.s.el.Reg.Accepted
	if t.Version == p.before.Accepted.Version && t.Birth == p.before.Accepted.Birth || !t.Version.Newer(p.s.el.Reg.Chosen.Version) {
		return
	}
	p.remember(func(c *chronicle) {
		c.before = append(slices.Clone(c.before), decision{stepOf(t), p.now})
		c.before = c.before[max(0, len(c.before)-maxBefore):]
	})
}

// forgetDecisions: a change is finished, and the next one begins with its end.
func (p *step) forgetDecisions() {
	if len(p.past().before) > 0 {
		p.remember(func(c *chronicle) { c.before = nil })
	}
}

// replaces is the primary that a leader with this want and base is to replace.
func replaces(reason warden.Reason, primary warden.NodeID, b *warden.Topology) warden.NodeID {
	failing := reason == warden.ReasonFailover || reason == warden.ReasonForced
	switch {
	case b.Phase == warden.PhasePromoting && !(failing && b.Primary == primary):
		return b.Previous
	case failing || reason == warden.ReasonSwitchover:
		return primary
	}
	return b.Primary
}

// openReport begins the report of what this Warden was just elected for.
func (p *step) openReport() {
	s, l := p.s, p.s.el.Lead
	w, b := &l.Want, &l.Base
	resumed := !b.IsZero() && b.Phase != warden.PhaseDone
	if !failover.Moves(w.Reason) || w.Reason == warden.ReasonResume && !resumed {
		if p.past().draft != nil {
			p.remember(func(c *chronicle) { c.draft = nil })
		}
		return
	}
	r := warden.Report{ID: fmt.Sprintf("%d-%s", l.Epoch, p.c.Self.Short()), Group: p.c.Group, Warden: p.c.Self, Reason: w.Reason, Resumed: resumed,
		Verdict: warden.VerdictStarted, Times: 1, Old: replaces(w.Reason, w.Primary, b), Epoch: l.Epoch, Lacks: -1}
	from := l.StoodAt
	n := s.mon.Find(r.Old)
	if n != nil && n.Down {
		r.Cause = p.why(n)
		if n.DownAt < from && (w.Reason == warden.ReasonFailover || resumed) {
			from = n.DownAt
		}
	}
	if !b.IsZero() {
		base := stepOf(b)
		r.Base = &base
	}
	for _, d := range p.past().before {
		d.step.At = d.at.Sub(from)
		r.Before = append(r.Before, d.step)
	}
	p.reportWardens(&r, b.Wardens)
	p.reportVotes(&r)
	p.reportBeginning(&r, from)
	p.remember(func(c *chronicle) { c.draft, c.from, c.elected, c.told = &r, from, p.now, false })
}

// reportBeginning are the stages before this Warden was elected.
func (p *step) reportBeginning(r *warden.Report, from warden.Instant) {
	l, m := p.s.el.Lead, &p.s.mon
	stage := func(name string, begin, end warden.Instant) {
		if begin < end || name == "voting" {
			r.Stages = append(r.Stages, warden.ReportStage{Name: name, At: begin.Sub(from), Took: max(end.Sub(begin), 0)})
		}
	}
	stands := max(l.StoodAt, from)
	agreed := stands
	if m.Odown && m.OdownAt < stands {
		agreed = max(m.OdownAt, from)
	}
	stage("down", from, agreed)
	stage("turn", agreed, stands)
	stage("voting", stands, p.now)
}

// reportWardens says what each listed Warden says of the old primary.
func (p *step) reportWardens(r *warden.Report, list []warden.WardenID) {
	s, mc := p.s, p.monitorConfig()
	for _, id := range list {
		w := warden.ReportWarden{Warden: id}
		if id == p.c.Self {
			if n := s.mon.Find(r.Old); n != nil {
				w.Down, w.Hard = n.Down, n.Down && n.Crash
			}
		} else {
			w.HeardAgo = -1
			if q := s.el.Peer(id); q != nil {
				w.HeardAgo = p.now.Sub(q.At)
			}
			if o, ok := s.mon.OpinionOf(mc, id, r.Old); ok {
				w.Down, w.Hard = o.Down, o.Down && o.Crash
			}
		}
		r.Wardens = append(r.Wardens, w)
	}
}

// reportVotes says how each of them voted.
func (p *step) reportVotes(r *warden.Report) {
	l := p.s.el.Lead
	for i := range r.Wardens {
		w := &r.Wardens[i]
		w.Vote = "had not answered when it was decided"
		if slices.Contains(l.Voters, w.Warden) {
			w.Vote = "granted"
		}
		for _, d := range l.Denials {
			if d.From == w.Warden {
				w.Vote = "denied: " + d.Why
			}
		}
	}
}

// reportStage tells of an attempt at the moments from which on somebody should know
// of it if this Warden dies: the decision, and its end for clients.
func (p *step) reportStage() {
	c := p.past()
	if c.draft == nil || p.s.el.Lead == nil {
		return
	}
	switch p.s.fo.Stage {
	case failover.Sealing, failover.Claiming, failover.Demoting:
		if c.told {
			return
		}
		r := *c.draft
		r.Wardens = slices.Clone(r.Wardens)
		for _, a := range p.s.el.Lead.Answers() {
			for i := range r.Wardens {
				if w := &r.Wardens[i]; w.Warden == a.From {
					w.Accepted, w.StillDown = true, a.Down
				}
			}
		}
		p.remember(func(c *chronicle) { c.draft, c.told = &r, true })
		// What fails again and again is one report, and not one for each try.
		if !slices.ContainsFunc(c.refusals, func(x refusal) bool { return x.report.Reason == r.Reason && x.report.Old == r.Old }) {
			p.tell(p.written(warden.VerdictStarted, "", ""))
		}
	case failover.Repointing:
		if a := p.s.fo.Account; a != nil && a.Published {
			p.tell(p.written(warden.VerdictDone, "", "the other nodes are being brought behind it"))
		}
	}
}

// written is the draft with what the attempt has done so far.
func (p *step) written(v warden.Verdict, code, text string) warden.Report {
	c := p.past()
	r := *c.draft
	r.Verdict, r.Code, r.Text = v, code, text
	r.Took = p.now.Sub(c.from)
	fo := p.s.fo
	a := fo.Account
	if a == nil || fo.Epoch != r.Epoch {
		return r
	}
	if fo.Old != "" {
		r.Old = fo.Old
	}
	offset := c.elected.Sub(c.from)
	r.Nodes, r.Story, r.Lacks = a.Nodes, slices.Clone(fo.Report), a.Lacks
	if len(r.Story) == 0 {
		r.Story = slices.Clone(fo.Last)
	}
	r.Stages = slices.Clip(r.Stages)
	for i, st := range a.Stages {
		end := p.now.Sub(c.elected)
		if i+1 < len(a.Stages) {
			end = a.Stages[i+1].At
		}
		r.Stages = append(r.Stages, warden.ReportStage{Name: st.Name, At: st.At + offset, Took: max(end-st.At, 0)})
	}
	for _, o := range a.Orders {
		o.At += offset
		r.Orders = append(r.Orders, o)
	}
	if a.Published {
		r.New, r.Verdict, r.Code = fo.Candidate, warden.VerdictDone, ""
		r.Keeps = r.Reason == warden.ReasonSwitchover || p.c.Durable && r.Base != nil && p.s.el.Reg.Chosen.Floor.Lineage != ""
		if r.Reason == warden.ReasonSwitchover {
			r.Lacks = 0
		}
	}
	return r
}

// closeReport ends the report of the attempt that was led.
func (p *step) closeReport(v warden.Verdict, code, text string) {
	if p.past().draft == nil {
		return
	}
	r := p.written(v, code, text)
	p.remember(func(c *chronicle) { c.draft = nil })
	if r.Verdict == warden.VerdictDone {
		if r.New == "" {
			r.New, r.Text = p.s.el.Reg.Chosen.Primary, "it was so already"
		}
		p.tell(r)
		return
	}
	p.refuse(r, false)
}
