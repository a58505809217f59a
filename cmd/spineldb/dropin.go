package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/certificate"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/journal"
	"github.com/spineldb/warden/cmd/spineldb/process"
	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/discovery/acl"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

const dropinUsage = `Usage: spineldb --sentinel FILE [--check] [--KEY VALUE ...]
       redis-sentinel FILE [--KEY VALUE ...]

Runs a Warden with a sentinel.conf, in the place of Redis Sentinel. FILE has to
be writable: what Sentinel remembers is kept in it. --check reports a mistake in
it and starts nothing.
`

// dropin is a call in the words of Redis Sentinel.
type dropin struct {
	file string
	// overrides are the words after the file, "--key" and values.
	overrides []string
	check     bool
	version   bool
	help      bool
}

// parseDropin recognises a call as Redis Sentinel is called: by the name of
// the binary, or by --sentinel. The words are Redis's and not those of our own
// flags: "--port 1" is a line of the configuration.
func parseDropin(args []string) (dropin, bool) {
	if len(args) == 0 {
		return dropin{}, false
	}
	name := filepath.Base(args[0])
	named := strings.Contains(name, "redis-sentinel") || strings.Contains(name, "valkey-sentinel")
	if !named && !slices.ContainsFunc(args[1:], isSentinelFlag) {
		return dropin{}, false
	}
	var d dropin
	rest := slices.DeleteFunc(slices.Clone(args[1:]), func(word string) bool {
		d.check = d.check || word == "--check"
		return word == "--check"
	})
	if len(rest) > 0 && isSentinelFlag(rest[0]) {
		if _, file, given := strings.Cut(rest[0], "="); given {
			rest[0] = file
		} else {
			rest = rest[1:]
		}
	}
	if len(rest) == 0 {
		return d, true
	}
	switch rest[0] {
	case "-v", "--version":
		d.version = true
	case "-h", "--help":
		d.help = true
	default:
		if !strings.HasPrefix(rest[0], "-") {
			d.file, rest = rest[0], rest[1:]
		}
		d.overrides = rest
	}
	return d, true
}

func isSentinelFlag(word string) bool {
	return word == "--sentinel" || strings.HasPrefix(word, "--sentinel=")
}

// runDropin is the whole command in the place of Redis Sentinel.
func (p *program) runDropin(ctx context.Context, call dropin) int {
	switch {
	case call.version:
		_, _ = fmt.Fprintf(p.out, "Warden %s (for Redis Sentinel)\n", currentVersion().Version)
		return exit.Done
	case call.help:
		_, _ = io.WriteString(p.out, dropinUsage)
		return exit.Done
	case call.file == "":
		_, _ = fmt.Fprintf(p.errs, "a Sentinel needs a configuration file that it can write: give its path first\n%s", dropinUsage)
		return exit.Refused
	}
	file, err := sentinelconf.Load(call.file, call.overrides)
	if err == nil {
		err = checkDropin(file)
	}
	if err != nil {
		_, _ = io.WriteString(p.errs, banner(err))
		return exit.Refused
	}
	if call.check {
		_, err = fmt.Fprintf(p.out, "%s is valid: %d %s, %d %s\n", call.file,
			len(file.State.Groups), wording.Plural(len(file.State.Groups), "group"), len(file.Warnings), wording.Plural(len(file.Warnings), "warning"))
		for _, w := range file.Warnings {
			_, _ = fmt.Fprintf(p.out, "warning: %s\n", w)
		}
		return exit.Code(err)
	}
	if err := p.dropin(ctx, file); err != nil {
		_, _ = fmt.Fprintf(p.errs, "%s\n", err)
		return exit.Refused
	}
	return exit.Done
}

