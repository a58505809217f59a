package check

import (
	"fmt"

	"github.com/spineldb/warden/warden"
)

// Three nodes: the first primary and its two replicas.
const nodeCount = 3

var nodeIDs = [nodeCount]warden.NodeID{"a:1", "b:1", "c:1"}

func nodeIndex(id warden.NodeID) int {
	for i, have := range nodeIDs {
		if have == id {
			return i
		}
	}
	return -1
}

// claim is the order session that a node obeys: the newest it was claimed by.
type claim struct {
	epoch  warden.Epoch
	owner  int8
	run    warden.Run
	serial uint8 // of claims by one owner in one epoch: the last one counts
}

// node is a model of a server of the Redis protocol, no larger than the
// questions that are asked here. Copying from an upstream takes no time.
type node struct {
	up           bool
	role         warden.Role
	upstream     int8 // -1: none
	line, before string
	position     int64
	foreign      bool // its data is not the group's
	empty        bool
	claim        claim
	promotedBy   warden.Epoch // of the last promotion by order, 0 when undone
}

// nodes are all of them; a value that can be compared.
type nodes [nodeCount]node

// stream lets the replicas have what their upstreams have.
func (n *nodes) stream() {
	for range n {
		for i := range n {
			x := &n[i]
			if x.role != warden.RoleReplica || x.upstream < 0 || !x.up || !n[x.upstream].up || int(x.upstream) == i {
				continue
			}
			u := &n[x.upstream]
			x.line, x.before, x.position, x.foreign, x.empty = u.line, u.before, u.position, u.foreign, u.empty
		}
	}
}

// silent is what a look at a node sees that is gone or cut off.
var silent = &warden.Observation{Health: warden.HealthRefused, Detail: "connection refused"}

// observe is what a node says of itself.
func (n *nodes) observe(i int) warden.Observation {
	x := &n[i]
	if !x.up {
		return *silent
	}
	o := warden.Observation{Health: warden.HealthGood, Role: x.role, Position: x.position, Lineage: x.line, LineageBefore: x.before,
		RunID: "run-" + nodeIDs[i].Host(), Priority: 100, Empty: x.empty}
	if x.role == warden.RoleReplica && x.upstream >= 0 {
		o.Upstream = nodeIDs[x.upstream]
		o.LinkUp = n[x.upstream].up
		if !o.LinkUp {
			o.LinkDown = warden.Second
		}
	}
	if x.role == warden.RolePrimary {
		for k := range n {
			if r := &n[k]; k != i && r.up && r.role == warden.RoleReplica && int(r.upstream) == i {
				o.Replicas = append(o.Replicas, warden.Replica{Node: nodeIDs[k], Online: true, Position: r.position})
			}
		}
	}
	return o
}

// take claims a node for a leader, as adapters do: older sessions are shut
// out, and a node that a newer leader has claimed refuses.
func (n *nodes) take(i int, epoch warden.Epoch, owner int8, run warden.Run, deaf bool) (claim, bool) {
	x := &n[i]
	have := x.claim
	if !deaf && (have.epoch > epoch || have.epoch == epoch && have.epoch != 0 && have.owner != owner) {
		return claim{}, false
	}
	c := claim{epoch: epoch, owner: owner, run: run, serial: 1}
	if have.epoch == epoch && have.owner == owner {
		c.serial = have.serial + 1
	}
	if deaf && have.epoch > epoch {
		return c, true
	}
	x.claim = c
	return c, true
}

// obey performs an order.
func (n *nodes) obey(i int, a *warden.Action) {
	x := &n[i]
	switch a.Kind {
	case warden.ActPromote:
		if x.role != warden.RolePrimary {
			x.role, x.upstream = warden.RolePrimary, -1
			x.before, x.line = x.line, fmt.Sprintf("%s%d", nodeIDs[i].Host(), a.Epoch)
		}
		x.promotedBy = a.Epoch
	case warden.ActFollow:
		x.role, x.upstream, x.promotedBy = warden.RoleReplica, int8(nodeIndex(a.Target)), 0
	}
	n.stream()
}
