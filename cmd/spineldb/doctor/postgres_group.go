package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// judgePostgresGroup compares the servers of a group with one another. What
// cannot be compared is not said to be in order.
func judgePostgresGroup(g Group, all []*PostgresNode) []Finding {
	all = slices.DeleteFunc(slices.Clone(all), func(n *PostgresNode) bool { return !n.reached() })
	if len(all) == 0 {
		return nil
	}
	twice := apply(g, "", all, []rule[[]*PostgresNode]{{"addresses", "every address is that of another server", checkAddresses}})
	every := all
	all = slices.DeleteFunc(slices.Clone(all), func(n *PostgresNode) bool { return n.first(every) != n })
	rules := []rule[[]*PostgresNode]{
		{"primary", "exactly one node is the primary", checkPrimaries},
		{"streaming", "every standby that answers streams", checkStreaming},
		{"names", "no two standbys have the same name", checkNames},
		{"hba", "pg_hba.conf lets every node copy from every other", checkHBA},
		{"listed", "every standby is named in the configuration", checkListed},
		{"clocks", "the clocks agree", checkClocks},
		{"other-wardens", "only Wardens of this group watch the nodes", checkWatchers},
	}
	if theOne(all) != nil {
		rules = append(rules, []rule[[]*PostgresNode]{
			{"lineage", "all nodes that answer hold the same data", checkLineage},
			{"capacity", "no standby has less room than its primary", checkCapacity},
			{"durability", "what is promised about commits fits the nodes that there are", checkDurability},
		}...)
	}
	return append(twice, apply(g, "", all, rules)...)
}

// first is the first of the nodes that is the same server as n, which may be
// reached at several addresses.
func (n *PostgresNode) first(all []*PostgresNode) *PostgresNode {
	i := slices.IndexFunc(all, func(o *PostgresNode) bool {
		return o == n || n.System != "" && o.System == n.System && o.Started == n.Started && o.Standby == n.Standby
	})
	return all[i]
}

func checkAddresses(_ Group, all []*PostgresNode) []Finding {
	var out []Finding
	for _, n := range all {
		if first := n.first(all); first != n {
			out = append(out, Finding{Severity: Error, Node: n.Node, Found: "it is the same server as " + string(first.Node),
				Why:    "one server under two addresses is taken for two, and ordered to follow itself",
				Remedy: "keep one of the two in nodes: the server's own, by which the other nodes reach it"})
		}
	}
	return out
}

// primariesOf are the nodes that say so.
func primariesOf(all []*PostgresNode) (primaries, standbys []*PostgresNode) {
	for _, n := range all {
		switch {
		case n.Timeline == 0: // unknown
		case n.Standby:
			standbys = append(standbys, n)
		default:
			primaries = append(primaries, n)
		}
	}
	return primaries, standbys
}

// theOne is the primary, nil unless there is exactly one that is not fenced.
func theOne(all []*PostgresNode) *PostgresNode {
	primaries, _ := primariesOf(all)
	primaries = slices.DeleteFunc(primaries, func(n *PostgresNode) bool { return n.Filed["warden.fenced"] != "" })
	if len(primaries) != 1 {
		return nil
	}
	return primaries[0]
}

func checkPrimaries(_ Group, all []*PostgresNode) []Finding {
	primaries, standbys := primariesOf(all)
	var open []string
	for _, n := range primaries {
		if n.Filed["warden.fenced"] == "" {
			open = append(open, string(n.Node))
		}
	}
	switch {
	case len(open) > 1:
		return []Finding{{Severity: Error, Found: "several nodes are primaries: " + strings.Join(open, ", "),
			Why: "each takes writes that the others never see", Remedy: "spineldb status tells which one is agreed; stop the others, and rejoin them"}}
	case len(open) == 0 && len(primaries)+len(standbys) > 0:
		return []Finding{{Severity: Error, Found: "no node that can be looked at is a primary that takes writes",
			Why: "nobody can write", Remedy: "spineldb explain tells why no failover happens, or wait for it"}}
	}
	return nil
}

