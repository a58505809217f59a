package sentinelconf

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// helloInterval is that of Sentinel.
const helloInterval = 2 * warden.Second

// Config is what a Warden makes of the file. GossipPort is 0: it is to be
// chosen and remembered. Warnings are those of the file and of what had to be
// changed. The error names what the file cannot mean.
func (f *File) Config() (config.Config, error) {
	s, state := f.Server, f.State
	c := config.Config{
		File: f.Path, Host: f.gossipHost(), Port: s.Port, AnnounceIP: state.AnnounceIP, AnnouncePort: f.announcePort(),
		DataDir: f.DataDir(), RequirePass: s.RequirePass, Users: slices.Clone(state.Users), ACLFile: s.ACLFile,
		TLS: s.TLS, MaxClients: s.MaxClients, DropIn: true, Past: config.DefaultPast(), LogLevel: Level(s.LogLevel), Warnings: slices.Clone(f.Warnings),
	}
	if c.TLS.Port == 0 && s.Port == 0 {
		return config.Config{}, &Error{File: f.Path, Reason: "port and tls-port are both 0", Hint: "clients need one of them"}
	}
	if c.TLS.Port == s.Port {
		return config.Config{}, &Error{File: f.Path, Reason: fmt.Sprintf("port and tls-port are both %d", s.Port), Hint: "give them different ports, or set port 0"}
	}
	if c.TLS.Port != 0 && (s.TLS.CertFile == "" || s.TLS.KeyFile == "") {
		return config.Config{}, &Error{File: f.Path, Reason: "tls-port needs a certificate", Hint: "set tls-cert-file and tls-key-file"}
	}
	if c.TLS.Port != 0 && s.TLS.ClientAuth != "no" && s.TLS.CAFile == "" && s.TLS.CADir == "" {
		return config.Config{}, &Error{File: f.Path, Reason: "tls-auth-clients needs certificates of authorities", Hint: "set tls-ca-cert-file or tls-ca-cert-dir, or tls-auth-clients no"}
	}
	for _, g := range state.Groups {
		m, warnings := g.master(state.CurrentEpoch, f.dir())
		c.Masters = append(c.Masters, m)
		c.Warnings = append(c.Warnings, warnings...)
	}
	return c, nil
}

// announcePort is the port others are told: that of TLS if nodes and Sentinels
// are reached by TLS.
func (f *File) announcePort() int {
	switch s := f.Server; {
	case f.State.AnnouncePort != 0:
		return f.State.AnnouncePort
	case s.TLS.Port != 0 && (s.TLS.Nodes || s.Port == 0):
		return s.TLS.Port
	default:
		return s.Port
	}
}

// gossipHost is where gossip listens: it has one address, that of bind which
// others most probably reach.
func (f *File) gossipHost() string {
	first := ""
	for _, b := range f.Server.Bind {
		b = strings.TrimPrefix(b, "-")
		a, err := netip.ParseAddr(b)
		if b == "*" || b == "::*" || err == nil && a.IsUnspecified() {
			return "0.0.0.0"
		}
		if first == "" || loopback(first) && !loopback(b) {
			first = b
		}
	}
	if first == "" {
		return "0.0.0.0"
	}
	return first
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Level is a level of Sentinel's log in our words. Unknown ones are "notice".
func Level(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warning":
		return slog.LevelWarn
	case "nothing":
		return slog.LevelError + 4
	}
	return slog.LevelInfo // notice and verbose
}

// master is one group as the core knows it. Settings that the core cannot have
// are set to the nearest it can, with a warning.
func (g Group) master(current uint64, dir string) (config.Master, []string) {
	var warnings []string
	warn := func(format string, args ...any) {
		warnings = append(warnings, fmt.Sprintf("group %q: ", g.Name)+fmt.Sprintf(format, args...))
	}
	m := config.Master{
		Name: warden.GroupName(g.Name), Primary: warden.MakeNode(g.Host, g.Port), Quorum: g.Quorum,
		DownAfter: g.DownAfter, FailoverTimeout: g.FailoverTimeout, HelloInterval: helloInterval, ParallelSyncs: g.ParallelSyncs,
		ReplicaWitness: true, Adapter: "spineldb", AuthUser: g.AuthUser, AuthPassword: g.AuthPass,
		NotificationScript: absolute(dir, g.NotificationScript), ReconfigScript: absolute(dir, g.ReconfigScript),
		RebootDownAfter: g.RebootDownAfter, Written: []string{"quorum"},
		Floor: warden.Epoch(max(current, g.ConfigEpoch, g.LeaderEpoch)),
	}
	if m.DownAfter != DefaultDownAfter {
		m.Written = append(m.Written, "down_after")
	}
	if m.DownAfter < config.MinDownAfter {
		warn("down-after-milliseconds is %s and counts as %s, the least that a network can be judged by", m.DownAfter, config.MinDownAfter)
		m.DownAfter = config.MinDownAfter
	}
	m.CrashAfter = m.DownAfter
	if m.FailoverTimeout < m.DownAfter {
		warn("failover-timeout is %s and counts as %s, or a change would be given up before a lost candidate is noticed", m.FailoverTimeout, m.DownAfter)
		m.FailoverTimeout = m.DownAfter
	}
	if m.ParallelSyncs < 1 {
		warn("parallel-syncs is %d and counts as 1", m.ParallelSyncs)
		m.ParallelSyncs = 1
	}
	for _, r := range g.Renames {
		if m.Renames == nil {
			m.Renames = map[string]string{}
		}
		m.Renames[strings.ToUpper(r.From)] = r.To
	}
	for _, r := range g.Replicas {
		if r.node() != m.Primary {
			m.Known = append(m.Known, r.node())
		}
	}
	if len(g.Sentinels) > 0 {
		m.Expected = 1 + len(g.Sentinels)
	}
	return m, warnings
}
