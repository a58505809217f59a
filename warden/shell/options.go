package shell

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Store keeps the registers. SaveRegister returns when the register is synced
// to disk, or with an error after which nothing may be assumed of it. Calls of
// many groups come at the same time and may share one commit.
type Store interface {
	// Load returns the zero Register for a group that was never saved.
	Load(name warden.GroupName) (warden.Register, error)
	SaveRegister(name warden.GroupName, reg warden.Register) error
	// Probe makes a test write.
	Probe() error
}

// Courier carries messages to other Wardens. Send never blocks and promises
// nothing. It is called from many goroutines.
type Courier interface {
	Send(to warden.WardenID, m warden.Message)
}

// Options are what a Shell needs. ID, Store and Courier are required.
type Options struct {
	ID warden.WardenID
	// Sentinel is the id that Sentinel's clients are shown, when that is not ID.
	Sentinel string
	Run      warden.Run
	RunID    string // of this process, 40 hexadecimal digits
	Version  string

	// AnnounceHost is the address told to others, without a port. When it is
	// empty, each node is told the local address of our connection to it.
	AnnounceHost string
	// ClientPort and GossipPort are the ports told to others.
	ClientPort int
	GossipPort int

	Groups  []GroupOptions
	Store   Store
	Courier Courier
	// Announce hands an event to subscribers. It must not block. The views
	// show the state after the event by then.
	Announce func(warden.Event)
	// Report hands a report to whoever keeps it; UnixMS is not filled in. It must not
	// block. Nobody if nil.
	Report func(warden.Report)
	// Introduce is told of other Wardens' hellos on the nodes. It must not
	// block.
	Introduce func(warden.Hello)
	// Neighbour, when set, writes what is published for real Redis Sentinels
	// on the nodes of a group, beside our own hello (which it is given, with
	// our address as told there). Overhear is told of every such payload heard
	// on a node. Neither may block.
	Neighbour func(own warden.Hello) string
	Overhear  func(payload string)
	// Looked, when set, is told of every look at a node, and how long the answer
	// or its absence took. It is called from many goroutines and must not block.
	Looked func(name warden.GroupName, node warden.NodeID, health warden.Health, took warden.Duration)
	Logger *slog.Logger

	// RecordDir, when set, is where every event that reaches a mind is
	// written, one file per group (see Record).
	RecordDir string

	// Exit ends the process at a crash point; os.Exit if nil.
	Exit func(code int)
	// Clock is read for every event; the package's Clock if nil. It is an
	// option only because a test's clock has to be the one of its bubble.
	Clock func() warden.Instant
	// NewMind makes the mind of a group; the real one if nil.
	NewMind func(c group.Config, reg warden.Register, now warden.Instant) Mind
}

// GroupOptions is one group. Self, Run and NewBirth of the Config are filled
// in by the shell. Adapter must be comparable (a pointer): another value at
// Reconfigure means that links are opened anew.
type GroupOptions struct {
	Config  group.Config
	Adapter warden.Adapter
	// Commands are the operator's programs; nil: there are none. Another value at
	// Reconfigure counts for those that begin after it.
	Commands warden.Commands
	// Known are nodes met in an earlier life of which the register knows
	// nothing; Floor is an epoch that counts as promised already (sentinel.conf
	// remembers both). They matter when the group is started, not later.
	Known []warden.NodeID
	Floor warden.Epoch
}

// remembered is a register with what is known from elsewhere: promises and
// nodes are only ever added. It is written with the register's next change,
// and found again where it came from until then.
func (g GroupOptions) remembered(reg warden.Register) warden.Register {
	reg = reg.Clone()
	if g.Floor > reg.Promise {
		reg.Promise, reg.Grantee, reg.GranteeRun = g.Floor, "", 0
	}
	reg.Nodes = append(reg.Nodes, g.Known...)
	slices.Sort(reg.Nodes)
	reg.Nodes = slices.Compact(reg.Nodes)
	return reg
}

// env is the Options with their defaults, and what all groups share.
type env struct {
	Options
	// local is the local address of the newest connection to any node.
	local atomic.Pointer[string]
	// told is what others are told since Readdress; nil: what Options say.
	told  atomic.Pointer[told]
	crew  *crew
	pacer *pacer
	// looks is how many looks all minds want in 1000 seconds.
	looks atomic.Int64
}

// told are the parts of our addresses that may change.
type told struct {
	host       string
	clientPort int
}

// newEnv checks the options and fills in the defaults.
func newEnv(o Options) (*env, error) {
	switch {
	case o.ID == "":
		return nil, fmt.Errorf("start shell: no Warden id: open the store first")
	case o.Store == nil:
		return nil, fmt.Errorf("start shell: no store")
	case o.Courier == nil:
		return nil, fmt.Errorf("start shell: no courier")
	}
	if o.Announce == nil {
		o.Announce = func(warden.Event) {}
	}
	if o.Report == nil {
		o.Report = func(warden.Report) {}
	}
	if o.Introduce == nil {
		o.Introduce = func(warden.Hello) {}
	}
	if o.Neighbour == nil {
		o.Neighbour = func(warden.Hello) string { return "" }
	}
	if o.Overhear == nil {
		o.Overhear = func(string) {}
	}
	if o.Looked == nil {
		o.Looked = func(warden.GroupName, warden.NodeID, warden.Health, warden.Duration) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	if o.Clock == nil {
		o.Clock = Clock
	}
	if o.NewMind == nil {
		o.NewMind = newGroupMind
	}
	o.Groups = slices.Clone(o.Groups)
	return &env{Options: o, crew: newCrew(), pacer: newPacer(o.Clock)}, nil
}

// check refuses groups that could not run side by side.
func (e *env) check(groups []GroupOptions) error {
	seen := map[warden.GroupName]bool{}
	for _, g := range groups {
		name := g.Config.Group
		if _, err := warden.ParseGroupName(string(name)); err != nil {
			return fmt.Errorf("configure groups: %w", err)
		}
		if seen[name] {
			return fmt.Errorf("configure groups: %q is there twice: give each group a name of its own", name)
		}
		if g.Adapter == nil {
			return fmt.Errorf("configure group %q: it has no adapter", name)
		}
		seen[name] = true
	}
	return nil
}

// complete fills in what the shell knows better than the configuration.
func (e *env) complete(c group.Config, birth warden.Birth) group.Config {
	c.Self, c.Run, c.NewBirth = e.ID, e.Run, birth
	c.Turn = group.TurnOf(c.Group)
	return c
}

// drawBirth makes a Birth nobody else has. crypto/rand never fails.
func drawBirth() warden.Birth {
	var b [16]byte
	rand.Read(b[:])
	return warden.Birth(hex.EncodeToString(b[:]))
}

// met remembers by which local address a node was reached.
func (e *env) met(ip string) {
	if ip != "" {
		e.local.Store(&ip)
	}
}

// addresses are our client and gossip address as told on a node that is
// reached from the given local address; empty while no address is known.
func (e *env) addresses(local string) (client, gossip string) {
	host, port := e.AnnounceHost, e.ClientPort
	if t := e.told.Load(); t != nil {
		host, port = t.host, t.clientPort
	}
	if host == "" {
		host = local
	}
	if host == "" {
		return "", ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), net.JoinHostPort(host, strconv.Itoa(e.GossipPort))
}
