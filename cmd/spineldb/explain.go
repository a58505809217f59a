package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// explanation is one Warden's reply to WARDEN EXPLAIN.
type explanation struct {
	Server  string           `json:"server"`
	ID      warden.WardenID  `json:"id,omitempty"`
	Group   warden.GroupName `json:"group,omitempty"`
	Explain []string         `json:"explain"`
	Error   string           `json:"error,omitempty"`
}

// explain is the action of `explain [GROUP]`. It asks every Warden, because
// the one that leads a change knows most about it.
func (p *program) explain(c *cli.Context) error {
	named, t, err := groupAndTarget(c)
	if err != nil {
		return err
	}
	reports, err := t.Survey(c.Context)
	if err != nil {
		return err
	}
	group, err := groupAmong(reports, named)
	if err != nil {
		return err
	}
	// A Warden of other groups only has nothing to explain.
	reports = slices.DeleteFunc(reports, func(r remote.Report) bool {
		_, watches := r.View(warden.GroupName(group))
		return r.Error == "" && !watches
	})
	answers := make([]explanation, len(reports))
	var wait sync.WaitGroup
	for i, r := range reports {
		wait.Go(func() { answers[i] = t.askExplain(c.Context, r, group) })
	}
	wait.Wait()
	// Who may not ask for reports, or asks Wardens that have none, is told the rest.
	var last *warden.Report
	if found, _ := t.askReports(c.Context, reports, group, "1"); len(found) > 0 {
		last = &found[len(found)-1]
	}
	if t.json {
		return p.printJSON(struct {
			Group   string         `json:"group"`
			Wardens []explanation  `json:"wardens"`
			Last    *warden.Report `json:"last_report,omitempty"`
		}{group, answers, last})
	}
	text := p.renderExplain(answers)
	if last != nil {
		text += p.renderReport(last)
	}
	_, err = fmt.Fprint(p.out, text)
	return err
}

func (t target) askExplain(ctx context.Context, from remote.Report, group string) explanation {
	e := explanation{Server: from.Server, ID: from.ID, Error: from.Error}
	if from.Error != "" {
		return e
	}
	r := t.Open(from.Server)
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var said explanation
	if err := r.AskJSON(ctx, &said, "WARDEN", "EXPLAIN", group); err != nil {
		e.Error = remote.Why(err)
		return e
	}
	e.Group, e.Explain = said.Group, said.Explain
	return e
}

// renderExplain puts Wardens that say the same together.
func (p *program) renderExplain(answers []explanation) string {
	var b strings.Builder
	told := make([]bool, len(answers))
	for i, e := range answers {
		if told[i] {
			continue
		}
		var who []string
		for k := i; k < len(answers); k++ {
			if answers[k].Error == e.Error && slices.Equal(answers[k].Explain, e.Explain) {
				told[k] = true
				who = append(who, remote.Report{ID: answers[k].ID, Server: answers[k].Server}.Name())
			}
		}
		verb := "says"
		if len(who) > 1 {
			verb = "say"
		}
		fmt.Fprintf(&b, "%s %s:\n", p.paint(terminal.Bold, wording.Plural(len(who), "Warden")+" "+wording.Shown(strings.Join(who, ", "))), verb)
		switch {
		case e.Error != "":
			b.WriteString("  " + p.paint(terminal.Bad, "(nothing: "+wording.Shown(e.Error)+")") + "\n")
		case len(e.Explain) == 0:
			b.WriteString("  nothing is going on\n")
		}
		for _, sentence := range e.Explain {
			b.WriteString("  " + wording.Shown(sentence) + "\n")
		}
	}
	return b.String()
}
