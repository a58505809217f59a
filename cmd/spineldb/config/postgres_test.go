package config

import (
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

const postgresMinimal = `[[masters]]
name = "p"
adapter = "postgres"
ip = "10.0.0.1"
quorum = 2
auth_user = "warden"
`

const postgresEveryKey = postgresMinimal + `port = 6000
nodes = ["db2", "[2001:db8::1]", "db3:5433"]
auth_password_file = "pw"
passfile = "pass"
dbname = "watch"
sslmode = "verify-full"
sslrootcert = "system"
sslcert = "c.pem"
sslkey = "k.pem"
replication_user = "replicator"
replication_password_file = "rpw"
durability = "quorum"
sync_standbys = 2
sync_group_size = 3
member_timeout = "20s"
synchronous_mode_strict = false
maximum_lag_on_failover = 5
check_timeline = true
rejoin_command = ["/opt/re join", "a b", ""]
rejoin_timeout = "4h"
tags.db2 = { nosync = true }
`

// everyFile stands for a directory in which whatever is named is there.
func everyFile(path string) ([]byte, fs.FileMode, error) {
	return []byte(path[strings.LastIndexByte(path, '/')+1:] + "\n"), 0o700, nil
}

// Goal: every key of a group of PostgreSQL servers is read into its field.
func TestEveryPostgresKey(t *testing.T) {
	c, err := Parse("/etc/w/warden.toml", []byte(postgresEveryKey), everyFile)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultMaster("p", "10.0.0.1:6000", 2)
	want.Adapter, want.AuthUser, want.AuthPassword = "postgres", "warden", "pw"
	want.Nodes = []warden.NodeID{"db2:5432", "[2001:db8::1]:5432", "db3:5433"}
	want.Postgres = Postgres{
		Database: "watch", Passfile: "/etc/w/pass", SSLMode: "verify-full", SSLRootCert: "system", SSLCert: "/etc/w/c.pem", SSLKey: "/etc/w/k.pem",
		ReplicationUser: "replicator", ReplicationPassword: "rpw",
	}
	want.Durable, want.SyncStandbys, want.SyncGroupSize, want.MemberTimeout, want.MaxLag = true, 2, 3, 20*warden.Second, 5
	want.Written = []string{"quorum", "synchronous_mode", "synchronous_mode_strict", "max_replication_lag", "check_timeline"}
	want.RejoinCommand, want.RejoinTimeout = []string{"/opt/re join", "a b", ""}, 240*warden.Minute
	want.Tags = map[warden.NodeID]Tags{"db2:5432": {NoSync: true, Priority: 100}}
	if got := c.Masters[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if p := c.Masters[0].Postgres.ReplicationPassword; p != "rpw" || strings.Contains(fmt.Sprintf("%+v", c), "rpw") {
		t.Error("the password of replication was read wrongly, or shows")
	}
}

// Goal: what is left out has PostgreSQL's defaults.
func TestPostgresDefaults(t *testing.T) {
	c, err := Parse("w.toml", []byte(postgresMinimal), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultMaster("p", "10.0.0.1:5432", 2)
	want.Adapter, want.AuthUser, want.MaxLag, want.RejoinTimeout = "postgres", "warden", 1<<20, 10*warden.Second
	want.Postgres = Postgres{Database: "postgres", SSLMode: "prefer"}
	want.SyncStandbys, want.MemberTimeout, want.SyncStrict = 1, 10*warden.Second, true
	if got := c.Masters[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	c, err = Parse("w.toml", []byte(postgresMinimal+"nodes = ['b']\ndurability = 'quorum'\n"), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	want.Nodes, want.Durable, want.Written = []warden.NodeID{"b:5432"}, true, []string{"quorum", "synchronous_mode"}
	if got := c.Masters[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// wrongPostgres are mistakes in groups with commands, tags or PostgreSQL, in
// the form of wrongConfigs.
var wrongPostgres = []struct {
	name string
	text string
	want []string
}{
	{"no user", strings.Replace(postgresMinimal, "auth_user = \"warden\"\n", "", 1), []string{
		`w.toml:1: group "p": auth_user: is missing ... docs/postgresql.md`}},
	{"of the other kind", postgresMinimal + "rename_commands = { CONFIG = 'x' }\n", []string{
		`w.toml:7: group "p": rename_commands: is for servers of the Redis protocol only`}},
	{"in the other kind", minimal + "dbname = 'x'\nsslmode = 'no such'\ndurability = 'quorum'\nsync_standbys = 1\nrejoin_command = 'x'\n", []string{
		`w.toml:6: group "m": dbname: is for PostgreSQL only: set adapter = "postgres"`, "w.toml:7: ... sslmode: is for PostgreSQL only",
		"w.toml:8: ... durability: is for", "w.toml:9: ... sync_standbys: is for", "w.toml:10: ... rejoin_command: is for"}},
	{"of an unknown kind", minimal + "adapter = 'postgre'\ndbname = 'x'\n", []string{
		`w.toml:6: group "m": adapter: "postgre" is not a kind ... write "postgres"`}},
	{"misspelt", postgresMinimal + "durabilty = 'quorum'\nsync_standby = 1\n", []string{
		`w.toml:7: ... durabilty: unknown key: did you mean "durability"?`, `w.toml:8: ... did you mean "sync_standbys"?`}},
	{"at the top", "sslmode = 'prefer'\n" + postgresMinimal, []string{"w.toml:1: sslmode: does not belong here: move it under [[masters]]"}},
	{"values", postgresMinimal + "sslmode = 'on'\ndurability = 'sync'\ndbname = ''\nmaximum_lag_on_failover = -1\ncheck_timeline = false\n", []string{
		`w.toml:7: ... sslmode: is "on": choose one of disable, allow, prefer, require, verify-ca, verify-full`,
		`w.toml:8: ... durability: is "sync": choose "async"`, "w.toml:9: ... dbname: is empty", "w.toml:10: ... must be at least 0",
		"w.toml:11: ... check_timeline: is false, which is not supported: "}},
	{"certificates", postgresMinimal + "sslcert = 'x'\nsslrootcert = 'system'\n", []string{
		"w.toml:7: ... sslcert: read x: file does not exist", "w.toml:7: ... sslcert: is set without its key",
		"w.toml:8: ... verify-full"}},
	{"replication", postgresMinimal + "replication_passfile = '/x'\n", []string{
		"w.toml:7: ... replication_passfile: is set without replication_user"}},
	{"replication password twice", postgresMinimal + "replication_user = 'r'\nreplication_password_file = 'x'\nreplication_passfile = '/x'\n", []string{
		"w.toml:8: ... read password file", "w.toml:9: ... replication_passfile: is set beside replication_password_file"}},
	{"no quorum", postgresMinimal + "sync_standbys = 1\nmember_timeout = '1s'\n", []string{
		`w.toml:7: ... sync_standbys: is set without durability = "quorum"`, `w.toml:8: ... member_timeout: is set without`}},
	{"too few members", postgresMinimal + "nodes = ['b', 'c', 'd']\ndurability = 'quorum'\nsync_standbys = 3\nsync_group_size = 2\n", []string{
		"w.toml:10: ... sync_group_size: is 2, but sync_standbys (3) of them"}},
	{"nobody to wait for", postgresMinimal + "durability = 'quorum'\n", []string{
		`w.toml:7: ... durability: is "quorum" with 0 nodes known besides the primary, but 1 is needed: name the standbys in nodes`}},
	{"too few nodes", postgresMinimal + "nodes = ['b']\ndurability = 'quorum'\nsync_group_size = 2\n", []string{
		`w.toml:8: ... durability: is "quorum" with 1 node known besides the primary, but 2 are needed`}},
	{"another spelling", "[[masters]]\nname = 'p'\nadapter = 'postgresql'\nip = '10.0.0.1'\nquorum = 2\nauth_user = 'w'\nnodes = ['b']\ndurability = 'quorum'\n", []string{
		`w.toml:3: group "p": adapter: "postgresql" is not a kind of database this build knows: write "postgres", or leave it out`}},
	{"rejoin", postgresMinimal + "rejoin_timeout = '1ms'\n", []string{"w.toml:7: ... rejoin_timeout: is 1ms, but must be at least 100ms"}},
	{"node twice", postgresMinimal + "nodes = ['b', 'b:5432']\n", []string{"w.toml:7: ... nodes: b:5432 is listed twice"}},
	{"a node of another group", postgresMinimal + minimal + "nodes = ['10.0.0.1:5432']\n", []string{
		`w.toml:12: group "m": nodes: 10.0.0.1:5432 is already watched by the group p on line 4`}},
	{"fence", minimal + "fence_required = true\n", []string{`w.toml:6: group "m": fence_required: is true without a fence_command`}},
	{"no such command", minimal + "fence_command = 'none --hard'\ncommand_timeout = '0s'\n", []string{
		"w.toml:6: ... fence_command: read none: file does not exist: create it, or write the whole path", "w.toml:7: ... must be at least 100ms"}},
	{"empty command", minimal + "fence_command = '  '\n", []string{"w.toml:6: ... fence_command: is empty: name a program"}},
	{"commands", postgresMinimal + "fence_command = 5\nrejoin_command = ['', 'x']\n", []string{
		"w.toml:7: ... fence_command: is a whole number, but a list", "w.toml:8: ... rejoin_command: is empty"}},
	{"tags", minimal + "tags = { '10.0.0.1' = { nosync = true }, 'b:1' = 5, 'c:1' = { nofailover = true, failover_priority = 3 } }\n", []string{
		`w.toml:6: group "m": tags: address "10.0.0.1" has no port ... tags."host:port" = {`, "w.toml:6: ... tags: b:1 is a whole number, but a table",
		"w.toml:6: ... tags of c:1: failover_priority: is set beside nofailover"}},
	{"tags of somebody else", minimal + "nodes = ['b:1']\ntags.'b:2' = { nosync = true }\ntags.'B:1'.nosynk = true\ntags.'b:1'.nosync = true\n", []string{
		"w.toml:7: ... tags: b:2 is not among the nodes", `w.toml:8: ... tags of b:1: nosynk: unknown key: did you mean "nosync"?`,
		"w.toml:9: ... tags: b:1 is there twice: keep one"}},
	{"tags of whom to follow", postgresMinimal + "[masters.tags.b]\nnoloadbalance = 1\nreplicatefrom = 'b'\n[masters.tags.c]\nfailover_priority = 200\nreplicatefrom = ''\n", []string{
		`w.toml:8: group "p": tags of b:5432: noloadbalance: is a whole number`, "w.toml:9: ... replicatefrom: is the node itself",
		"w.toml:11: ... tags of c:5432: failover_priority: is 200, but must be from 0 to 199", `w.toml:12: ... replicatefrom: address "" has no port`}},
	{"tags as text", minimal + "tags = 'nofailover'\n", []string{"w.toml:6: ... tags: is text, but a table for each node is wanted"}},
}

// Goal: each mistake is reported on its line with its key and a remedy.
func TestPostgresMistakes(t *testing.T) {
	for _, tt := range wrongPostgres {
		t.Run(tt.name, func(t *testing.T) { expectMistakes(t, tt.text, tt.want, noFiles) })
	}
	t.Run("not executable", func(t *testing.T) {
		expectMistakes(t, postgresMinimal+"rejoin_command = '/etc/passwd x'\n", []string{
			"w.toml:7: ... rejoin_command: /etc/passwd is not executable: chmod +x it"},
			func(string) ([]byte, fs.FileMode, error) { return nil, 0o644, nil })
	})
	t.Run("command longer than a failover", func(t *testing.T) {
		expectMistakes(t, minimal+"fence_command = 'x'\ncommand_timeout = '3m'\n", []string{
			"w.toml:7: ... command_timeout: is 3m, but must be below failover_timeout (3m)"}, everyFile)
	})
}
