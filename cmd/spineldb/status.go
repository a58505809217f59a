package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// watchInterval is how often `status --watch` looks again.
const watchInterval = time.Second

// status is the action of `status [GROUP]`.
func (p *program) status(c *cli.Context) error {
	group, t, err := groupAndTarget(c)
	if err != nil {
		return err
	}
	if !c.Bool("watch") {
		return p.statusOnce(c.Context, t, group, "")
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	start := ""
	if p.colour {
		start = "\x1b[H\x1b[2J" // home, and clear the screen
	}
	for {
		// While watching, an unreachable Warden is something to look at, not a
		// reason to stop.
		err := p.statusOnce(c.Context, t, group, start)
		switch code := exit.Code(err); {
		case c.Context.Err() != nil:
			return nil
		case code == exit.Usage:
			return err
		case err != nil && err.Error() != "":
			if _, err := fmt.Fprintf(p.out, "%s%s\n", start, err); err != nil {
				return err
			}
		}
		select {
		case <-c.Context.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// statusReport is what `status --json` prints.
type statusReport struct {
	Agreed  bool            `json:"agreed"`
	Groups  []judgement     `json:"groups"`
	Wardens []remote.Report `json:"wardens"`
}

// statusOnce shows the state once, after the text start.
func (p *program) statusOnce(ctx context.Context, t target, group, start string) error {
	reports, err := t.Survey(ctx)
	if err != nil {
		return err
	}
	names := remote.GroupsOf(reports)
	if group != "" {
		if !slices.Contains(names, warden.GroupName(group)) {
			return exit.With(exit.Refused, "there is no group %q: choose one of %s", wording.Shown(group), joinNames(names))
		}
		names = []warden.GroupName{warden.GroupName(group)}
	}
	s := statusReport{Agreed: len(names) > 0, Groups: []judgement{}, Wardens: reports}
	for _, name := range names {
		j := judge(name, reports)
		s.Agreed = s.Agreed && j.Agreed
		s.Groups = append(s.Groups, j)
	}
	if t.json {
		err = p.printJSON(s)
	} else {
		_, err = fmt.Fprint(p.out, start+p.renderStatus(s))
	}
	if err == nil && !s.Agreed {
		err = exit.Silently(exit.Refused)
	}
	return err
}

func joinNames(names []warden.GroupName) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = wording.Shown(string(n))
	}
	return orDash(strings.Join(texts, ", "))
}

func (p *program) renderStatus(s statusReport) string {
	if len(s.Groups) == 0 {
		return "no group is watched: add one to warden.toml\n"
	}
	var b strings.Builder
	for i, j := range s.Groups {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(p.renderHead(j))
		for _, problem := range j.Problems {
			b.WriteString("  " + p.paint(terminal.Warn, "! "+wording.Shown(problem)) + "\n")
		}
		b.WriteString("\n" + p.columns(p.nodeRows(j)))
		b.WriteString("\n" + p.columns(p.wardenRows(j, s.Wardens)))
	}
	return b.String()
}

// renderHead is the line people read first, and one with the numbers.
func (p *program) renderHead(j judgement) string {
	verdict := p.paint(terminal.Good, "agreed")
	switch {
	case j.Agreed:
	case j.best.Provisional:
		verdict = p.paint(terminal.Bad, "NOT AGREED")
	case !j.best.Agreed:
		verdict = p.paint(terminal.Bad, "NOT FRESH")
	default:
		verdict = p.paint(terminal.Bad, "CONFLICT")
	}
	t := j.best.Topology
	head := fmt.Sprintf("%s  primary %s  %s\n", p.paint(terminal.Bold, wording.Shown(string(j.Group))), orDash(wording.Shown(string(j.Primary))), verdict)
	numbers := fmt.Sprintf("quorum %d", j.best.Quorum)
	if !t.IsZero() {
		numbers = fmt.Sprintf("epoch %d  step %d  %s  since %s  quorum %d of %d Wardens",
			t.Epoch, t.Step, t.Phase, t.Reason, j.best.Quorum, len(t.Wardens))
	}
	numbers += fmt.Sprintf("  down_after %s  failover_timeout %s", j.best.DownAfter, j.best.FailoverTimeout)
	lines := head
	atRunTime := t.Settings.Since(&warden.Settings{})
	if atRunTime != "" {
		atRunTime = "agreed at run time: " + atRunTime
	}
	for _, line := range []string{numbers, atRunTime, keptBy(t.Sync)} {
		if line != "" {
			lines += "  " + p.paint(terminal.Faint, wording.Shown(line)) + "\n"
		}
	}
	return lines
}

// keptBy says which standbys have an acknowledged write, empty in a group that
// promises nothing.
func keptBy(sets []warden.SyncSet) string {
	if len(sets) == 0 {
		return ""
	}
	words := make([]string, len(sets))
	for i, s := range sets {
		words[i] = s.String()
		if s.K == 0 {
			words[i] = "the primary alone"
		}
	}
	return "acknowledged writes are on " + strings.Join(words, ", and on ")
}

func (p *program) nodeRows(j judgement) [][]cell {
	head := []cell{}
	for _, title := range []string{"NODE", "ROLE", "STATE", "POSITION", "LAG", "SEEN", "OPINIONS"} {
		head = append(head, cell{title, terminal.Faint})
	}
	rows := [][]cell{head}
	for _, n := range j.nodes() {
		opinions, down, all := j.voices(n.Node)
		position, lag := "-", "-"
		if n.Observation.Role != "" {
			position = strconv.FormatInt(n.Observation.Position, 10)
		}
		if !n.Primary && n.Observation.Role == warden.RoleReplica && n.Lag >= 0 {
			lag = strconv.FormatInt(n.Lag, 10)
		}
		seen := "never"
		if n.ObservedAgo >= 0 {
			seen = age(n.ObservedAgo) + " ago"
		}
		rows = append(rows, []cell{
			plain(string(n.Node)), roleCell(n), stateCell(n, down, all), plain(position), plain(lag), plain(seen), plain(opinions),
		})
	}
	return rows
}

// roleCell is the agreed role, and what the node itself says if that differs.
func roleCell(n warden.NodeView) cell {
	agreed := warden.RoleReplica
	if n.Primary {
		agreed = warden.RolePrimary
	}
	if says := n.Observation.Role; says != "" && says != agreed {
		return cell{fmt.Sprintf("%s (says %s)", agreed, says), terminal.Warn}
	}
	if n.Primary {
		return cell{string(agreed), terminal.Bold}
	}
	return plain(string(agreed))
}

// stateCell is the verdict about a node with what is unusual about it.
func stateCell(n warden.NodeView, down, all int) cell {
	c := cell{"up", terminal.Good}
	switch o := n.Observation; {
	case n.Odown:
		c = cell{"DOWN (agreed)", terminal.Bad}
	case down > 0 && down == all:
		c = cell{"down", terminal.Bad}
	case down > 0:
		c = cell{"suspected", terminal.Warn}
	case o.Health == "":
		c = cell{"not seen yet", terminal.Warn}
	case !o.Health.Alive():
		c = cell{"no answer (" + string(o.Health) + ")", terminal.Warn}
	case o.Health != warden.HealthGood:
		c = cell{"up, " + string(o.Health), terminal.Warn}
	case n.Primary && o.Role == warden.RolePrimary && o.ReadOnly:
		c = cell{"up, takes no writes", terminal.Warn}
	case o.Sealed:
		c = cell{"up, sealed", terminal.Warn}
	case !n.Primary && o.Role == warden.RoleReplica && o.Syncing:
		c = cell{"up, copying", terminal.Warn}
	case !n.Primary && o.Role == warden.RoleReplica && !o.LinkUp:
		c = cell{"up, link down", terminal.Warn}
	}
	if n.Foreign {
		c = cell{c.text + ", foreign data", terminal.Bad}
	}
	if n.Stranded {
		c = cell{c.text + ", needs rejoin", terminal.Bad}
	}
	if n.Reconfiguring != "" && n.Reconfiguring != "done" {
		c = cell{c.text + ", re-pointing", terminal.Warn}
	}
	return c
}

// wardenRows shows every Warden of the group that is known to anybody asked.
func (p *program) wardenRows(j judgement, reports []remote.Report) [][]cell {
	head := []cell{}
	for _, title := range []string{"WARDEN", "CLIENT", "LISTED", "STATE"} {
		head = append(head, cell{title, terminal.Faint})
	}
	rows := [][]cell{head}
	listedWord := func(id warden.WardenID) cell {
		if j.best.Topology.Lists(id) {
			return plain("yes")
		}
		return plain("no")
	}
	shownIDs := []warden.WardenID{}
	for _, r := range reports {
		v, watches := r.View(j.Group)
		if r.Error == "" && !watches && !j.best.Topology.Lists(r.ID) {
			continue
		}
		shownIDs = append(shownIDs, r.ID)
		state := cell{r.Error, terminal.Bad}
		if r.Error == "" {
			state = wardenState(v, watches)
		}
		rows = append(rows, []cell{plain(r.Name()), plain(r.Server), listedWord(r.ID), state})
	}
	for _, id := range j.best.Topology.Wardens {
		if !slices.Contains(shownIDs, id) {
			rows = append(rows, []cell{plain(id.Short()), plain("-"), plain("yes"), {"address unknown", terminal.Bad}})
		}
	}
	return rows
}

func wardenState(v warden.GroupView, watches bool) cell {
	var words []string
	t := terminal.Good
	switch {
	case !watches:
		return cell{"does not watch this group", terminal.Bad}
	case v.Provisional:
		words, t = append(words, "no agreement yet"), terminal.Warn
	case v.Agreed:
		words = append(words, "fresh")
	default:
		words, t = append(words, "NOT FRESH, no majority for "+age(v.HeardAgo)), terminal.Bad
	}
	if v.Leading {
		words = append(words, "leading")
	}
	if v.Tilt {
		words, t = append(words, "TILT"), terminal.Warn
	}
	if v.Mute {
		words, t = append(words, "store failed"), terminal.Bad
	}
	words = append(words, fmt.Sprintf("topology %s", v.Topology.Version), fmt.Sprintf("promise %d", v.Promise))
	if len(v.SetAtRunTime) > 0 {
		words = append(words, "set at run time: "+strings.Join(v.SetAtRunTime, " "))
	}
	return cell{strings.Join(words, ", "), t}
}
