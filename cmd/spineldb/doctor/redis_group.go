package doctor

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// checkRedisReadable says what could not be looked at.
func checkRedisReadable(g Group, n *RedisNode) []Finding {
	if n.Config != nil {
		return nil
	}
	return []Finding{{Severity: Note, Found: "its settings cannot be read: " + n.WhyNot,
		Why:    "what INFO does not tell was not looked at: min-replicas-to-write, passwords toward the primary, limits of buffers, whether the nodes are alike",
		Remedy: "run the doctor with a file that names an administrator in auth_user, or ACL SETUSER " + n.user(g) + " +config|get   # which shows passwords, too"}}
}

// checkConfigFile looks for where CONFIG REWRITE writes.
func checkConfigFile(_ Group, n *RedisNode) []Finding {
	if file, told := n.Info["config_file"]; !told || file != "" {
		return nil
	}
	return []Finding{{Severity: Warning, Found: "it was started without a configuration file", Why: "CONFIG REWRITE has nowhere to write, so after a restart it is again what it was before the last failover, until a Warden has corrected it",
		Remedy: "start it as redis-server /path/redis.conf, a file that it may write, in a directory that it may write"}}
}

// checkClients looks whether a leader will get its connection.
func checkClients(_ Group, n *RedisNode) []Finding {
	have, most := n.number("connected_clients"), n.number("maxclients")
	if most == 0 || have*10 <= most*9 {
		return nil
	}
	return []Finding{{Severity: Warning, Found: fmt.Sprintf("%d of maxclients %d connections are taken", have, most), Why: "a Warden that gets no new connection can neither look well nor order anything",
		Remedy: fmt.Sprintf("CONFIG SET maxclients %d; CONFIG REWRITE   # and see who holds them: CLIENT LIST", 2*most)}}
}

// alike are the settings that should be the same on nodes that take one
// another's place, and why.
var alike = []struct {
	name     string
	severity Severity
	why      string
}{
	{"appendonly", Warning, "after a failover writes are as durable as on the new primary, and it is another time until a restarted node is back"},
	{"save", Note, "after a failover writes are as durable as on the new primary"},
	{"appendfsync", Note, "after a failover writes are as durable as on the new primary"},
	{"maxmemory-policy", Warning, "after a failover other keys are evicted, or writes are refused"},
	{"notify-keyspace-events", Warning, "after a failover clients miss events that they were sent before"},
	{"databases", Warning, "a replica that has fewer cannot hold the data of all"},
	{"min-replicas-to-write", Note, "after a failover the primary takes writes under other conditions"},
	{"min-replicas-max-lag", Note, "after a failover the primary takes writes under other conditions"},
	{"repl-backlog-size", Note, "after a failover replicas may be away for another time than before"},
	{"client-output-buffer-limit", Note, "after a failover other limits hold for replicas and clients"},
	{"timeout", Note, "after a failover idle clients are treated otherwise"},
}

func checkAlike(_ Group, all []*RedisNode) []Finding {
	var out []Finding
	for _, a := range alike {
		by := map[string][]string{}
		for _, n := range all {
			if value, known := n.Config[a.name]; known {
				by[value] = append(by[value], string(n.Node))
			}
		}
		if len(by) < 2 {
			continue
		}
		var words []string
		for _, value := range slices.Sorted(maps.Keys(by)) {
			words = append(words, fmt.Sprintf("%q on %s", value, strings.Join(by[value], ", ")))
		}
		out = append(out, Finding{Severity: a.severity, Found: a.name + " is " + strings.Join(words, ", "), Why: a.why, Remedy: "CONFIG SET " + a.name + " ...; CONFIG REWRITE   # the same on every node"})
	}
	return out
}

// checkMasterAuth looks whether each node could follow each other one. With
// users of their own only the presence of a password can be compared.
func checkMasterAuth(_ Group, all []*RedisNode) []Finding {
	var out []Finding
	for _, n := range all {
		for _, other := range all {
			want, have := other.Secrets["requirepass"], n.Secrets["masterauth"]
			if n == other || want == "" || n.Secrets == nil {
				continue
			}
			f := Finding{Severity: Error, Node: n.Node, Why: "it cannot follow that node after a failover, and as long as nobody follows there is nothing to fail over to"}
			switch {
			case have == "":
				f.Found = "it has no masterauth, and " + string(other.Node) + " wants a password"
			case n.Config["masteruser"] == "" && subtle.ConstantTimeCompare([]byte(want), []byte(have)) != 1:
				f.Found = "its masterauth is not the password of " + string(other.Node)
			default:
				continue
			}
			f.Remedy = "CONFIG SET masterauth ...; CONFIG REWRITE   # the requirepass of the others; best one password on all nodes"
			out = append(out, f)
			break
		}
	}
	return out
}

