// Package config reads and checks warden.toml. It finds all mistakes at once,
// each with its line and a remedy, and never shows a secret.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Defaults of warden.toml. warden.toml.example states them, and a test holds
// the two together.
const (
	defaultHost            = "0.0.0.0"
	gossipPortOffset       = 1000
	defaultMaxClients      = 10000
	defaultLogLevel        = "info"
	defaultDownAfter       = 30 * warden.Second
	defaultFailoverTimeout = 3 * warden.Minute
	defaultHelloInterval   = 2 * warden.Second
	defaultParallelSyncs   = 1
	defaultAdapter         = "spineldb"
	minOther               = warden.MinCrashAfter
	defaultClientAuth      = "yes"
)

const (
	// DefaultPort is the client port of a Warden that was told none.
	DefaultPort = 26379
	// MinDownAfter is the least down_after that a group may have.
	MinDownAfter = warden.MinDownAfter
)

// maxFile bounds what is read as a configuration or a secret file, so that a
// wrong path (/dev/zero) cannot eat the memory. In bytes.
const maxFile = 4 << 20

// Secret is a password or a key. However it is printed, it does not show.
type Secret string

func (Secret) String() string               { return "[hidden]" }
func (Secret) GoString() string             { return "[hidden]" }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "[hidden]") }
func (Secret) LogValue() slog.Value         { return slog.StringValue("[hidden]") }
func (Secret) MarshalText() ([]byte, error) { return []byte("[hidden]"), nil }

// Config is a whole warden.toml, checked and with every default filled in.
type Config struct {
	// File is the path it was read from.
	File string
	// Host and Port are what the client port listens on; gossip listens on
	// the same Host.
	Host string
	Port int
	// AnnounceIP is the address other Wardens and clients are told; empty: the
	// one our connections to the nodes come from. AnnouncePort goes with it.
	AnnounceIP   string
	AnnouncePort int
	// DataDir holds identity, promises and topologies. Resolved against the
	// directory of File.
	DataDir    string
	GossipPort int
	// GossipKeys are raw keys of 16, 24 or 32 bytes; the first one encrypts,
	// all of them decrypt. Empty: gossip is in the clear.
	GossipKeys []Secret
	// Join are other Wardens' gossip addresses.
	Join        []warden.NodeID
	RequirePass Secret
	// Users are ACL users, one "NAME RULE..." each, divided by single blanks
	// and with hashes instead of passwords (see HideUser); ACLFile holds more of
	// them. A user "default" counts more than RequirePass.
	Users   []string
	ACLFile string
	// TLS for clients and toward the nodes; zero: none. Port is 0 when clients
	// are served by TLS alone.
	TLS TLS
	// Hooks are the operator's programs: those about this Warden, and for groups
	// that say nothing else. Webhooks are told of events by HTTP.
	Hooks    Hooks
	Webhooks []Webhook
	// HTTP is the port for health checks and the like.
	HTTP       HTTP
	MaxClients int
	// Past is how much of what happened is kept.
	Past Past
	// DropIn: Sentinel's rules hold where ours differ (sentinel.conf): the
	// replica priority before the position, and of the answers to PING only
	// PONG, LOADING and MASTERDOWN are signs of life.
	DropIn   bool
	LogLevel slog.Level
	// Masters are the groups to watch, in the order of the file.
	Masters []Master
	// Warnings are to be shown once at start. They never contain secrets.
	Warnings []string
}

// TLS says which certificates are used and for what.
type TLS struct {
	// Port serves clients by TLS; 0: none.
	Port int
	// CertFile, KeyFile and CAFile are PEM files. They are read again when
	// they change.
	CertFile, KeyFile, CAFile string
	KeyPassword               Secret
	// ClientCertFile and ClientKeyFile are shown to nodes instead of CertFile
	// and KeyFile; empty: those are. CADir is a directory of further
	// certificates beside CAFile.
	ClientCertFile, ClientKeyFile, CADir string
	ClientKeyPassword                    Secret
	// Protocols are the versions that may be spoken, as "TLSv1.2 TLSv1.3"; empty:
	// both. What is older is never spoken.
	Protocols string
	// ClientAuth is "yes" (a certificate of the CA is required), "no" or "optional".
	ClientAuth string
	// Nodes: the nodes are reached by TLS too.
	Nodes bool
}

