package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts the arguments into the order the flag parser wants: the command
// first, then flags, then the rest. People write "failover mymaster --to x"
// and "--server a status", and both are plain. It also lets --warden stand
// without a FILE. What follows "demo" is passed on untouched.
func arrange(args []string, takesValue map[string]bool) []string {
	if len(args) == 0 {
		return args
	}
	var warden, flags, rest []string
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			rest = append(rest, arg)
			if len(rest) == 1 && arg == "demo" {
				return args
			}
			continue
		}
		name := strings.TrimLeft(arg, "-")
		// A value is taken even if it looks like a flag, as everywhere; only
		// --warden may do without one.
		next := i+1 < len(args)
		switch {
		case name == "warden" && next && !strings.HasPrefix(args[i+1], "-"):
			i++
			warden = []string{"--warden=" + args[i]}
		case name == "warden":
			warden = []string{"--warden="}
		case takesValue[name] && next:
			i++
			flags = append(flags, arg, args[i])
		default:
			flags = append(flags, arg)
		}
	}
	out := append([]string{args[0]}, warden...)
	if len(rest) > 0 && warden == nil {
		out, rest = append(out, rest[0]), rest[1:]
	}
	out = append(out, flags...)
	for _, arg := range rest {
		if strings.HasPrefix(arg, "-") {
			out = append(out, "--")
			break
		}
	}
	return append(out, rest...)
}

// valueFlags are the names of all flags that are followed by a value.
func valueFlags(app *cli.App) map[string]bool {
	found := map[string]bool{}
	note := func(flags []cli.Flag) {
		for _, f := range flags {
			if _, isBool := f.(*cli.BoolFlag); isBool {
				continue
			}
			for _, name := range f.Names() {
				found[name] = true
			}
		}
	}
	note(app.Flags)
	for _, c := range app.Commands {
		note(c.Flags)
	}
	return found
}
