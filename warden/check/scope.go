package check

import (
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Scope says how large a world is: who sees what, and how much may go wrong.
// Messages and orders may be lost without a limit in every scope: whatever is
// on its way may be late for ever.
type Scope struct {
	Name string
	// Says is what the scope is for, in one line.
	Says string
	// Epochs is how many epochs there are after the first; Candidates are the
	// Wardens that may stand, by their names.
	Epochs     warden.Epoch
	Candidates []warden.WardenID
	Quorum     int
	// Relay: the first candidate stands in the first epoch alone, and so on.
	Relay bool
	// Blind are the Wardens for which the first primary is down.
	Blind []warden.WardenID
	// Alive: the first primary serves whoever is not blind.
	Alive bool
	// Foreign: the last node holds the data of another group.
	Foreign bool
	// Crashes of Wardens, each with a restart or without; Unknown, orders whose outcome the leader does not learn;
	// Refused, orders that a node refuses; Waits, how often a leader's time goes
	// by although it has something to do.
	Crashes, Unknown, Refused, Waits uint8
	// Final: whoever dies stays dead.
	Final bool
	// Depth bounds the length of a run, 0: nothing does.
	Depth int
	// Orders: the failover goes on after the first agreement; else nothing is
	// delivered to the nodes, and only the register is looked at.
	Orders bool
}

func (s *Scope) blind(w int8) bool { return w >= 0 && slices.Contains(s.Blind, wardenIDs[w]) }

func (s *Scope) candidate(w int8) bool { return slices.Contains(s.Candidates, wardenIDs[w]) }

// allows reports whether a Warden may stand in an epoch.
func (s *Scope) allows(w int8, e warden.Epoch) bool {
	if s.Relay {
		return int(e) == firstEpoch+1+slices.Index(s.Candidates, wardenIDs[w])
	}
	return e <= firstEpoch+s.Epochs
}

var all = wardenIDs[:]

// firstRegister is on every disk at first: the first primary is agreed.
func firstRegister() warden.Register {
	t := warden.Topology{Group: groupName, Birth: birthName, Version: warden.Version{Epoch: firstEpoch, Step: 1}, Phase: warden.PhaseDone,
		Primary: nodeIDs[0], Wardens: all, Lineage: []string{firstLine}, Leader: "w0", LeaderRun: 1, Reason: warden.ReasonBirth}
	return warden.Register{Promise: firstEpoch, Grantee: "w0", GranteeRun: 1, Accepted: t, Chosen: t, Nodes: nodeIDs[:]}
}

// firstNodes are the first primary, gone unless the scope says otherwise, and
// its replicas.
func firstNodes(s *Scope) nodes {
	var n nodes
	for i := range n {
		n[i] = node{up: true, role: warden.RoleReplica, upstream: 0, line: firstLine, position: 100}
	}
	n[0].role, n[0].upstream, n[0].up = warden.RolePrimary, -1, s.Alive
	if s.Foreign {
		n[2] = node{up: true, role: warden.RoleReplica, upstream: -1, line: "strange", position: 5000, foreign: true}
	}
	return n
}

// Find is the scope of that name.
func Find(name string) (Scope, bool) {
	for _, s := range Scopes {
		if s.Name == name {
			return s, true
		}
	}
	return Scope{}, false
}

// Names are those of all scopes.
func Names() string {
	var out []string
	for _, s := range Scopes {
		out = append(out, s.Name)
	}
	return strings.Join(out, ", ")
}
