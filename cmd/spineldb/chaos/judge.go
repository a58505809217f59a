package main

import (
	"fmt"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/chaos/history"
)

// settleBar is promise L2: how soon after faults have ended all is well again.
const settleBar = 10 * time.Second

// judgement is what the histories say.
type judgement struct {
	summary string
	wrong   []string // promises about data that were broken
	notes   []string // what is worth knowing besides
	// Writes that were acknowledged, those of them that are lost, those that an
	// old primary acknowledged beside a new one, and operations that were put
	// into an order.
	acknowledged, lost, doubled, ordered int
}

// linearLimit is for the search of one key's order, which takes milliseconds.
const linearLimit = 30 * time.Second

// judgeAsync judges a group with asynchronous replication: losses within the
// bound (history.Bound), and two primaries for no longer than L2 says. A primary
// that is cut off from the Wardens, or stands still, cannot be demoted; but one
// that was not touched by any fault for as long as L2 says has to be, and once
// the Wardens say that all is well there is none.
func judgeAsync(r *record, there map[string]bool, last string) judgement {
	writes, _ := r.all()
	bound := history.Bound(writes, there, last)
	late := history.Doubled(writes)
	j := judgement{wrong: append(bound.Wrong, history.Split(writes)...), acknowledged: bound.Acknowledged, lost: len(bound.Lost), doubled: len(late)}
	var longest time.Duration
	for _, l := range late {
		calm := r.calmSince(l.Sent, l.Node, l.Other.Node)
		if longest = max(longest, calm); calm > settleBar || l.Sent > r.settled {
			j.wrong = append(j.wrong, fmt.Sprintf("%s; no fault had touched them for %s", l, calm.Round(time.Millisecond)))
		}
	}
	j.summary = fmt.Sprintf("%d writes acknowledged (%d known to be everywhere), %d lost, all within the bound; %d acknowledged by an old primary that was cut off or had just come back, none later than %s after the last fault",
		bound.Acknowledged, bound.Everywhere, len(bound.Lost), len(late), longest.Round(time.Millisecond))
	if len(j.wrong) > 0 {
		j.summary = fmt.Sprintf("%d writes acknowledged, %d lost, %d late", bound.Acknowledged, len(bound.Lost), len(late))
	}
	return j
}

// judgeQuorum judges a group with quorum durability: nothing that was
// acknowledged is lost, no old primary acknowledges what it was sent after the
// new one had acknowledged something, and one order explains all answers. older
// compares tenures, if they can be compared.
func judgeQuorum(r *record, there map[string]bool, older func(a, b string) bool) judgement {
	writes, ops := r.all()
	kept := history.Kept(writes, there)
	order := history.Linear(ops, linearLimit)
	late := history.Doubled(writes)
	if older != nil {
		late = append(late, history.Outdated(writes, older)...)
	}
	j := judgement{wrong: append(kept.Wrong, history.Split(writes)...), acknowledged: kept.Acknowledged, lost: len(kept.Lost), doubled: len(late), ordered: order.Checked}
	for _, l := range late {
		j.wrong = append(j.wrong, l.String())
	}
	for _, key := range order.Wrong {
		j.wrong = append(j.wrong, "no order explains the answers about "+key+":\n"+history.Story(ops, key))
	}
	for _, key := range order.Undecided {
		j.wrong = append(j.wrong, fmt.Sprintf("whether an order explains the answers about %s was not found out within %s", key, linearLimit))
	}
	j.summary = fmt.Sprintf("%d writes acknowledged, %d lost; %d operations on registers and sets (%d without an answer), %d keys without an order",
		kept.Acknowledged, len(kept.Lost), order.Checked, order.Open, len(order.Wrong))
	return j
}

// timelines are numbers of eight hexadecimal digits that grow.
func timelines(a, b string) bool { return a < b }