// banner tells of a configuration that is not accepted as Redis does, because
// scripts around it look for these lines.
func banner(err error) string {
	var e *sentinelconf.Error
	if !errors.As(err, &e) {
		return err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n*** FATAL CONFIG FILE ERROR (Warden %s) ***\n", currentVersion().Version)
	if e.Line > 0 {
		fmt.Fprintf(&b, "Reading the configuration file %s, at line %d\n", e.File, e.Line)
	} else {
		fmt.Fprintf(&b, "Reading the configuration file %s\n", e.File)
	}
	fmt.Fprintf(&b, ">>> '%s'\n%s\n", e.Text, e.Reason)
	if e.Hint != "" {
		fmt.Fprintf(&b, "(%s)\n", e.Hint)
	}
	return b.String()
}

// dropinMain runs one Warden with a sentinel.conf until ctx ends, in the
// background if the file says so.
func dropinMain(ctx context.Context, file *sentinelconf.File) error {
	if err := sentinelconf.Writable(file.Path); err != nil {
		return fmt.Errorf("Sentinel config file %s is not writable: %w", file.Path, err) //nolint:staticcheck // Sentinel's words, which scripts look for
	}
	if !file.Server.Daemonize {
		return serveDropin(ctx, file, func() {})
	}
	background, err := process.Detach(ctx)
	if background == nil {
		return err
	}
	if err := serveDropin(ctx, file, background.Ready); err != nil {
		background.Fail(err)
		return err
	}
	return nil
}

// serveDropin runs the Warden in this process, and calls ready when clients
// are served.
func serveDropin(ctx context.Context, file *sentinelconf.File, ready func()) error {
	c, err := file.Config()
	if err != nil {
		return err
	}
	if file.Server.Dir != "" {
		if err := os.Chdir(file.Server.Dir); err != nil {
			return fmt.Errorf("change to the directory of dir: %w", err)
		}
	}
	level := &slog.LevelVar{}
	first, err := journal.ParseLevel(file.Server.LogLevel)
	if err != nil {
		return err
	}
	level.Set(first)
	lines, err := journal.Open(journal.Options{
		File: file.Server.LogFile, Level: level,
		Syslog: file.Server.SyslogEnabled, SyslogIdent: file.Server.SyslogIdent, SyslogFacility: file.Server.SyslogFacility,
	})
	if err != nil {
		return err
	}
	defer lines.Close()
	ids := &identities{}
	log := slog.New(shownLog{lines, ids})
	if c.GossipKeys, err = peerKeys(file); err != nil {
		return err
	}
	if len(c.GossipKeys) == 0 {
		c.Warnings = append(c.Warnings, "Wardens talk to each other without a key, as Sentinels do without a password: set the same requirepass or sentinel-pass on all of them, or see to it that nobody else reaches their gossip ports")
	}
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	k := newFileKeeper(file, log)
	d, err := startDaemon(ctx, opening{
		setup: dropinSetup(file, c), keeper: k, usersChanged: k.UsersChanged, accessLog: file.Server.ACLLogMaxLen,
		ids: ids, log: log, level: level, quit: quit, doors: doorsOf(file.Server), sentinels: sentinelsOf(file.State),
		noted: warden.Epoch(file.State.Noted), renames: ownRenames(file.Server), allChannels: file.Server.AllChannels,
		source: net.ParseIP(file.Server.BindSource),
	})
	if err != nil {
		return err
	}
	if file.Server.PidFile != "" {
		pidfile, err := process.WritePidfile(file.Server.PidFile)
		if err != nil {
			log.Warn("write pidfile", "error", err) // Redis goes on without one too
		} else {
			defer func() { _ = pidfile.Remove() }()
		}
	}
	ready()
	if err := process.Tell(process.Ready); err != nil {
		log.Warn("tell the supervisor", "error", err)
	}
	return d.serve(ctx, d.hangup)
}

// keyRounds makes guessing the password from a captured message slow, and a
// start about a tenth of a second slower.
const keyRounds = 200_000

// peerKeys makes the key with which Wardens talk to each other from the
// password with which Sentinels log in to each other: all of them have the
// same one already.
func peerKeys(file *sentinelconf.File) ([]config.Secret, error) {
	password := string(file.State.SentinelPass)
	if password == "" {
		password = string(file.Server.RequirePass)
	}
	if password == "" {
		return nil, nil
	}
	key, err := pbkdf2.Key(sha256.New, password, []byte("warden gossip, from sentinel.conf"), keyRounds, 32)
	if err != nil {
		return nil, fmt.Errorf("make the gossip key: %w", err)
	}
	return []config.Secret{config.Secret(key)}, nil
}

// dropinSetup is what a sentinel.conf says.
func dropinSetup(file *sentinelconf.File, c config.Config) setup {
	st := file.State
	return setup{
		Config: c, Sentinel: st.MyID, ResolveNames: st.ResolveHostnames, AnnounceNames: st.AnnounceHostnames,
		DenyScripts: st.DenyScriptsReconfig, User: st.SentinelUser, Password: st.SentinelPass, Loglevel: file.Server.LogLevel,
	}
}

// sentinelsOf is what a sentinel.conf remembers of real Sentinels.
func sentinelsOf(st sentinelconf.State) remembered {
	out := remembered{}
	for _, g := range st.Groups {
		m := neighbour.Memory{Epochs: neighbour.Epochs{
			Current: st.CurrentEpoch, Config: g.ConfigEpoch, Primary: warden.MakeNode(g.Host, g.Port), Leader: g.LeaderEpoch,
		}}
		for _, s := range g.Sentinels {
			m.Known = append(m.Known, neighbour.Sentinel{ID: s.ID, Client: warden.MakeNode(s.Host, s.Port)})
		}
		out[warden.GroupName(g.Name)] = m
	}
	return out
}

// ownRenames are the commands that our own clients know under other names.
func ownRenames(s sentinelconf.Server) []resp.Rename {
	out := make([]resp.Rename, len(s.Renames))
	for i, r := range s.Renames {
		out[i] = resp.Rename{From: r.From, To: r.To}
	}
	return out
}

// checkDropin reports what a Warden could not start with although every line of
// the file can be read. It opens no port and writes nothing.
func checkDropin(file *sentinelconf.File) error {
	c, err := file.Config()
	if err != nil {
		return err
	}
	if err := checkRenames(file); err != nil {
		return err
	}
	if _, err := acl.New(acl.Options{RequirePass: string(c.RequirePass), Users: c.Users, File: c.ACLFile}); err != nil {
		return err
	}
	if c.TLS.Port == 0 && !c.TLS.Nodes {
		return nil
	}
	_, err = certificate.Open(c.TLS, nil)
	return err
}

// checkRenames reports the first rename-command that cannot be followed.
func checkRenames(file *sentinelconf.File) error {
	at, err := resp.CheckRenames(ownRenames(file.Server))
	if err == nil {
		return nil
	}
	r := file.Server.Renames[at]
	return &sentinelconf.Error{File: file.Path, Text: fmt.Sprintf("rename-command %s %q", r.From, r.To), Reason: err.Error(),
		Hint: "name a command that a Sentinel has, and a new name for it or \"\""}
}

// doorsOf is how a sentinel.conf lets clients in.
func doorsOf(s sentinelconf.Server) doors {
	o := doors{
		bind: s.Bind, guarded: s.ProtectedMode, socket: s.UnixSocket, socketMode: fs.FileMode(s.UnixSocketPerm),
		idle: time.Duration(s.Timeout), keepAlive: time.Duration(s.TCPKeepalive),
	}
	if len(o.bind) == 0 {
		o.bind = []string{"*", "-::*"}
	}
	if o.keepAlive == 0 {
		o.keepAlive = -1
	}
	return o
}
