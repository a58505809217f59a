package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

func (p *program) reportsCommand() *cli.Command {
	return &cli.Command{
		Name: "reports", Usage: "show what became of the last changes of the primary, and of those not made", ArgsUsage: "[GROUP] [ID]",
		Flags: append(p.connectionFlags(defaultQuestion),
			&cli.IntFlag{Name: "last", Aliases: []string{"n"}, Value: 20, EnvVars: []string{"WARDEN_LAST"}, Usage: "show the last `N` reports of each Warden"}),
		Action: p.reports,
		Description: "Each Warden keeps the reports that it wrote: of changes that it led, and of those that\n" +
			"it would have led. All Wardens are asked. With an ID, the whole report is shown.",
	}
}

// reports is the action of `reports [GROUP] [ID]`.
func (p *program) reports(c *cli.Context) error {
	named, id, err := groupAndReport(c)
	if err != nil {
		return err
	}
	last := c.Int("last")
	if last < 1 {
		return exit.WrongUsage("--last is %d: write a number from 1 on", last)
	}
	t, err := targetOf(c)
	if err != nil {
		return err
	}
	asked, err := t.Survey(c.Context)
	if err != nil {
		return err
	}
	group, err := groupAmong(asked, named)
	if err != nil {
		return err
	}
	what := strconv.Itoa(last)
	if id != "" {
		what = id
	}
	found, missing := t.askReports(c.Context, asked, group, what)
	for _, m := range missing {
		if id == "" || !strings.Contains(m, "no report") {
			_, _ = fmt.Fprintf(p.errs, "warning: %s\n", m)
		}
	}
	if id == "" {
		return p.showReports(t, group, found[max(0, len(found)-last):])
	}
	if len(found) == 0 {
		return exit.With(exit.Refused, "no Warden that answers has a report %q of %s: spineldb reports %s lists them", wording.Shown(id), group, group)
	}
	if t.json {
		return p.printJSON(found[0])
	}
	_, err = fmt.Fprint(p.out, p.renderReport(&found[0]))
	return err
}

// groupAndReport reads the arguments: the ID of a report has a dash and a group of
// that name would come first.
func groupAndReport(c *cli.Context) (group, id string, err error) {
	args := c.Args().Slice()
	switch len(args) {
	case 0:
	case 1:
		if isReportID(args[0]) {
			return "", args[0], nil
		}
		return args[0], "", nil
	case 2:
		return args[0], args[1], nil
	default:
		return "", "", exit.WrongUsage("reports takes [GROUP] [ID], but %q follows", wording.Shown(args[2]))
	}
	return "", "", nil
}

// isReportID reports whether a word looks like 12-90d38e66 or r5.1-90d38e66.
func isReportID(word string) bool {
	number, by, both := strings.Cut(strings.TrimPrefix(word, "r"), "-")
	return both && strings.Trim(number, "0123456789.") == "" && number != "" && len(by) == 8 && strings.Trim(by, "0123456789abcdef") == ""
}

// groupAmong is the group that is meant, of those that any Warden watches.
func groupAmong(asked []remote.Report, named string) (string, error) {
	all := remote.Status{Self: *asked[0].Self}
	for _, name := range remote.GroupsOf(asked) {
		all.Groups = append(all.Groups, warden.GroupView{Name: name})
	}
	return chooseGroup(all, named)
}

// askReports asks all Wardens for reports of a group, and puts them in the order of
// their time. missing says who did not answer, and why.
func (t target) askReports(ctx context.Context, asked []remote.Report, group, what string) (found []warden.Report, missing []string) {
	answers, errs := make([][]warden.Report, len(asked)), make([]error, len(asked))
	var wait sync.WaitGroup
	for i, r := range asked {
		if r.Error != "" {
			missing = append(missing, fmt.Sprintf("Warden %s at %s: %s", r.Name(), r.Server, wording.Shown(r.Error)))
		} else if _, watches := r.View(warden.GroupName(group)); watches {
			wait.Go(func() { answers[i], errs[i] = t.FailoverReports(ctx, r, group, what) })
		}
	}
	wait.Wait()
	for i, r := range asked {
		if errs[i] != nil {
			missing = append(missing, fmt.Sprintf("Warden %s at %s: %s", r.Name(), r.Server, remote.Why(errs[i])))
		}
		found = append(found, answers[i]...)
	}
	slices.SortStableFunc(found, func(a, b warden.Report) int { return cmp.Compare(a.UnixMS, b.UnixMS) })
	return found, missing
}

// showReports lists reports.
func (p *program) showReports(t target, group string, found []warden.Report) error {
	if t.json {
		return p.printJSON(struct {
			Group   string          `json:"group"`
			Reports []warden.Report `json:"reports"`
		}{group, append([]warden.Report{}, found...)})
	}
	if len(found) == 0 {
		_, err := fmt.Fprintf(p.out, "no Warden that answers has a report of %s: its primary was never changed, nor was that wanted\n", group)
		return err
	}
	head := []cell{}
	for _, word := range []string{"BEGAN", "ID", "WHAT", "FROM", "TO", "TOOK", "END"} {
		head = append(head, cell{word, terminal.Faint})
	}
	rows := [][]cell{head}
	for i := range found {
		r := &found[i]
		rows = append(rows, []cell{plain(reportTime(r)), plain(r.ID), plain(string(r.Reason)), plain(orDash(string(r.Old))), plain(orDash(string(r.New))), plain(r.Took.String()), reportEnd(r)})
	}
	_, err := fmt.Fprint(p.out, p.columns(rows))
	return err
}

func reportTime(r *warden.Report) string {
	return time.UnixMilli(r.UnixMS).Format("2006-01-02 15:04:05.000")
}

// reportEnd says in a few words how it ended.
func reportEnd(r *warden.Report) cell {
	text, tone := string(r.Verdict), terminal.Bad
	switch r.Verdict {
	case warden.VerdictDone:
		tone = terminal.Good
		switch {
		case r.Keeps:
			text += ", nothing acknowledged is lost"
		case r.Lacks >= 0:
			text += fmt.Sprintf(", lacks %d bytes", r.Lacks)
		}
	case warden.VerdictStarted:
		text, tone = "under way, or its leader is gone", terminal.Warn
	default:
		text += ": " + r.Code
	}
	if r.Times > 1 {
		text += fmt.Sprintf(" (%d times)", r.Times)
	}
	return cell{text, tone}
}

// renderReport tells one report in words.
func (p *program) renderReport(r *warden.Report) string {
	var b strings.Builder
	for i, line := range r.Words() {
		line = wording.Shown(line)
		if i == 0 {
			line = p.paint(terminal.Bold, line) + "\n  Began at " + reportTime(r) + "."
		} else {
			line = "  " + line
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
