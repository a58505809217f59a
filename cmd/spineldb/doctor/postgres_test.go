package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/postgres"
	"github.com/spineldb/warden/warden"
)

const (
	nodeA warden.NodeID = "10.0.0.1:5432"
	nodeB warden.NodeID = "10.0.0.2:5432"
	nodeC warden.NodeID = "10.0.0.3:5432"
)

// ward is a quorum group of three that nothing is wrong with.
func ward() Group {
	return Group{
		Name: "orders", Adapter: Postgres, Nodes: []warden.NodeID{nodeA, nodeB, nodeC}, Quorum: 2, Wardens: 3,
		Durable: true, SyncStandbys: 1, Rejoin: true, Fence: true, Login: Login{User: "warden"}, ReplicationUser: "replicator",
	}
}

// sound are the facts of a node that nothing is wrong with.
func sound(node warden.NodeID) *PostgresNode {
	n := &PostgresNode{
		Node: node, Health: warden.HealthGood, Unread: map[string]string{}, Version: 150018, VersionText: "15.18", KeyPID: 7, BackendPID: 7,
		System: "42", Started: int64(node[7]), Timeline: 2, Position: 5000, Forks: []postgres.Left{{Timeline: 1, Position: 3000}}, Role: Role{Name: "warden", Replication: true, Login: true, Connections: -1},
		Rights: map[string]bool{}, Settings: map[string]Setting{}, Filed: map[string]string{"warden.epoch": "7 orders"},
		Replicator: &Role{Name: "replicator", Replication: true, Login: true, Connections: -1}, Blur: time.Millisecond,
		Wardens: []string{"warden-orders-7-0a1b2c3d-watch"},
		HBA:     []HBARule{{Line: 1, Type: "host", Databases: []string{"replication"}, Users: []string{"replicator"}, Address: "10.0.0.0", Netmask: "255.255.255.0", Method: "scram-sha-256"}},
	}
	for name, value := range map[string]string{
		"wal_level": "replica", "hot_standby": "on", "recovery_target_timeline": "latest", "fsync": "on", "full_page_writes": "on", "wal_log_hints": "on",
		"max_wal_senders": "10", "max_replication_slots": "10", "max_slot_wal_keep_size": "20480", "synchronous_commit": "on", "max_connections": "100",
		"idle_session_timeout": "0", "log_statement": "none", "log_min_duration_statement": "-1", "ssl": "off", "wal_sender_timeout": "60000",
		"default_transaction_read_only": "off", "synchronous_standby_names": "ANY 1 (b, c)", "archive_mode": "off", "allow_alter_system": "on",
	} {
		n.Settings[name] = Setting{Value: value, Text: value, Source: "default"}
	}
	for _, r := range rightsFor(ward(), n.Version) {
		n.Rights[r.name] = true
	}
	if node == nodeA {
		n.Standbys = []Standby{{Node: nodeB, Name: string(nodeB), State: "streaming"}, {Node: nodeC, Name: string(nodeC), State: "streaming"}}
		return n
	}
	n.Standby, n.Receiver = true, &Receiver{Status: "streaming", Host: nodeA.Host(), Port: 5432}
	n.Conninfo = Conninfo{Set: true, Host: nodeA.Host(), Port: "5432", User: "replicator", Name: string(node)}
	return n
}

// patientGroup is what a case changes.
type patientGroup struct {
	g       *Group
	a, b, c *PostgresNode
}

func (p patientGroup) findings() []Finding {
	all := []*PostgresNode{p.a, p.b, p.c}
	out := apply(*p.g, "", *p.g, configRules(*p.g))
	for _, n := range all {
		out = append(out, judgePostgres(*p.g, n)...)
	}
	return append(out, judgePostgresGroup(*p.g, all)...)
}

func (n *PostgresNode) change(name, value string) {
	s := n.Settings[name]
	s.Value, s.Text = value, value
	n.Settings[name] = s
}

