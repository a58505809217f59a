package failover

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
)

// Config is what the mind is told on every Step.
type Config struct {
	Self            warden.WardenID
	NewBirth        warden.Birth
	Quorum          int
	DownAfter       warden.Duration
	FailoverTimeout warden.Duration
	ParallelSyncs   int
	// PriorityFirst is Ask's.
	PriorityFirst bool
	// HandsOff: somebody else gives orders to the nodes; what is adopted is
	// only written down.
	HandsOff bool
	// Named are the nodes configured by name, and Primary is the configured
	// primary if it was met: they may be made to follow whatever their lineage
	// (S7), and are believed when nobody has a known replication id (vouch.go).
	Named   []warden.NodeID
	Primary warden.NodeID
	Policy
}

// Policy is the part of a group's configuration (group.Config) that only this
// mind judges by.
type Policy struct {
	// NameConfirmed: clients are told of no primary while none surely takes
	// writes. Else of the candidate, which refuses writes until it is promoted.
	NameConfirmed bool
	// Durable: acknowledged writes are kept by a sync set (quorum durability):
	// by SyncStandbys of its members besides the primary. SyncGroupSize is how
	// many members are wanted (0: all that can be); one that is gone for longer
	// than MemberTimeout is replaced or left out. SyncStrict: rather block than
	// promise less when too few are left.
	Durable       bool
	SyncStandbys  int
	SyncGroupSize int
	MemberTimeout warden.Duration
	SyncStrict    bool
	// MaxLag is how many bytes of what the primary was last seen to have a
	// candidate may lack (0: any number), in groups that are not Durable.
	MaxLag int64
	// FenceCommand and RejoinCommand: the operator gave such a program, which
	// takes at most CommandTimeout and RejoinTimeout. FenceRequired: nobody is promoted before the
	// old primary is fenced by it.
	FenceCommand, RejoinCommand, FenceRequired bool
	CommandTimeout, RejoinTimeout              warden.Duration
	// PrePromote: the operator gave such a program, which takes at most
	// PrePromoteTimeout: nobody is promoted whom it does not let.
	PrePromote        bool
	PrePromoteTimeout warden.Duration
}

// Times within one attempt.
const (
	holdLimit       = 2 * warden.Second // a hold ends by itself after this
	holdMargin      = 700 * warden.Millisecond
	drainLimit      = warden.Second
	opinionWait     = 150 * warden.Millisecond
	orderLimit      = 1500 * warden.Millisecond // deadline of one order
	fenceLimit      = 400 * warden.Millisecond
	claimLimit      = 800 * warden.Millisecond
	demoteWait      = 3 * warden.Second
	pollEvery       = 5 * warden.Millisecond
	staleLook       = 50 * warden.Millisecond // a look this old is repeated before a promotion
	retryClaim      = 150 * warden.Millisecond
	slotRetry       = warden.Minute      // another try to give a node a slot
	syncLimit       = 10 * warden.Second // Sentinel's SLAVE-RECONF-TIMEOUT
	retryFirst      = warden.Second
	retryMost       = 8 * warden.Second
	retryRejoin     = 5 * warden.Second
	retryRejoinMost = warden.Minute
	catchUpLimit    = 500 * warden.Millisecond // a Redis replica without its primary refuses to be copied from
	stalledAfter    = 5 * warden.Second
	downGrace       = 20 * warden.Millisecond // for a look at a node that is down
	freshLimit      = 2 * warden.Second
	maxReport       = 80
	maxPromotions   = 3
	sealLimit       = 1500 * warden.Millisecond
	sealGrace       = 200 * warden.Millisecond // for members beyond those needed
	namingLimit     = 3 * warden.Second
	waitLimit       = 5 * warden.Second
)

// lookLimit is the deadline of a fresh look.
func lookLimit(c *Config) warden.Duration {
	return min(max(c.DownAfter/2, 100*warden.Millisecond), 500*warden.Millisecond)
}

// Stage is where the leader stands. The names appear in log, events and tests.
type Stage string

// Stages, see the package comment.
const (
	Idle        Stage = ""
	Affirming   Stage = "affirming"
	Inspecting  Stage = "inspecting"
	Reclaiming  Stage = "reclaiming"
	Looking     Stage = "looking"
	Holding     Stage = "holding"
	Draining    Stage = "draining"
	Deciding    Stage = "deciding"
	Claiming    Stage = "claiming"
	CatchingUp  Stage = "catching-up"
	Fencing     Stage = "fencing"
	Demoting    Stage = "demoting"
	Promoting   Stage = "promoting"
	Publishing  Stage = "publishing"
	Repointing  Stage = "repointing"
	Changing    Stage = "changing"
	GoingBack   Stage = "going-back"
	Resolving   Stage = "resolving"
	Sealing     Stage = "sealing"
	Widening    Stage = "widening"
	Naming      Stage = "naming"
	Arming      Stage = "arming"
	Narrowing   Stage = "narrowing"
	Withdrawing Stage = "withdrawing"
	Asking      Stage = "asking"
)

