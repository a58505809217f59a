package main

import (
	"context"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// defaultServer is asked where none is named.
const defaultServer = "127.0.0.1:26379"

// target is whom a command asks, and how it prints the answer.
type target struct {
	remote.Target
	json bool
}

// targetOf reads the connection flags.
func targetOf(c *cli.Context) (target, error) {
	t := target{Target: remote.Target{Timeout: c.Duration("timeout"), Password: config.Secret(c.String("password"))}, json: c.Bool("json")}
	if t.Timeout <= 0 {
		return t, exit.WrongUsage("--timeout is %s: write a time above zero, such as 5s", t.Timeout)
	}
	for _, s := range c.StringSlice("server") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		addr, err := serverAddress(s)
		if err != nil {
			return t, exit.WrongUsage("--server: %v", err)
		}
		t.Servers = append(t.Servers, addr)
	}
	if len(t.Servers) == 0 {
		t.Servers = []string{defaultServer}
	}
	var err error
	if t.TLS, err = tlsOf(c); err != nil {
		return t, err
	}
	if file := c.String("password-file"); file != "" {
		if t.Password != "" {
			return t, exit.WrongUsage("both a password and a password file are given, as flags or in WARDEN_PASSWORD and WARDEN_PASSWORD_FILE: keep one")
		}
		data, _, err := config.ReadSmallFile(file)
		if err != nil {
			return t, exit.WrongUsage("read password file: %v", err)
		}
		t.Password = config.Secret(wording.TrimNewline(string(data)))
	}
	if t.User = c.String("user"); t.User != "" && t.Password == "" {
		return t, exit.WrongUsage("a user is given without a password: name one with --password-file or WARDEN_PASSWORD")
	}
	return t, nil
}

// serverAddress adds the usual port where none is given.
func serverAddress(s string) (string, error) {
	bare := strings.Trim(s, "[]")
	if _, err := netip.ParseAddr(bare); err == nil || !strings.Contains(s, ":") {
		return string(warden.MakeNode(bare, config.DefaultPort)), nil
	}
	n, err := warden.ParseNode(s)
	return string(n), err
}

// groupAndTarget reads the arguments of a command on one group: its name, ""
// when none is given, and the connection flags.
func groupAndTarget(c *cli.Context) (string, target, error) {
	group, err := onlyGroup(c)
	if err != nil {
		return "", target{}, err
	}
	t, err := targetOf(c)
	return group, t, err
}

// talk is a conversation with one Warden about one group. Close it.
type talk struct {
	*remote.Conn
	// target is who was asked; its Timeout bounds each question.
	target
	status remote.Status
	group  string
}

// talkOf begins the conversation that the arguments and flags of a command on
// one group ask for.
func talkOf(c *cli.Context) (*talk, error) {
	group, err := onlyGroup(c)
	if err != nil {
		return nil, err
	}
	return talkAbout(c, group)
}

// talkAbout begins it for a command that has read the group's name itself.
func talkAbout(c *cli.Context, named string) (*talk, error) {
	t, err := targetOf(c)
	if err != nil {
		return nil, err
	}
	return t.reach(c.Context, named)
}

// reach connects to one Warden, and finds with its help the group that is
// meant by named.
func (t target) reach(ctx context.Context, named string) (_ *talk, err error) {
	with := &talk{target: t}
	if with.Conn, err = t.First(ctx, &with.status, "WARDEN", "STATUS"); err != nil {
		return nil, err
	}
	if with.group, err = chooseGroup(with.status, named); err != nil {
		with.Close()
		return nil, err
	}
	return with, nil
}

// Ask is that of the connection, within the time limit.
func (w *talk) Ask(ctx context.Context, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	return w.Conn.Ask(ctx, args...)
}

// AskJSON is that of the connection, within the time limit. Its errors are those of
// the whole command, with their exit codes.
func (w *talk) AskJSON(ctx context.Context, out any, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	err := w.Conn.AskJSON(ctx, out, args...)
	switch {
	case err == nil:
		return nil
	case remote.IsReply(err):
		return exit.With(exit.Refused, "ask %s: %s", w.Addr, remote.Why(err))
	}
	return exit.With(exit.Unreachable, "ask %s: %s", w.Addr, remote.Why(err))
}
