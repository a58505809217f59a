package failover

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// maxOrders bounds the orders of one account: bringing many nodes behind a new
// primary takes many.
const maxOrders = 64

// maxRounds bounds the rounds of choosing in it, maxStages the stages.
const (
	maxRounds = 5
	maxStages = 48
)

// Account is what an attempt to move the primary did so far, for its report. Times
// count from its beginning (State.Since). It is replaced, never changed; nothing is
// decided by it.
type Account struct {
	Nodes  []warden.ReportNode
	Stages []warden.ReportStage
	Orders []warden.ReportOrder
	ids    []uint64 // of the orders
	rounds int
	// Lacks is Report's.
	Lacks int64
	// Published: another primary was agreed.
	Published bool
}

// Moves reports whether a leader elected for this is to leave the group with another
// primary, or to finish such a change.
func Moves(reason warden.Reason) bool {
	switch reason {
	case warden.ReasonFailover, warden.ReasonForced, warden.ReasonSwitchover, warden.ReasonAdopt, warden.ReasonResume:
		return true
	}
	return false
}

// open begins an account, where there is to be one.
func (r *run) open() {
	if Moves(r.s.Want.Reason) {
		r.s.Account = &Account{Lacks: -1}
	}
}

// account lets do write into a copy of the account, if there is one.
func (r *run) account(do func(a *Account)) {
	if r.s.Account != nil {
		a := *r.s.Account
		do(&a)
		r.s.Account = &a
	}
}

// entered notes that a stage begins.
func (r *run) entered(st Stage) {
	r.account(func(a *Account) {
		if len(a.Stages) >= maxStages {
			return
		}
		a.Stages = append(slices.Clip(a.Stages), warden.ReportStage{Name: string(st), At: r.now.Sub(r.s.Since)})
	})
}

// gave notes an order. A look changes nothing and is none.
func (r *run) gave(id uint64, kind warden.ActionKind, node, target warden.NodeID) {
	if kind == warden.ActLook {
		return
	}
	r.account(func(a *Account) {
		if len(a.Orders) >= maxOrders {
			return
		}
		a.Orders = append(slices.Clip(a.Orders), warden.ReportOrder{Kind: kind, Node: node, Target: target, At: r.now.Sub(r.s.Since)})
		a.ids = append(slices.Clip(a.ids), id)
	})
}

// ended notes how an order ended.
func (r *run) ended(id uint64, result warden.Result) {
	r.account(func(a *Account) {
		i := slices.Index(a.ids, id)
		if i < 0 {
			return
		}
		a.Orders = slices.Clone(a.Orders)
		o := &a.Orders[i]
		o.Took, o.Outcome, o.Why = r.now.Sub(r.s.Since)-o.At, result.Outcome, result.Why
	})
}

// weighed notes what spoke for and against each node in a round of choosing.
func (r *run) weighed(ch Choice) {
	r.account(func(a *Account) {
		if a.rounds >= maxRounds {
			return
		}
		a.rounds++
		a.Nodes = slices.Clip(a.Nodes)
		for _, l := range r.s.Looks {
			o := l.Seen
			n := warden.ReportNode{Round: a.rounds, Node: l.Node, Health: o.Health, Role: o.Role, Lineage: o.Lineage, Position: o.Position,
				Priority: o.Priority, Chosen: l.Node == ch.Candidate, Why: ch.Why(l.Node)}
			a.Nodes = append(a.Nodes, n)
		}
	})
}
