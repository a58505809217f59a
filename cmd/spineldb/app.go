package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
	"github.com/spineldb/warden/cmd/spineldb/wording"
)

// program is one run of the command with what it touches: where it writes, and
// what it starts. daemon and dropin run one Warden until ctx ends; demo runs the
// demonstration with the arguments after the word "demo". An error of package
// exit chooses the exit code, any other gives 1.
type program struct {
	out, errs io.Writer
	colour    bool
	daemon    func(ctx context.Context, c config.Config) error
	dropin    func(ctx context.Context, file *sentinelconf.File) error
	demo      func(ctx context.Context, args []string) error
}

// defaultConfigFile is read by --warden without FILE.
const defaultConfigFile = "warden.toml"

// run is the whole command; it returns the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	if call, is := parseDropin(args); is {
		return p.runDropin(ctx, call)
	}
	app := p.app()
	err := app.RunContext(ctx, arrange(args, valueFlags(app)))
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintf(p.errs, "spineldb: %s\n", err)
	}
	return exit.Code(err)
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:      "spineldb",
		Usage:     "an external quorum that keeps one primary per group of databases",
		UsageText: "spineldb --warden [FILE]           run a Warden\nspineldb --sentinel FILE           run a Warden in the place of Redis Sentinel\nspineldb COMMAND [arguments]       talk to running Wardens",
		Description: "Commands ask one Warden and learn of the others from it. GROUP may be left out\n" +
			"where there is only one. Exit codes: 0 done, 1 refused or not agreed, 2 usage,\n" +
			"3 no Warden reachable, 4 result unknown.",
		HideVersion:    true,
		Writer:         p.out,
		ErrWriter:      p.errs,
		ExitErrHandler: func(*cli.Context, error) {}, // run decides
		OnUsageError:   onUsageError,
		Action:         p.root,
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "warden", EnvVars: nil, DefaultText: defaultConfigFile,
				Usage: "run a Warden with the configuration `FILE` (without FILE: $WARDEN_CONFIG, else ./warden.toml)",
			},
			// Here for the help alone: a call with it has other rules (parseDropin).
			&cli.StringFlag{Name: "sentinel", Usage: "run a Warden with the sentinel.conf `FILE`, in the place of Redis Sentinel; --KEY VALUE after it are lines of the file"},
			&cli.BoolFlag{Name: "check", EnvVars: []string{"WARDEN_CHECK"}, Usage: "with --warden or --sentinel: report the mistakes in the configuration and start nothing"},
		},
	}
	for _, c := range p.commands() {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		app.Commands = append(app.Commands, c)
	}
	return app
}

func onUsageError(_ *cli.Context, err error, _ bool) error {
	return exit.WrongUsage("%v: see spineldb --help", err)
}

func (p *program) commands() []*cli.Command {
	status := append(p.connectionFlags(5*time.Second),
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, EnvVars: []string{"WARDEN_WATCH"}, Usage: "show it again every second"})
	events := append(p.connectionFlags(5*time.Second),
		&cli.IntFlag{Name: "last", Aliases: []string{"n"}, Value: 20, EnvVars: []string{"WARDEN_LAST"}, Usage: "begin with the last `N` events of each Warden"},
		&cli.DurationFlag{Name: "since", EnvVars: []string{"WARDEN_SINCE"}, DefaultText: "none", Usage: "begin with the events of that long ago, as in 2h30m, and not with the last N"},
		&cli.BoolFlag{Name: "once", EnvVars: []string{"WARDEN_ONCE"}, Usage: "show the last events and stop"})
	change := append(p.connectionFlags(5*time.Minute),
		&cli.StringFlag{Name: "to", EnvVars: []string{"WARDEN_TO"}, Usage: "promote the replica at `HOST:PORT` (default: the best one)"},
		&cli.BoolFlag{Name: "no-wait", EnvVars: []string{"WARDEN_NO_WAIT"}, Usage: "return when the change has begun"})
	recovery := append(p.connectionFlags(time.Minute),
		&cli.StringSliceFlag{Name: "lost", EnvVars: []string{"WARDEN_LOST"}, Usage: "the `IDS` of the Wardens that will never return, or their beginnings"})
	release := append(p.connectionFlags(time.Minute),
		&cli.StringSliceFlag{Name: "gone", EnvVars: []string{"WARDEN_GONE"}, Usage: "the `NODES` (HOST:PORT) that cannot be asked and that you know were not promoted"})
	plain, order := p.connectionFlags(5*time.Second), p.connectionFlags(time.Minute)
	return []*cli.Command{
		{Name: "status", Usage: "show groups, nodes and Wardens, and whether they agree", ArgsUsage: "[GROUP]", Flags: status, Action: p.status},
		{Name: "events", Usage: "follow what all Wardens report", ArgsUsage: "[GROUP]", Flags: events, Action: p.events},
		{Name: "explain", Usage: "say what is going on in a group, and why nothing more is", ArgsUsage: "[GROUP]", Flags: plain, Action: p.explain},
		{Name: "failover", Usage: "replace the primary, even if it cannot be reached", ArgsUsage: "[GROUP]", Flags: change, Action: p.change("FAILOVER")},
		{Name: "switchover", Usage: "change the primary without losing a write, or not at all", ArgsUsage: "[GROUP]", Flags: change, Action: p.change("SWITCHOVER")},
		{Name: "pause", Usage: "go on watching a group but change nothing", ArgsUsage: "[GROUP]", Flags: order, Action: p.plainOrder("PAUSE")},
		{Name: "resume", Usage: "end a pause", ArgsUsage: "[GROUP]", Flags: order, Action: p.plainOrder("RESUME")},
		{Name: "forget", Usage: "take a Warden that is gone off a group's list", ArgsUsage: "[GROUP] WARDEN-ID", Flags: order, Action: p.forget},
		{Name: "recover", Usage: "go on after a majority of Wardens was lost for ever", ArgsUsage: "[GROUP] --lost ID,ID", Flags: recovery, Action: p.recovery},
		{Name: "release", Usage: "undo a seal by hand when no majority of Wardens is left to do it", ArgsUsage: "[GROUP]", Flags: release, Action: p.release},
		{Name: "ckquorum", Usage: "ask whether a failover could be agreed now", ArgsUsage: "[GROUP]", Flags: plain, Action: p.ckquorum},
		p.configCommand(),
		p.doctorCommand(),
		p.drillCommand(),
		p.reportsCommand(),
		p.dsnCommand(),
		{Name: "version", Usage: "print the version", Flags: []cli.Flag{jsonFlag()}, Action: p.version},
		{Name: "demo", Usage: "show a failover on this machine", SkipFlagParsing: true, Action: p.runDemo},
	}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", EnvVars: []string{"WARDEN_JSON"}, Usage: "print JSON, for machines"}
}

