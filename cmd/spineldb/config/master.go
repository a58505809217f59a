package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// masterKeys are the keys of a [[masters]] block, to help those who wrote one
// in the wrong place.
func masterKeys() []string {
	return append([]string{
		"name", "ip", "quorum", "down_after", "failover_timeout", "hello_interval", "wardens", "crash_after",
		"adapter", "auth_user", "auth_password", "auth_password_file", "parallel_syncs", "replica_witness",
		"failover_cooldown", "nodes", "notification_script", "client_reconfig_script", "reboot_down_after",
		"tags", "fence_command", "fence_required", "command_timeout",
	}, append(redisKeys(), postgresKeys()...)...)
}

// topKeys are the keys that belong outside of [[masters]] only.
func topKeys() []string {
	return []string{
		"host", "announce_ip", "announce_port", "data_dir", "gossip_port", "gossip_secret_key", "join",
		"requirepass", "maxclients", "log_level", "users", "acl_file", "tls_port", "tls_cert_file", "tls_key_file",
		"tls_key_password", "tls_key_password_file", "tls_ca_file", "tls_client_auth", "tls_nodes",
		"events_kept", "events_kept_bytes", "reports_kept",
	}
}

// nearestUnknown is a top-level key that was surely meant to be "masters".
func nearestUnknown(values map[string]any) string {
	for key := range values {
		if key != "masters" && wording.Nearest(key, []string{"masters"}) != "" {
			return key
		}
	}
	return ""
}

// blocks finds the blocks of a name, such as [[masters]].
func (s *section) blocks(key string) []map[string]any {
	var tables []map[string]any
	switch v := s.get(key).(type) {
	case nil:
	case []any:
		for i, item := range v {
			table, ok := item.(map[string]any)
			if !ok {
				s.wrongItem(key, i, "entry %d is %s, but a block is wanted: write [[%s]] and the keys below it", i+1, typeName(item), key)
				continue
			}
			tables = append(tables, table)
		}
	case map[string]any:
		s.wrong(key, "is a single table: write [[%s]] with two brackets on each side, once per group", key)
	default:
		s.wrong(key, "is %s, but blocks are wanted: write [[%s]] and the keys below it", typeName(v), key)
	}
	return tables
}

// watchedNodes tells which group an address was first given to, and where.
type watchedNodes map[string]claimedBy

type claimedBy struct {
	group string
	line  int
}

// loadMaster reads one block. joins is the number of other Wardens named by
// join, the least there can be.
func (l *loader) loadMaster(path string, table map[string]any, watched watchedNodes, joins int, hooks Hooks) Master {
	s := l.section(path, table)
	if name, ok := table["name"].(string); ok {
		s.group = wording.Shown(name)
	}
	m := Master{Name: s.groupName(watched), Adapter: s.adapter()}
	if m.Adapter == AdapterPostgres || s.failed["adapter"] { // of an unknown kind no port is asked for
		s.defaultPort = postgresPort
	}
	m.Primary = s.primary()
	m.Nodes = s.nodes(m.Primary)
	m.Quorum = s.whole("quorum", 0, 1, math.MaxInt32, "for N Wardens write N/2+1, 2 of 3 or 3 of 5")
	if !s.has("quorum") {
		s.wrong("quorum", "is missing: for N Wardens write N/2+1, 2 of 3 or 3 of 5")
	}
	m.Wardens = s.whole("wardens", 0, 1, math.MaxInt32, "write how many Wardens watch this group, or leave it out")
	m.DownAfter = s.span("down_after", defaultDownAfter, MinDownAfter)
	m.CrashAfter = s.span("crash_after", m.DownAfter, minOther)
	m.FailoverTimeout = s.span("failover_timeout", defaultFailoverTimeout, MinDownAfter)
	m.HelloInterval = s.span("hello_interval", defaultHelloInterval, minOther)
	m.FailoverCooldown = s.span("failover_cooldown", 0, 0)
	m.ParallelSyncs = s.whole("parallel_syncs", defaultParallelSyncs, 1, math.MaxInt32, "it is how many replicas may copy from a new primary at a time")
	m.ReplicaWitness = s.flag("replica_witness", true)
	s.credentials(&m)
	m.NotificationScript = s.script("notification_script")
	m.ReconfigScript = s.script("client_reconfig_script")
	m.RebootDownAfter = s.span("reboot_down_after", 0, 0)
	m.Tags = s.tags(m)
	s.commands(&m)
	m.Hooks = s.hooks(hooks, m)
	s.kind(&m)
	s.checkRelations(m)
	s.checkQuorum(m, joins)
	s.claim(m, watched)
	m.Written = s.written()
	s.finish(topKeys(), "to the top of the file, above the first [[masters]]")
	return m
}

