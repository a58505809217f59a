package history

import (
	"strings"
	"testing"
	"time"
)

// ack is a write that was sent and acknowledged at the given milliseconds.
func ack(token, node, tenure string, sent, done int) Write {
	return Write{Token: token, Node: node, Tenure: tenure, Sent: ms(sent), Done: ms(done), Outcome: Acknowledged}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func everywhere(w Write) Write { w.Everywhere = true; return w }

func tokens(all ...string) map[string]bool {
	out := map[string]bool{}
	for _, t := range all {
		out[t] = true
	}
	return out
}

// Goal: in quorum mode one lost write is one violation, unknown ones may be there
// or not, and what was refused must not be.
func TestKept(t *testing.T) {
	writes := []Write{ack("a", "n1", "1", 0, 1), ack("b", "n1", "1", 2, 3), {Token: "c", Sent: ms(4)}, {Token: "d", Sent: ms(5), Outcome: Refused}}
	for name, c := range map[string]struct {
		there map[string]bool
		wrong int
	}{
		"all there":             {tokens("a", "b"), 0},
		"the unknown one too":   {tokens("a", "b", "c"), 0},
		"an acknowledged lost":  {tokens("a"), 1},
		"the refused one there": {tokens("a", "b", "d"), 1},
		"nothing there":         {tokens(), 2},
	} {
		if r := Kept(writes, c.there); len(r.Wrong) != c.wrong || r.Acknowledged != 2 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Goal: each of the three conditions of the bound is seen to be broken.
func TestBound(t *testing.T) {
	good := []Write{ack("a", "n1", "t1", 0, 1), ack("b", "n1", "t1", 2, 3), ack("c", "n2", "t2", 10, 11)}
	for name, c := range map[string]struct {
		writes []Write
		there  map[string]bool
		wrong  string
	}{
		"nothing lost":               {good, tokens("a", "b", "c"), ""},
		"the end of a tenure lost":   {good, tokens("a", "c"), ""},
		"a whole tenure lost":        {good, tokens("c"), ""},
		"a hole in a tenure":         {good, tokens("b", "c"), "a later one"},
		"lost in the last tenure":    {good, tokens("a", "b"), "never replaced"},
		"lost though it was all had": {[]Write{ack("a", "n1", "t1", 0, 1), everywhere(ack("b", "n1", "t1", 2, 3)), good[2]}, tokens("a", "c"), "every replica"},
		// Two clients at once: b was sent before a was acknowledged, so that
		// either may come first in the stream.
		"no order between the two": {[]Write{ack("a", "n1", "t1", 0, 5), ack("b", "n1", "t1", 2, 3), good[2]}, tokens("b", "c"), ""},
	} {
		r := Bound(c.writes, c.there, "t2")
		if (c.wrong == "") != (len(r.Wrong) == 0) || c.wrong != "" && !strings.Contains(strings.Join(r.Wrong, "\n"), c.wrong) {
			t.Errorf("%s: want %q, got %q", name, c.wrong, r.Wrong)
		}
	}
}

// Goal: writes that an old primary was sent after the new one had acknowledged
// one are found, with and without knowing which tenure is newer; an answer that
// is merely late, and a change there and back, are not.
func TestTwoPrimaries(t *testing.T) {
	a, b := ack("a", "n1", "t1", 0, 1), ack("b", "n2", "t2", 10, 11)
	for name, c := range map[string]struct {
		writes            []Write
		outdated, doubled int
	}{
		"one after the other":          {[]Write{a, b}, 0, 0},
		"there and back":               {[]Write{a, b, ack("c", "n1", "t3", 20, 21)}, 0, 0},
		"the answer is late":           {[]Write{a, b, ack("c", "n1", "t1", 9, 30), ack("d", "n2", "t2", 40, 41)}, 0, 0},
		"sent too late":                {[]Write{a, b, ack("c", "n1", "t1", 12, 13)}, 1, 1},
		"both go on":                   {[]Write{a, b, ack("c", "n1", "t1", 12, 13), ack("d", "n2", "t2", 14, 15), ack("e", "n1", "t1", 16, 17), ack("f", "n2", "t2", 18, 19)}, 2, 2},
		"the old one is back":          {[]Write{a, b, ack("c", "n1", "t0", 12, 13), ack("d", "n2", "t2", 14, 15)}, 1, 1},
		"seen only after the newer":    {[]Write{b, ack("c", "n1", "t1", 12, 13)}, 1, 0},
		"two nodes, nothing in common": {[]Write{a, ack("c", "n3", "t9", 2, 3)}, 0, 0},
		"nothing acknowledged":         {[]Write{{Token: "a"}, {Token: "b", Outcome: Refused}}, 0, 0},
	} {
		if got := Outdated(c.writes, func(a, b string) bool { return a < b }); len(got) != c.outdated {
			t.Errorf("%s: outdated are %v, want %d", name, got, c.outdated)
		}
		if got := Doubled(c.writes); len(got) != c.doubled {
			t.Errorf("%s: doubled are %v, want %d", name, got, c.doubled)
		}
	}
}

// Goal: two nodes in one tenure are found.
func TestSplit(t *testing.T) {
	one := []Write{ack("a", "n1", "t1", 0, 1), ack("b", "n2", "t2", 2, 3)}
	if got := Split(one); len(got) != 0 {
		t.Errorf("nothing is split: %q", got)
	}
	if got := Split(append(one, ack("c", "n2", "t1", 4, 5), ack("d", "n2", "t1", 6, 7))); len(got) != 1 {
		t.Errorf("two nodes in tenure t1: %q", got)
	}
}

// op is an operation that was answered.
func op(client int, kind Kind, value, sent, done int, seen ...int) Op {
	return Op{Client: client, Key: "k", Kind: kind, Value: value, Seen: seen, Sent: ms(sent), Done: ms(done), Outcome: Acknowledged}
}

func unanswered(o Op) Op { o.Outcome = Unknown; return o }

// Goal: histories of a register and of a set that one order explains pass, and
// those that none explains do not.
func TestLinear(t *testing.T) {
	for name, c := range map[string]struct {
		ops   []Op
		right bool
	}{
		"read what was written":             {[]Op{op(1, Put, 1, 0, 1), op(2, Get, 1, 2, 3)}, true},
		"nothing was written":               {[]Op{op(2, Get, 0, 2, 3)}, true},
		"a stale read":                      {[]Op{op(1, Put, 1, 0, 1), op(1, Put, 2, 2, 3), op(2, Get, 1, 4, 5)}, false},
		"an acknowledged write is lost":     {[]Op{op(1, Put, 1, 0, 1), op(2, Get, 0, 2, 3)}, false},
		"either order, as they overlap":     {[]Op{op(1, Put, 1, 0, 9), op(2, Put, 2, 0, 9), op(2, Get, 1, 10, 11)}, true},
		"the value goes back and forth":     {[]Op{op(1, Put, 1, 0, 9), op(2, Put, 2, 0, 9), op(3, Get, 1, 10, 11), op(3, Get, 2, 12, 13), op(3, Get, 1, 14, 15)}, false},
		"no answer, and it happened later":  {[]Op{unanswered(op(1, Put, 1, 0, 1)), op(2, Get, 0, 2, 3), op(2, Get, 1, 4, 5)}, true},
		"no answer, and it never happened":  {[]Op{unanswered(op(1, Put, 1, 0, 1)), op(2, Get, 0, 2, 3)}, true},
		"no answer, it came and went":       {[]Op{unanswered(op(1, Put, 1, 0, 1)), op(2, Get, 1, 2, 3), op(2, Get, 0, 4, 5)}, false},
		"a value that nobody wrote":         {[]Op{op(2, Get, 7, 2, 3)}, false},
		"all elements":                      {[]Op{op(1, Add, 3, 0, 1), op(1, Add, 17, 2, 3), op(2, Members, 0, 4, 5, 17, 3)}, true},
		"an acknowledged element is lost":   {[]Op{op(1, Add, 3, 0, 1), op(1, Add, 17, 2, 3), op(2, Members, 0, 4, 5, 17)}, false},
		"an element that nobody added":      {[]Op{op(1, Add, 3, 0, 1), op(2, Members, 0, 4, 5, 3, 4)}, false},
		"no answer, the element comes late": {[]Op{unanswered(op(1, Add, 3, 0, 1)), op(2, Members, 0, 2, 3), op(2, Members, 0, 4, 5, 3)}, true},
		"an element comes and goes":         {[]Op{unanswered(op(1, Add, 3, 0, 1)), op(2, Members, 0, 2, 3, 3), op(2, Members, 0, 4, 5)}, false},
	} {
		if o := Linear(c.ops, 10*time.Second); (len(o.Wrong) == 0) != c.right || len(o.Undecided) != 0 {
			t.Errorf("%s: %+v\n%s", name, o, Story(c.ops, "k"))
		}
	}
	refused := op(1, Put, 1, 0, 1)
	refused.Outcome = Refused
	if o := Linear([]Op{refused, op(2, Get, 1, 2, 3)}, time.Second); len(o.Wrong) != 1 || o.Checked != 1 {
		t.Errorf("a refused write was read: %+v", o)
	}
}
