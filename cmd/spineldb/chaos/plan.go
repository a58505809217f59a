package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Engines.
const (
	engineRedis    = "redis"
	enginePostgres = "postgres"
)

// kind is what a fault does.
type kind string

const (
	kindKill       kind = "kill"       // kill -9, and a start with the data
	kindWipe       kind = "wipe"       // kill -9, and a start without the data
	kindStop       kind = "stop"       // SIGSTOP and SIGCONT
	kindCut        kind = "cut"        // a partition, one way or both
	kindLoss       kind = "loss"       // some packets are lost
	kindDelay      kind = "delay"      // all are late
	kindReorder    kind = "reorder"    // some overtake others
	kindDuplicate  kind = "duplicate"  // some come twice
	kindDisk       kind = "disk"       // a Warden on a new disk, which is then full
	kindSync       kind = "fsync"      // a Warden whose syncs are slow
	kindClock      kind = "clock"      // a Warden whose monotonic clock shows another time
	kindJoin       kind = "join"       // one more Warden, which is killed and forgotten
	kindCrash      kind = "crash"      // two Wardens die as they enter a stage of leading
	kindSwitchover kind = "switchover" // an operator's order
	kindPause      kind = "pause"      // automatic changes are off for a while
)

// Actors of a round. Which server is the primary is looked up when the fault
// begins.
const (
	actorPrimary = "primary"
	actorReplica = "replica" // either one
	actorClient  = "client"
	spareWarden  = "warden-4"
)

var wardenActors = []string{"warden-1", "warden-2", "warden-3"}

// fault is one thing that happens.
type fault struct {
	At, For time.Duration // from the beginning of the storm, and how long
	Kind    kind
	// Who it happens to. For faults of the network: the hosts on one side, all
	// others being on the other.
	Who []string
	// Way says which packets, seen from Who: "out", "in" or "both".
	Way string
	// Chance is that of a loss or a double; Time a delay, jitter or clock offset.
	Chance float64
	Time   time.Duration
	Stage  string // of a crash
}

func (f fault) String() string {
	s := fmt.Sprintf("%4.1fs  %s", f.At.Seconds(), f.Kind)
	if len(f.Who) > 0 {
		s += " " + strings.Join(f.Who, "+")
	}
	if f.Way != "" {
		s += " " + f.Way
	}
	if f.Chance > 0 {
		s += fmt.Sprintf(" %.0f%%", 100*f.Chance)
	}
	if f.Stage != "" {
		s += " in " + f.Stage
	}
	if f.Time != 0 {
		s += " " + f.Time.String()
	}
	return s + fmt.Sprintf(" for %.1fs", f.For.Seconds())
}

// weights say how often each kind is drawn.
var weights = []struct {
	kind   kind
	weight int
}{
	{kindKill, 5}, {kindStop, 5}, {kindCut, 7}, {kindLoss, 3}, {kindDelay, 3}, {kindReorder, 2}, {kindDuplicate, 2},
	{kindWipe, 2}, {kindDisk, 1}, {kindSync, 2}, {kindClock, 2}, {kindJoin, 1}, {kindSwitchover, 2}, {kindPause, 1},
	{kindCrash, 0}, // drawn apart
}

// plan draws the storm of a seed. It is the same for the same arguments. Nodes
// of PostgreSQL never lose their data: no promise covers that.
func plan(seed uint64, engine string, storm time.Duration) []fault {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	// One that costs the group its primary comes first, so that every round has
	// a change.
	first := fault{Kind: []kind{kindKill, kindStop, kindCut}[r.IntN(3)], Who: []string{actorPrimary}, For: between(r, 2*time.Second, 4*time.Second), At: between(r, 0, time.Second)}
	if first.Kind == kindCut {
		first.Way = "both"
	}
	out := []fault{first}
	if r.IntN(2) == 0 {
		out = append(out, crash(r, engine, storm))
	}
	for seen := map[string]bool{}; len(out) < 6+int(storm/(4*time.Second)); {
		f := draw(r, engine)
		if once := loss(f); once != "" {
			if seen[once] {
				continue
			}
			seen[once] = true
		}
		f.At = between(r, 0, storm-2*time.Second)
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b fault) int { return cmp.Compare(a.At, b.At) })
	return out
}