// written are the settings that a block says, by the names that they have at run
// time.
func (s *section) written() (names []string) {
	for _, x := range [][2]string{
		{"quorum", "quorum"}, {"down_after", "down_after"}, {"crash_after", "crash_after"}, {"durability", "synchronous_mode"},
		{"synchronous_mode_strict", "synchronous_mode_strict"}, {"maximum_lag_on_failover", "max_replication_lag"}, {"check_timeline", "check_timeline"},
	} {
		if s.has(x[0]) {
			names = append(names, x[1])
		}
	}
	return names
}

func (s *section) groupName(watched watchedNodes) warden.GroupName {
	text := s.text("name", "")
	if s.failed["name"] {
		return ""
	}
	if !s.has("name") {
		s.wrong("name", "is missing: give the group a name, such as name = \"mymaster\"")
		return ""
	}
	name, err := warden.ParseGroupName(text)
	if err != nil {
		s.wrong("name", "%v", err)
		return ""
	}
	if first, taken := watched["name "+text]; taken {
		s.wrong("name", "is also the name of the group on line %d: give each group a name of its own", first.line)
		return ""
	}
	watched["name "+text] = claimedBy{text, s.l.doc.lineOf(under(s.path, "name"))}
	return name
}

// primary reads ip and port.
func (s *section) primary() warden.NodeID {
	host := s.host("ip", "")
	port := s.port("port", s.defaultPort)
	if !s.has("ip") {
		s.wrong("ip", "is missing: write the address of the primary as it is now")
	}
	if !s.has("port") && s.defaultPort == 0 {
		s.wrong("port", "is missing: write the port of the primary")
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		s.wrong("ip", "is %s, which is no address of a server: write the one the primary is reached at from here", host)
		return ""
	}
	if host == "" || port == 0 {
		return ""
	}
	return warden.MakeNode(host, port)
}

// nodes reads further members. Naming the primary among them is natural and
// changes nothing.
func (s *section) nodes(primary warden.NodeID) []warden.NodeID {
	var out []warden.NodeID
	for i, text := range s.list("nodes") {
		n, ok := s.node("nodes", i, text)
		switch {
		case !ok || n == primary:
		case slices.Contains(out, n):
			s.wrongItem("nodes", i, "%s is listed twice: remove one", n)
		default:
			out = append(out, n)
		}
	}
	return out
}

func (s *section) adapter() string {
	name := s.text("adapter", defaultAdapter)
	names := adapterNames()
	if !slices.Contains(names, name) {
		near := wording.Nearest(name, names)
		if near == "" {
			near = names[0]
		}
		s.wrong("adapter", "%q is not a kind of database this build knows: write %q, or leave it out", wording.Shown(name), near)
	}
	return name
}

// credentials reads how to log in to the nodes.
func (s *section) credentials(m *Master) {
	m.AuthUser = s.text("auth_user", "")
	m.AuthPassword = s.secret("auth_password")
	// PostgreSQL has other ways: passfile, the environment, certificates.
	if m.Adapter != AdapterPostgres && !s.failed["adapter"] && s.has("auth_user") && !s.has("auth_password") && !s.has("auth_password_file") {
		s.wrong("auth_user", "is set without a password: add auth_password_file or auth_password")
	}
}