// postgresCases are one mistake each, with the one finding that it makes (or,
// with more words, the several).
var postgresCases = map[string]struct {
	change func(patientGroup)
	want   []string // "severity node check: words"
}{
	"nothing":         {func(patientGroup) {}, nil},
	"two wardens":     {func(p patientGroup) { p.g.Wardens = 2 }, []string{"warning  wardens: there are 2 Wardens"}},
	"four wardens":    {func(p patientGroup) { p.g.Wardens = 4 }, []string{"note  wardens: they survive the loss of 1, as 3 do"}},
	"wardens not set": {func(p patientGroup) { p.g.Wardens = 0 }, []string{"note  wardens: wardens = 3"}},
	"no nodes":        {func(p patientGroup) { p.g.Nodes = p.g.Nodes[:1] }, []string{"note  nodes: names no replica", "note 10.0.0.1:5432 listed: 10.0.0.2:5432", "note 10.0.0.1:5432 listed: 10.0.0.3:5432"}},
	"all excluded":    {func(p patientGroup) { p.g.Excluded = []warden.NodeID{nodeB, nodeC} }, []string{"error  nodes: nothing to fail over to"}},
	"no rejoin":       {func(p patientGroup) { p.g.Rejoin = false }, []string{"note  rejoin: rejoin_command"}},
	"async without fence": {func(p patientGroup) {
		p.g.Durable, p.g.Fence = false, false
		for _, n := range []*PostgresNode{p.a, p.b, p.c} {
			n.change("synchronous_standby_names", "")
		}
	}, []string{"note  fence-command: fence_command"}},
	"too many acknowledgements": {func(p patientGroup) { p.g.SyncStandbys = 3 }, []string{"error  sync-standbys: sync_standbys = 1", "error 10.0.0.1:5432 durability: a commit needs 3 standbys, and 2 stream"}},
	"every acknowledgement":     {func(p patientGroup) { p.g.SyncStandbys = 2 }, []string{"warning  sync-standbys: a commit needs 2 of 2 standbys"}},

	"refused":          {func(p patientGroup) { p.b.Health, p.b.Err = warden.HealthRefused, "connection refused" }, []string{"error 10.0.0.2:5432 reachable: listen_addresses"}},
	"silent":           {func(p patientGroup) { p.b.Health = warden.HealthSilent }, []string{"error 10.0.0.2:5432 reachable: firewall"}},
	"loading":          {func(p patientGroup) { p.b.Health, p.b.Code = warden.HealthLoading, "57P03" }, []string{"warning 10.0.0.2:5432 reachable: wait until it has started"}},
	"full":             {func(p patientGroup) { p.b.Health, p.b.Code = warden.HealthBusy, "53300" }, []string{"error 10.0.0.2:5432 reachable: max_connections"}},
	"wrong password":   {func(p patientGroup) { p.b.Health, p.b.Code = warden.HealthDenied, "28P01" }, []string{"error 10.0.0.2:5432 reachable: refuses the password of the role warden"}},
	"no hba entry":     {func(p patientGroup) { p.b.Health, p.b.Code = warden.HealthDenied, "28000" }, []string{"error 10.0.0.2:5432 reachable: pg_hba.conf does not let the role warden in"}},
	"no database":      {func(p patientGroup) { p.b.Health, p.b.Code = warden.HealthDenied, "3D000" }, []string{"error 10.0.0.2:5432 reachable: there is no database postgres"}},
	"a pooler refuses": {func(p patientGroup) { p.b.Health, p.b.Code = warden.HealthError, "08P01" }, []string{"error 10.0.0.2:5432 reachable: this is a pooler"}},
	"a pooler between": {func(p patientGroup) { p.b.KeyPID = 99 }, []string{"error 10.0.0.2:5432 pooler: the server's own port"}},
	"unread":           {func(p patientGroup) { p.b.Unread["slots"] = "permission denied" }, []string{"warning 10.0.0.2:5432 readable: slots (permission denied)"}},

	"version 12":               {func(p patientGroup) { p.b.Version, p.b.VersionText = 120010, "12.10" }, []string{"error 10.0.0.2:5432 version: upgrade", "error 10.0.0.2:5432 role: is no superuser, on version 12.10"}},
	"version 14, no superuser": {func(p patientGroup) { p.b.Version, p.b.VersionText = 140010, "14.10" }, []string{"note 10.0.0.2:5432 version: superuser", "error 10.0.0.2:5432 role: ALTER ROLE warden SUPERUSER;"}},
	"version 17":               {func(p patientGroup) { p.b.Version, p.b.VersionText = 170002, "17.2" }, []string{"note 10.0.0.2:5432 version: the tests run version 15"}},
	"version 19":               {func(p patientGroup) { p.b.Version, p.b.VersionText = 190000, "19.0" }, []string{"warning 10.0.0.2:5432 version: newer than 18"}},
	"no replication":           {func(p patientGroup) { p.a.Role.Replication = false }, []string{"warning 10.0.0.1:5432 role: ALTER ROLE warden REPLICATION;"}},
	"few connections":          {func(p patientGroup) { p.a.Role.Connections = 5 }, []string{"warning 10.0.0.1:5432 role: CONNECTION LIMIT"}},
	"superusers at work":       {func(p patientGroup) { p.a.Superusers = 2 }, []string{"note 10.0.0.1:5432 role: 2 client sessions are of superusers"}},
	"no pg_monitor":            {func(p patientGroup) { p.a.Rights["pg_monitor"] = false }, []string{"error 10.0.0.1:5432 rights: GRANT pg_monitor TO warden;"}},
	"no pg_read_file":          {func(p patientGroup) { p.a.Rights["pg_read_file"] = false }, []string{"note 10.0.0.1:5432 rights: GRANT EXECUTE ON FUNCTION pg_read_file(text, bigint, bigint, boolean) TO warden;"}},
	"no names":                 {func(p patientGroup) { p.a.Rights["ALTER SYSTEM synchronous_standby_names"] = false }, []string{"error 10.0.0.1:5432 rights: GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names TO warden;"}},
	"no replicator":            {func(p patientGroup) { p.a.Replicator = nil }, []string{"error 10.0.0.1:5432 replication-role: CREATE ROLE replicator"}},
	"replicator may not":       {func(p patientGroup) { p.a.Replicator = &Role{Name: "replicator", Login: true} }, []string{"error 10.0.0.1:5432 replication-role: ALTER ROLE replicator LOGIN REPLICATION;"}},
	"replicator unknown":       {func(p patientGroup) { p.g.ReplicationUser, p.b.Conninfo.User, p.b.HBA = "", "", nil }, []string{"note 10.0.0.1:5432 replication-role: replication_user", "note 10.0.0.2:5432 replication-role: replication_user"}},

	"wal_level":         {func(p patientGroup) { p.a.change("wal_level", "minimal") }, []string{"error 10.0.0.1:5432 settings: wal_level is minimal"}},
	"hot_standby":       {func(p patientGroup) { p.b.change("hot_standby", "off") }, []string{"error 10.0.0.2:5432 settings: hot_standby is off"}},
	"timeline":          {func(p patientGroup) { p.b.change("recovery_target_timeline", "current") }, []string{"error 10.0.0.2:5432 settings: recovery_target_timeline = 'latest'"}},
	"target":            {func(p patientGroup) { p.b.change("recovery_target_xid", "99") }, []string{"warning 10.0.0.2:5432 settings: recovery_target_xid is set"}},
	"fsync":             {func(p patientGroup) { p.b.change("fsync", "off") }, []string{"warning 10.0.0.2:5432 settings: fsync is off"}},
	"no rewind":         {func(p patientGroup) { p.b.change("wal_log_hints", "off") }, []string{"warning 10.0.0.2:5432 settings: wal_log_hints = on"}},
	"checksums":         {func(p patientGroup) { p.b.change("wal_log_hints", "off"); p.b.Checksums = true }, nil},
	"waits for restart": {func(p patientGroup) { p.b.Settings["shared_buffers"] = Setting{Value: "1", Pending: true} }, []string{"note 10.0.0.2:5432 settings: shared_buffers was changed and waits for a restart"}},
	"command line":      {func(p patientGroup) { p.b.Settings["primary_conninfo"] = Setting{Value: "set", Source: "command line"} }, []string{"error 10.0.0.2:5432 command-line: primary_conninfo is set on the server's command line"}},
	"names on the command line": {func(p patientGroup) {
		p.a.Settings["synchronous_standby_names"] = Setting{Value: "x", Text: "x", Source: "command line"}
	}, []string{"error 10.0.0.1:5432 command-line: synchronous_standby_names"}},
	"alter system switched off": {func(p patientGroup) { p.a.change("allow_alter_system", "off") }, []string{"error 10.0.0.1:5432 command-line: allow_alter_system = on"}},
	"broken file":               {func(p patientGroup) { p.a.Faults = []Fault{{"postgresql.conf", 3, "work_mem", "invalid value"}} }, []string{"error 10.0.0.1:5432 command-line: postgresql.conf, line 3"}},
	"few senders": {func(p patientGroup) {
		p.a.change("max_wal_senders", "1")
		p.b.change("max_wal_senders", "1")
		p.c.change("max_wal_senders", "1")
	}, []string{
		"error 10.0.0.1:5432 room: max_wal_senders is 1", "error 10.0.0.2:5432 room: max_wal_senders is 1", "error 10.0.0.3:5432 room: SET max_wal_senders = 10"}},
	"scarce slots":        {func(p patientGroup) { p.a.change("max_replication_slots", "3") }, []string{"warning 10.0.0.1:5432 room: max_replication_slots is 3, for 2 other nodes"}},
	"slots without limit": {func(p patientGroup) { p.a.change("max_slot_wal_keep_size", "-1") }, []string{"warning 10.0.0.1:5432 room: max_slot_wal_keep_size is -1"}},

	"local commits":   {func(p patientGroup) { p.a.change("synchronous_commit", "local") }, []string{"error 10.0.0.1:5432 commits: synchronous_commit is local"}},
	"our own commits": {func(p patientGroup) { p.a.Settings["synchronous_commit"] = Setting{Value: "local", Source: "user"} }, nil},
	"a role's commits": {func(p patientGroup) {
		p.a.Scoped = []ScopedSetting{{Role: "app", Name: "synchronous_commit", Value: "off"}}
	}, []string{"error 10.0.0.1:5432 commits: ALTER ROLE app RESET synchronous_commit;"}},
	"a database's commits": {func(p patientGroup) {
		p.a.Scoped = []ScopedSetting{{Database: "Shop", Name: "synchronous_commit", Value: "remote_write"}}
	}, []string{`warning 10.0.0.1:5432 commits: ALTER DATABASE "Shop" RESET synchronous_commit;`}},
	"everybody's commits": {func(p patientGroup) { p.a.Scoped = []ScopedSetting{{Name: "synchronous_commit", Value: "local"}} }, []string{"error 10.0.0.1:5432 commits: ALTER ROLE ALL RESET synchronous_commit;"}},
	"a role's commits in a database": {func(p patientGroup) {
		p.a.Scoped = []ScopedSetting{{Role: "app", Database: "shop", Name: "synchronous_commit", Value: "local"}}
	}, []string{"error 10.0.0.1:5432 commits: ALTER ROLE app IN DATABASE shop RESET synchronous_commit;"}},
	"stricter commits": {func(p patientGroup) {
		p.a.Scoped = []ScopedSetting{{Role: "app", Name: "synchronous_commit", Value: "remote_apply"}}
	}, nil},
	"anybody counts": {func(p patientGroup) { p.a.change("synchronous_standby_names", "ANY 1 (*)") }, []string{"error 10.0.0.1:5432 commits: anybody who streams counts"}},
	"nobody counts":  {func(p patientGroup) { p.a.change("synchronous_standby_names", "") }, []string{"warning 10.0.0.1:5432 durability: waits for no standby"}},
	"names in an async group": {func(p patientGroup) {
		p.g.Durable = false
		p.b.change("synchronous_standby_names", "")
		p.c.change("synchronous_standby_names", "")
	}, []string{"note 10.0.0.1:5432 commits: synchronous_standby_names is ANY 1 (b, c)"}},

	"idle sessions":      {func(p patientGroup) { p.b.change("idle_session_timeout", "60000") }, []string{"warning 10.0.0.2:5432 timeouts: ALTER ROLE warden SET idle_session_timeout = 0;"}},
	"short transactions": {func(p patientGroup) { p.b.change("transaction_timeout", "1000") }, []string{"warning 10.0.0.2:5432 timeouts: transaction_timeout"}},
	"senders for ever":   {func(p patientGroup) { p.b.change("wal_sender_timeout", "0") }, []string{"note 10.0.0.2:5432 timeouts: wal_sender_timeout is 0"}},
	"logged passwords": {func(p patientGroup) {
		p.b.change("log_statement", "ddl")
		p.b.Conninfo.Password, p.g.ReplicationPassfile = true, true
	}, []string{"warning 10.0.0.2:5432 logging: log_statement is ddl"}},
	"logged, no password": {func(p patientGroup) { p.b.change("log_statement", "all") }, nil},
	"logged by time": {func(p patientGroup) {
		p.b.change("log_min_duration_statement", "0")
		p.b.Conninfo.Password, p.g.ReplicationPassfile = true, true
	}, []string{"warning 10.0.0.2:5432 logging: log_min_duration_statement is 0"}},
	"archive fails": {func(p patientGroup) { p.a.change("archive_mode", "on"); p.a.Archiver = Archiver{true, "00000002"} }, []string{"warning 10.0.0.1:5432 archive: archiving fails"}},
	"delayed":       {func(p patientGroup) { p.b.change("recovery_min_apply_delay", "3600000") }, []string{"warning 10.0.0.2:5432 archive: recovery_min_apply_delay"}},

	"unsealable": {func(p patientGroup) { p.b.Conninfo.Password = true }, []string{"error 10.0.0.2:5432 sealing: replication_passfile"}},
	"unsealable in no quorum": {func(p patientGroup) {
		p.b.Conninfo.Password, p.g.Durable = true, false
		p.a.change("synchronous_standby_names", "")
		p.b.change("synchronous_standby_names", "")
		p.c.change("synchronous_standby_names", "")
	}, nil},
	"fixed delay": {func(p patientGroup) {
		p.b.Settings["recovery_min_apply_delay"] = Setting{Value: "0", Source: "command line"}
	}, []string{"error 10.0.0.2:5432 sealing: recovery_min_apply_delay"}},
	"sealed by an order": {func(p patientGroup) { p.b.Filed["warden.sealed"] = "{}" }, []string{"warning 10.0.0.2:5432 sealing: it receives from nobody"}},

	"lost slot":  {func(p patientGroup) { p.a.Slots = []Slot{{Name: "warden_b", Type: "physical", State: "lost"}} }, []string{"warning 10.0.0.1:5432 slots: has lost WAL"}},
	"heavy slot": {func(p patientGroup) { p.a.Slots = []Slot{{Name: "warden_b", Type: "physical", Held: 5 << 30}} }, []string{"warning 10.0.0.1:5432 slots: holds 5.0 GiB"}},
	"slot in use": {func(p patientGroup) {
		p.a.Slots = []Slot{{Name: "warden_b", Type: "physical", Active: true, Held: 5 << 30}}
	}, nil},
	"foreign slot": {func(p patientGroup) { p.a.Slots = []Slot{{Name: "backup", Type: "physical"}} }, []string{"note 10.0.0.1:5432 slots: is not Warden's"}},
	"logical slot": {func(p patientGroup) { p.a.Slots = []Slot{{Name: "cdc", Type: "logical", Active: true}} }, []string{"note 10.0.0.1:5432 slots: is logical"}},

	"fenced":         {func(p patientGroup) { p.a.Filed["warden.fenced"] = string(nodeB) }, []string{"error 10.0.0.1:5432 leftovers: because 10.0.0.2:5432 became the primary", "error  primary: no node that can be looked at is a primary that takes writes"}},
	"hold left over": {func(p patientGroup) { p.a.Filed["default_transaction_read_only"] = "on" }, []string{"error 10.0.0.1:5432 leftovers: ALTER SYSTEM RESET default_transaction_read_only;"}},
	"hold": {func(p patientGroup) {
		p.a.Filed["default_transaction_read_only"] = "on"
		p.a.Wardens = append(p.a.Wardens, "warden-orders-7-0a1b2c3d-hold")
	}, nil},
	"read-only by hand": {func(p patientGroup) {
		p.a.Settings["default_transaction_read_only"] = Setting{Value: "on", Source: "configuration file"}
	}, []string{"warning 10.0.0.1:5432 leftovers: default_transaction_read_only is on"}},
	"prepared":             {func(p patientGroup) { p.a.Prepared = 1 }, []string{"note 10.0.0.1:5432 leftovers: 1 transactions are prepared"}},
	"another group's mark": {func(p patientGroup) { p.a.Filed["warden.epoch"] = "9 shop" }, []string{"error 10.0.0.1:5432 leftovers: Wardens of the group shop"}},
	"a role beats the fence": {func(p patientGroup) {
		p.a.Scoped = []ScopedSetting{{Role: "app", Name: "default_transaction_read_only", Value: "off"}}
	}, []string{"warning 10.0.0.1:5432 fence: ALTER ROLE app RESET default_transaction_read_only;"}},

	"two primaries":    {func(p patientGroup) { p.b.Standby, p.b.Receiver = false, nil }, []string{"error  primary: several nodes are primaries: 10.0.0.1:5432, 10.0.0.2:5432"}},
	"one server twice": {func(p patientGroup) { p.b.Started, p.b.Standby, p.b.Receiver = p.a.Started, false, nil }, []string{"error 10.0.0.2:5432 addresses: the same server as 10.0.0.1:5432"}},
	"another cluster":  {func(p patientGroup) { p.b.System = "43" }, []string{"error 10.0.0.2:5432 lineage: it is of another cluster"}},
	"diverged":         {func(p patientGroup) { p.b.Timeline, p.b.Position, p.b.Receiver = 1, 3500, nil }, []string{"error 10.0.0.2:5432 lineage: for 500 bytes", "warning 10.0.0.2:5432 streaming: it does not stream"}},
	"behind":           {func(p patientGroup) { p.b.Timeline, p.b.Position, p.b.Receiver = 1, 2500, nil }, []string{"note 10.0.0.2:5432 lineage: still on timeline 1", "warning 10.0.0.2:5432 streaming: it does not stream"}},
	"ahead":            {func(p patientGroup) { p.b.Timeline, p.b.Receiver = 3, nil }, []string{"error 10.0.0.2:5432 lineage: it is on timeline 3, the primary on 2", "warning 10.0.0.2:5432 streaming: it does not stream"}},
	"never on that line": {func(p patientGroup) {
		p.a.Timeline, p.a.Forks, p.b.Receiver = 5, []postgres.Left{{Timeline: 1, Position: 3000}, {Timeline: 3, Position: 4000}}, nil
		p.c.Timeline = 5
	}, []string{"error 10.0.0.2:5432 lineage: which the primary's data never was on", "warning 10.0.0.2:5432 streaming: it does not stream"}},
	"sealed":          {func(p patientGroup) { p.b.Receiver, p.b.Conninfo = nil, Conninfo{} }, []string{"warning 10.0.0.2:5432 streaming: primary_conninfo is empty"}},
	"cascade":         {func(p patientGroup) { p.c.Receiver.Host = nodeB.Host() }, nil},
	"another address": {func(p patientGroup) { p.c.Receiver.Host = "primary.example" }, []string{"note 10.0.0.3:5432 streaming: it streams from primary.example:5432"}},
	"one name":        {func(p patientGroup) { p.a.Standbys[1].Name = string(nodeB) }, []string{"error 10.0.0.1:5432 names: two standbys stream from it as 10.0.0.2:5432"}},
	"too little room": {func(p patientGroup) { p.b.change("max_connections", "50") }, []string{"error 10.0.0.2:5432 capacity: max_connections is 50, on the primary 100"}},
	"clock":           {func(p patientGroup) { p.b.Ahead = -5 * time.Second }, []string{"note 10.0.0.2:5432 clocks: 5s apart"}},
	"wild clock":      {func(p patientGroup) { p.b.Ahead = 5 * time.Minute }, []string{"warning 10.0.0.2:5432 clocks: certificates"}},
	"slow answer":     {func(p patientGroup) { p.b.Ahead, p.b.Blur = 2*time.Second, 2*time.Second }, nil},
	"another group watches": {func(p patientGroup) {
		p.a.Wardens = append(p.a.Wardens, "warden-my-shop-7-0a1b2c3d-watch", "warden-doctor")
	}, []string{"error 10.0.0.1:5432 other-wardens: the group my-shop watch it"}},
	"few stream":  {func(p patientGroup) { p.a.Standbys = nil }, []string{"error 10.0.0.1:5432 durability: a commit needs 1 standbys, and 0 stream"}},
	"hba rejects": {func(p patientGroup) { p.b.HBA[0].Users = []string{"someone"}; p.c.Receiver.Host = nodeB.Host() }, []string{"warning 10.0.0.2:5432 hba: host  replication  replicator  10.0.0.1/32"}},
	"hba invalid": {func(p patientGroup) { p.a.HBA = append(p.a.HBA, HBARule{Line: 9, Error: "bad"}) }, []string{"error 10.0.0.1:5432 hba: line 9"}},
	"hba unread":  {func(p patientGroup) { p.a.HBA, p.a.Unread["pg_hba_file_rules"] = nil, "permission denied" }, []string{"note 10.0.0.1:5432 hba: GRANT SELECT ON pg_hba_file_rules TO warden;"}},
}