// checkLineage compares data with the primary's.
func checkLineage(_ Group, all []*PostgresNode) []Finding {
	p := theOne(all)
	rejoin := "stop it, pg_rewind (or set its data aside and pg_basebackup) from " + string(p.Node) + ", standby.signal, start it"
	var out []Finding
	for _, n := range all {
		if n == p || n.System == "" {
			continue
		}
		fork, left := p.forkOf(n.Timeline)
		f := Finding{Severity: Error, Node: n.Node, Why: "it cannot follow the primary, and what it has besides would be lost or served wrongly", Remedy: rejoin}
		switch {
		case n.System != p.System:
			f.Found = "it is of another cluster: its system identifier is not that of " + string(p.Node)
			f.Remedy = "take it out of nodes, or set its data aside and copy it anew from " + string(p.Node)
		case p.streamsTo(n) || n.Timeline == p.Timeline:
			continue
		case n.Timeline > p.Timeline:
			f.Found = fmt.Sprintf("it is on timeline %d, the primary on %d", n.Timeline, p.Timeline)
		case left && n.Position > fork:
			f.Found = fmt.Sprintf("it has diverged: it went on with timeline %d for %d bytes after the primary's line had left it", n.Timeline, n.Position-fork)
		case !left && len(p.Forks) > 0:
			f.Found = fmt.Sprintf("it is on timeline %d, which the primary's data never was on", n.Timeline)
		case n.Standby:
			f.Severity, f.Found = Note, fmt.Sprintf("it is still on timeline %d, the primary on %d", n.Timeline, p.Timeline)
			f.Why, f.Remedy = "a standby catches up by itself when it streams", "look at what is said about its streaming"
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

func checkStreaming(_ Group, all []*PostgresNode) []Finding {
	p := theOne(all)
	_, standbys := primariesOf(all)
	var out []Finding
	for _, n := range standbys {
		f := Finding{Severity: Warning, Node: n.Node, Why: "it falls behind, and what it lacks is lost if it is promoted"}
		switch {
		case n.Receiver != nil && n.Receiver.Status == "streaming":
			if p != nil && !p.streamsTo(n) && !followsAny(n, standbys) {
				f.Found = fmt.Sprintf("it streams from %s, which is not the primary %s as Wardens know it", warden.MakeNode(n.Receiver.Host, n.Receiver.Port), p.Node)
				f.Severity, f.Why = Note, "the same server under another address is taken for another server"
				f.Remedy = "name nodes by the addresses by which they reach one another"
				out = append(out, f)
			}
			continue
		case n.Conninfo.Set:
			f.Found, f.Remedy = "it does not stream", "its log says why: no entry in pg_hba.conf, a wrong password, WAL that was removed, or data that diverged"
		case n.Unread["primary_conninfo"] == "" && n.Rights["pg_monitor"]:
			f.Found, f.Remedy = "primary_conninfo is empty: it follows nobody", "a member that was sealed is released when the failover ends; else set primary_conninfo, and SELECT pg_reload_conf();"
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// followsAny reports whether a standby copies from another standby.
func followsAny(n *PostgresNode, standbys []*PostgresNode) bool {
	return slices.ContainsFunc(standbys, func(o *PostgresNode) bool { return o != n && o.streamsTo(n) })
}

// checkNames finds streams under one name, or none that says where they listen.
func checkNames(g Group, all []*PostgresNode) []Finding {
	var out []Finding
	for _, n := range all {
		seen := []string{}
		for _, s := range n.Standbys {
			if slices.Contains(seen, s.Name) {
				severity := Warning
				if g.Durable {
					severity = Error
				}
				out = append(out, Finding{Severity: severity, Node: n.Node, Found: "two standbys stream from it as " + s.Name,
					Why:    "one of them is taken for the other, and in a quorum group both count for one",
					Remedy: "give each its own application_name in primary_conninfo: its address, HOST:PORT"})
			}
			seen = append(seen, s.Name)
		}
	}
	return out
}

// checkCapacity compares the settings that a standby must not have less of.
func checkCapacity(_ Group, all []*PostgresNode) []Finding {
	p := theOne(all)
	var out []Finding
	for _, name := range []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"} {
		most, known := p.number(name)
		for _, n := range all {
			have, also := n.number(name)
			if !known || !also || !n.Standby || have >= most {
				continue
			}
			out = append(out, Finding{Severity: Error, Node: n.Node, Found: fmt.Sprintf("%s is %d, on the primary %d", name, have, most),
				Why: "a standby with less stops replaying, and does not start again", Remedy: fmt.Sprintf("ALTER SYSTEM SET %s = %d;   -- in its configuration; then restart it", name, most)})
		}
	}
	return out
}

func checkListed(g Group, all []*PostgresNode) []Finding {
	var out []Finding
	for _, n := range all {
		out = append(out, unlisted(g, n.Node, n)...)
	}
	return out
}

// checkClocks compares clocks. No decision rests on them.
func checkClocks(_ Group, all []*PostgresNode) []Finding {
	var out []Finding
	for _, n := range all {
		off := n.Ahead.Abs() - n.Blur
		if n.Blur == 0 || off < time.Second {
			continue
		}
		f := Finding{Severity: Note, Node: n.Node, Found: fmt.Sprintf("its clock and the one of this host are %s apart", off.Round(100*time.Millisecond)),
			Why: "no decision rests on clocks, but logs cannot be compared", Remedy: "run an NTP client on both"}
		if off > time.Minute {
			f.Severity, f.Why = Warning, "no decision rests on clocks, but certificates may not be valid yet or any more, and logs cannot be compared"
		}
		out = append(out, f)
	}
	return out
}

// checkWatchers finds Wardens of other groups on the same servers. Their names
// are warden-GROUP-EPOCH-ID-KIND.
func checkWatchers(g Group, all []*PostgresNode) []Finding {
	var out []Finding
	for _, n := range all {
		seen := []string{}
		for _, name := range n.Wardens {
			fields := strings.Split(strings.TrimPrefix(name, "warden-"), "-")
			if len(fields) < 4 || !slices.Contains([]string{"watch", "order", "hold"}, fields[len(fields)-1]) {
				continue
			}
			group := strings.Join(fields[:len(fields)-3], "-")
			// A long name is shortened with a checksum.
			head, _, _ := strings.Cut(group, "~")
			if group == string(g.Name) || strings.Contains(group, "~") && strings.HasPrefix(string(g.Name), head) || slices.Contains(seen, group) {
				continue
			}
			seen = append(seen, group)
			out = append(out, Finding{Severity: Error, Node: n.Node, Found: "Wardens of the group " + group + " watch it, too",
				Why: "two groups would order the node to and fro", Remedy: "take it out of one of the groups"})
		}
	}
	return out
}

// checkDurability looks at whether the promise can be kept now.
func checkDurability(g Group, all []*PostgresNode) []Finding {
	p := theOne(all)
	if !g.Durable {
		return nil
	}
	streaming := 0
	for _, s := range p.Standbys {
		if s.State == "streaming" {
			streaming++
		}
	}
	switch names := p.Settings["synchronous_standby_names"]; {
	case names.Value == "":
		return []Finding{{Severity: Warning, Node: p.Node, Found: "durability is quorum, but the primary waits for no standby",
			Why:    "until the Wardens have agreed on who counts, commits are not protected",
			Remedy: "start the Wardens with this configuration; spineldb explain tells what they wait for"}}
	case streaming < g.SyncStandbys:
		return []Finding{{Severity: Error, Node: p.Node, Found: fmt.Sprintf("a commit needs %d standbys, and %d stream", g.SyncStandbys, streaming),
			Why: "commits wait", Remedy: "bring a standby back; what is said about streaming tells which"}}
	}
	return nil
}