// crash draws two Wardens and a stage, for the whole of the storm.
func crash(r *rand.Rand, engine string, storm time.Duration) fault {
	stages := []string{"elected", "affirming", "inspecting", "looking", "deciding", "claiming", "promoting", "publishing", "repointing"}
	if engine == enginePostgres {
		stages = append(stages, "sealing", "sealing", "widening", "naming", "arming", "narrowing")
	}
	first := r.IntN(3)
	return fault{Kind: kindCrash, For: storm, Who: []string{wardenActors[first], wardenActors[(first+1)%3]}, Stage: stages[r.IntN(len(stages))]}
}

// loss names what a fault takes away for good, "" for nothing. One such loss
// happens in a storm, as the promises speak of a minority: two of four Wardens
// that are gone, one for its disk and one that had joined, are a majority lost.
func loss(f fault) string {
	switch {
	case f.Kind == kindWipe && (f.Who[0] == actorPrimary || f.Who[0] == actorReplica):
		return "a node's data"
	case f.Kind == kindWipe, f.Kind == kindDisk, f.Kind == kindJoin:
		return "a Warden"
	default:
		return ""
	}
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return (low + time.Duration(r.Int64N(int64(high-low)))).Round(time.Millisecond)
}

func draw(r *rand.Rand, engine string) fault {
	f := fault{For: between(r, 500*time.Millisecond, 4*time.Second), Kind: drawKind(r)}
	one := func(from ...string) []string { return []string{from[r.IntN(len(from))]} }
	switch f.Kind {
	case kindKill, kindStop:
		f.Who = one(actorPrimary, actorPrimary, actorReplica, "warden-1", "warden-2", "warden-3")
	case kindWipe:
		f.Who = one(wardenActors...)
		if engine == engineRedis {
			f.Who = one(actorPrimary, actorReplica, "warden-1", "warden-2", "warden-3")
		}
	case kindCut, kindLoss, kindDelay, kindReorder, kindDuplicate:
		f.Who, f.Way = side(r), []string{"both", "both", "out", "in"}[r.IntN(4)]
		switch f.Kind {
		case kindLoss, kindDuplicate:
			f.Chance = float64(5+r.IntN(40)) / 100
		case kindDelay:
			f.Time = between(r, 5*time.Millisecond, 300*time.Millisecond)
		case kindReorder:
			f.Time = between(r, 20*time.Millisecond, 200*time.Millisecond)
		}
	case kindDisk, kindSync, kindClock:
		f.Who = one(wardenActors...)
		switch f.Kind {
		case kindSync:
			f.Time = between(r, 50*time.Millisecond, 1500*time.Millisecond)
		case kindClock:
			f.Time = time.Duration(r.Int64N(1e6)+1000) * time.Second
		}
	case kindJoin:
		f.Who, f.For = []string{spareWarden}, f.For+2*time.Second
	}
	return f
}

func drawKind(r *rand.Rand) kind {
	total := 0
	for _, w := range weights {
		total += w.weight
	}
	n := r.IntN(total)
	for _, w := range weights {
		if n -= w.weight; n < 0 {
			return w.kind
		}
	}
	panic("the weights do not add up")
}

// side draws the hosts on one side of a fault of the network.
func side(r *rand.Rand) []string {
	w := wardenActors[r.IntN(3)]
	return [][]string{
		{actorPrimary}, {actorPrimary}, {actorPrimary, w}, {actorPrimary, actorClient}, {actorReplica}, {actorReplica, w},
		{w}, {"warden-1", "warden-3"}, {actorPrimary, actorReplica}, {actorPrimary, actorReplica, w},
	}[r.IntN(10)]
}
