package config

import (
	"crypto/subtle"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Setting is one key as a Warden has it, in words fit to be shown and compared
// with those of another Warden. Of a secret it says only that there is one.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`

	secret Secret
}

// Same reports whether two Wardens have the same value. Secrets are compared
// where both are known, which they are when both files were read here.
func (s Setting) Same(o Setting) bool {
	if s.Value != o.Value {
		return false
	}
	return s.secret == "" || o.secret == "" || subtle.ConstantTimeCompare([]byte(s.secret), []byte(o.secret)) == 1
}

// Settings are the keys at the top of a file that have to be the same on every
// Warden. Addresses, ports, paths and limits of one process are not among them.
func (c Config) Settings() []Setting {
	keys := make([]string, len(c.GossipKeys))
	for i, k := range c.GossipKeys {
		keys[i] = string(k)
	}
	return []Setting{
		secretSetting("gossip_secret_key", Secret(strings.Join(keys, "\x00"))),
		secretSetting("requirepass", c.RequirePass),
		{Key: "tls_nodes", Value: strconv.FormatBool(c.TLS.Nodes)},
		{Key: "configuration", Value: map[bool]string{false: "warden.toml", true: "sentinel.conf"}[c.DropIn]},
	}
}

// Settings are the keys of a group that have to be the same on every Warden.
func (m Master) Settings() []Setting {
	nodes := slices.Sorted(slices.Values(append(slices.Clone(m.Nodes), m.Primary)))
	out := []Setting{
		{Key: "adapter", Value: m.Adapter}, {Key: "nodes", Value: joined(nodes)},
		number("quorum", m.Quorum), number("wardens", m.Wardens),
		span("down_after", m.DownAfter), span("crash_after", m.CrashAfter), span("failover_timeout", m.FailoverTimeout),
		span("hello_interval", m.HelloInterval), span("failover_cooldown", m.FailoverCooldown), span("reboot_down_after", m.RebootDownAfter),
		number("parallel_syncs", m.ParallelSyncs), flag("replica_witness", m.ReplicaWitness),
		{Key: "auth_user", Value: m.AuthUser}, secretSetting("auth_password", m.AuthPassword),
		{Key: "tags", Value: tagWords(m.Tags)},
		{Key: "fence_command", Value: given(m.FenceCommand)}, flag("fence_required", m.FenceRequired), span("command_timeout", m.CommandTimeout),
		{Key: "pre_promote", Value: given(m.Hooks.PrePromote)}, span("pre_promote_timeout", m.Hooks.PrePromoteTimeout),
		{Key: "hooks", Value: strings.Join(slices.Sorted(maps.Keys(m.Hooks.Commands)), " ")},
	}
	if m.Adapter != AdapterPostgres {
		return append(out, Setting{Key: "rename_commands", Value: renameWords(m.Renames)})
	}
	durability := map[bool]string{false: "async", true: "quorum"}[m.Durable]
	return append(out, []Setting{
		{Key: "dbname", Value: m.Postgres.Database}, {Key: "sslmode", Value: m.Postgres.SSLMode},
		{Key: "replication_user", Value: m.Postgres.ReplicationUser}, secretSetting("replication_password", m.Postgres.ReplicationPassword),
		{Key: "replication_passfile", Value: m.Postgres.ReplicationPassfile},
		{Key: "durability", Value: durability}, number("sync_standbys", m.SyncStandbys), number("sync_group_size", m.SyncGroupSize),
		span("member_timeout", m.MemberTimeout), flag("synchronous_mode_strict", m.SyncStrict),
		{Key: "maximum_lag_on_failover", Value: strconv.FormatInt(m.MaxLag, 10)},
		{Key: "rejoin_command", Value: given(m.RejoinCommand)}, span("rejoin_timeout", m.RejoinTimeout),
	}...)
}

func number(key string, n int) Setting           { return Setting{Key: key, Value: strconv.Itoa(n)} }
func flag(key string, is bool) Setting           { return Setting{Key: key, Value: strconv.FormatBool(is)} }
func span(key string, d warden.Duration) Setting { return Setting{Key: key, Value: d.String()} }
func secretSetting(key string, s Secret) Setting {
	return Setting{Key: key, Value: present(s != ""), secret: s}
}
func given(command []string) string { return present(len(command) > 0) }
func present(is bool) string        { return map[bool]string{false: "none", true: "set"}[is] }

// joined are addresses in one line.
func joined(nodes []warden.NodeID) string {
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = string(n)
	}
	return strings.Join(words, " ")
}

func tagWords(tags map[warden.NodeID]Tags) string {
	var out []string
	for _, node := range slices.Sorted(maps.Keys(tags)) {
		t := tags[node]
		words := []string{string(node)}
		for _, f := range []struct {
			name string
			is   bool
		}{{"nofailover", t.NoFailover}, {"nosync", t.NoSync}, {"noloadbalance", t.NoLoadBalance}} {
			if f.is {
				words = append(words, f.name)
			}
		}
		if t.PrioritySet {
			words = append(words, fmt.Sprintf("failover_priority=%d", t.Priority))
		}
		if t.ReplicateFrom != "" {
			words = append(words, "replicatefrom="+string(t.ReplicateFrom))
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, ", ")
}

func renameWords(renames map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(renames)) {
		out = append(out, name+"="+renames[name])
	}
	return strings.Join(out, " ")
}
