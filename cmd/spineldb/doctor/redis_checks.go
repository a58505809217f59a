package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// judgeRedis is everything that is said about one server.
func judgeRedis(g Group, n *RedisNode) []Finding {
	out := apply(g, n.Node, n, []rule[*RedisNode]{{"reachable", "it answers, and lets the user in", checkRedisReachable}})
	if !n.reached() {
		return out
	}
	return append(out, apply(g, n.Node, n, []rule[*RedisNode]{
		{"rights", "the user may do what orders need", checkRedisRights},
		{"kind", "it is a server that one primary at a time makes sense for", checkRedisKind},
		{"readable", "the user may read its settings", checkRedisReadable},
		{"persistence", "it does not return empty after a restart", checkPersistence},
		{"config-file", "orders are kept over a restart", checkConfigFile},
		{"clients", "there is room for the connections of Wardens", checkClients},
		{"backlog", "replicas that were cut off can go on where they were", checkBacklog},
		{"buffers", "a full copy is not cut off by its own limit", checkBuffers},
		{"memory", "memory is limited, and the limit does not bite", checkMemory},
		{"link", "no link to a primary is down", checkLink},
	})...)
}

// judgeRedisGroup compares the servers of a group with one another.
func judgeRedisGroup(g Group, all []*RedisNode) []Finding {
	all = slices.DeleteFunc(slices.Clone(all), func(n *RedisNode) bool { return !n.reached() })
	if len(all) == 0 {
		return nil
	}
	return apply(g, "", all, []rule[[]*RedisNode]{
		{"primary", "exactly one node is the primary", checkRedisPrimaries},
		{"candidates", "there is a replica that may be promoted", checkCandidates},
		{"listed", "every replica is named in the configuration", checkRedisListed},
		{"isolation", "a primary that is cut off stops taking writes", checkIsolation},
		{"memory-limits", "no replica has less memory than the primary", checkMemoryLimits},
		{"alike", "the nodes are set up alike", checkAlike},
		{"passwords", "every node can log in to every other one as its replica", checkMasterAuth},
		{"users", "the nodes have the same users", checkUsers},
		{"sources", "every replica copies from a node of the group", checkSources},
		{"versions", "the nodes are of one version", checkRedisVersions},
		{"clocks", "the clocks agree", checkRedisClocks},
	})
}

func checkRedisReachable(_ Group, n *RedisNode) []Finding {
	f := Finding{Severity: Error, Found: "cannot be looked at: " + n.Err, Why: "what Wardens cannot look at from their hosts counts as down, and is never chosen"}
	switch {
	case n.reached():
		return nil
	case n.Health == warden.HealthDenied && strings.HasPrefix(n.Err, "DENIED"):
		f.Found, f.Remedy = "it is in protected mode: only its own host may connect", "CONFIG SET requirepass ... on that host, and auth_password_file in the group's block; or protected-mode no in a network that is yours alone"
	case n.Health == warden.HealthDenied && strings.HasPrefix(n.Err, "NOPERM"):
		f.Found, f.Remedy = "the user may not use INFO: "+n.Err, "ACL SETUSER with the rules of docs/security.md, then ACL SAVE or CONFIG REWRITE"
	case n.Health == warden.HealthDenied && strings.Contains(n.Err, ":") && !strings.Contains(n.Err, "AUTH") && !strings.Contains(n.Err, "WRONGPASS"):
		f.Remedy = "correct tls_nodes, tls_ca_file and the certificates"
	case n.Health == warden.HealthDenied:
		f.Found, f.Remedy = "it refuses the user or the password: "+n.Err, "correct auth_user and auth_password_file in the group's block"
	case n.Health == warden.HealthLoading:
		f.Severity, f.Remedy = Warning, "wait until it has loaded its data"
	case n.Health == warden.HealthRefused:
		f.Found, f.Remedy = "it refuses connections", "start it; or correct bind, protected-mode, the port, or the address in nodes"
	default:
		f.Remedy = "look at the host, the network and the firewall between here and there"
	}
	return []Finding{f}
}

// user is whom a group logs in as.
func (n *RedisNode) user(g Group) string { return cmp.Or(n.User, g.Login.User, "default") }

