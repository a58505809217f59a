package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// checkIsolation looks at what bounds the writes of a primary that only its
// clients reach.
func checkIsolation(g Group, all []*RedisNode) []Finding {
	var out []Finding
	for _, n := range all {
		if f := isolation(g, n, max(len(all), len(g.Nodes))); f.Found != "" {
			f.Node = n.Node
			out = append(out, f)
		}
	}
	return out
}

// leastLag is the shortest min-replicas-max-lag, in seconds, that a calm network
// keeps: replicas tell once a second how far they are.
const leastLag = 2

// lagFor is the min-replicas-max-lag, in seconds, with which a primary that is
// cut off stops at about the time at which there is another one.
func lagFor(g Group) int64 {
	if g.DownAfter == 0 {
		return 10
	}
	return max(int64(g.DownAfter/warden.Second), leastLag)
}

// isolation judges min-replicas-to-write of one of so many nodes.
func isolation(g Group, n *RedisNode, nodes int) Finding {
	text, known := n.Config["min-replicas-to-write"]
	good, shown := n.Info["min_slaves_good_slaves"]
	want, _ := strconv.Atoi(text)
	lag, _ := strconv.Atoi(n.Config["min-replicas-max-lag"])
	left := nodes - 2 // replicas of the next primary, until the old one has returned
	const why = "a primary that is cut off from everybody but its clients goes on taking writes, which are discarded when it returns"
	both := fmt.Sprintf("CONFIG SET min-replicas-to-write 1; CONFIG SET min-replicas-max-lag %d; CONFIG REWRITE   # on every node, if refusing writes is better than losing them", lagFor(g))
	switch {
	case known && want == 0 || !known && n.Info["role"] == "master" && !shown:
		return Finding{Severity: Note, Found: "min-replicas-to-write is 0", Why: why, Remedy: both}
	case !known:
		return Finding{}
	case lag == 0 && n.Config["min-replicas-max-lag"] != "":
		return Finding{Severity: Note, Found: "min-replicas-max-lag is 0, which switches min-replicas-to-write off", Why: why, Remedy: both}
	case shown && n.Info["role"] == "master" && n.number("min_slaves_good_slaves") < int64(want):
		return Finding{Severity: Error, Found: fmt.Sprintf("it refuses writes: min-replicas-to-write is %d, and %s replicas are in step", want, good),
			Why: "clients get NOREPLICAS", Remedy: "bring replicas back, or CONFIG SET min-replicas-to-write " + strconv.Itoa(max(left, 0))}
	case want > left:
		return Finding{Severity: Note, Found: fmt.Sprintf("min-replicas-to-write is %d, and there are %d nodes", want, nodes),
			Why: "after a failover the new primary has too few replicas and refuses writes until the old one has returned", Remedy: "add a replica, or CONFIG SET min-replicas-to-write " + strconv.Itoa(max(left, 0))}
	case g.DownAfter > 0 && warden.Duration(lag)*warden.Second > max(g.DownAfter, leastLag*warden.Second):
		return Finding{Severity: Note, Found: fmt.Sprintf("min-replicas-max-lag is %d s, and down_after %s", lag, g.DownAfter),
			Why:    "a primary that is cut off takes writes for longer than it takes until there is another one",
			Remedy: fmt.Sprintf("CONFIG SET min-replicas-max-lag %d; CONFIG REWRITE   # on every node", lagFor(g))}
	}
	return Finding{}
}

// awayFor is how long a replica may be without a primary in a failover: until
// the old one is found down, and some seconds to find its place.
func awayFor(g Group) time.Duration { return time.Duration(g.DownAfter) + 10*time.Second }

// checkBacklog compares the backlog with what was written just now.
func checkBacklog(g Group, n *RedisNode) []Finding {
	have := n.number("repl_backlog_size")
	away := awayFor(g)
	need := int64(float64(n.Rate) * away.Seconds())
	if have == 0 || need <= have {
		return nil
	}
	return []Finding{{Severity: Warning, Found: fmt.Sprintf("repl-backlog-size is %s, and %s a second are written just now", amount(have), amount(n.Rate)),
		Why:    fmt.Sprintf("a replica that is cut off for longer than %s copies everything anew, as all do after a failover that takes %s", (time.Duration(have) * time.Second / time.Duration(n.Rate)).Round(100*time.Millisecond), away),
		Remedy: fmt.Sprintf("CONFIG SET repl-backlog-size %d; CONFIG REWRITE   # on every node", roundUp(need))}}
}

// copySpeed is what a full copy is supposed to move a second, in bytes.
const copySpeed = 50 << 20

// checkBuffers compares the limit of what waits for a replica with what would be
// written while it makes a full copy.
func checkBuffers(_ Group, n *RedisNode) []Finding {
	hard, soft, seconds, known := bufferLimit(n.Config["client-output-buffer-limit"])
	if !known || n.Rate == 0 {
		return nil
	}
	if backlog := n.number("repl_backlog_size"); hard > 0 {
		hard = max(hard, backlog) // a server takes no smaller one
	}
	takes := float64(n.number("used_memory")) / copySpeed
	waits := int64(takes * float64(n.Rate))
	if (hard == 0 || waits <= hard) && (soft == 0 || waits <= soft || takes <= float64(seconds)) {
		return nil
	}
	return []Finding{{Severity: Warning, Found: fmt.Sprintf("client-output-buffer-limit lets %s wait for a replica (%s for %d s), and about %s would during a full copy", amount(hard), amount(soft), seconds, amount(waits)),
		Why:    "the link is cut before the copy is done, and the copy begins anew, again and again",
		Remedy: fmt.Sprintf("CONFIG SET client-output-buffer-limit \"replica %d %d 60\"; CONFIG REWRITE   # on every node", roundUp(2*waits), roundUp(waits))}}
}

// bufferLimit reads the limits of replicas: at once, and for so many seconds; 0:
// none.
func bufferLimit(text string) (hard, soft, seconds int64, known bool) {
	words := strings.Fields(text)
	for i := 0; i+3 < len(words); i += 4 {
		if words[i] != "slave" && words[i] != "replica" {
			continue
		}
		var errs [3]error
		hard, errs[0] = strconv.ParseInt(words[i+1], 10, 64)
		soft, errs[1] = strconv.ParseInt(words[i+2], 10, 64)
		seconds, errs[2] = strconv.ParseInt(words[i+3], 10, 64)
		return hard, soft, seconds, errs == [3]error{}
	}
	return 0, 0, 0, false
}

// roundUp is the next power of two that is at least 1 MiB.
func roundUp(n int64) int64 {
	out := int64(1 << 20)
	for out < n && out < 1<<50 {
		out *= 2
	}
	return out
}

// amount shows bytes.
func amount(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
