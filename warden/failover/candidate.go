package failover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Choice is who is promoted and why nobody else is.
type Choice struct {
	// Candidate is empty when nobody is eligible.
	Candidate warden.NodeID
	// Already: the candidate is a primary of the lineage as it stands.
	Already bool
	// Furthest is an excluded node with more data than the candidate, from
	// which the candidate must catch up first; empty when there is none.
	Furthest         warden.NodeID
	FurthestPosition int64
	// Reasons has one line for every node looked at.
	Reasons []string
}

// Why is what was said of a node, "" when nothing was.
func (c *Choice) Why(node warden.NodeID) string {
	why := ""
	for _, line := range c.Reasons {
		if rest, is := strings.CutPrefix(line, string(node)+": "); is {
			why = rest
		}
	}
	return why
}

// Ask is what choose decides from.
type Ask struct {
	Looks   []Look
	Old     warden.NodeID // never a candidate, unless OldToo
	OldToo  bool
	To      warden.NodeID // the operator's choice, or empty
	Exclude []warden.NodeID
	// Previous is the primary before Old. When it says it is one, it has only
	// come back: it is no newer than what it holds.
	Previous warden.NodeID
	// Linked: only replicas with a standing link to Old (a switchover).
	Linked  bool
	Lineage []string // known ids, newest last
	// Vouched nodes have the group's data although their ids are not known (vouch.go).
	Vouched []warden.NodeID
	// DownFor and DownAfter bound how old a replica's data may be.
	DownFor, DownAfter warden.Duration
	AnyAge             bool
	// Sealed: only sealed members (groups with quorum durability), and none that
	// has less than Floor.
	Sealed bool
	Floor  warden.Fork
	// Spared, of equals, is promoted: it keeps nothing for others.
	Spared warden.NodeID
	// Vetoed are not promoted, by the operator's pre_promote command. Like those
	// of priority 0 they are caught up from first.
	Vetoed []Veto
	// MaxLag is how many bytes of Had, the position that Old was last seen at in
	// the line HadLine, a candidate may lack; 0: any number.
	MaxLag, Had int64
	HadLine     string
	// PriorityFirst: of one line of data the preferred one is promoted, even if
	// another has more (Sentinel's order; replicas lose what it lacks).
	PriorityFirst bool
}

type contender struct {
	look Look
	rank int // of its line (lineOf), newer is larger
}

// Choose picks the candidate: of the right lineage, the newest line of it,
// then the furthest position, then the operator's priority, then the id (S7);
// with PriorityFirst the priority before the position, and the run id last.
func Choose(a Ask) Choice {
	var out Choice
	var in []contender
	var excluded []contender
	a.DownFor = max(a.DownFor, gone(a))
	othersHaveData := slices.ContainsFunc(a.Looks, func(l Look) bool { return good(l) && !l.Seen.Empty && lineageRank(a, l) >= 0 })
	for _, l := range a.Looks {
		o := l.Seen
		why := whyNot(a, l, othersHaveData)
		rank, veto := a.lineOf(l), a.veto(l.Node)
		switch {
		case why == "" && veto != "" && !serves(o): // guard: veto
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: vetoed by pre_promote: %s", l.Node, veto))
			excluded = append(excluded, contender{l, rank})
		case why == "" && l.Seen.Priority == 0 && l.Seen.Role == warden.RoleReplica: // guard: S7
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: excluded by its priority 0 (position %d)", l.Node, l.Seen.Position))
			excluded = append(excluded, contender{l, rank})
		case why != "":
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: %s", l.Node, why))
		default:
			in = append(in, contender{l, rank})
		}
	}
	if len(in) == 0 {
		return out
	}
	best := slices.MinFunc(in, a.better)
	for _, x := range in {
		if x.look.Node != best.look.Node {
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: %s", x.look.Node, a.whyWorse(x, best)))
		}
	}
	out.Candidate = best.look.Node
	out.Already = best.look.Seen.Role == warden.RolePrimary
	out.Reasons = append(out.Reasons, fmt.Sprintf("%s: chosen at position %d, priority %d", best.look.Node, best.look.Seen.Position, best.look.Seen.Priority))
	for _, x := range excluded {
		if x.rank >= best.rank && x.look.Seen.Position > max(best.look.Seen.Position, out.FurthestPosition) && !out.Already {
			out.Furthest, out.FurthestPosition = x.look.Node, x.look.Seen.Position
		}
	}
	return out
}