// checkRelations checks the times of a group against one another. A rule is
// only applied where both sides were read well.
func (s *section) checkRelations(m Master) {
	if !s.failed["crash_after"] && !s.failed["down_after"] && m.CrashAfter > m.DownAfter {
		s.wrong("crash_after", "is %s, but must not be above down_after (%s): it is the shorter limit, for refused connections", m.CrashAfter, m.DownAfter)
	}
	if !s.failed["failover_timeout"] && !s.failed["down_after"] && m.FailoverTimeout < m.DownAfter {
		if s.has("failover_timeout") {
			s.wrong("failover_timeout", "is %s, but must be at least down_after (%s), or a change would be given up before a lost candidate is noticed: raise it, or lower down_after", m.FailoverTimeout, m.DownAfter)
		} else {
			s.wrong("down_after", "is %s, but must not be above failover_timeout (%s unless set): set failover_timeout, or lower down_after", m.DownAfter, m.FailoverTimeout)
		}
	}
}

// checkQuorum checks the numbers, and warns where the first agreement is not
// provably the only one.
func (s *section) checkQuorum(m Master, joins int) {
	if s.failed["quorum"] || s.failed["wardens"] {
		return
	}
	if m.Wardens > 0 && m.Quorum > m.Wardens {
		s.wrong("quorum", "is %d, but there are only %d Wardens: write %d, or correct wardens", m.Quorum, m.Wardens, m.Wardens/2+1)
		return
	}
	if n := m.Wardens; n > 0 && 2*m.Quorum <= n {
		s.warn("quorum", "%d is not more than half of %d Wardens: the first agreement is unique only as long as wardens is right on every one of them; write %d", m.Quorum, n, n/2+1)
	}
	// The addresses in join may include our own, so they are the least number.
	if m.Wardens == 0 && joins > 1 && 2*m.Quorum <= joins {
		s.warn("quorum", "%d is not more than half of the at least %d Wardens named in join: two separate first agreements are possible; write %d, or set wardens", m.Quorum, joins, joins/2+1)
	}
}

// warn notes a warning that belongs to a line.
func (s *section) warn(key, format string, args ...any) {
	m := Mistake{
		File: s.l.doc.file, Line: s.l.doc.lineOf(under(s.path, key)), Group: s.group, Key: key,
		Text: fmt.Sprintf(format, args...),
	}
	s.l.warnings = append(s.l.warnings, m.Error())
}

// claim sees to it that every address belongs to one group only: two groups
// over one node would order it to and fro.
func (s *section) claim(m Master, watched watchedNodes) {
	group := strings.TrimSpace(s.group)
	if group == "" {
		group = "without a name"
	}
	note := func(n warden.NodeID, key string, item int) {
		if n == "" {
			return
		}
		first, taken := watched[string(n)]
		if !taken {
			watched[string(n)] = claimedBy{group, s.l.doc.lineOf(under(s.path, key))}
			return
		}
		line := s.l.doc.lineOf(under(s.path, key))
		if item >= 0 {
			line = s.l.doc.lineOf(under(s.path, fmt.Sprintf("%s.%d", key, item)))
		}
		s.wrongAt(line, key, "%s is already watched by the group %s on line %d: remove one of the two", n, first.group, first.line)
	}
	note(m.Primary, "ip", -1)
	for _, n := range m.Nodes {
		note(n, "nodes", s.indexOf("nodes", n))
	}
}

// indexOf is the place of a node in a list of the file.
func (s *section) indexOf(key string, node warden.NodeID) int {
	items, _ := s.values[key].([]any)
	return slices.IndexFunc(items, func(item any) bool {
		text, _ := item.(string)
		n, err := s.parseNode(text)
		return err == nil && n == node
	})
}