// checkUsers compares who may do what. Users are not replicated.
func checkUsers(_ Group, all []*RedisNode) []Finding {
	asked := slices.DeleteFunc(slices.Clone(all), func(n *RedisNode) bool { return n.Users == nil })
	var names []string
	for _, n := range asked {
		names = slices.AppendSeq(names, maps.Keys(n.Users))
	}
	slices.Sort(names)
	var differ []string
	for _, name := range slices.Compact(names) {
		same := func(n *RedisNode) bool {
			rules, there := n.Users[name]
			first, thereFirst := asked[0].Users[name]
			return there == thereFirst && subtle.ConstantTimeCompare([]byte(rules), []byte(first)) == 1
		}
		if !slices.ContainsFunc(asked, func(n *RedisNode) bool { return !same(n) }) {
			continue
		}
		lacking := slices.DeleteFunc(slices.Clone(asked), func(n *RedisNode) bool { _, there := n.Users[name]; return there })
		if len(lacking) == 0 {
			differ = append(differ, name+" (other rules or passwords)")
			continue
		}
		where := make([]string, len(lacking))
		for i, n := range lacking {
			where[i] = string(n.Node)
		}
		differ = append(differ, name+" (not on "+strings.Join(where, ", ")+")")
	}
	if len(differ) == 0 {
		return nil
	}
	const most = 5
	if more := len(differ) - most; more > 0 {
		differ = append(differ[:most], fmt.Sprintf("and %d more", more))
	}
	return []Finding{{Severity: Warning, Found: "users are not the same on all nodes: " + strings.Join(differ, ", "), Why: "users are not replicated, so after a failover clients or Wardens are refused",
		Remedy: "give every node the same users: the same aclfile and ACL LOAD, or the same ACL SETUSER and CONFIG REWRITE"}}
}

// checkSources looks for replicas of strangers.
func checkSources(g Group, all []*RedisNode) []Finding {
	var out []Finding
	for _, n := range all {
		port, _ := strconv.Atoi(n.Info["master_port"])
		source := warden.MakeNode(n.Info["master_host"], port)
		_, err := netip.ParseAddr(n.Info["master_host"]) // a name may be that of any of them
		known := slices.Contains(g.Nodes, source) || slices.ContainsFunc(all, func(o *RedisNode) bool { return o.Node == source })
		if n.Info["role"] != "slave" || known || err != nil {
			continue
		}
		out = append(out, Finding{Severity: Warning, Node: n.Node, Found: "it copies from " + string(source) + ", which is no node of this group",
			Why: "either it belongs to another group, or its source is known under two addresses and will be corrected for ever", Remedy: "take it out of nodes; or use one address of each server everywhere (replica-announce-ip, nodes)"})
	}
	return out
}

// checkRedisVersions compares the software.
func checkRedisVersions(_ Group, all []*RedisNode) []Finding {
	primaries, replicas := redisRoles(all)
	if len(primaries) != 1 {
		return nil
	}
	theirs := primaries[0].Info["redis_version"]
	var out []Finding
	for _, n := range replicas {
		version := n.Info["redis_version"]
		if version == theirs || version == "" || theirs == "" {
			continue
		}
		f := Finding{Severity: Note, Node: n.Node, Found: "it is of version " + version + ", the primary of " + theirs, Why: "fine during an upgrade, replicas first", Remedy: "finish the upgrade: switch over to it, then upgrade the others"}
		if older(version, theirs) {
			f.Severity, f.Why = Warning, "an older server may not be able to read a copy of a newer one, and so be neither in step nor able to take over"
			f.Remedy = "upgrade it, or switch over to an older one first"
		}
		out = append(out, f)
	}
	return out
}

// older compares versions such as 7.0.15 by their numbers.
func older(a, b string) bool {
	return slices.Compare(versionNumbers(a), versionNumbers(b)) < 0
}

func versionNumbers(v string) (out []int) {
	for part := range strings.SplitSeq(v, ".") {
		n, _ := strconv.Atoi(part)
		out = append(out, n)
	}
	return out
}

func checkRedisClocks(_ Group, all []*RedisNode) []Finding {
	told := slices.DeleteFunc(slices.Clone(all), func(n *RedisNode) bool { return n.Within == 0 })
	if len(told) == 0 {
		return nil
	}
	byClock := func(a, b *RedisNode) int { return cmp.Compare(a.Ahead, b.Ahead) }
	first, last := slices.MinFunc(told, byClock), slices.MaxFunc(told, byClock)
	if apart := last.Ahead - first.Ahead; apart-last.Within-first.Within > mostSkew {
		return []Finding{{Severity: Warning, Found: fmt.Sprintf("the clock of %s is %s ahead of that of %s", last.Node, apart.Round(100*time.Millisecond), first.Node),
			Why: "no decision of Wardens rests on it, but keys expire by the clock of the primary: after a failover too early or too late", Remedy: "run chrony or another NTP client on the machines of the nodes"}}
	}
	return nil
}
