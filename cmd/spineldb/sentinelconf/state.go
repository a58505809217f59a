package sentinelconf

import (
	"slices"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// Defaults of Sentinel.
const (
	DefaultDownAfter       = 30 * warden.Second
	DefaultFailoverTimeout = 180 * warden.Second
	DefaultParallelSyncs   = 1
)

// State is what the sentinel lines of a file say and what Render writes: the
// settings that may change at run time, and what Sentinel remembers.
type State struct {
	// MyID is 40 characters, empty: none yet.
	MyID string
	// CurrentEpoch is never below a group's ConfigEpoch.
	CurrentEpoch uint64
	// Noted is the highest epoch that the store beside the file had noted when
	// the file was written, 0 for none. Sentinel knows nothing of it.
	Noted      uint64
	AnnounceIP string
	// AnnouncePort is 0 for the port that is listened on.
	AnnouncePort        int
	ResolveHostnames    bool
	AnnounceHostnames   bool
	DenyScriptsReconfig bool
	// SentinelUser and SentinelPass are how other Sentinels are logged in to.
	SentinelUser string
	SentinelPass config.Secret
	// Users are ACL users as config.Config has them: "NAME RULE...", passwords
	// as hashes. nil leaves the file's user lines alone.
	Users []string
	// LogLevel is debug, verbose, notice, warning or nothing; "" leaves the
	// file's line alone.
	LogLevel string
	// Groups are in the order of their monitor lines. No name occurs twice.
	Groups []Group
}

// Group is one monitored primary. Times are whole milliseconds.
type Group struct {
	Name string
	// Host is an address or a name without brackets, as it is announced.
	Host   string
	Port   int
	Quorum int

	DownAfter       warden.Duration
	FailoverTimeout warden.Duration
	ParallelSyncs   int
	// RebootDownAfter is 0 for never.
	RebootDownAfter    warden.Duration
	NotificationScript string
	ReconfigScript     string
	AuthUser           string
	AuthPass           config.Secret
	// Renames are in the order of the file, no From twice in whatever case.
	Renames []Rename

	ConfigEpoch uint64
	LeaderEpoch uint64
	// Replicas and Sentinels are those known, none twice.
	Replicas  []Address
	Sentinels []Neighbour
}

// NewGroup is a group with Sentinel's defaults.
func NewGroup(name, host string, port, quorum int) Group {
	return Group{
		Name: name, Host: host, Port: port, Quorum: quorum,
		DownAfter: DefaultDownAfter, FailoverTimeout: DefaultFailoverTimeout, ParallelSyncs: DefaultParallelSyncs,
	}
}

// Rename is a command that the nodes know under another name.
type Rename struct{ From, To string }

// Address is where a replica is reached.
type Address struct {
	Host string
	Port int
}

// Neighbour is another Sentinel of a group.
type Neighbour struct {
	Address
	ID string
}

// Group finds a group by name, nil if there is none.
func (s *State) Group(name string) *Group {
	for i := range s.Groups {
		if s.Groups[i].Name == name {
			return &s.Groups[i]
		}
	}
	return nil
}

// Clone is a copy that shares nothing with the original.
func (s State) Clone() State {
	s.Users = slices.Clone(s.Users)
	s.Groups = slices.Clone(s.Groups)
	for i := range s.Groups {
		g := &s.Groups[i]
		g.Renames = slices.Clone(g.Renames)
		g.Replicas = slices.Clone(g.Replicas)
		g.Sentinels = slices.Clone(g.Sentinels)
	}
	return s
}
