// Package doctor looks at live nodes and says what to change before the day on
// which it matters: rights, settings, leftovers, and what contradicts the
// configuration.
//
// It has two halves. One collects facts, a struct for each node, and changes
// nothing on any node. The other judges them: pure functions from facts to
// findings. So every rule is tested with a table, and what a server really
// answers is tested once, on a real one.
//
// What a node does not let its role see is a finding as well. Nothing is
// assumed to be in order because it could not be looked at.
package doctor

import (
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Severity says what a finding asks of its reader.
type Severity string

// Severities, from the mildest to the worst.
const (
	OK      Severity = "ok"      // looked at, and in order
	Note    Severity = "note"    // worth knowing; nothing has to be done
	Warning Severity = "warning" // will hurt on a bad day: change it
	Error   Severity = "error"   // something that Warden does, or promises, does not work now
)

func (s Severity) rank() int {
	return slices.Index([]Severity{OK, Note, Warning, Error}, s)
}

// Worse reports whether s is worse than o.
func (s Severity) Worse(o Severity) bool { return s.rank() > o.rank() }

// Finding is one thing that was looked at.
type Finding struct {
	Severity Severity      `json:"severity"`
	Node     warden.NodeID `json:"node,omitempty"` // empty: of the group as a whole
	// Place is the one Warden, or the directory, that it is about; else empty.
	Place string `json:"place,omitempty"`
	// Check is the stable name of the rule.
	Check string `json:"check"`
	Found string `json:"found"`
	// Why it matters, and Remedy: the exact SQL, line or command. Empty where
	// everything is in order.
	Why    string `json:"why,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// NodeReport says how far a node could be looked at.
type NodeReport struct {
	Node    warden.NodeID `json:"node"`
	Reached bool          `json:"reached"` // it answered, be it with a refusal
	Role    warden.Role   `json:"role,omitempty"`
	Server  string        `json:"server,omitempty"`
}

// GroupReport is everything about one group.
type GroupReport struct {
	Group    warden.GroupName `json:"group"`
	Adapter  string           `json:"adapter"`
	Nodes    []NodeReport     `json:"nodes"`
	Findings []Finding        `json:"findings"`
}

// Worst is the worst severity among the findings.
func (r GroupReport) Worst() Severity {
	worst := OK
	for _, f := range r.Findings {
		if f.Severity.Worse(worst) {
			worst = f.Severity
		}
	}
	return worst
}

// Count is how many findings have the severity.
func (r GroupReport) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Reached is how many nodes answered.
func (r GroupReport) Reached() int {
	n := 0
	for _, node := range r.Nodes {
		if node.Reached {
			n++
		}
	}
	return n
}

// Sort puts the findings into the order in which they are read: the worst
// first, then by node.
func (r *GroupReport) Sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if a.Severity != b.Severity {
			return b.Severity.rank() - a.Severity.rank()
		}
		return strings.Compare(string(a.Node), string(b.Node))
	})
}

// rule is one check of a kind of facts. What it is called and what is said if
// it finds nothing stand beside it, so that silence is never taken for health.
type rule[F any] struct {
	name  string
	clean string
	run   func(g Group, facts F) []Finding
}

// apply runs rules over the facts of a node, or of the group if node is empty.
func apply[F any](g Group, node warden.NodeID, facts F, rules []rule[F]) []Finding {
	var out []Finding
	for _, r := range rules {
		found := r.run(g, facts)
		if len(found) == 0 {
			found = []Finding{{Severity: OK, Found: r.clean}}
		}
		for _, f := range found {
			f.Check = r.name
			if f.Node == "" {
				f.Node = node
			}
			out = append(out, f)
		}
	}
	return out
}
