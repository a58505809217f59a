package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/certificate"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/doctor"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// checkup is what `doctor --json` prints.
type checkup struct {
	Worst doctor.Severity `json:"worst"`
	// Configuration is what reading the file warned of.
	Configuration []doctor.Finding     `json:"configuration"`
	Groups        []doctor.GroupReport `json:"groups"`
	// Machines are about the Wardens as processes, and their disks and clocks.
	Machines []doctor.Finding `json:"machines"`
	// Compared is what Wardens and files say of a group, held against each other;
	// null where there was nothing to compare.
	Compared []comparison `json:"compared"`
	// Wardens is what the running Wardens say; null where none were asked.
	Wardens []judgement `json:"wardens"`

	// expected is how many Wardens a group should have; absent: not configured.
	expected map[warden.GroupName]int
	// peers are the Wardens that were asked and the files that were read.
	peers []doctor.Warden
}

// doctorCommand is built here because two of its flags are its own.
func (p *program) doctorCommand() *cli.Command {
	flags := append(p.connectionFlags(10*time.Second),
		&cli.StringSliceFlag{Name: "config", Aliases: []string{"c"}, EnvVars: []string{"WARDEN_CONFIG"}, DefaultText: defaultConfigFile, Usage: "look at the nodes of this `FILE` (a warden.toml or a sentinel.conf), as the Warden does that runs with it; others are compared with it"},
		&cli.BoolFlag{Name: "all", EnvVars: []string{"WARDEN_ALL"}, Usage: "show what is in order, too"})
	return &cli.Command{
		Name: "doctor", Usage: "look at live nodes and say what to change", ArgsUsage: "[GROUP]", Flags: flags, Action: p.doctor,
		Description: "Without --server the nodes of a configuration file are looked at, by the role and\n" +
			"password in it; several files are compared. With --server the running Wardens are\n" +
			"asked for what is not right, and compared; with both, both. Nothing is changed\n" +
			"anywhere. Exit codes: 0 nothing worse than notes, 1 warnings or errors, 2 usage,\n" +
			"3 nothing reachable.",
	}
}

// doctor is the action of `doctor [GROUP]`.
func (p *program) doctor(c *cli.Context) error {
	named, t, err := groupAndTarget(c)
	if err != nil {
		return err
	}
	found := checkup{Worst: doctor.OK, Configuration: []doctor.Finding{}, Groups: []doctor.GroupReport{}, Machines: []doctor.Finding{}}
	files := slices.DeleteFunc(c.StringSlice("config"), func(file string) bool { return file == "" })
	asksWardens := c.IsSet("server")
	if len(files) == 0 && !asksWardens {
		files = []string{defaultConfigFile}
	}
	looks := len(files) > 0
	if looks {
		if err := found.examine(c.Context, files, named, t.Timeout); err != nil {
			return err
		}
	}
	if asksWardens {
		err := found.ask(c.Context, t, named)
		if looks && exit.Code(err) == exit.Unreachable {
			found.Configuration = append(found.Configuration, unwatched(err))
		} else if err != nil {
			return err
		}
	}
	found.count()
	found.compare(named)
	found.sum()
	if t.json {
		err = p.printJSON(found)
	} else {
		_, err = fmt.Fprint(p.out, p.renderCheckup(found, c.Bool("all")))
	}
	switch {
	case err != nil:
		return err
	case !found.reached():
		return exit.With(exit.Unreachable, "no node and no Warden answered: run this on a host of a Warden")
	case found.Worst.Worse(doctor.Note):
		return exit.Silently(exit.Refused)
	}
	return nil
}

