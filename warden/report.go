package warden

// Report tells what became of one attempt to change the primary, or of one that
// was wanted and not made: what was seen, who voted, what was chosen and why, how
// long each step took, what may be lost. One Warden writes it from what it knows:
// the leader, or one that could have led. Times count from the beginning, which
// is when the primary was found down, or somebody was asked to lead.
type Report struct {
	// ID names it among the reports of its group: "12-90d38e66" is of epoch 12 and
	// that Warden, "r5.1-90d38e66" the first one of its run 5 that has no epoch. A
	// report is told anew, under its ID, when there is more to tell.
	ID     string    `json:"id"`
	Group  GroupName `json:"group"`
	Warden WardenID  `json:"warden"`
	// UnixMS is the beginning by the wall clock of whoever keeps the report.
	UnixMS int64    `json:"unix_ms"`
	Took   Duration `json:"took_ns"`
	// Reason is what was wanted. Resumed: another leader had begun it.
	Reason  Reason `json:"reason"`
	Resumed bool   `json:"resumed,omitempty"`
	// Verdict is VerdictDone if a promotion was agreed, VerdictStarted while it goes on. Code and Text are an
	// Answer's.
	Verdict Verdict `json:"verdict"`
	Code    string  `json:"code,omitempty"`
	Text    string  `json:"text,omitempty"`
	// Times counts attempts that ended like this one, one after the other: they are
	// one report, which tells the newest of them. Took reaches from the first one to
	// the last.
	Times int `json:"times"`

	// Old is the primary at the beginning, New the one that was agreed in its place:
	// Old itself where that could be taken after all.
	Old NodeID `json:"old,omitempty"`
	New NodeID `json:"new,omitempty"`
	// Cause is why Old was found down by the Warden that writes.
	Cause string `json:"cause,omitempty"`
	Epoch Epoch  `json:"epoch,omitempty"`
	// Base is the topology that was begun with, Before are decisions of earlier
	// leaders that this Warden has accepted since the last change that was finished.
	Base   *ReportStep  `json:"base,omitempty"`
	Before []ReportStep `json:"before,omitempty"`
	// Wardens are all that were listed.
	Wardens []ReportWarden `json:"wardens,omitempty"`
	// Nodes are those that were considered, in each round of choosing.
	Nodes  []ReportNode  `json:"nodes,omitempty"`
	Stages []ReportStage `json:"stages,omitempty"`
	Orders []ReportOrder `json:"orders,omitempty"`
	// Lacks is how many bytes New has less than Old was last seen to have, -1 when
	// that is not known. Writes after that look are not in it. Keeps: whatever was
	// acknowledged is kept (quorum durability, or a switchover).
	Lacks int64 `json:"lacks"`
	Keeps bool  `json:"keeps_acknowledged,omitempty"`
	// Story is told in sentences.
	Story []string `json:"story,omitempty"`
}

// ReportStep is one topology that was agreed upon, or accepted here.
type ReportStep struct {
	Version Version  `json:"version"`
	Phase   Phase    `json:"phase"`
	Reason  Reason   `json:"reason"`
	Primary NodeID   `json:"primary"`
	Leader  WardenID `json:"leader,omitempty"`
	// At is when it was accepted here; negative: before the beginning. 0 in a base.
	At Duration `json:"at_ns"`
}

// ReportWarden is what one Warden had to do with it.
type ReportWarden struct {
	Warden WardenID `json:"warden"`
	// Down: it found the old primary down, Hard by more than silence. HeardAgo is the
	// age of its last message; negative: never heard.
	Down     bool     `json:"down"`
	Hard     bool     `json:"hard,omitempty"`
	HeardAgo Duration `json:"heard_ago_ns"`
	// Vote is "granted", or why not; empty where none was asked for.
	Vote string `json:"vote,omitempty"`
	// Accepted: its answer to the decision counted. StillDown: it found the old
	// primary down then.
	Accepted  bool `json:"accepted,omitempty"`
	StillDown bool `json:"still_down,omitempty"`
}

// ReportNode is one node as it was looked at in one round of choosing.
type ReportNode struct {
	Round    int    `json:"round"`
	Node     NodeID `json:"node"`
	Health   Health `json:"health"`
	Role     Role   `json:"role,omitempty"`
	Lineage  string `json:"lineage,omitempty"`
	Position int64  `json:"position"`
	Priority int    `json:"priority"`
	Chosen   bool   `json:"chosen,omitempty"`
	// Why it was chosen, or was not.
	Why string `json:"why"`
}

// ReportStage is one stage: of the failover (docs/state-machine.md), or before it
// "down" (subjectively), "turn" (objectively, until this Warden stands) and "voting".
type ReportStage struct {
	Name string   `json:"name"`
	At   Duration `json:"at_ns"`
	Took Duration `json:"took_ns"`
}

// ReportOrder is one order to a node. An empty Outcome: it had not ended.
type ReportOrder struct {
	Kind    ActionKind `json:"kind"`
	Node    NodeID     `json:"node"`
	Target  NodeID     `json:"target,omitempty"`
	At      Duration   `json:"at_ns"`
	Took    Duration   `json:"took_ns"`
	Outcome Outcome    `json:"outcome,omitempty"`
	Why     string     `json:"why,omitempty"`
}