// Master is one [[masters]] block: a group to watch.
type Master struct {
	Name    warden.GroupName
	Primary warden.NodeID
	// Nodes are further members configured by name, without the primary.
	Nodes  []warden.NodeID
	Quorum int
	// Wardens is how many Wardens there will be; 0 when not configured.
	Wardens          int
	DownAfter        warden.Duration
	CrashAfter       warden.Duration
	FailoverTimeout  warden.Duration
	HelloInterval    warden.Duration
	FailoverCooldown warden.Duration
	ParallelSyncs    int
	ReplicaWitness   bool
	// Adapter is the kind of database; see adapterNames.
	Adapter      string
	AuthUser     string
	AuthPassword Secret
	// NotificationScript and ReconfigScript are called as Sentinel calls its
	// notification-script and client-reconfig-script; empty: none.
	NotificationScript, ReconfigScript string
	// RebootDownAfter: a primary that restarted and is still loading after
	// this long counts as down; 0: it never does for that.
	RebootDownAfter warden.Duration
	// Renames are commands that the nodes know under another name, by their
	// usual one in upper case.
	Renames map[string]string
	// Postgres is for groups of AdapterPostgres.
	Postgres Postgres
	// Durable: nothing acknowledged is lost with the primary, because SyncStandbys
	// of at most SyncGroupSize (0: all) standbys have it. One that is gone for
	// longer than MemberTimeout is replaced or left out. SyncStrict: rather block
	// than promise less.
	Durable                     bool
	SyncStandbys, SyncGroupSize int
	MemberTimeout               warden.Duration
	SyncStrict                  bool
	// MaxLag is how many bytes a candidate may lack in groups that are not
	// Durable; 0: any number.
	MaxLag int64
	// FenceCommand and RejoinCommand are programs with their arguments; nil: none.
	// FenceRequired: nobody is promoted unless the first one has succeeded. They are
	// killed after CommandTimeout and RejoinTimeout.
	FenceCommand, RejoinCommand []string
	FenceRequired               bool
	CommandTimeout              warden.Duration
	RejoinTimeout               warden.Duration
	// Hooks are the group's, with what Config.Hooks says for all.
	Hooks Hooks
	// Tags are wishes about single nodes; nil: none.
	Tags map[warden.NodeID]Tags
	// Written are the settings (warden.SettingNames) that the file says; the others
	// are defaults.
	Written []string
	// Known are nodes met in an earlier life, unlike Nodes not configured by
	// name. Floor is an epoch that counts as promised already. Expected is how
	// many Wardens there were then, this one included; 0: unknown.
	Known    []warden.NodeID
	Floor    warden.Epoch
	Expected int
}

// adapterNames are the kinds of databases this build knows.
func adapterNames() []string { return []string{defaultAdapter, AdapterPostgres} }

// Mistake is one thing wrong with a configuration file. Line is 0 where no
// line is to blame.
type Mistake struct {
	File  string
	Line  int
	Group string
	Key   string
	Text  string
}

func (m Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&b, ":%d", m.Line)
	}
	b.WriteString(": ")
	if m.Group != "" {
		fmt.Fprintf(&b, "group %q: ", m.Group)
	}
	if m.Key != "" {
		fmt.Fprintf(&b, "%s: ", m.Key)
	}
	b.WriteString(m.Text)
	return b.String()
}

// Mistakes is everything wrong with a configuration file, in the order of its
// lines.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks a warden.toml. The error is Mistakes, all of
// them at once, unless the file could not be read at all.
func Load(path string) (Config, error) {
	data, mode, err := ReadSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("read configuration %s: no such file: give its path as in spineldb --warden FILE, or start from warden.toml.example", path)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
	}
	c, err := Parse(path, data, ReadSmallFile)
	if err != nil {
		return Config{}, err
	}
	if mode.Perm()&0o004 != 0 && c.hasInlineSecrets(string(data)) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("%s contains secrets and every user of this machine may read it: chmod o-r it", path))
	}
	return c, nil
}

// hasInlineSecrets reports whether the text itself, rather than a file it
// names, holds a password or key.
func (c Config) hasInlineSecrets(text string) bool {
	if c.RequirePass != "" || len(c.GossipKeys) > 0 {
		return true
	}
	for _, secret := range []Secret{c.TLS.KeyPassword, c.HTTP.Token, c.HTTP.TLS.KeyPassword} {
		if secret != "" && strings.Contains(text, string(secret)) {
			return true
		}
	}
	if slices.ContainsFunc(c.Webhooks, func(w Webhook) bool { return w.Secret != "" && strings.Contains(text, string(w.Secret)) }) {
		return true
	}
	return slices.ContainsFunc(c.Masters, func(m Master) bool {
		return m.AuthPassword != "" && strings.Contains(text, string(m.AuthPassword))
	})
}

// FileReader reads a whole file and its mode. ReadSmallFile is the real one.
type FileReader func(path string) ([]byte, fs.FileMode, error)

// errTooLarge comes with the mode of the file: a script may be as large as it
// likes.
var errTooLarge = fmt.Errorf("larger than %d bytes", maxFile)

// ReadSmallFile reads a regular file of at most 4 MiB. The error does not name
// the file.
func ReadSmallFile(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	// A directory, a pipe that never ends, a device: say so instead of waiting.
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	if info.Size() > maxFile {
		return nil, info.Mode(), errTooLarge
	}
	data, err := os.ReadFile(path)
	return data, info.Mode(), err
}

// Parse checks the text of a warden.toml that is called file; the files it
// names are read with read. The error is Mistakes, all of them at once.
func Parse(file string, data []byte, read FileReader) (Config, error) {
	doc := parseDocument(file, data)
	l := &loader{doc: doc, dir: filepath.Dir(file), read: read}
	var c Config
	if doc.values != nil {
		c = l.load()
	}
	if len(doc.mistakes) > 0 {
		slices.SortStableFunc(doc.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
		return Config{}, doc.mistakes
	}
	c.File = file
	c.Warnings = l.warnings
	return c, nil
}
