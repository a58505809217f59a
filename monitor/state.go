package monitor

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// Config is what the mind is told on every Step. The second half describes
// the agreed topology, which other minds own.
type Config struct {
	DownAfter  warden.Duration
	CrashAfter warden.Duration
	// LifeLimit is how long a node may answer without being fit to serve
	// (loading, busy) and still count as alive.
	LifeLimit warden.Duration
	// SentinelLife: only good answers and loading are signs of life, as Redis
	// Sentinel counts; else every answer is one.
	SentinelLife bool
	// RebootDownAfter: a primary that is loading for longer is down; 0: LifeLimit
	// alone counts.
	RebootDownAfter warden.Duration
	// TiltTrigger and TiltPeriod replace the limits of the same names; 0: those.
	TiltTrigger, TiltPeriod warden.Duration
	Quorum                  int
	// Witness: replicas may veto silence.
	Witness bool

	Self    warden.WardenID
	Birth   warden.Birth
	Primary warden.NodeID
	// Confirmed: the primary's promotion is finished, so it must say primary.
	Confirmed bool
	// Voters are the listed Wardens; only their opinions count.
	Voters []warden.WardenID
	// Lineage are the replication ids known to be the group's data.
	Lineage []string
	// Configured and Named are the nodes that the operator vouches for.
	Configured warden.NodeID
	Named      []warden.NodeID
	// Nodes are all nodes to watch, sorted.
	Nodes []warden.NodeID
}

// Limits that are not worth a setting.
const (
	// opinionLife is how long another Warden's opinion counts.
	opinionLife = 2 * warden.Second
	// calmPeriod is how long TILT lasts at least.
	calmPeriod = warden.Second
	// maxStride is how much silence one gap between two steps may add, unless
	// down_after is long (see Stride).
	maxStride = 250 * warden.Millisecond
	// growthLife is how long one sight of growth holds a veto; a little more
	// than three looks.
	growthLife = 350 * warden.Millisecond
	// vetoLimit is the longest veto, in multiples of DownAfter.
	vetoLimit = 3
	// replicationPing is how far Redis' own replication ping moves an offset
	// (*1\r\n$4\r\nPING\r\n); such growth is no sign of a client's write.
	replicationPing = 14
	maxExtraLineage = 8
)

// Stride is how much silence one gap between two steps may add: 250 ms, and up
// to 750 ms where that is a small part of down_after, so that a Warden of many
// such groups need not think of each four times a second.
func Stride(downAfter warden.Duration) warden.Duration {
	return min(max(maxStride, downAfter/32), 3*maxStride)
}

// TiltTrigger is the gap between two steps that puts a Warden in TILT: what is
// set (Config.TiltTrigger), or else half of down_after, at least 300 ms, at most
// Sentinel's 2 s.
func TiltTrigger(set, downAfter warden.Duration) warden.Duration {
	if set > 0 {
		return set
	}
	return min(max(downAfter/2, 300*warden.Millisecond), 2*warden.Second)
}

// TickMost is the longest time that may pass between two steps. It is a little
// less than the Stride, so that no silence is lost, and leaves two thirds of the
// time after which a late step means TILT, of which trigger is what is set.
func TickMost(trigger, downAfter warden.Duration) warden.Duration {
	return min(Stride(downAfter)-10*warden.Millisecond, TiltTrigger(trigger, downAfter)/3)
}

func (c *Config) tiltPeriod() warden.Duration {
	if c.TiltPeriod > 0 {
		return c.TiltPeriod
	}
	return calmPeriod
}

// Node is what this Warden knows of one node. It is replaced and never changed,
// so that states may share it; State.edit makes the copy.
type Node struct {
	ID    warden.NodeID
	Since warden.Instant
	// lifeMark is the witnessed time at the last sign of life: see
	// State.Silence.
	lifeMark warden.Duration
	// GoodAt and AnsweredAt are when the last good and the last living answer
	// came; AskedAt is when the newest finished look was begun.
	GoodAt, AnsweredAt, AskedAt warden.Instant
	// Seen is the newest good observation, begun at SeenAt; before the first
	// it is empty, never nil. It is replaced and never changed, so that states
	// may share it. Health and Detail are of the newest look of any kind.
	Seen   *warden.Observation
	SeenAt warden.Instant
	Health warden.Health
	Detail string
	// ServedAt is when it was last seen as a primary with the group's data, since
	// it became the agreed primary.
	ServedAt warden.Instant
	// RoleSince is since when Seen.Role and Seen.Upstream are what they are.
	RoleSince warden.Instant
	// UnfitSince is since when the node lives without being good (0: is good).
	UnfitSince warden.Instant
	// Refusing: there is unbroken hard evidence, since the witnessed time
	// refusedMark.
	Refusing    bool
	refusedMark warden.Duration
	// Lost says what is wrong with a primary that answers: it came back empty,
	// with older data, or as somebody else. LostSince times the last kind.
	Lost      string
	LostSince warden.Instant
	lostHard  bool

	// Down: subjectively down, since DownAt, with hard evidence if Crash. Why
	// says why.
	Down, Crash bool
	DownAt      warden.Instant

	// Witness: last position and when that look was begun, and when growth
	// was last seen.
	position   int64
	positionAt warden.Instant
	GrewAt     warden.Instant
}

