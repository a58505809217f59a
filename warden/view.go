package warden

import "context"

// GroupView is everything one Warden can show of a group, as of At. The shell
// makes it from one state, so its parts agree with one another.
type GroupView struct {
	Name GroupName `json:"name"`
	At   Instant   `json:"-"`
	// Primary is the address served to clients: of the newest topology known
	// to be chosen, or the provisional one before the first agreement. Empty
	// when there is nothing to serve.
	Primary NodeID `json:"primary"`
	// Provisional: there is no first agreement yet.
	Provisional bool     `json:"provisional,omitempty"`
	Topology    Topology `json:"topology"`
	// Agreed: a majority of the listed Wardens was heard within StaleAfter;
	// HeardAgo is the age of the last moment at which that was true.
	Agreed   bool     `json:"agreed"`
	HeardAgo Duration `json:"heard_ago_ns"`
	// StaleAfter is the age from which what was heard of other Wardens is stale.
	StaleAfter Duration `json:"stale_after_ns"`
	// MovedAgo is the time since this process learned that another node is the
	// agreed primary; negative: never.
	MovedAgo Duration `json:"moved_ago_ns"`
	// MovedFor is why that was done, and MovedIn the epoch of the decision; both are
	// zero while MovedAgo is negative.
	MovedFor Reason `json:"-"`
	MovedIn  Epoch  `json:"-"`

	Quorum          int      `json:"quorum"`
	DownAfter       Duration `json:"down_after_ns"`
	FailoverTimeout Duration `json:"failover_timeout_ns"`
	ParallelSyncs   int      `json:"parallel_syncs"`
	// SetAtRunTime names what this Warden runs with although its configuration
	// file says something else, because a client set it.
	SetAtRunTime []string `json:"set_at_run_time,omitempty"`

	// Nodes: the served primary first, then the others sorted by address.
	Nodes []NodeView `json:"nodes"`
	// Peers: the other Wardens of this group, sorted by id.
	Peers []PeerView `json:"wardens"`

	Promise Epoch    `json:"promise"`
	Grantee WardenID `json:"grantee,omitempty"`
	Leading bool     `json:"leading,omitempty"`
	// LeadsFor is what this Warden was elected for, while it leads.
	LeadsFor Reason `json:"leads_for,omitempty"`
	// Leader is the Warden this one last granted its vote, while its lease runs.
	Leader WardenID `json:"leader,omitempty"`
	// Failover names the running change as Sentinel's failover-state does
	// (select_slave, wait_promotion, ...); empty when none runs here.
	Failover string   `json:"failover,omitempty"`
	Forced   bool     `json:"forced,omitempty"`
	Tilt     bool     `json:"tilt,omitempty"`
	TiltFor  Duration `json:"tilt_for_ns,omitempty"`
	Mute     bool     `json:"mute,omitempty"`
	Paused   bool     `json:"paused,omitempty"`
	// Explain says in sentences what is going on and why nothing more is.
	Explain []string `json:"explain"`
}

// NodeView is one node as this Warden sees it. Ages are at GroupView.At;
// negative means never.
type NodeView struct {
	Node        NodeID      `json:"node"`
	Primary     bool        `json:"primary"`
	Observation Observation `json:"observation"`
	ObservedAgo Duration    `json:"observed_ago_ns"`
	// Down: subjectively down since DownAgo, for the reason Why. Odown likewise.
	Down     bool     `json:"down"`
	DownAgo  Duration `json:"down_ago_ns,omitempty"`
	Why      string   `json:"why,omitempty"`
	Odown    bool     `json:"odown,omitempty"`
	OdownAgo Duration `json:"odown_ago_ns,omitempty"`
	// Agreeing of Quorum Wardens say down.
	Agreeing     int      `json:"agreeing,omitempty"`
	Disconnected bool     `json:"disconnected,omitempty"`
	GoodAgo      Duration `json:"good_ago_ns"`
	AnsweredAgo  Duration `json:"answered_ago_ns"`
	// WaitingFor is the age of the oldest unanswered look, 0 when none.
	WaitingFor Duration `json:"waiting_ns"`
	RoleFor    Duration `json:"role_for_ns"`
	Lag        int64    `json:"lag"`
	Foreign    bool     `json:"foreign,omitempty"`
	// Stranded: no order can bring it behind the primary; it needs a rejoin.
	Stranded      bool   `json:"needs_rejoin,omitempty"`
	Promoted      bool   `json:"promoted,omitempty"`
	Reconfiguring string `json:"reconfiguring,omitempty"` // "sent", "inprog", "done"
	// Rebooted: its process is another one than before and has not answered
	// well yet. ScriptKilled: SCRIPT KILL was tried in this SDOWN.
	Rebooted     bool `json:"rebooted,omitempty"`
	ScriptKilled bool `json:"script_killed,omitempty"`
	// Tags are the operator's wishes about it: those agreed on, over those of the
	// configuration. Observation has them in it.
	Tags Tags `json:"tags,omitzero"`
}

