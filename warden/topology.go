package warden

import (
	"fmt"
	"slices"
)

// Phase says how far the change that a topology describes has come.
type Phase string

// Phases. In PhaseSealing the primary is still the old one, and its writes are
// being stopped: by a hold, or by sealing those who acknowledge them.
const (
	PhaseDone      Phase = "done"
	PhasePromoting Phase = "promoting"
	PhaseSealing   Phase = "sealing"
)

// Version orders topologies of one Birth: by epoch, then by step.
type Version struct {
	Epoch Epoch  `json:"epoch"`
	Step  uint64 `json:"step"`
}

// Newer reports whether v comes after w.
func (v Version) Newer(w Version) bool {
	return v.Epoch > w.Epoch || v.Epoch == w.Epoch && v.Step > w.Step
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Epoch, v.Step) }

// Reason says why a topology was written.
type Reason string

// Reasons.
const (
	ReasonBirth      Reason = "first-agreement"
	ReasonFailover   Reason = "failover"
	ReasonForced     Reason = "forced-failover" // an operator's, without waiting for ODOWN
	ReasonSwitchover Reason = "switchover"
	ReasonAdopt      Reason = "adopt"
	ReasonRepair     Reason = "repair"
	ReasonResume     Reason = "resume" // finishing what another leader began
	ReasonJoin       Reason = "warden-joins"
	ReasonForget     Reason = "warden-forgotten"
	ReasonPause      Reason = "pause"
	ReasonUnpause    Reason = "unpause"
	ReasonSettings   Reason = "settings"
	ReasonRecover    Reason = "recover"
	ReasonGoBack     Reason = "go-back"
	ReasonSync       Reason = "sync-set" // who keeps acknowledged writes
)

// Topology is the small document the Wardens of a group agree on. It is a
// register that only an elected leader writes (docs/architecture.md).
// The zero value means "none". Values are never changed in place: derive a
// copy with Clone.
type Topology struct {
	Group   GroupName `json:"group"`
	Birth   Birth     `json:"birth"`
	Version           // promoted: Epoch, Step
	Phase   Phase     `json:"phase"`
	// Primary is the agreed primary; while promoting, the candidate.
	Primary NodeID `json:"primary"`
	// Previous is the primary before; empty at the first agreement.
	Previous NodeID `json:"previous,omitempty"`
	// Wardens are the voters, sorted. Majorities are counted in this list.
	Wardens []WardenID `json:"wardens"`
	// Lineage holds the replication ids known to be this group's data, the
	// newest last, at most MaxLineage of them.
	Lineage []string `json:"lineage,omitempty"`
	// Sync are the sets by which the primary may report commits as done: none in
	// a group without quorum durability, one, or while that changes the one
	// before and the new one.
	Sync []SyncSet `json:"sync,omitempty"`
	// PreviousSync, while promoting, are the sets by which the previous primary
	// may report commits, for as long as the change can be taken back.
	PreviousSync []SyncSet `json:"previous_sync,omitempty"`
	// Floor is what the newest primary began with in a group with quorum
	// durability: writes that were acknowledged before may lie anywhere below
	// it, and nobody who has less is promoted.
	Floor    Fork     `json:"floor"`
	Settings Settings `json:"settings"`
	// Leader and LeaderRun wrote this topology.
	Leader    WardenID `json:"leader"`
	LeaderRun Run      `json:"leader_run"`
	Reason    Reason   `json:"reason"`
	// Replaces is the Birth that `recover` gave up for this one.
	Replaces Birth `json:"replaces,omitempty"`
}

// MaxLineage bounds Topology.Lineage.
const MaxLineage = 12

// IsZero reports whether there is no topology.
func (t *Topology) IsZero() bool { return t.Birth == "" }

// Clone copies a topology so that its slices can be changed.
func (t Topology) Clone() Topology {
	t.Wardens = slices.Clone(t.Wardens)
	t.Lineage = slices.Clone(t.Lineage)
	t.Sync = slices.Clone(t.Sync) // the sets themselves are never changed
	t.PreviousSync = slices.Clone(t.PreviousSync)
	return t
}

// Equal reports whether two topologies are the same content.
func (t Topology) Equal(u Topology) bool { return sameTopology(&t, &u) }