// gone is for how long the primary has been gone by the word of at least two
// replicas that lost it. A Warden that has just started knows no better.
func gone(a Ask) warden.Duration {
	var least warden.Duration
	n := 0
	for _, l := range a.Looks {
		if !good(l) || l.Seen.Role != warden.RoleReplica || l.Seen.LinkUp || l.Seen.LinkDown <= 0 || lineageRank(a, l) < 0 {
			continue
		}
		if n++; n == 1 || l.Seen.LinkDown < least {
			least = l.Seen.LinkDown
		}
	}
	if n < 2 {
		return 0
	}
	return least
}

func good(l Look) bool { return l.Done && l.Seen.Health == warden.HealthGood }

// better orders contenders, the best first. Of two with the same data, one
// that already is a primary is adopted, not overruled.
func (a Ask) better(x, y contender) int {
	spared := yesFirst(x.look.Node == a.Spared, y.look.Node == a.Spared)
	position := cmp.Or(cmp.Compare(y.look.Seen.Position, x.look.Seen.Position), spared)
	standing := yesFirst(x.look.Seen.Role == warden.RolePrimary, y.look.Seen.Role == warden.RolePrimary)
	priority := cmp.Compare(x.look.Seen.Priority, y.look.Seen.Priority)
	line := cmp.Compare(y.rank, x.rank)
	if a.PriorityFirst {
		return cmp.Or(line, standing, priority, position, byRun(x, y), cmp.Compare(x.look.Node, y.look.Node))
	}
	return cmp.Or(line, position, standing, priority, cmp.Compare(x.look.Node, y.look.Node))
}

// yesFirst orders one of which something is true before one of which it is not.
func yesFirst(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return -1
	}
	return 1
}