func checkRedisRights(g Group, n *RedisNode) []Finding {
	var out []Finding
	user := n.user(g)
	const keep = "\nACL SAVE   # with an aclfile; without one CONFIG REWRITE"
	const besides = "&__sentinel__:hello +subscribe"
	denied := slices.DeleteFunc(slices.Clone(n.Denied), func(rule string) bool { return rule == besides })
	if len(denied) > 0 {
		rules := strings.Join(denied, " ")
		out = append(out, Finding{Severity: Error, Found: "the user " + user + " lacks " + rules, Why: "watching, failing over or switching over does not work without",
			Remedy: "ACL SETUSER " + user + " " + rules + keep})
	}
	if len(denied) < len(n.Denied) {
		out = append(out, Finding{Severity: Warning, Found: "the user " + user + " may not listen to __sentinel__:hello", Why: "real Redis Sentinels that watch it too are not noticed, and two deciders over one group are not safe",
			Remedy: "ACL SETUSER " + user + " " + besides + keep})
	}
	if n.Unasked && user != "default" {
		out = append(out, Finding{Severity: Note, Found: "the user " + user + " may not ask for its own rights (ACL WHOAMI, ACL DRYRUN), or the server is older than 7.0",
			Why: "only what can be tried without harm was tried", Remedy: "ACL GETUSER " + user + "   # as an administrator; compare with docs/security.md"})
	}
	return out
}

func checkRedisKind(_ Group, n *RedisNode) []Finding {
	var out []Finding
	if n.Info["cluster_enabled"] == "1" {
		out = append(out, Finding{Severity: Error, Found: "it runs in cluster mode", Why: "a cluster fails over by itself, and refuses REPLICAOF", Remedy: "cluster-enabled no, or leave it to the cluster"})
	}
	if n.Config["replica-read-only"] == "no" || n.Info["slave_read_only"] == "0" {
		out = append(out, Finding{Severity: Warning, Found: "replica-read-only is no", Why: "what is written to a replica is lost at its next synchronisation", Remedy: "CONFIG SET replica-read-only yes; CONFIG REWRITE"})
	}
	return out
}

func checkPersistence(_ Group, n *RedisNode) []Finding {
	aof := n.Info["aof_enabled"] == "1" || n.Config["appendonly"] == "yes"
	save, known := n.Config["save"]
	switch {
	case aof || !known || save != "":
		if n.Info["rdb_last_bgsave_status"] == "err" || n.Info["aof_last_write_status"] == "err" {
			return []Finding{{Severity: Warning, Found: "the last save failed", Why: "by default a primary then refuses writes, and after a restart it has old data", Remedy: "look at the disk and the server's log"}}
		}
		return nil
	}
	f := Finding{Severity: Note, Found: "it saves nothing to disk (save is empty, appendonly is no)",
		Why:    "a primary that is restarted automatically, before it is found down, returns empty, and its replicas empty themselves after it; whether something restarts it cannot be seen from here",
		Remedy: "CONFIG SET appendonly yes; CONFIG REWRITE   # or see to it that nothing restarts it automatically"}
	if by := n.Info["process_supervised"]; by == "systemd" || by == "upstart" {
		f.Severity = Warning
		f.Found += ", and " + by + " supervises it"
		f.Why = "restarted at once after a crash, before it is found down, it returns empty, and its replicas empty themselves after it; what the restart policy is cannot be seen from here"
		f.Remedy = "CONFIG SET appendonly yes; CONFIG REWRITE   # or Restart=no in its unit, and let the failover do its work"
	}
	return []Finding{f}
}

func checkMemory(_ Group, n *RedisNode) []Finding {
	limit := n.number("maxmemory")
	switch {
	case limit == 0:
		return []Finding{{Severity: Note, Found: "maxmemory is not set", Why: "a server that takes all memory is ended by the kernel, and the next primary after it",
			Remedy: "CONFIG SET maxmemory ...; CONFIG REWRITE   # leave room for copies that are made while saving and synchronising"}}
	case n.number("used_memory") > limit/10*9:
		return []Finding{{Severity: Note, Found: "it uses more than nine tenths of maxmemory", Why: "it evicts keys, or refuses writes (maxmemory-policy " + n.Info["maxmemory_policy"] + ")", Remedy: "raise maxmemory, or store less"}}
	}
	return nil
}