func sameTopology(t, u *Topology) bool {
	return t.Version == u.Version && t.Phase == u.Phase && t.Birth == u.Birth && t.Group == u.Group &&
		t.Primary == u.Primary && t.Previous == u.Previous && sameList(t.Wardens, u.Wardens) &&
		sameList(t.Lineage, u.Lineage) && slices.EqualFunc(t.Sync, u.Sync, SyncSet.Equal) &&
		slices.EqualFunc(t.PreviousSync, u.PreviousSync, SyncSet.Equal) && t.Floor == u.Floor && t.Settings.Equal(&u.Settings) && t.Leader == u.Leader &&
		t.LeaderRun == u.LeaderRun && t.Reason == u.Reason && t.Replaces == u.Replaces
}

// sameList is slices.Equal, which need not look at what is one and the same.
func sameList[T comparable](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// Lists reports whether w is one of the voters.
func (t *Topology) Lists(w WardenID) bool { return slices.Contains(t.Wardens, w) }

// Majority is the number of listed Wardens that is more than half.
func (t *Topology) Majority() int { return len(t.Wardens)/2 + 1 }

// NewestSync is the sync set that is in force, or comes into force; none: the zero
// value, which promises nothing.
func (t *Topology) NewestSync() SyncSet {
	if n := len(t.Sync); n > 0 {
		return t.Sync[n-1]
	}
	return SyncSet{}
}

// MemberName is the name that a node carries as a member of one of the sync
// sets; "" if it is none.
func (t *Topology) MemberName(id NodeID) string {
	for i := len(t.Sync) - 1; i >= 0; i-- {
		if name := t.Sync[i].Name(id); name != "" {
			return name
		}
	}
	return ""
}

// Promises reports whether commits may have been reported as done because
// members had them.
func (t *Topology) Promises() bool {
	return slices.ContainsFunc(t.Sync, func(s SyncSet) bool { return s.K > 0 })
}

// WithLineage returns a copy that also knows the given replication ids.
func (t Topology) WithLineage(ids ...string) Topology {
	t = t.Clone()
	for _, id := range ids {
		if id == "" {
			continue
		}
		t.Lineage = slices.DeleteFunc(t.Lineage, func(have string) bool { return have == id })
		t.Lineage = append(t.Lineage, id)
	}
	if n := len(t.Lineage); n > MaxLineage {
		t.Lineage = t.Lineage[n-MaxLineage:]
	}
	return t
}

// Register is what one Warden keeps of a group on disk: its promises, the
// newest topology it accepted, the newest it knows to be chosen, and the nodes
// it has met. It is synced before any answer that depends on it (rule S1).
type Register struct {
	// Promise is the highest epoch voted for, stood in, or accepted in.
	Promise Epoch `json:"promise"`
	// Grantee and GranteeRun hold the vote of that epoch.
	Grantee    WardenID `json:"grantee,omitempty"`
	GranteeRun Run      `json:"grantee_run,omitempty"`
	Accepted   Topology `json:"accepted"`
	Chosen     Topology `json:"chosen"`
	// Left: this Warden left the group's Birth and neither votes nor accepts
	// in it unless it finds it alive at a peer.
	Left bool `json:"left,omitempty"`
	// Superseded: this Warden was given up as lost by `recover`; it stays
	// quiet in this group.
	Superseded bool `json:"superseded,omitempty"`
	// Nodes are the members met so far, sorted.
	Nodes []NodeID `json:"nodes,omitempty"`
	// Lineage are replication ids seen to follow from known ones since the
	// topology was written, the newest last.
	Lineage []string `json:"lineage,omitempty"`
}

// Clone copies a register so that its slices can be changed.
func (r Register) Clone() Register {
	r.Accepted, r.Chosen = r.Accepted.Clone(), r.Chosen.Clone()
	r.Nodes, r.Lineage = slices.Clone(r.Nodes), slices.Clone(r.Lineage)
	return r
}

// Equal reports whether two registers would be stored alike.
func (r Register) Equal(o Register) bool { return SameRegister(&r, &o) }

// SameRegister is Equal for those who compare often.
func SameRegister(r, o *Register) bool {
	return r.Promise == o.Promise && r.Grantee == o.Grantee && r.GranteeRun == o.GranteeRun &&
		r.Left == o.Left && r.Superseded == o.Superseded &&
		sameTopology(&r.Accepted, &o.Accepted) && sameTopology(&r.Chosen, &o.Chosen) &&
		sameList(r.Nodes, o.Nodes) && sameList(r.Lineage, o.Lineage)
}

// Newest is the newer of the accepted and the chosen topology. It is not to be
// changed.
func (r *Register) Newest() *Topology {
	if r.Accepted.Birth == r.Chosen.Birth && r.Chosen.Version.Newer(r.Accepted.Version) || r.Accepted.IsZero() {
		return &r.Chosen
	}
	return &r.Accepted
}
