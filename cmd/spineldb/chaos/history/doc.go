// Package history holds what clients of a group saw, and judges it.
//
// There are two kinds of judgement. Writes of unique tokens, each with the node
// that answered and the tenure under which it did (one tenure per promotion),
// answer three questions: is every acknowledged write there at the end (Kept)?
// If replication is asynchronous, is only lost what may be (Bound)? And did two
// nodes acknowledge writes at the same time (Outdated, Doubled, Split)? Operations on
// registers and sets answer a fourth one: is there one order of them that
// explains all answers (Linear, by porcupine)?
//
// A write has one of three outcomes. Acknowledged and refused are certain. All
// others are unknown: they may have happened, or may still, or never.
//
// Everything here is pure. Times are measured from the beginning of the history
// by one monotonic clock.
package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Outcome is what a client knows about a request.
type Outcome int

const (
	// Unknown: there was no answer, or none that says it all.
	Unknown Outcome = iota
	Acknowledged
	Refused
)

func (o Outcome) String() string {
	return [...]string{"unknown", "acknowledged", "refused"}[o]
}

// Write is one write of a token that is written once.
type Write struct {
	Token string
	// Node answered, in the given tenure: a name that changes with every
	// promotion. Both are empty unless the write was acknowledged.
	Node, Tenure string
	Sent, Done   time.Duration
	Outcome      Outcome
	// Everywhere: after the acknowledgement the node said that all replicas
	// have the write too.
	Everywhere bool
}

func (w Write) String() string {
	if w.Outcome != Acknowledged {
		return fmt.Sprintf("%s, sent at %s, %s at %s", w.Token, short(w.Sent), w.Outcome, short(w.Done))
	}
	return fmt.Sprintf("%s, sent to %s at %s and acknowledged at %s in tenure %s", w.Token, w.Node, short(w.Sent), short(w.Done), w.Tenure)
}

func short(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

// Result is what became of acknowledged writes.
type Result struct {
	Acknowledged, Everywhere int
	// Lost are the acknowledged writes that are not there at the end.
	Lost []Write
	// Wrong are violations, as sentences.
	Wrong []string
}

// Kept demands that every acknowledged write is there at the end, and no refused
// one. there are the tokens found at the end.
func Kept(writes []Write, there map[string]bool) Result {
	r := count(writes, there)
	for _, w := range r.Lost {
		r.Wrong = append(r.Wrong, "acknowledged and lost: "+w.String())
	}
	return r
}

// Bound is for asynchronous replication. An acknowledged write may be lost only
// if all of this is true:
//
//   - its tenure is not the last one: the node that acknowledged it was replaced,
//     or restarted, afterwards;
//   - it had not been confirmed that all replicas have it;
//   - it belongs to the end of its tenure: replication keeps the order, so no
//     write that the same tenure was sent after the acknowledgement is there.
func Bound(writes []Write, there map[string]bool, last string) Result {
	r := count(writes, there)
	newest := map[string]time.Duration{} // of those that are there, by tenure
	for _, w := range writes {
		if w.Outcome == Acknowledged && there[w.Token] {
			newest[w.Tenure] = max(newest[w.Tenure], w.Sent)
		}
	}
	for _, w := range r.Lost {
		switch {
		case w.Everywhere:
			r.Wrong = append(r.Wrong, "lost although every replica had it: "+w.String())
		case w.Tenure == last:
			r.Wrong = append(r.Wrong, "lost although its primary was never replaced: "+w.String())
		case newest[w.Tenure] > w.Done:
			r.Wrong = append(r.Wrong, "lost although a later one of the same primary is there: "+w.String())
		}
	}
	return r
}

func count(writes []Write, there map[string]bool) Result {
	var r Result
	for _, w := range writes {
		switch {
		case w.Outcome == Refused && there[w.Token]:
			r.Wrong = append(r.Wrong, "refused and yet there: "+w.Token)
		case w.Outcome == Acknowledged:
			r.Acknowledged++
			if w.Everywhere {
				r.Everywhere++
			}
			if !there[w.Token] {
				r.Lost = append(r.Lost, w)
			}
		}
	}
	return r
}

// Late is an acknowledgement that should not have been given: another node was
// the primary.
type Late struct {
	Write
	Other Write // that the other node acknowledged before
}

func (l Late) String() string {
	return fmt.Sprintf("two primaries: %s, after %s", l.Write, l.Other)
}

// tenure is one node's time as a primary, as far as acknowledged writes show it.
type tenure struct {
	name        string
	first, last Write // first to be acknowledged, last to be sent
}

// tenures are those of a history, sorted by their first acknowledgement.
func tenures(writes []Write) []tenure {
	all := map[string]tenure{}
	for _, w := range writes {
		if w.Outcome != Acknowledged {
			continue
		}
		t, ok := all[w.Tenure]
		if !ok || w.Done < t.first.Done {
			t.first = w
		}
		if !ok || w.Sent > t.last.Sent {
			t.last = w
		}
		t.name = w.Tenure
		all[w.Tenure] = t
	}
	return slices.SortedFunc(maps.Values(all), func(a, b tenure) int { return cmp.Compare(a.first.Done, b.first.Done) })
}

// Outdated returns the acknowledged writes that were sent after another node had
// acknowledged one in a newer tenure. older tells which of two tenures is the
// older one. An answer that is merely late is none of them: its write was sent
// before. The result is sorted by time.
func Outdated(writes []Write, older func(a, b string) bool) []Late {
	return late(writes, func(w Write, own, other tenure) bool {
		return other.first.Done < w.Sent && older(own.name, other.name)
	})
}

// Doubled returns the acknowledged writes that prove two primaries without
// knowing which tenure is newer: another node acknowledged a write before this
// one was sent, and in the same tenure one that was sent after this one was
// acknowledged. Of the two tenures the writes of the one that ended first are
// returned, sorted by time.
func Doubled(writes []Write) []Late {
	return late(writes, func(w Write, own, other tenure) bool {
		return other.first.Done < w.Sent && other.last.Sent > w.Done && own.last.Sent < other.last.Sent
	})
}

func late(writes []Write, is func(w Write, own, other tenure) bool) []Late {
	all := tenures(writes)
	byName := map[string]tenure{}
	for _, t := range all {
		byName[t.name] = t
	}
	var out []Late
	for _, w := range writes {
		if w.Outcome != Acknowledged {
			continue
		}
		for _, t := range all {
			if t.first.Node != w.Node && is(w, byName[w.Tenure], t) {
				out = append(out, Late{w, t.first})
				break
			}
		}
	}
	slices.SortFunc(out, func(a, b Late) int { return cmp.Compare(a.Sent, b.Sent) })
	return out
}

// Split returns a sentence for each tenure under which two nodes acknowledged
// writes: a promotion that happened twice.
func Split(writes []Write) []string {
	nodes := map[string]string{}
	var out []string
	for _, w := range writes {
		if w.Outcome != Acknowledged {
			continue
		}
		if n, ok := nodes[w.Tenure]; !ok {
			nodes[w.Tenure] = w.Node
		} else if n != w.Node {
			if s := fmt.Sprintf("%s and %s both acknowledged writes in tenure %s", n, w.Node, w.Tenure); !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}