// connectionFlags are the flags of every command that asks a Warden. They are
// made anew for each command because the parser keeps state in them.
func (p *program) connectionFlags(timeout time.Duration) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringSliceFlag{Name: "server", Aliases: []string{"s"}, EnvVars: []string{"WARDEN_SERVER"}, DefaultText: defaultServer, Usage: "ask the Warden at `HOST:PORT`; several, tried in turn"},
		&cli.StringFlag{Name: "user", EnvVars: []string{"WARDEN_USER"}, DefaultText: "the default user", Usage: "log in as `NAME`, a user of the Wardens' access list"},
		&cli.StringFlag{Name: "password", EnvVars: []string{"WARDEN_PASSWORD"}, DefaultText: "none", Usage: "the Wardens' requirepass, or the user's password; others on this machine can see it here, so better use the variable or a file"},
		&cli.StringFlag{Name: "password-file", EnvVars: []string{"WARDEN_PASSWORD_FILE"}, Usage: "read the password from `FILE`"},
		&cli.DurationFlag{Name: "timeout", EnvVars: []string{"WARDEN_TIMEOUT"}, Value: timeout, Usage: "how long to wait for an answer"},
		jsonFlag(),
	}, tlsFlags()...)
}

// root runs a Warden, or helps who named no command.
func (p *program) root(c *cli.Context) error {
	if c.IsSet("warden") {
		if c.NArg() > 0 {
			return exit.WrongUsage("--warden takes one FILE, but %q follows it", wording.Shown(c.Args().First()))
		}
		return p.runWarden(c.Context, c.String("warden"), c.Bool("check"))
	}
	if c.NArg() == 0 {
		_ = cli.ShowAppHelp(c)
		return exit.Silently(exit.Usage)
	}
	word := c.Args().First()
	names := []string{}
	for _, cmd := range c.App.Commands {
		names = append(names, cmd.Name)
	}
	if near := wording.Nearest(word, names); near != "" {
		return exit.WrongUsage("unknown command %q: did you mean %q?", wording.Shown(word), near)
	}
	return exit.WrongUsage("unknown command %q: choose one of %s", wording.Shown(word), strings.Join(names, ", "))
}

// runWarden loads the configuration, says what is wrong or doubtful with it,
// and runs a Warden until ctx ends.
func (p *program) runWarden(ctx context.Context, file string, checkOnly bool) error {
	if file == "" {
		file = os.Getenv("WARDEN_CONFIG")
	}
	if file == "" {
		file = defaultConfigFile
	}
	c, err := config.Load(file)
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		return exit.WrongUsage("%d %s in the configuration:\n%s", len(mistakes), wording.Plural(len(mistakes), "mistake"), mistakes)
	}
	if err != nil {
		return exit.WrongUsage("%v", err)
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.errs, "warning: %s\n", w)
	}
	if checkOnly {
		_, err := fmt.Fprintf(p.out, "%s is valid: %d %s, %d %s\n", file, len(c.Masters), wording.Plural(len(c.Masters), "group"), len(c.Warnings), wording.Plural(len(c.Warnings), "warning"))
		return err
	}
	return p.daemon(ctx, c)
}

func (p *program) runDemo(c *cli.Context) error {
	return p.demo(c.Context, c.Args().Slice())
}
