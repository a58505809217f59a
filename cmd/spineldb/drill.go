package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// defaultQuestion is how long a question to a Warden may take.
const defaultQuestion = 5 * time.Second

func (p *program) drillCommand() *cli.Command {
	return &cli.Command{
		Name: "drill", Usage: "say what would happen if the primary died now, without doing it", ArgsUsage: "[GROUP]",
		Flags: p.connectionFlags(defaultQuestion), Action: p.drill,
		Description: "One Warden answers from what it saw last; no node is asked anything. Exit codes: 0 a\n" +
			"failover would happen, 1 it would not, 2 usage, 3 no Warden reachable.",
	}
}

// drill is the action of `drill [GROUP]`.
func (p *program) drill(c *cli.Context) error {
	r, err := talkOf(c)
	if err != nil {
		return err
	}
	defer r.Close()
	var a warden.Answer
	if err := r.AskJSON(c.Context, &a, "WARDEN", "DRILL", r.group); err != nil {
		return err
	}
	if a.Drill == nil {
		return exit.With(exit.Refused, "%s gave no drill: %s", r.Addr, wording.Shown(a.Text))
	}
	if r.json {
		err = p.printJSON(struct {
			Server string          `json:"server"`
			Warden warden.WardenID `json:"warden"`
			*warden.Drill
		}{r.Addr, r.status.Self.ID, a.Drill})
	} else {
		_, err = fmt.Fprint(p.out, p.renderDrill(a.Drill, r.status.Self.ID))
	}
	if err == nil && !a.Drill.Possible {
		err = exit.Silently(exit.Refused)
	}
	return err
}

func (p *program) renderDrill(d *warden.Drill, self warden.WardenID) string {
	var b strings.Builder
	say := func(format string, args ...any) {
		b.WriteString("  " + wording.Shown(fmt.Sprintf(format, args...)) + "\n")
	}
	verdict := p.paint(terminal.Good, "a failover would happen")
	if !d.Possible {
		verdict = p.paint(terminal.Bad, "NO failover would happen")
	}
	head := fmt.Sprintf("%s: if %s died now, as Warden %s sees it: ", d.Group, orDash(string(d.Primary)), self.Short())
	b.WriteString(p.paint(terminal.Bold, wording.Shown(head)) + verdict + "\n")
	for _, o := range d.Obstacles {
		b.WriteString("  " + p.paint(terminal.Bad, "! "+wording.Shown(o)) + "\n")
	}
	if d.Majority > 0 {
		say("noticed   after %s if its process ends, after %s if its host falls silent, from its last answer", d.Crash, d.Silence)
		say("votes     %d of %d Wardens could vote; a majority is %d, the quorum %d", d.Voters, d.Listed, d.Majority, d.Quorum)
	}
	switch {
	case d.Possible:
		say("leader    %s has the first turn, after %s; another one if it is not quick enough", d.Leader.Short(), d.Turn)
		say("promoted  %s, %s", d.Candidate, lossWords(d))
		say("time      usually well under a second after it was noticed, at most %s (failover_timeout)", d.FailoverTimeout)
	case d.Candidate != "":
		say("the best  %s, %s, if nothing stood in the way", d.Candidate, lossWords(d))
	}
	for _, n := range d.Notes {
		b.WriteString("  " + p.paint(terminal.Warn, "- "+wording.Shown(n)) + "\n")
	}
	rows := [][]cell{{{"NODE", terminal.Faint}, {"WHY", terminal.Faint}}}
	for _, n := range d.Nodes {
		why := plain(n.Why)
		if n.Chosen {
			why.tone = terminal.Good
		}
		rows = append(rows, []cell{plain(string(n.Node)), why})
	}
	if len(d.Nodes) > 0 {
		b.WriteString("\n" + p.columns(rows))
	}
	return b.String()
}

// lossWords say what would be lost.
func lossWords(d *warden.Drill) string {
	switch {
	case d.Keeps:
		return "nothing that was acknowledged would be lost"
	case d.Lacks < 0:
		return "what would be lost is not known"
	case d.Lacks == 0:
		return "with all that the primary was last seen to have; newer writes would be lost"
	}
	return fmt.Sprintf("which lacks %d bytes of what the primary was last seen to have; newer writes would be lost too", d.Lacks)
}