// Goal: each rule finds its mistake, says how to mend it, and takes nothing else
// for one.
func TestPostgresRules(t *testing.T) {
	for name, c := range postgresCases {
		t.Run(name, func(t *testing.T) {
			g := ward()
			p := patientGroup{&g, sound(nodeA), sound(nodeB), sound(nodeC)}
			c.change(p)
			var got []Finding
			for _, f := range p.findings() {
				if f.Severity == OK {
					continue
				}
				if f.Why == "" || f.Remedy == "" {
					t.Errorf("%q says no why or no remedy", f.Found)
				}
				got = append(got, f)
			}
			for _, want := range c.want {
				head, words, _ := strings.Cut(want, ": ")
				i := slices.IndexFunc(got, func(f Finding) bool {
					return fmt.Sprintf("%s %s %s", f.Severity, f.Node, f.Check) == head && strings.Contains(f.Found+" | "+f.Why+" | "+f.Remedy, words)
				})
				if i < 0 {
					t.Errorf("missing: %s", want)
					continue
				}
				got = slices.Delete(got, i, i+1)
			}
			for _, f := range got {
				t.Errorf("not wanted: %s %s %s: %s", f.Severity, f.Node, f.Check, f.Found)
			}
		})
	}
}

// Goal: what nobody could look at is not said to be in order.
func TestNothingReachedIsNotHealth(t *testing.T) {
	n := &PostgresNode{Node: nodeA, Health: warden.HealthSilent}
	if got := judgePostgresGroup(ward(), []*PostgresNode{n}); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	for _, f := range judgePostgres(ward(), n) {
		if f.Severity == OK {
			t.Errorf("%s is said of a node that is silent", f.Found)
		}
	}
}

