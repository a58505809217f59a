package history

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does.
type Kind int

const (
	Put     Kind = iota // write a register
	Get                 // read it
	Add                 // add an element to a set
	Members             // read all of it
)

// Op is one operation on a key, which is a register or a set and no both.
type Op struct {
	Client int
	Key    string
	Kind   Kind
	// Value is what Put writes, what Get saw (0: nothing was ever written) and
	// what Add adds, which is not negative.
	Value int
	// Seen are the elements that Members saw.
	Seen       []int
	Sent, Done time.Duration
	Outcome    Outcome
}

// Order says whether one order explains the operations.
type Order struct {
	Checked int // operations
	// Open is how many of them have an unknown outcome.
	Open int
	// Wrong and Undecided are keys: no order explains the answers, or the time
	// was not enough to find out.
	Wrong, Undecided []string
}

// Linear looks, for each key, for one order of its operations in which each
// takes effect between its beginning and its end, and which explains every
// answer. Refused operations did nothing. Reads without an answer are of no
// account; writes without one may take effect at any time after they were sent,
// or never. limit bounds the search for each key.
func Linear(ops []Op, limit time.Duration) Order {
	var o Order
	byKey := map[string][]porcupine.Operation{}
	models := map[string]porcupine.Model{}
	for _, op := range ops {
		reads := op.Kind == Get || op.Kind == Members
		if op.Outcome == Refused || reads && op.Outcome == Unknown {
			continue
		}
		o.Checked++
		end := op.Done.Nanoseconds()
		if op.Outcome == Unknown {
			o.Open++
			end = math.MaxInt64
		}
		byKey[op.Key] = append(byKey[op.Key], porcupine.Operation{ClientId: op.Client, Input: op, Output: op, Call: op.Sent.Nanoseconds(), Return: end})
		models[op.Key] = register
		if op.Kind == Add || op.Kind == Members {
			models[op.Key] = elements
		}
	}
	for key, history := range byKey {
		switch porcupine.CheckOperationsTimeout(models[key], history, limit) {
		case porcupine.Ok:
		case porcupine.Illegal:
			o.Wrong = append(o.Wrong, key)
		default:
			o.Undecided = append(o.Undecided, key)
		}
	}
	slices.Sort(o.Wrong)
	slices.Sort(o.Undecided)
	return o
}

// Story is the operations on one key as text, in the order in which they began.
func Story(ops []Op, key string) string {
	var mine []Op
	for _, op := range ops {
		if op.Key == key && op.Outcome != Refused {
			mine = append(mine, op)
		}
	}
	slices.SortFunc(mine, func(a, b Op) int { return int(a.Sent - b.Sent) })
	var b strings.Builder
	for _, op := range mine {
		verb := [...]string{"put", "get", "add", "members"}[op.Kind]
		what := fmt.Sprint(op.Value)
		if op.Kind == Members {
			what = fmt.Sprint(op.Seen)
		}
		outcome := "done " + short(op.Done)
		if op.Outcome == Unknown {
			outcome = "no answer"
		}
		fmt.Fprintf(&b, "%s  client %d  %s %s %s  %s\n", short(op.Sent), op.Client, verb, key, what, outcome)
	}
	return b.String()
}

// register is one value; 0 before the first write.
var register = porcupine.Model{
	Init: func() any { return 0 },
	Step: func(state, input, _ any) (bool, any) {
		op := input.(Op)
		if op.Kind == Put {
			return true, op.Value
		}
		return op.Value == state.(int), state
	},
}

// elements is a set of small numbers, kept as a text of bits, as states have to
// be compared often.
var elements = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		op := input.(Op)
		if op.Kind == Add {
			return true, with(state.(string), op.Value)
		}
		seen := ""
		for _, v := range op.Seen {
			seen = with(seen, v)
		}
		return seen == state.(string), state
	},
	Hash: func(state any) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(state.(string))) // never fails
		return h.Sum64()
	},
}

// with is a set and one more element.
func with(set string, value int) string {
	bits := []byte(set)
	for len(bits) <= value/8 {
		bits = append(bits, 0)
	}
	bits[value/8] |= 1 << (value % 8)
	return string(bits)
}
