package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

func (p *program) configCommand() *cli.Command {
	return &cli.Command{
		Name: "config", Usage: "show the settings of a group, or have all Wardens agree on other ones", ArgsUsage: "get|set [GROUP] [NAME=VALUE ...]",
		Flags: append(p.connectionFlags(time.Minute),
			&cli.StringSliceFlag{Name: "unset", EnvVars: []string{"WARDEN_UNSET"}, Usage: "take the agreed `NAME` back: as each Warden's file says"},
			&cli.StringFlag{Name: "revision", EnvVars: []string{"WARDEN_REVISION"}, Usage: "only if no other change was agreed since revision `N`, which get shows"}),
		Action: p.config,
		Description: "Settings: " + strings.Join(warden.SettingNames(false), ", ") + ".\n" +
			"Of one node, as HOST:PORT/NAME=VALUE: " + strings.Join(warden.SettingNames(true), ", ") + ".\n" +
			"All that are given are agreed on in one step, or none.",
	}
}

// config is the action of `config get [GROUP]` and `config set [GROUP] NAME=VALUE ...`.
func (p *program) config(c *cli.Context) error {
	word, rest := c.Args().First(), c.Args().Tail()
	group := ""
	if len(rest) > 0 && !strings.Contains(rest[0], "=") {
		group, rest = rest[0], rest[1:]
	}
	switch {
	case word == "get" && len(rest) > 0:
		return exit.WrongUsage("config get takes one GROUP, but %q follows it", wording.Shown(rest[0]))
	case word == "get" && (c.IsSet("unset") || c.IsSet("revision")):
		return exit.WrongUsage("config get changes nothing: leave --unset and --revision out")
	case word == "get":
		return p.showSettings(c, group)
	case word == "set":
		tail, err := settingWords(rest, c.StringSlice("unset"), c.String("revision"))
		if err != nil {
			return err
		}
		return p.order(c, group, func(string, remote.Status) ([]any, error) { return tail, nil }, "CONFIG SET")
	}
	return exit.WrongUsage("config needs get or set: spineldb config get [GROUP], spineldb config set [GROUP] NAME=VALUE ...")
}

// settingWords are the words of WARDEN CONFIG SET after the group.
func settingWords(set, unset []string, revision string) (words []any, err error) {
	if len(set)+len(unset) == 0 {
		return nil, exit.WrongUsage("config set needs a setting: spineldb config set [GROUP] NAME=VALUE ..., or --unset NAME")
	}
	if revision != "" {
		words = append(words, "REVISION", revision)
	}
	for _, text := range set {
		if err := knownSetting(text, false); err != nil {
			return nil, err
		}
		words = append(words, text)
	}
	if len(unset) > 0 {
		words = append(words, "UNSET")
	}
	for _, text := range unset {
		if err := knownSetting(text, true); err != nil {
			return nil, err
		}
		words = append(words, text)
	}
	return words, nil
}

// knownSetting says what was probably meant where a name is none. Values are for
// the Warden to judge.
func knownSetting(text string, unset bool) error {
	item, err := warden.ParseSettingItem(text, unset)
	if err != nil {
		return exit.WrongUsage("%s", wording.Shown(err.Error()))
	}
	names := warden.SettingNames(item.Node != "")
	if slices.Contains(names, item.Name) || item.Node == "" && slices.Contains(warden.SettingNames(true), item.Name) {
		return nil
	}
	if near := wording.Nearest(item.Name, names); near != "" {
		return exit.WrongUsage("unknown setting %q: did you mean %q?", wording.Shown(item.Name), near)
	}
	return exit.WrongUsage("unknown setting %q: choose one of %s", wording.Shown(item.Name), strings.Join(names, ", "))
}

// showSettings asks one Warden what is in force.
func (p *program) showSettings(c *cli.Context, group string) error {
	r, err := talkAbout(c, group)
	if err != nil {
		return err
	}
	defer r.Close()
	var v warden.SettingsView
	if err := r.AskJSON(c.Context, &v, "WARDEN", "CONFIG", "GET", r.group); err != nil {
		return err
	}
	if r.json {
		return p.printJSON(struct {
			Server string `json:"server"`
			warden.SettingsView
		}{r.Addr, v})
	}
	_, err = fmt.Fprint(p.out, renderSettings(&v, r.Addr))
	return err
}

func renderSettings(v *warden.SettingsView, server string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: revision %d [%s]\n", wording.Shown(string(v.Group)), v.Revision, server)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
	for _, s := range v.Settings {
		name := s.Name
		if s.Node != "" {
			name = string(s.Node) + "/" + name
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", wording.Shown(name), wording.Shown(string(s.Value)), wording.Shown(string(s.Source)))
	}
	_ = table.Flush()
	if !v.Agreed {
		b.WriteString("This Warden does not hear a majority of the others: it may not know what was changed lately.\n")
	}
	return b.String()
}