// examine looks at the nodes of the first configuration file, and reads the
// others.
func (f *checkup) examine(ctx context.Context, files []string, named string, limit time.Duration) error {
	conf, err := f.read(files)
	if err != nil {
		return err
	}
	f.measure(ctx, conf.DataDir, limit)
	masters := conf.Masters
	if named != "" {
		masters = slices.DeleteFunc(slices.Clone(masters), func(m config.Master) bool { return string(m.Name) != named })
		if len(masters) == 0 {
			return exit.WrongUsage("there is no group %q in %s", wording.Shown(named), conf.File)
		}
	}
	f.expected = map[warden.GroupName]int{}
	groups := make([]doctor.Group, len(masters))
	for i, m := range masters {
		f.expected[m.Name] = m.Wardens
		if groups[i], err = patient(conf, m); err != nil {
			return err
		}
	}
	f.Groups = make([]doctor.GroupReport, len(groups))
	var wait sync.WaitGroup
	for i, g := range groups {
		wait.Go(func() { f.Groups[i] = doctor.Examine(ctx, g, limit) })
	}
	wait.Wait()
	return nil
}

// patient is a group as the doctor wants it.
func patient(conf config.Config, m config.Master) (doctor.Group, error) {
	p := m.Postgres
	g := doctor.Group{
		Name: m.Name, Adapter: m.Adapter, Nodes: slices.Concat([]warden.NodeID{m.Primary}, m.Nodes, m.Known), Quorum: m.Quorum, Wardens: m.Wardens, DownAfter: m.DownAfter,
		Durable: m.Durable, SyncStandbys: m.SyncStandbys, Fence: len(m.FenceCommand) > 0, Rejoin: len(m.RejoinCommand) > 0,
		Login: doctor.Login{
			User: m.AuthUser, Password: string(m.AuthPassword), Database: p.Database, Passfile: p.Passfile,
			SSLMode: p.SSLMode, SSLRootCert: p.SSLRootCert, SSLCert: p.SSLCert, SSLKey: p.SSLKey, Renames: m.Renames,
		},
		ReplicationUser: p.ReplicationUser, ReplicationPassword: p.ReplicationPassword != "", ReplicationPassfile: p.ReplicationPassfile != "",
	}
	for _, node := range g.Nodes {
		if tags, ok := m.Tags[node]; ok && tags.NoFailover {
			g.Excluded = append(g.Excluded, node)
		}
	}
	if m.Adapter != config.AdapterPostgres && conf.TLS.Nodes {
		keeper, err := certificate.Open(conf.TLS, nil)
		if err != nil {
			return g, exit.WrongUsage("read certificates: %v", err)
		}
		g.Login.TLS = keeper.Client()
	}
	return g, nil
}

// ask has the running Wardens say what is not right.
func (f *checkup) ask(ctx context.Context, t target, named string) error {
	reports, err := t.Survey(ctx)
	if err != nil {
		return err
	}
	f.Wardens = []judgement{}
	f.peers = append(f.peers, interview(ctx, t, reports)...)
	for _, name := range remote.GroupsOf(reports) {
		if named == "" || string(name) == named {
			f.Wardens = append(f.Wardens, judge(name, reports))
		}
	}
	if named != "" && len(f.Wardens) == 0 {
		return exit.WrongUsage("the Wardens watch no group %q", wording.Shown(named))
	}
	return nil
}

// count finds Wardens that have not joined yet: until they have, they do not
// count, and losing one of the others means more.
func (f *checkup) count() {
	for i := range f.Wardens {
		j := &f.Wardens[i]
		if have, want := len(j.best.Topology.Wardens), f.expected[j.Group]; have > 0 && have < want {
			j.say("%d Wardens are listed, but wardens is %d: start the others, or look into their logs for why they do not join", have, want)
		}
	}
}

// unwatched is the finding that no Warden answers.
func unwatched(err error) doctor.Finding {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		lines = append(lines, strings.TrimSpace(line))
	}
	found := strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
	return doctor.Finding{Severity: doctor.Error, Check: "wardens", Found: "no Warden could be asked: " + found,
		Why: "nobody watches these nodes, as far as can be seen from here", Remedy: "start them; or correct --server, --user and the password"}
}

// sum finds the worst of all.
func (f *checkup) sum() {
	worse := func(s doctor.Severity) {
		if s.Worse(f.Worst) {
			f.Worst = s
		}
	}
	for _, c := range f.Configuration {
		worse(c.Severity)
	}
	for _, c := range f.Machines {
		worse(c.Severity)
	}
	for _, g := range f.Groups {
		worse(g.Worst())
	}
	for _, g := range f.Compared {
		for _, c := range g.Findings {
			worse(c.Severity)
		}
	}
	for _, j := range f.Wardens {
		switch {
		case !j.Agreed:
			worse(doctor.Error)
		case len(j.Problems) > 0:
			worse(doctor.Warning)
		}
	}
}