// Goal: pg_hba.conf is read as the server reads it: the first rule that fits.
func TestAdmission(t *testing.T) {
	rule := func(kind, db, user, address, mask, method string) HBARule {
		return HBARule{Type: kind, Databases: []string{db}, Users: []string{user}, Address: address, Netmask: mask, Method: method}
	}
	all := rule("host", "replication", "all", "all", "", "trust")
	for name, c := range map[string]struct {
		rules     []HBARule
		encrypted bool
		want      admission
	}{
		"no rules":         {nil, false, rejected},
		"all":              {[]HBARule{all}, false, admitted},
		"database all":     {[]HBARule{rule("host", "all", "all", "all", "", "trust")}, false, rejected},
		"local":            {[]HBARule{rule("local", "replication", "all", "", "", "trust")}, false, rejected},
		"network":          {[]HBARule{rule("host", "replication", "repl", "10.0.0.0", "255.255.0.0", "md5")}, false, admitted},
		"other network":    {[]HBARule{rule("host", "replication", "repl", "10.1.0.0", "255.255.0.0", "md5")}, false, rejected},
		"half an octet":    {[]HBARule{rule("host", "replication", "repl", "10.0.0.0", "255.255.255.240", "md5")}, false, rejected},
		"other family":     {[]HBARule{rule("host", "replication", "repl", "::", "::", "md5")}, false, rejected},
		"reject first":     {[]HBARule{rule("host", "replication", "repl", "10.0.0.0", "255.0.0.0", "reject"), all}, false, rejected},
		"tls only":         {[]HBARule{rule("hostssl", "replication", "repl", "all", "", "md5")}, false, rejected},
		"tls":              {[]HBARule{rule("hostssl", "replication", "repl", "all", "", "md5")}, true, admitted},
		"no tls":           {[]HBARule{rule("hostnossl", "replication", "repl", "all", "", "md5")}, true, rejected},
		"a group":          {[]HBARule{rule("host", "replication", "+standbys", "all", "", "md5"), all}, false, unclear},
		"a pattern":        {[]HBARule{rule("host", "replication", "/^re", "all", "", "md5")}, false, unclear},
		"a host name":      {[]HBARule{rule("host", "replication", "repl", "db.example", "", "md5")}, false, unclear},
		"a name elsewhere": {[]HBARule{rule("host", "shop", "repl", "db.example", "", "md5"), all}, false, admitted},
	} {
		if got, _ := admits(c.rules, "repl", netip.MustParseAddr("10.0.0.17"), c.encrypted); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