// Want is what this leader was elected for.
type Want struct {
	Reason  warden.Reason
	Primary warden.NodeID
	List    []warden.WardenID
	Lost    []warden.WardenID
	Warden  warden.WardenID
	To      warden.NodeID
	// Settings are the new ones, of a change of settings.
	Settings *warden.Settings
}

// Sighting is what the monitor holds of one node.
type Sighting struct {
	ID       warden.NodeID
	Seen     *warden.Observation // newest good one, never nil; not to be changed
	SeenAt   warden.Instant      // when that look was begun
	Good     bool                // the newest look was good
	Down     bool
	Refusing bool
	Belongs  bool // of the group's lineage
	// Halfway: a rejoin may have stopped half-way on it, so that it is down for that.
	Halfway bool
	// NoSlot: it streams without a slot, and an order would give it one.
	NoSlot bool
}

// Scene is everything outside this mind that a Step depends on.
type Scene struct {
	Leading    bool
	Epoch      warden.Epoch
	Want       Want
	Voters     []warden.WardenID // who granted
	Base       warden.Topology   // adopted base, then the last chosen step
	Proposing  bool
	Chosen     bool // a proposal was chosen in this very Step
	Downs      int  // answers to it that say the primary is down (A4)
	Answered   int
	LeaseUntil warden.Instant
	Nodes      []Sighting // sorted by ID
	// Lineage are all known replication ids, the newest last.
	Lineage []string
	// Primary is the provisional primary, for the first agreement.
	Primary warden.NodeID
	// DownFor is how long the old primary has been down.
	DownFor warden.Duration
}

func (sc *Scene) node(id warden.NodeID) *Sighting {
	for i := range sc.Nodes {
		if sc.Nodes[i].ID == id {
			return &sc.Nodes[i]
		}
	}
	return nil
}

// nothing is what a look saw that is not over.
var nothing = &warden.Observation{}

// Look is one fresh look of this attempt.
type Look struct {
	Node  warden.NodeID
	Asked warden.Instant
	Done  bool
	Seen  *warden.Observation // never nil; not to be changed
	// Sealed: nothing can reach it any more.
	Sealed bool
}

type pending struct {
	id   uint64
	kind warden.ActionKind
	node warden.NodeID
	at   warden.Instant
}

type syncing struct {
	node warden.NodeID
	at   warden.Instant
}

// Retry holds back orders to a node that lately failed.
type Retry struct {
	Node     warden.NodeID
	At       warden.Instant
	Failures int
	// Rejoin: it was the operator's rejoin command that failed, and Why.
	Rejoin bool
	Why    string
}

// State is the mind's memory; all of it is of the current attempt but Retry,
// Absent, slots and the reports.
type State struct {
	Stage     Stage
	Epoch     warden.Epoch
	Want      Want
	Since     warden.Instant
	StageAt   warden.Instant
	Old       warden.NodeID
	Candidate warden.NodeID
	Looks     []Look
	Syncing   []syncing
	welcome   []syncing // rejoined, and to be told whom to follow

	sealed     bool // enough members were sealed, and Looks are theirs
	below      bool // the fence command was run
	slow       bool // something took its time since the candidate was looked at
	fenced     bool // the old primary was ordered to follow, whatever came of it
	demoted    bool // the old primary surely follows, or is no primary
	inspected  bool // the base's promotion is settled
	told       bool // the order of this stage was given
	widened    bool // the change of the sync set under way is this attempt's own
	ordered    bool // an order of this attempt may have changed a node
	unsure     bool // it is taken back although it is unknown what happened
	promotions int
	target     int64
	furthest   warden.NodeID
	holdUntil  warden.Instant
	held       bool
	pollAt     warden.Instant
	excluded   []warden.NodeID
	approved   []warden.NodeID // pre_promote lets them be promoted; replaced, never changed
	vetoed     []Veto          // it does not; likewise
	cancel     string
	confirmed  *warden.Observation
	pending    []pending

	nextID uint64
	Retry  []Retry
	// slots are the nodes that were told to follow for the sake of a slot, and when.
	slots []syncing
	// Absent are members of the sync set that the primary does not stream to.
	Absent []Absence
	// Report is the story of the running attempt, Last of the one before, and
	// Moved of the last one that was to move the primary, with what took it up.
	Report []string
	Last   []string
	Moved  []string
	// Account is of the present attempt, or the last one; nil where that was not to
	// move the primary.
	Account *Account
}

// New is an empty memory.
func New() State { return State{nextID: 1, confirmed: nothing} }

// unshare copies what a Step changes in place, but for what most Steps leave
// alone: Looks (see ownLooks), pending and Report, which are copied right
// before a change.
func (s *State) unshare() {
	s.Syncing, s.welcome = slices.Clone(s.Syncing), slices.Clone(s.welcome)
	s.excluded = slices.Clone(s.excluded)
	s.Retry = slices.Clone(s.Retry)
}