// reached reports whether anybody answered.
func (f *checkup) reached() bool {
	return f.Wardens != nil || slices.ContainsFunc(f.Groups, func(g doctor.GroupReport) bool { return g.Reached() > 0 })
}

var severityTones = map[doctor.Severity]terminal.Tone{doctor.OK: terminal.Good, doctor.Warning: terminal.Warn, doctor.Error: terminal.Bad}

func (p *program) renderCheckup(f checkup, all bool) string {
	var b strings.Builder
	if len(f.Configuration) > 0 {
		b.WriteString(p.paint(terminal.Bold, "configuration") + "\n")
		for _, c := range f.Configuration {
			p.renderFinding(&b, c)
		}
	}
	p.renderFindings(&b, "Wardens and machines", f.Machines, all)
	for _, g := range f.Groups {
		fmt.Fprintf(&b, "%s  %s, %s: %s\n", p.paint(terminal.Bold, string(g.Group)), g.Adapter, counted(len(g.Nodes), "node"), summary(g))
		for _, c := range g.Findings {
			if all || c.Severity != doctor.OK {
				p.renderFinding(&b, c)
			}
		}
	}
	for _, g := range f.Compared {
		p.renderFindings(&b, string(g.Group)+"  the Wardens compared", g.Findings, all)
	}
	for _, j := range f.Wardens {
		verdict := "agreed"
		if !j.Agreed {
			verdict = "not agreed"
		}
		fmt.Fprintf(&b, "%s  as the Wardens see it: %s, primary %s\n", p.paint(terminal.Bold, string(j.Group)), verdict, orDash(string(j.Primary)))
		for _, problem := range j.Problems {
			b.WriteString("  " + p.paint(terminal.Warn, "warning") + "  " + wording.Shown(problem) + "\n")
		}
	}
	return b.String()
}

// renderFindings prints a heading and what stands under it, or nothing at all.
func (p *program) renderFindings(b *strings.Builder, heading string, findings []doctor.Finding, all bool) {
	if !all {
		findings = slices.DeleteFunc(slices.Clone(findings), func(f doctor.Finding) bool { return f.Severity == doctor.OK })
	}
	if len(findings) == 0 {
		return
	}
	b.WriteString(p.paint(terminal.Bold, wording.Shown(heading)) + "\n")
	for _, f := range findings {
		p.renderFinding(b, f)
	}
}

func counted(n int, word string) string { return fmt.Sprintf("%d %s", n, wording.Plural(n, word)) }

// summary counts the findings of a group.
func summary(g doctor.GroupReport) string {
	var parts []string
	for _, s := range []doctor.Severity{doctor.Error, doctor.Warning, doctor.Note} {
		if n := g.Count(s); n > 0 {
			parts = append(parts, counted(n, string(s)))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("all %d checks in order", g.Count(doctor.OK))
	}
	return strings.Join(append(parts, fmt.Sprintf("%d checks in order", g.Count(doctor.OK))), ", ")
}

// renderFinding prints what was found, why it matters and what to do.
func (p *program) renderFinding(b *strings.Builder, f doctor.Finding) {
	where := cmp.Or(string(f.Node), f.Place)
	if where != "" {
		where += "  "
	}
	fmt.Fprintf(b, "  %s%s  %s%s\n", p.paint(severityTones[f.Severity], string(f.Severity)), strings.Repeat(" ", len(doctor.Warning)-len(f.Severity)), wording.Shown(where), wording.Shown(f.Found))
	for _, part := range [][2]string{{"why", f.Why}, {"do ", f.Remedy}} {
		for line := range strings.Lines(part[1]) {
			fmt.Fprintf(b, "           %s  %s\n", p.paint(terminal.Faint, part[0]), wording.Shown(strings.TrimSuffix(line, "\n")))
			part[0] = "   "
		}
	}
}
