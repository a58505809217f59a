package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// reported is called for every report. What it says must have happened, and whoever
// reads it must find its way.
func (c *contracts) reported(p *process, r *warden.Report) {
	w := c.world
	switch {
	case r.ID == "" || r.Times < 1 || r.Took < 0 || r.Warden != p.id:
		w.fail("report", "%s tells of %q by %s, %d times within %s", p.name, r.ID, w.nameOf(r.Warden), r.Times, r.Took)
	case r.Verdict == warden.VerdictDone && r.New == "":
		w.fail("report", "%s reports that %s is done and %q is the primary after %q", p.name, r.ID, r.New, r.Old)
	case (r.Verdict == warden.VerdictRefused || r.Verdict == warden.VerdictUnknown) && (r.New != "" || r.Code == ""):
		w.fail("report", "%s reports that %s ended %s (%s), and %q is the primary", p.name, r.ID, r.Verdict, r.Code, r.New)
	}
	if r.Verdict == warden.VerdictDone {
		if t := c.ledger.newest(r.Epoch); t == nil || t.Epoch != r.Epoch || t.Primary != r.New {
			w.fail("report", "%s reports that %s made %s the primary; the newest choice up to epoch %d is %v", p.name, r.ID, short(r.New), r.Epoch, t)
		}
	}
	at := warden.Duration(0)
	for _, s := range r.Stages {
		if s.At < at || s.Took < 0 {
			w.fail("report", "%s reports in %s that %s began at %s and took %s, after %s", p.name, r.ID, s.Name, s.At, s.Took, at)
		}
		at = s.At
	}
	if w.tell == nil {
		return
	}
	p.reports = slices.DeleteFunc(slices.Clone(p.reports), func(have warden.Report) bool { return have.ID == r.ID })
	p.reports = append(p.reports, *r)
}

// reports prints what a Warden has kept, also one that is dead by now.
func (c *Conversation) reports(a words) error {
	for _, name := range a.plain {
		p, err := c.warden(name)
		if err != nil {
			return err
		}
		for _, r := range p.reports {
			for i, line := range r.Words() {
				if i > 0 {
					line = "  " + line
				}
				c.out = append(c.out, p.name+"  "+line)
			}
		}
	}
	return nil
}
