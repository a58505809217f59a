package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// Kinds of databases, as warden.toml calls them.
const (
	Postgres = "postgres"
	Spinel   = "spineldb"
)

// Group is what the configuration says about a group, as far as it matters here.
type Group struct {
	Name    warden.GroupName
	Adapter string
	// Nodes are all that are known, the configured primary first.
	Nodes []warden.NodeID
	// Quorum and Wardens as configured; Wardens 0: not configured.
	Quorum, Wardens int
	// DownAfter is how long a node may be silent.
	DownAfter warden.Duration
	// Durable: durability = "quorum", with SyncStandbys acknowledgements.
	Durable      bool
	SyncStandbys int
	// Fence and Rejoin: a command for it is configured. Excluded are nodes that
	// are never to be promoted.
	Fence, Rejoin bool
	Excluded      []warden.NodeID
	Login         Login
	// ReplicationUser is whom standbys log in as; empty: as they have it.
	// ReplicationPassword: one is written into their settings.
	// ReplicationPassfile: they are told of a file with it.
	ReplicationUser                          string
	ReplicationPassword, ReplicationPassfile bool
}

// Login is how the nodes of a group are reached.
type Login struct {
	User, Password string
	// Database, Passfile and the SSL fields are for PostgreSQL and mean what
	// they mean to libpq.
	Database, Passfile                    string
	SSLMode, SSLRootCert, SSLCert, SSLKey string
	// TLS and Renames are for the Redis protocol.
	TLS     *tls.Config
	Renames map[string]string
}

// Examine looks at all nodes of a group at once and judges what it finds. Every
// node gets the time limit. It changes nothing anywhere.
func Examine(ctx context.Context, g Group, limit time.Duration) GroupReport {
	report := GroupReport{Group: g.Name, Adapter: g.Adapter}
	report.Findings = apply(g, "", g, configRules(g))
	if g.Adapter == Postgres {
		report.examinePostgres(ctx, g, limit)
	} else {
		report.examineRedis(ctx, g, limit)
	}
	report.Sort()
	return report
}

func (r *GroupReport) examinePostgres(ctx context.Context, g Group, limit time.Duration) {
	all := collectAll(ctx, g, limit, collectPostgres)
	for _, n := range all {
		r.Nodes = append(r.Nodes, n.report())
		r.Findings = append(r.Findings, judgePostgres(g, n)...)
	}
	r.Findings = append(r.Findings, judgePostgresGroup(g, all)...)
}

func (r *GroupReport) examineRedis(ctx context.Context, g Group, limit time.Duration) {
	all := collectAll(ctx, g, limit, collectRedis)
	for _, n := range all {
		r.Nodes = append(r.Nodes, n.report())
		r.Findings = append(r.Findings, judgeRedis(g, n)...)
	}
	r.Findings = append(r.Findings, judgeRedisGroup(g, all)...)
}

// facts are those of one node.
type facts interface {
	// replicas are the addresses of those that copy from it, as far as it knows.
	replicas() []warden.NodeID
}

// collectAll asks all nodes at the same time, and then those that they name
// besides: each of them could be chosen.
func collectAll[F facts](ctx context.Context, g Group, limit time.Duration, collect func(context.Context, Group, warden.NodeID) F) []F {
	all := collectSome(ctx, g, g.Nodes, limit, collect)
	var unnamed []warden.NodeID
	for _, n := range all {
		for _, id := range n.replicas() {
			if !slices.Contains(g.Nodes, id) && !slices.Contains(unnamed, id) {
				unnamed = append(unnamed, id)
			}
		}
	}
	return append(all, collectSome(ctx, g, unnamed, limit, collect)...)
}

func collectSome[F facts](ctx context.Context, g Group, nodes []warden.NodeID, limit time.Duration, collect func(context.Context, Group, warden.NodeID) F) []F {
	out := make([]F, len(nodes))
	var wait sync.WaitGroup
	for i, node := range nodes {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			out[i] = collect(ctx, g, node)
		})
	}
	wait.Wait()
	return out
}

func configRules(g Group) []rule[Group] {
	rules := []rule[Group]{
		{"wardens", "the number of Wardens and the quorum fit together", checkWardens},
		{"nodes", "there is a node to fail over to", checkNodes},
	}
	if g.Adapter != Postgres {
		return rules
	}
	return append(rules, []rule[Group]{
		{"rejoin", "an old primary can be brought back", checkRejoin},
		{"fence-command", "a primary that is cut off cannot lose writes unnoticed", checkFenceCommand},
		{"sync-standbys", "the number of acknowledgements fits the number of nodes", checkSyncStandbys},
	}...)
}

