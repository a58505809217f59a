package config

import (
	"encoding/base64"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// resolve makes a path of the file relative to the file.
func (l *loader) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(l.dir, path)
}

// load reads the whole document.
func (l *loader) load() Config {
	s := l.section("", l.doc.values)
	c := l.loadTop(s)
	c.HTTP = l.loadHTTP(s)
	c.Hooks = l.loadHooks(s)
	c.Webhooks = l.webhooks(s)
	tables := s.blocks("masters")
	s.finish(masterKeys(), "under [[masters]]")

	watched := watchedNodes{}
	for i, table := range tables {
		m := l.loadMaster(under("masters", strconv.Itoa(i)), table, watched, len(c.Join), c.Hooks)
		c.Masters = append(c.Masters, m)
	}
	if len(tables) == 0 && !s.failed["masters"] && nearestUnknown(l.doc.values) == "" {
		s.wrongAt(0, "masters", "no group is configured: add a [[masters]] block with name, ip, port and quorum")
	}
	l.warnOpen(c)
	return c
}

// loadTop reads the keys outside of [[masters]].
func (l *loader) loadTop(s *section) Config {
	c := Config{
		Host:       s.host("host", defaultHost),
		Port:       s.whole("port", DefaultPort, 0, 65535, "choose a port number in that range"),
		AnnounceIP: s.host("announce_ip", ""),
		MaxClients: s.whole("maxclients", defaultMaxClients, 1, math.MaxInt32, "leave it out for the default"),
		Join:       nil,
	}
	c.TLS = s.tls()
	// What is derived from the port is derived from the one that there is.
	port := c.Port
	if port == 0 {
		port = c.TLS.Port
	}
	s.checkPorts(c)
	c.AnnouncePort = s.port("announce_port", port)
	if a, err := netip.ParseAddr(c.AnnounceIP); err == nil && a.IsUnspecified() {
		s.wrong("announce_ip", "is %s, which nobody can connect to: write the address others reach this Warden at, or leave it out", c.AnnounceIP)
	}
	c.GossipPort = s.gossipPort(port, c.TLS.Port)
	c.GossipKeys = s.gossipKeys()
	c.Join = s.join(c.GossipPort)
	c.RequirePass = Secret(s.text("requirepass", ""))
	c.Users = s.users()
	c.ACLFile = s.file("acl_file")
	c.LogLevel = s.logLevel()
	c.Past = s.past()
	c.DataDir = s.text("data_dir", "warden-"+strconv.Itoa(port)+".data")
	if c.DataDir == "" && !s.failed["data_dir"] {
		s.wrong("data_dir", "is empty: name a directory, or remove the key")
	}
	c.DataDir = l.resolve(c.DataDir)
	return c
}

// host is a host name or an IP address without a port.
func (s *section) host(key, def string) string {
	text := s.text(key, def)
	if !s.has(key) || s.failed[key] {
		return def
	}
	return s.checkHost(key, text, def)
}

func (s *section) checkHost(key, text, def string) string {
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		return a.Unmap().String()
	}
	switch _, portErr := warden.ParseNode(text); {
	case text == "":
		s.wrong(key, "is empty: write an address or a host name, or remove the key")
	case portErr == nil:
		s.wrong(key, "%q contains a port: write the port under its own key", text)
	case !IsHostName(text):
		s.wrong(key, "%q is neither an IP address nor a host name", text)
	default:
		return strings.ToLower(text)
	}
	return def
}

// IsHostName reports whether a text can be a host name. It allows what
// resolvers commonly do: labels of letters, digits, '-' and '_'. Four numbers
// with dots are a mistyped address, not a name.
func IsHostName(s string) bool {
	if len(s) > 253 || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return true
}

// gossipPort is port + 1000 unless set. tlsPort is that of clients, 0 for none.
func (s *section) gossipPort(port, tlsPort int) int {
	derived := port + gossipPortOffset
	p := s.port("gossip_port", min(derived, 65535))
	switch {
	case s.failed["port"] || s.failed["gossip_port"]:
	case !s.has("gossip_port") && derived > 65535:
		s.wrong("port", "is %d, so gossip_port (port + %d) would be %d, above 65535: set gossip_port", port, gossipPortOffset, derived)
	case p == port:
		s.wrong("gossip_port", "is %d, the same as port: choose another one", p)
	case p == tlsPort:
		s.wrong("gossip_port", "is %d, the same as tls_port: choose another one", p)
	}
	return p
}

// gossipKeys reads one key or a list of them. Keys never get into a message.
func (s *section) gossipKeys() []Secret {
	const key = "gossip_secret_key"
	const remedy = "write 16, 24 or 32 random bytes in base64, as printed by: head -c 32 /dev/urandom | base64"
	var texts []string
	if _, single := s.values[key].(string); single {
		texts = []string{s.text(key, "")}
		if s.failed[key] {
			return nil
		}
	} else {
		texts = s.list(key)
	}
	var keys []Secret
	for i, text := range texts {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		switch {
		case err != nil:
			s.wrongItem(key, i, "key %d is not base64: %s", i+1, remedy)
		case len(raw) != 16 && len(raw) != 24 && len(raw) != 32:
			s.wrongItem(key, i, "key %d is %d bytes long: %s", i+1, len(raw), remedy)
		default:
			keys = append(keys, Secret(raw))
		}
	}
	return keys
}

// join reads other Wardens' gossip addresses; without a port they are taken to
// use our own gossip port.
func (s *section) join(gossipPort int) []warden.NodeID {
	var out []warden.NodeID
	for i, text := range s.list("join") {
		bare := strings.Trim(text, "[]")
		_, ipErr := netip.ParseAddr(bare)
		if ipErr == nil || IsHostName(text) {
			out = append(out, warden.MakeNode(bare, gossipPort))
			continue
		}
		if n, ok := s.node("join", i, text); ok {
			out = append(out, n)
		}
	}
	return out
}

// node reads one host:port of a list.
func (s *section) node(key string, i int, text string) (warden.NodeID, bool) {
	if text == "" {
		if !s.failed[key] {
			s.wrongItem(key, i, "entry %d is empty: write host:port", i+1)
		}
		return "", false
	}
	n, err := s.parseNode(text)
	if err != nil {
		s.wrongItem(key, i, "%v", err)
		return "", false
	}
	return n, true
}

func (s *section) logLevel() slog.Level {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	name := s.text("log_level", defaultLogLevel)
	level, ok := levels[name]
	if !ok {
		s.wrong("log_level", "is %q: choose debug, info, warn or error", name)
	}
	return level
}

// warnOpen warns where the network is trusted without a reason to.
func (l *loader) warnOpen(c Config) {
	if a, err := netip.ParseAddr(c.Host); c.Host == "localhost" || err == nil && a.IsLoopback() {
		return
	}
	if len(c.GossipKeys) == 0 {
		l.warnings = append(l.warnings, "gossip on "+c.Host+" is neither encrypted nor authenticated: anybody who reaches gossip_port can pose as a Warden; set gossip_secret_key, the same on every Warden")
	}
	if c.RequirePass == "" {
		l.warnings = append(l.warnings, "the client port on "+c.Host+" asks for no password: anybody who reaches it can start a failover; set requirepass, or listen on a private address")
	}
}