func checkLink(_ Group, n *RedisNode) []Finding {
	if n.Info["role"] != "slave" || n.Info["master_link_status"] == "up" || n.Info["master_link_status"] == "" {
		return nil
	}
	return []Finding{{Severity: Warning, Found: "its link to " + n.Info["master_host"] + ":" + n.Info["master_port"] + " is down",
		Why: "it falls behind, and what it lacks is lost if it is promoted", Remedy: "its log says why: masterauth and masteruser, the network, or a backlog that is too small"}}
}

// redisRoles divides the nodes by what they say.
func redisRoles(all []*RedisNode) (primaries, replicas []*RedisNode) {
	for _, n := range all {
		switch n.Info["role"] {
		case "master":
			primaries = append(primaries, n)
		case "slave":
			replicas = append(replicas, n)
		}
	}
	return primaries, replicas
}

func checkRedisPrimaries(_ Group, all []*RedisNode) []Finding {
	primaries, replicas := redisRoles(all)
	switch {
	case len(primaries) > 1:
		var names []string
		for _, n := range primaries {
			names = append(names, string(n.Node))
		}
		return []Finding{{Severity: Error, Found: "several nodes are primaries: " + strings.Join(names, ", "), Why: "each takes writes that the others never see",
			Remedy: "start the Wardens, which make all but the agreed one replicas and so discard their writes; save what is to be kept first"}}
	case len(primaries) == 0 && len(replicas) > 0:
		return []Finding{{Severity: Error, Found: "no node that can be looked at is a primary", Why: "nobody can write", Remedy: "spineldb explain tells why no failover happens, or wait for it"}}
	}
	return nil
}

// checkCandidates looks for somebody to promote.
func checkCandidates(g Group, all []*RedisNode) []Finding {
	primaries, replicas := redisRoles(all)
	if len(primaries) != 1 {
		return nil
	}
	if len(replicas) == 0 && primaries[0].number("connected_slaves") == 0 {
		return []Finding{{Severity: Error, Node: primaries[0].Node, Found: "it has no replica", Why: "there is nothing to fail over to", Remedy: "REPLICAOF " + primaries[0].Node.Host() + " " + primaries[0].Node.Port() + "   # on another server"}}
	}
	never := func(n *RedisNode) bool { return n.Info["slave_priority"] == "0" || slices.Contains(g.Excluded, n.Node) }
	if len(replicas) > 0 && !slices.ContainsFunc(replicas, func(n *RedisNode) bool { return !never(n) }) {
		if slices.ContainsFunc(replicas, func(n *RedisNode) bool { return n.Info["slave_priority"] != "0" }) {
			return []Finding{{Severity: Error, Found: "every replica is excluded, by replica-priority 0 or by its tags", Why: "there is no failover", Remedy: "take nofailover from one, or CONFIG SET replica-priority 100; CONFIG REWRITE"}}
		}
		return []Finding{{Severity: Error, Found: "every replica has replica-priority 0", Why: "such a replica is never promoted, so there is no failover", Remedy: "CONFIG SET replica-priority 100; CONFIG REWRITE   # on those that may be promoted"}}
	}
	return nil
}

func checkRedisListed(g Group, all []*RedisNode) []Finding {
	var out []Finding
	for _, n := range all {
		out = append(out, unlisted(g, n.Node, n)...)
	}
	return out
}

func checkMemoryLimits(_ Group, all []*RedisNode) []Finding {
	primaries, replicas := redisRoles(all)
	if len(primaries) != 1 {
		return nil
	}
	var out []Finding
	most := primaries[0].number("maxmemory")
	for _, n := range replicas {
		if have := n.number("maxmemory"); have > 0 && (most == 0 || have < most) {
			out = append(out, Finding{Severity: Warning, Node: n.Node, Found: fmt.Sprintf("maxmemory is %d, on the primary %d (0: no limit)", have, most),
				Why: "promoted, it evicts keys or refuses writes at once", Remedy: fmt.Sprintf("CONFIG SET maxmemory %d; CONFIG REWRITE", most)})
		}
	}
	return out
}