// checkWardens is the arithmetic of votes, as far as reading the configuration
// has not refused it or warned of it already.
func checkWardens(g Group, _ Group) []Finding {
	const three = "run three Wardens on three hosts, or five, and set quorum to more than half of them"
	n := g.Wardens
	if n == 0 {
		return []Finding{{
			Severity: Note, Found: "wardens is not set, so only the running Wardens know how many there are",
			Why:    "a first agreement is unique for certain only if quorum is more than half of the Wardens",
			Remedy: fmt.Sprintf("wardens = %d   # in the group's block, if that is how many you run", max(2*g.Quorum-1, 3)),
		}}
	}
	var out []Finding
	switch {
	case n < 3:
		out = append(out, Finding{Severity: Warning, Found: fmt.Sprintf("there are %d Wardens", n),
			Why: "when one of them is gone the others are no majority, and there is no failover", Remedy: three})
	case n%2 == 0:
		out = append(out, Finding{Severity: Note, Found: fmt.Sprintf("there are %d Wardens, an even number", n),
			Why: fmt.Sprintf("they survive the loss of %d, as %d do", (n-1)/2, n-1), Remedy: "stop one, or add one"})
	}
	return out
}

func checkNodes(g Group, _ Group) []Finding {
	if len(g.Nodes) > 1 {
		free := slices.DeleteFunc(slices.Clone(g.Nodes), func(n warden.NodeID) bool { return slices.Contains(g.Excluded, n) })
		if len(free) > 1 {
			return nil
		}
		return []Finding{{Severity: Error, Found: "all nodes but one are excluded from promotion", Why: "there is nothing to fail over to", Remedy: "take nofailover, or failover_priority = 0, from another node"}}
	}
	return []Finding{{Severity: Note, Found: "nodes names no replica",
		Why:    "replicas are learned from the primary; a Warden that starts while the primary is down then knows none",
		Remedy: `nodes = ["host:port", ...]   # all nodes of the group, the primary too`}}
}

func checkRejoin(g Group, _ Group) []Finding {
	if g.Rejoin {
		return nil
	}
	return []Finding{{Severity: Note, Found: "there is no rejoin_command",
		Why:    "after a failover the old primary stays out until somebody makes it a standby, and meanwhile the group has one node less",
		Remedy: `rejoin_command = "..."   # in the group's block; see docs/postgresql.md`}}
}

func checkFenceCommand(g Group, _ Group) []Finding {
	if g.Durable || g.Fence {
		return nil
	}
	return []Finding{{Severity: Note, Found: "durability is async and there is no fence_command",
		Why:    "a primary that is cut off from the Wardens and not from its clients goes on acknowledging writes that are lost when it returns",
		Remedy: `durability = "quorum", or fence_command = "..."   # in the group's block`}}
}

func checkSyncStandbys(g Group, _ Group) []Finding {
	k, standbys := g.SyncStandbys, len(g.Nodes)-1
	switch {
	case !g.Durable || standbys < 1:
		return nil
	case k > standbys:
		return []Finding{{Severity: Error, Found: fmt.Sprintf("sync_standbys is %d, but only %d standbys are named", k, standbys),
			Why: "a commit waits for more standbys than there are, that is for ever", Remedy: fmt.Sprintf("sync_standbys = %d, or name the other nodes in nodes", max(standbys-1, 1))}}
	case k == standbys:
		return []Finding{{Severity: Warning, Found: fmt.Sprintf("a commit needs %d of %d standbys", k, standbys),
			Why: "commits stop when one standby is gone, until it returns or the set is changed", Remedy: "add a standby, or lower sync_standbys"}}
	}
	return nil
}

// unlisted are the replicas of a node that nobody has named.
func unlisted(g Group, node warden.NodeID, n facts) []Finding {
	var out []Finding
	for _, id := range n.replicas() {
		if slices.Contains(g.Nodes, id) {
			continue
		}
		f := Finding{Severity: Note, Node: node, Found: string(id) + " copies from it and is not named in nodes",
			Why:    "it is learned from the primary; a Warden that starts while the primary is down does not know it",
			Remedy: `add "` + string(id) + `" to nodes`}
		if g.Adapter != Postgres {
			f.Why += ", and with an append-only file it counts as a stranger after a restart"
		}
		out = append(out, f)
	}
	return out
}