// byRun is Sentinel's last resort: the smaller run id, an unknown one last.
func byRun(x, y contender) int {
	a, b := strings.ToLower(x.look.Seen.RunID), strings.ToLower(y.look.Seen.RunID)
	if (a == "") != (b == "") {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

func (a Ask) whyWorse(x, best contender) string {
	preferred := x.look.Seen.Priority > best.look.Seen.Priority
	switch {
	case x.rank < best.rank:
		return "its data is of an older line of the lineage"
	case preferred && a.PriorityFirst:
		return fmt.Sprintf("priority %d, less preferred", x.look.Seen.Priority)
	case x.look.Seen.Position < best.look.Seen.Position:
		return fmt.Sprintf("position %d is %d bytes behind", x.look.Seen.Position, best.look.Seen.Position-x.look.Seen.Position)
	case preferred:
		return fmt.Sprintf("priority %d, less preferred", x.look.Seen.Priority)
	}
	return "equal in all but its address"
}

// whyNot is why a node is not eligible, "" when it is.
func whyNot(a Ask, l Look, othersHaveData bool) string {
	o := l.Seen
	switch {
	case l.Node == a.Old && !a.OldToo: // guard: S7
		return "it is the primary to be replaced"
	case a.Sealed && l.Done && !l.Sealed: // guard: S8
		return "it is no sealed member"
	case !l.Done: // guard: S6
		return "did not answer in time"
	case o.Health != warden.HealthGood: // guard: S6
		return fmt.Sprintf("cannot be looked at (%s) %s", o.Health, o.Detail)
	case slices.Contains(a.Exclude, l.Node): // guard: L2
		return "tried in this attempt already"
	case a.To != "" && l.Node != a.To: // guard: SW
		return fmt.Sprintf("the operator chose %s", a.To)
	case o.NoFollow: // guard: L2
		return fmt.Sprintf("%s has no command to change its role", o.Server)
	case lineageRank(a, l) < 0 && o.Reloaded && !othersHaveData: // guard: S7
		return "it drew a new replication id when it started with its append-only file: it is taken if it is named in nodes and all other nodes answer, or if you order it to (failover --to)"
	case lineageRank(a, l) < 0: // guard: S7
		return "its data is not of this group's lineage, or it never synced"
	case o.Empty && othersHaveData: // guard: S7
		return "it is empty while others have data"
	case o.Role == warden.RolePrimary:
		switch {
		case a.Linked: // guard: SW
			return "it is a primary itself"
		case o.NeedsRejoin && l.Node != a.Old && l.Node != a.To: // guard: S7
			return "it was fenced and has to be rejoined"
		case lineageRank(a, l) < len(a.Lineage)-1, replaced(a, l), a.overVouched(l): // guard: S7
			return "it is an older primary that has not followed since"
		}
		return ""
	case o.Role != warden.RoleReplica: // guard: S7
		return "it does not say what it is"
	case o.Syncing: // guard: S7
		return "it is in the middle of a full copy"
	case a.Linked && (o.Upstream != a.Old || !o.LinkUp): // guard: SW
		return "it has no standing link to the primary"
	case a.Sealed && a.lacks(l): // guard: S8
		return fmt.Sprintf("it may lack acknowledged writes: it has less than %d of %s", a.Floor.End, a.Floor.Lineage)
	case a.MaxLag > 0 && !a.AnyAge && o.Lineage == a.HadLine && a.Had-o.Position > a.MaxLag: // guard: S7
		return fmt.Sprintf("it lacks %d bytes, more than maximum_lag_on_failover", a.Had-o.Position)
	case !a.Linked && !a.AnyAge && tooOld(o, a.DownFor, a.DownAfter): // guard: S7
		return fmt.Sprintf("its link has been down for %s, its data is too old", o.LinkDown)
	}
	return ""
}

// tooOld reports whether a replica has been without its primary for much longer than
// that is down.
func tooOld(o *warden.Observation, downFor, downAfter warden.Duration) bool {
	return o.LinkDown > downFor+10*downAfter
}

// lacks reports whether a node has less than the newest primary began with. One
// that follows onto a newer line may say so before it has come that far.
func (a Ask) lacks(l Look) bool {
	floor := slices.Index(a.Lineage, a.Floor.Lineage)
	rank := lineageRank(a, l)
	return a.Floor.Lineage != "" && (rank < floor || l.Seen.Position < a.Floor.End)
}

// replaced reports whether a primary was replaced in an earlier change: it
// still writes the line that the group went on from, and is neither the one to
// be replaced nor the one before. Whoever was promoted since has a new id.
func replaced(a Ask, l Look) bool {
	return l.Node != a.Old && l.Node != a.Previous && slices.Contains(a.Lineage, l.Seen.Lineage)
}

// overVouched reports whether a primary is one for its name only, and a replica
// is vouched for, too. It may be a primary of days past.
func (a Ask) overVouched(l Look) bool {
	return slices.Contains(a.Vouched, l.Node) && slices.ContainsFunc(a.Looks, func(x Look) bool {
		return good(x) && x.Seen.Role == warden.RoleReplica && slices.Contains(a.Vouched, x.Node) && !slices.Contains(a.Exclude, x.Node)
	})
}

// lineOf orders the lines of contenders, the newest last. The ids are known in the
// order in which they were written down, and a decision writes the candidate's last,
// also where it is of an older line than a node that nobody saw then. If that
// promotion did not happen, that node shows itself that it grew out of the
// candidate's line, and is newer (simulator seed 430172).
func (a Ask) lineOf(l Look) int {
	rank := lineageRank(a, l)
	before := slices.Index(a.Lineage, l.Seen.LineageBefore)
	if l.Seen.Role == warden.RoleReplica && l.Seen.LineageBefore != "" && rank >= 0 && before > rank {
		return 2*before + 1
	}
	return 2 * rank
}

// lineageRank is how new the node's line of the lineage is, -1 when it is not
// of the lineage at all. A node promoted since the list was written (by hand,
// say) is newer than all of it; it then has more than everybody else. One with
// less has only come back with an id of its own, after failovers that its ids
// do not tell of (simulator seed 32107).
func lineageRank(a Ask, l Look) int {
	o := l.Seen
	if i := slices.Index(a.Lineage, o.Lineage); i >= 0 && o.Lineage != "" {
		return i
	}
	i := slices.Index(a.Lineage, o.LineageBefore)
	if i < 0 || o.LineageBefore == "" {
		if slices.Contains(a.Vouched, l.Node) {
			return max(len(a.Lineage)-1, 0) // nothing tells which is newer
		}
		return -1
	}
	if i == len(a.Lineage)-1 && l.Node != a.Previous && !slices.ContainsFunc(a.Looks, func(x Look) bool { return ahead(a, x, l) }) {
		return len(a.Lineage)
	}
	return i
}

// ahead reports whether x holds more of the group's data than l.
func ahead(a Ask, x, l Look) bool {
	return good(x) && !x.Seen.Empty && x.Seen.Lineage != l.Seen.Lineage && x.Seen.Position > l.Seen.Position &&
		slices.Contains(a.Lineage, x.Seen.Lineage)
}