// PeerView is another Warden of the group.
type PeerView struct {
	ID WardenID `json:"id"`
	// Sentinel is the id that Sentinel's clients are shown, when that is not ID.
	Sentinel string `json:"sentinel_id,omitempty"`
	// Real: it is a real Redis Sentinel that watches the same group, not one of us.
	Real   bool   `json:"real_sentinel,omitempty"`
	Client string `json:"client"` // host:port of its client port, "" if unknown
	Gossip string `json:"gossip"`
	Listed bool   `json:"listed"`
	// Serves is whom it said last that it serves as the primary.
	Serves NodeID `json:"serves,omitempty"`
	// HeardAgo is the age of its last message about this group; negative: never.
	HeardAgo Duration `json:"heard_ago_ns"`
	Down     bool     `json:"down"`
	DownAgo  Duration `json:"down_ago_ns,omitempty"`
	// SaysDown: it holds the primary for subjectively down.
	SaysDown  bool     `json:"says_down,omitempty"`
	Vote      WardenID `json:"vote,omitempty"`
	VoteEpoch Epoch    `json:"vote_epoch,omitempty"`
}

// SelfView is this Warden.
type SelfView struct {
	ID WardenID `json:"id"`
	// Sentinel is the id that Sentinel's clients are shown, when that is not ID.
	Sentinel string   `json:"sentinel_id,omitempty"`
	RunID    string   `json:"run_id"` // of this process, 40 hex digits
	Version  string   `json:"version"`
	Client   string   `json:"client"`
	Gossip   string   `json:"gossip"`
	Started  Instant  `json:"-"`
	Tilt     bool     `json:"tilt"`
	TiltFor  Duration `json:"tilt_for_ns"`
	Groups   int      `json:"groups"`
}

// Wish is what an operator asks for.
type Wish string

// Wishes.
const (
	WishFailover   Wish = "failover"   // switchover if the primary is reachable, else at once
	WishSwitchover Wish = "switchover" // lossless or not at all
	WishPause      Wish = "pause"
	WishResume     Wish = "resume"
	WishForget     Wish = "forget" // take a Warden off the list
	WishRecover    Wish = "recover"
	WishReset      Wish = "reset"     // forget nodes that cannot be reached
	WishDrill      Wish = "drill"     // say what would happen if the primary died now
	WishSettings   Wish = "settings"  // say which settings are in force
	WishConfigure  Wish = "configure" // change them
	// WishRelease undoes a seal without a majority. One Warden does it alone,
	// beside the group's mind.
	WishRelease Wish = "release"
)

// Command is an operator's order to the Wardens about one group.
type Command struct {
	Group GroupName
	Wish  Wish
	// To is the replica to promote (switchover, failover); empty: the best one.
	To NodeID
	// Wardens are those to forget, or given up as lost (recover).
	Wardens []WardenID
	// Gone are nodes that the operator knows to be no primary although they
	// cannot be asked (release).
	Gone []NodeID
	// Items are the settings to change, all or none (configure). Revision: only if
	// no other change was agreed since those of that revision; nil: since now.
	Items    []SettingItem
	Revision *uint64
	// Wait: answer only when the change is finished, not when it is started.
	Wait bool
}

// Verdict is how a Command ended.
type Verdict string

// Verdicts.
const (
	VerdictStarted Verdict = "started"
	VerdictDone    Verdict = "done"
	VerdictRefused Verdict = "refused" // nothing was changed
	VerdictUnknown Verdict = "unknown" // it may still happen
)

// Answer answers a Command.
type Answer struct {
	Verdict Verdict `json:"verdict"`
	// Code is a stable word for refusals: abstains, agreed, cancelled,
	// cannot-hold, changed, in-progress, no-good-replica, no-primary, not-agreed,
	// not-elected, not-released, not-sealed, not-settable, paused, pre-promote,
	// primary-back, quorum, store, superseded, timeout, unknown-group,
	// unknown-node, unknown-warden, unseen, usage.
	Code string `json:"code,omitempty"`
	// Text explains it and names the remedy.
	Text string `json:"text,omitempty"`
	// Drill is what was asked for with WishDrill.
	Drill *Drill `json:"drill,omitempty"`
	// Settings are what was asked for with WishSettings.
	Settings *SettingsView `json:"settings,omitempty"`
}

// Directory is what the client-facing servers read, and where they bring
// operators' commands. Safe for concurrent use; only Command waits.
type Directory interface {
	Now() Instant
	Self() SelfView
	// Groups are all groups, sorted by name.
	Groups() []GroupName
	// Primary is the served address of a group, without building a view.
	Primary(GroupName) (node NodeID, known bool)
	// Group is the view of one group.
	Group(GroupName) (GroupView, bool)
	Command(ctx context.Context, c Command) Answer
}