// heard is what one Warden last told of the nodes.
type heard struct {
	from     warden.WardenID
	at       warden.Instant
	birth    warden.Birth
	opinions []warden.Opinion // never changed
}

// nothing is what has been seen of a node before the first look.
var nothing = &warden.Observation{}

// State is the mind's memory. It is a value; Step does not change the one it is given.
type State struct {
	Nodes []*Node // sorted by ID
	own   bool    // Nodes is not shared with an older state
	hint  int     // where the primary is, perhaps: it is searched most
	// witnessed is the time this Warden was awake for: every silence is
	// measured in it.
	witnessed warden.Duration
	// heard and Extra are replaced and never changed in place: most Steps
	// leave them alone, and need not copy them.
	heard []heard
	// Extra are replication ids that followed from known ones since the
	// topology was written.
	Extra []string
	// Sworn is the id of the agreed primary for which only its name vouches, until
	// it is written down or another node is the primary.
	Sworn string

	primary   warden.NodeID
	confirmed bool
	lastStep  warden.Instant

	Tilt   bool
	TiltAt warden.Instant

	Odown   bool
	OdownAt warden.Instant
	// Agreeing is the number of fresh opinions that say down.
	Agreeing int
	// Veto: a replica witnesses that the silent primary lives.
	Veto bool
}

// New is the memory of a Warden that has seen nothing yet.
func New(now warden.Instant) State { return State{lastStep: now} }

// edit is the node at i, ready to be changed: a copy that no other state has. It
// has memory of its own: in one piece with the list of nodes it would keep the
// older nodes, and they the lists before, for ever.
func (s *State) edit(i int) *Node {
	s.ownNodes()
	n := *s.Nodes[i]
	s.Nodes[i] = &n
	return &n
}

// ownNodes makes the list of nodes one that this Step may change.
func (s *State) ownNodes() {
	if !s.own {
		s.Nodes, s.own = slices.Clone(s.Nodes), true
	}
}

// Silence is the witnessed time since a node's last sign of life.
func (s *State) Silence(n *Node) warden.Duration { return s.witnessed - n.lifeMark }

// RefusedFor is the witnessed time of unbroken hard evidence.
func (s *State) RefusedFor(n *Node) warden.Duration {
	if !n.Refusing {
		return 0
	}
	return s.witnessed - n.refusedMark
}

// without is list without the elements that drop names: list itself when there
// are none, else a copy.
func without[T any](list []T, drop func(T) bool) []T {
	if !slices.ContainsFunc(list, drop) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), drop)
}

// Find is the node of that id, nil when unknown. It is not to be changed.
func (s *State) Find(id warden.NodeID) *Node {
	if i := s.index(id); i >= 0 {
		return s.Nodes[i]
	}
	return nil
}

// index is the place of a node, -1 when it is unknown.
func (s *State) index(id warden.NodeID) int {
	if s.hint < len(s.Nodes) && s.Nodes[s.hint].ID == id {
		return s.hint
	}
	// A handful of nodes: a plain walk beats a search.
	for i, n := range s.Nodes {
		if n.ID == id {
			return i
		}
	}
	return -1
}

// Note is something that happened, for the group to announce.
type Note struct {
	Name  string
	Node  warden.NodeID
	Extra string
}

// Effects of a Step. Opinions are read with Opinions.
type Effects struct {
	Notes []Note
	// Changed: opinions may have. Without it they are those of before.
	Changed bool
}

func (f *Effects) note(name string, node warden.NodeID, extra string) {
	f.Notes = append(f.Notes, Note{name, node, extra})
}