// ownLooks makes the looks ones that this Step may change.
func (s *State) ownLooks() { s.Looks = slices.Clone(s.Looks) }

// Note is something that happened, for the group to announce.
type Note struct {
	Name string
	Node warden.NodeID // empty: about the group
	Text string
}

// Finish ends leading.
type Finish struct {
	Verdict warden.Verdict
	Code    string
	Text    string
	// Superseded: a node was claimed by a newer leader.
	Superseded bool
}

// Effects of a Step. At most one proposal at a time (A1).
type Effects struct {
	Propose *warden.Topology
	Act     []warden.Action
	Notes   []Note
	Finish  *Finish
}

// Event is what can happen to this mind besides what the Scene shows.
type Event interface{ event() }

// Tick says only that time has passed or the scene has changed.
type Tick struct{}

// ActionDone is the end of an action of ours.
type ActionDone struct {
	ID          uint64
	Result      warden.Result
	Observation *warden.Observation // never nil; kept, and never changed again
	Asked       warden.Instant
}

func (Tick) event()       {}
func (ActionDone) event() {}

// run is one Step in progress. It changes s alone.
type run struct {
	c   *Config
	s   *State
	sc  *Scene
	f   *Effects
	now warden.Instant
	// chosen is the scene's, until something else is proposed.
	chosen bool
	// proposed: a proposal leaves in this Step, so none more may.
	proposed bool
}

func (r *run) say(format string, args ...any) {
	if len(r.s.Report) < maxReport {
		line := fmt.Sprintf("+%s ", r.now.Sub(r.s.Since)) + fmt.Sprintf(format, args...)
		r.s.Report = append(slices.Clip(r.s.Report), line)
	}
}

func (r *run) note(name string, node warden.NodeID, text string) {
	r.f.Notes = append(r.f.Notes, Note{name, node, text})
}

func (r *run) enter(st Stage) {
	r.s.Stage, r.s.StageAt, r.s.pollAt, r.s.told = st, r.now, 0, false
	r.entered(st)
	switch st {
	case Looking:
		r.note("+failover-state-select-slave", "", "")
	case Claiming:
		r.note("+failover-state-send-slaveof-noone", r.s.Candidate, "")
	case Promoting:
		r.note("+failover-state-wait-promotion", r.s.Candidate, "")
	case Repointing:
		for _, n := range r.sc.Nodes {
			if !n.Down && !n.Refusing {
				r.act(warden.ActLook, n.ID, "", lookLimit(r.c))
			}
		}
	}
}

// act gives an order or asks for a look. Looks need no lease. What is returned
// may be completed until the next act.
func (r *run) act(kind warden.ActionKind, node, target warden.NodeID, limit warden.Duration) *warden.Action {
	id := r.s.nextID
	r.s.nextID++
	r.s.pending = append(slices.Clip(r.s.pending), pending{id, kind, node, r.now})
	r.f.Act = append(r.f.Act, warden.Action{ID: id, Kind: kind, Node: node, Target: target,
		Epoch: r.s.Epoch, Limit: limit, NotAfter: r.sc.LeaseUntil})
	r.gave(id, kind, node, target)
	return &r.f.Act[len(r.f.Act)-1]
}

func (r *run) waiting(kind warden.ActionKind, node warden.NodeID) bool {
	return slices.ContainsFunc(r.s.pending, func(p pending) bool { return p.kind == kind && p.node == node })
}

// propose derives the next topology from the base and the given change.
func (r *run) propose(st Stage, reason warden.Reason, change func(*warden.Topology)) {
	t := r.sc.Base.Clone()
	t = t.WithLineage(newestLast(r.sc.Lineage, t.Lineage)...)
	t.Reason = reason
	if change != nil {
		change(&t)
	}
	r.enter(st)
	r.f.Propose = &t
	r.proposed = true
	r.chosen = false // that was the step before
}

// remember keeps the story of an attempt that is over.
func (s *State) remember() {
	story := s.Report
	s.Last, s.Report = story, nil
	switch s.Want.Reason {
	case warden.ReasonFailover, warden.ReasonForced, warden.ReasonSwitchover, warden.ReasonAdopt:
		s.Moved = story
	case warden.ReasonResume:
		s.Moved = append(slices.Clone(s.Moved), story...)
		s.Moved = s.Moved[max(0, len(s.Moved)-maxReport):]
	}
}

// newestLast are the ids of all that have does not hold yet, in order.
func newestLast(all, have []string) []string {
	var out []string
	for _, id := range all {
		if !slices.Contains(have, id) {
			out = append(out, id)
		}
	}
	return out
}

func (r *run) finish(v warden.Verdict, code, text string) {
	if text != "" {
		r.say("%s", text)
	}
	if r.s.held {
		r.release()
	}
	r.f.Finish = &Finish{Verdict: v, Code: code, Text: text}
	r.s.remember()
	r.s.Stage = Idle
}

func (r *run) release() {
	r.s.held = false
	r.act(warden.ActRelease, r.s.Old, "", orderLimit)
}
