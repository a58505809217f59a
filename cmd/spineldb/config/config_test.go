package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// noFiles stands for a directory without any file.
func noFiles(string) ([]byte, fs.FileMode, error) { return nil, 0, fs.ErrNotExist }

const sample = `# The address and port for this Warden instance to listen on for client queries.
host = "0.0.0.0"
port = 26379
# The address this Warden should announce to its peers.
# announce_ip = "10.0.1.5"
[[masters]]
# A unique name for this primary-replica group.
name = "mymaster"
ip = "192.168.1.10"
port = 7878
quorum = 2
down_after = "30s"
failover_timeout = "3m"
hello_interval = "2s"
`

const minimal = `[[masters]]
name = "m"
ip = "10.0.0.1"
port = 6379
quorum = 2
`

func defaultMaster(name, primary string, quorum int) Master {
	return Master{
		Name: warden.GroupName(name), Primary: warden.NodeID(primary), Quorum: quorum,
		DownAfter: 30 * warden.Second, CrashAfter: 30 * warden.Second, FailoverTimeout: 3 * warden.Minute,
		HelloInterval: 2 * warden.Second, ParallelSyncs: 1, ReplicaWitness: true, Adapter: "spineldb", CommandTimeout: 10 * warden.Second,
		Written: []string{"quorum"},
		Hooks:   defaultHooks(),
	}
}

func defaultHooks() Hooks {
	return Hooks{Timeout: 30 * warden.Second, Retries: 3, PrePromoteTimeout: 5 * warden.Second}
}

// The sample of SpinelDB's own documentation means what it says there.
func TestSample(t *testing.T) {
	c, err := Parse("/etc/warden.toml", []byte(sample), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 2 {
		t.Errorf("warnings: %q, want one for gossip and one for the client port", c.Warnings)
	}
	c.Warnings = nil
	want := Config{
		File: "/etc/warden.toml", Host: "0.0.0.0", Port: 26379, AnnouncePort: 26379, GossipPort: 27379,
		DataDir: "/etc/warden-26379.data", MaxClients: 10000, Past: DefaultPast(), LogLevel: slog.LevelInfo, TLS: TLS{ClientAuth: "yes"},
		HTTP:    HTTP{Host: "127.0.0.1", Port: 8008},
		Hooks:   defaultHooks(),
		Masters: []Master{defaultMaster("mymaster", "192.168.1.10:7878", 2)},
	}
	want.Masters[0].Written = append(want.Masters[0].Written, "down_after")
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// everyKey has two places for keys of gossip.
const everyKey = `host = "[::1]"
port = 5000
announce_ip = "Warden-1.Example.com"
announce_port = 5001
gossip_port = 5002
gossip_secret_key = [%q, %q]
join = ["a.example", "10.0.0.7:99", "[2001:db8::1]:98", "2001:db8::2"]
data_dir = "/var/lib/warden"
requirepass = "s3cret"
maxclients = 7
events_kept = 100
events_kept_bytes = 262144
reports_kept = 5
log_level = "debug"
users = ["alice on >wonder ~* +@all", "  bob   off  nopass"]
acl_file = "users.acl"
tls_port = 5003
tls_cert_file = "c.pem"
tls_key_file = "k.pem"
tls_key_password_file = "pw"
tls_ca_file = "/etc/ssl/ca.pem"
tls_client_auth = "optional"
tls_nodes = true
[http]
listen = "[2001:db8::5]:5004"
token_file = "token"
tls_cert_file = "hc.pem"
tls_key_file = "hk.pem"
tls_key_password = "another"
tls_client_ca_file = "hca.pem"
[hooks]
on_failover = ["n.sh", "two words"]
on_role_change = "n.sh  role"
on_start = "n.sh start"
on_stop = "n.sh stop"
timeout = "4s"
retries = 0
pre_promote = "n.sh"
pre_promote_timeout = "300ms"
[[webhooks]]
url = "https://hooks.example:444/s3cret?x=y"
secret_file = "token"
events = ["+switch-master", "-*"]
timeout = "2s"
retries = 9
tls_ca_file = "hca.pem"
[[webhooks]]
url = "http://localhost/"
[[masters]]
name = "cache.1"
ip = "2001:DB8::10"
port = 7000
nodes = ["[2001:db8::10]:7000", "db2:7001"]
quorum = 2
wardens = 3
down_after = "1 minute 30s"
crash_after = "500ms"
failover_timeout = "1h"
hello_interval = "1.5s"
failover_cooldown = "2m"
parallel_syncs = 4
replica_witness = false
adapter = "spineldb"
auth_user = "u"
auth_password_file = "pw"
notification_script = "n.sh"
client_reconfig_script = "/bin/r"
reboot_down_after = "1m"
rename_commands = { config = "guess", SLAVEOF = "follow" }
fence_command = "fence.sh  --hard off"
fence_required = true
command_timeout = "5s"
tags."[2001:db8::10]:7000" = { nofailover = true }
[masters.tags."DB2:7001"]
failover_priority = 150
[masters.hooks]
on_failover = []
on_switchover = "/bin/r"
on_node_join = "n.sh"
on_node_remove = "n.sh"
on_node_rejoin = "n.sh"
retries = 10
pre_promote = "/bin/r now"
`

// wonder is the SHA-256 of "wonder".
const wonder = "36296059cca8b7c7c7a52ff12abe53eb374d509d480f69bb673ac2566ea0b53f"

func everyMaster() Master {
	return Master{
		Hooks: Hooks{Timeout: 4 * warden.Second, Retries: 10, PrePromoteTimeout: 300 * warden.Millisecond, PrePromote: []string{"/bin/r", "now"}, Commands: map[string][]string{
			"on_role_change": {"/etc/w/n.sh", "role"}, "on_switchover": {"/bin/r"}, "on_node_join": {"/etc/w/n.sh"}, "on_node_remove": {"/etc/w/n.sh"}, "on_node_rejoin": {"/etc/w/n.sh"},
		}},
		Name: "cache.1", Primary: "[2001:db8::10]:7000", Nodes: []warden.NodeID{"db2:7001"}, Quorum: 2, Wardens: 3,
		DownAfter: 90 * warden.Second, CrashAfter: 500 * warden.Millisecond, FailoverTimeout: 60 * warden.Minute,
		HelloInterval: 1500 * warden.Millisecond, FailoverCooldown: 2 * warden.Minute, ParallelSyncs: 4,
		Adapter: "spineldb", AuthUser: "u", AuthPassword: "pass word ",
		NotificationScript: "/etc/w/n.sh", ReconfigScript: "/bin/r", RebootDownAfter: warden.Minute,
		Renames:      map[string]string{"CONFIG": "guess", "SLAVEOF": "follow"},
		FenceCommand: []string{"/etc/w/fence.sh", "--hard", "off"}, FenceRequired: true, CommandTimeout: 5 * warden.Second,
		Written: []string{"quorum", "down_after", "crash_after"},
		Tags:    map[warden.NodeID]Tags{"[2001:db8::10]:7000": {NoFailover: true, Priority: 100}, "db2:7001": {Priority: 150, PrioritySet: true}},
	}
}

// Every key is read into its field.
func TestEveryKey(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	other := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	text := fmt.Sprintf(everyKey, key, other)
	var seen []string
	read := func(path string) ([]byte, fs.FileMode, error) {
		seen = append(seen, path)
		switch path {
		case "/etc/w/pw":
			return []byte("pass word \r\n"), 0o600, nil
		case "/etc/w/token":
			return []byte("pass word of file\n"), 0o600, nil
		case "/bin/r":
			return nil, 0o755, errTooLarge
		}
		return []byte("x"), 0o700, nil
	}
	c, err := Parse("/etc/w/warden.toml", []byte(text), read)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		File: "/etc/w/warden.toml", Host: "::1", Port: 5000, AnnounceIP: "warden-1.example.com", AnnouncePort: 5001,
		GossipPort: 5002, GossipKeys: []Secret{"0123456789abcdef", "0123456789abcdef0123456789abcdef"},
		Join:    []warden.NodeID{"a.example:5002", "10.0.0.7:99", "[2001:db8::1]:98", "[2001:db8::2]:5002"},
		DataDir: "/var/lib/warden", RequirePass: "s3cret", MaxClients: 7, Past: Past{Events: 100, EventBytes: 262144, Reports: 5}, LogLevel: slog.LevelDebug,
		Users:   []string{"alice on #" + wonder + " ~* +@all", "bob off nopass"},
		ACLFile: "/etc/w/users.acl",
		TLS: TLS{
			Port: 5003, CertFile: "/etc/w/c.pem", KeyFile: "/etc/w/k.pem", CAFile: "/etc/ssl/ca.pem", KeyPassword: "pass word ",
			ClientAuth: "optional", Nodes: true,
		},
		HTTP: HTTP{Host: "2001:db8::5", Port: 5004, Asked: true, Token: "pass word of file", TLS: TLS{
			Port: 1, CertFile: "/etc/w/hc.pem", KeyFile: "/etc/w/hk.pem", CAFile: "/etc/w/hca.pem", KeyPassword: "another", ClientAuth: "yes",
		}},
		Hooks: Hooks{Timeout: 4 * warden.Second, PrePromoteTimeout: 300 * warden.Millisecond, PrePromote: []string{"/etc/w/n.sh"}, Commands: map[string][]string{
			"on_failover": {"/etc/w/n.sh", "two words"}, "on_role_change": {"/etc/w/n.sh", "role"}, "on_start": {"/etc/w/n.sh", "start"}, "on_stop": {"/etc/w/n.sh", "stop"},
		}},
		Webhooks: []Webhook{
			{URL: "https://hooks.example:444/s3cret?x=y", Host: "hooks.example:444", Secret: "pass word of file", Events: []string{"+switch-master", "-*"},
				Timeout: 2 * warden.Second, Retries: 9, CAFile: "/etc/w/hca.pem"},
			{URL: "http://localhost/", Host: "localhost", Events: []string{"*"}, Timeout: 5 * warden.Second, Retries: 5},
		},
		Masters: []Master{everyMaster()},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	for _, path := range []string{"/etc/w/pw", "/etc/w/users.acl", "/etc/w/c.pem", "/etc/w/k.pem", "/etc/ssl/ca.pem", "/etc/w/n.sh", "/bin/r"} {
		if !contains(seen, path) {
			t.Errorf("%s was not looked at", path)
		}
	}
	// reflect compares the text of secrets; the print above hides it.
	if c.Masters[0].AuthPassword != "pass word " || c.RequirePass != "s3cret" {
		t.Error("a secret was read wrongly")
	}
}

// wrongConfigs are files with mistakes, and what is said about each.
var wrongConfigs = []struct {
	name string
	text string
	want []string // each is one line: a prefix, then " ... ", then what must follow
}{
	{"empty", "", []string{"w.toml: masters: no group is configured ... [[masters]]"}},
	{"quorum missing", "[[masters]]\nname = 'm'\nip = '10.0.0.1'\nport = 1\n", []string{
		`w.toml:1: group "m": quorum: is missing ... N/2+1`}},
	{"all missing", "\n[[masters]]\n", []string{
		"w.toml:2: name: is missing", "w.toml:2: ip: is missing", "w.toml:2: port: is missing", "w.toml:2: quorum: is missing"}},
	{"unknown top key", "prot = 1\n" + minimal, []string{`w.toml:1: prot: unknown key: did you mean "port"?`}},
	{"unknown group key", minimal + "qourum = 2\n", []string{`w.toml:6: group "m": qourum: unknown key: did you mean "quorum"?`}},
	{"key with dashes", minimal + "down-after-milliseconds = 2\n", []string{`w.toml:6: group "m": down-after-milliseconds: unknown key: did you mean "down_after"?`}},
	{"nothing like it", "zzzzzz = 1\n" + minimal, []string{"w.toml:1: zzzzzz: unknown key: remove it"}},
	{"group key at the top", "quorum = 2\n" + minimal, []string{"w.toml:1: quorum: does not belong here: move it under [[masters]]"}},
	{"top key in a group", minimal + "requirepass = 'x'\n", []string{`w.toml:6: group "m": requirepass: does not belong here: move it to the top`}},
	{"misspelt masters", "[[master]]\nname = 'm'\n", []string{`w.toml:1: master: unknown key: did you mean "masters"?`}},
	{"one bracket", "[masters]\nname = 'm'\n", []string{"w.toml:1: masters: is a single table: write [[masters]]"}},
	{"masters is text", "masters = 'm'\n", []string{"w.toml:1: masters: is text, but blocks are wanted"}},
	{"masters of numbers", "masters = [1]\n", []string{
		"w.toml:1: masters: entry 1 is a whole number, but a block is wanted"}},
	{"wrong types", "host = 5\nport = 'x'\njoin = 'a'\nmaxclients = 1.5\nrequirepass = []\n" + minimal, []string{
		"w.toml:1: host: is a whole number, but text is wanted", "w.toml:2: port: is text, but a whole number is wanted",
		"w.toml:3: join: is text, but a list is wanted", "w.toml:4: maxclients: is a decimal number, but a whole number",
		"w.toml:5: requirepass: is a list, but text is wanted"}},
	{"wrong type in a list", "join = [\n 'a',\n 7,\n 'b c',\n]\n" + minimal, []string{
		"w.toml:3: join: entry 2 is a whole number", `w.toml:4: join: address "b c" has no port`}},
	{"duration without unit", minimal + "down_after = 30\n", []string{
		`w.toml:6: group "m": down_after: is the number 30 without a unit ... "30s"`}},
	{"duration without quotes", minimal + "down_after = 30s\nhello_interval = 2s # often\n", []string{
		`w.toml:6: down_after: write durations in quotes: "30s"`, `w.toml:7: hello_interval: write durations in quotes: "2s"`}},
	{"bad duration", minimal + "down_after = '30 parsecs'\nhello_interval = '-1s'\ncrash_after = '7'\nfailover_cooldown = ''\n", []string{
		`w.toml:6: group "m": down_after: duration "30 parsecs" has an unknown unit "parsecs"`, "w.toml:7: ... is negative",
		`w.toml:8: group "m": crash_after: duration "7" lacks a unit`, "w.toml:9: ... duration is empty"}},
	{"durations too short", minimal + "down_after = '99ms'\nhello_interval = '0s'\n", []string{
		"w.toml:6: ... must be at least 100ms", "w.toml:7: ... must be at least 10ms"}},
	{"crash_after too long", minimal + "down_after = '5s'\ncrash_after = '6s'\n", []string{
		`w.toml:7: group "m": crash_after: is 6s, but must not be above down_after (5s)`}},
	{"failover_timeout too short", minimal + "failover_timeout = '20s'\n", []string{
		`w.toml:6: group "m": failover_timeout: is 20s, but must be at least down_after (30s)`}},
	{"down_after beyond the default time-out", minimal + "down_after = '4m'\n", []string{
		`w.toml:6: group "m": down_after: is 4m, but must not be above failover_timeout (3m unless set) ... set failover_timeout`}},
	{"quorum above wardens", minimal + "wardens = 1\n", []string{
		`w.toml:5: group "m": quorum: is 2, but there are only 1 Wardens`}},
	{"quorum zero", strings.Replace(minimal, "quorum = 2", "quorum = 0", 1), []string{
		`w.toml:5: group "m": quorum: is 0, but must be at least 1`}},
	{"ports", "port = 70000\ngossip_port = 0\n" + minimal, []string{
		"w.toml:1: port: is 70000, but must be from 0 to 65535", "w.toml:2: gossip_port: is 0"}},
	{"same ports", "port = 26379\ngossip_port = 26379\n" + minimal, []string{
		"w.toml:2: gossip_port: is 26379, the same as port"}},
	{"no room for the gossip port", "port = 65000\n" + minimal, []string{
		"w.toml:1: port: is 65000, so gossip_port (port + 1000) would be 66000 ... set gossip_port"}},
	{"address with port", strings.Replace(minimal, "10.0.0.1", "10.0.0.1:6379", 1), []string{
		`w.toml:3: group "m": ip: "10.0.0.1:6379" contains a port`}},
	{"no address", strings.Replace(minimal, "10.0.0.1", "10.0.0.300", 1), []string{
		`w.toml:3: group "m": ip: "10.0.0.300" is neither an IP address nor a host name`}},
	{"any address", "announce_ip = '::'\n" + strings.Replace(minimal, "10.0.0.1", "0.0.0.0", 1), []string{
		"w.toml:1: announce_ip: is ::, which nobody can connect to", `w.toml:4: group "m": ip: is 0.0.0.0`}},
	{"bad name", strings.Replace(minimal, `"m"`, `"m m"`, 1), []string{`w.toml:2: group "m m": name: ... contains ' '`}},
	{"two groups alike", minimal + "\n" + minimal, []string{
		`w.toml:8: group "m": name: is also the name of the group on line 2`,
		`w.toml:9: group "m": ip: 10.0.0.1:6379 is already watched by the group m on line 3`}},
	{"a node of another group", minimal + "[[masters]]\nname='n'\nip='10.0.0.2'\nport=1\nquorum=2\nnodes=['x:1',\n'10.0.0.1:6379']\n", []string{
		`w.toml:12: group "n": nodes: 10.0.0.1:6379 is already watched by the group m on line 3`}},
	{"node twice", minimal + "nodes = ['a:1', 'A:1']\n", []string{`w.toml:6: group "m": nodes: a:1 is listed twice`}},
	{"adapter", minimal + "adapter = 'spinel'\n", []string{`w.toml:6: group "m": adapter: "spinel" is not a kind of database ... "spineldb"`}},
	{"log level", "log_level = 'loud'\n" + minimal, []string{"w.toml:1: log_level: ... choose debug, info, warn or error"}},
	{"user alone", minimal + "auth_user = 'u'\n", []string{`w.toml:6: group "m": auth_user: is set without a password`}},
	{"password twice", minimal + "auth_password = 'x'\nauth_password_file = 'y'\n", []string{
		`w.toml:7: group "m": auth_password_file: read password file: file does not exist`, "w.toml:7: ... keep one of the two"}},
	{"no way in", "port = 0\n" + minimal, []string{"w.toml:1: port: is 0, so clients need tls_port"}},
	{"TLS port alike", "port = 5\ntls_port = 5\ntls_cert_file = 'x'\ntls_key_file = 'x'\ntls_client_auth = 'no'\n" + minimal, []string{
		"w.toml:2: tls_port: is 5, the same as port ... port = 0", "w.toml:3: tls_cert_file: read x: file does not exist: create it", "w.toml:4: tls_key_file: read x"}},
	{"TLS without all else", "tls_port = 5\ntls_client_auth = 'maybe'\n" + minimal, []string{
		"w.toml:1: tls_port: is set without a certificate ... tls_key_file", `w.toml:2: tls_client_auth: is "maybe": choose yes, no or optional`}},
	{"TLS without CA", "tls_port = 5\ntls_cert_file = 'x'\n" + minimal, []string{
		`w.toml:1: tls_port: is set without a way to check clients' certificates ... tls_client_auth = "no"`,
		"w.toml:2: tls_cert_file: read x", "w.toml:2: tls_cert_file: is set without its key"}},
	{"TLS key alone", "tls_key_file = 'x'\ntls_key_password = 'p'\ntls_key_password_file = 'p'\n" + minimal, []string{
		"w.toml:1: tls_key_file: read x", "w.toml:1: tls_key_file: is set without its certificate",
		"w.toml:3: tls_key_password_file: read password file", "w.toml:3: tls_key_password_file: is set beside tls_key_password"}},
	{"TLS and gossip", "port = 0\ntls_port = 5\ngossip_port = 5\ntls_cert_file = ''\n" + minimal, []string{
		"w.toml:2: tls_port: is set without a way", "w.toml:3: gossip_port: is 5, the same as port", "w.toml:4: tls_cert_file: is empty",
		"w.toml:4: tls_cert_file: is set without its key"}},
	{"TLS and gossip 2", "tls_port = 5\ngossip_port = 5\ntls_client_auth = 'no'\n" + minimal, []string{
		"w.toml:1: tls_port: is set without a certificate", "w.toml:2: gossip_port: is 5, the same as tls_port"}},
	{"users", "users = ['a on >hunter2', 'a off', '', 'b on (~x y)', 5]\n" + minimal, []string{
		"w.toml:1: users: entry 5 is a whole number"}},
	{"users 2", "users = [\n 'a on >hunter2',\n 'a off',\n]\n" + minimal, []string{
		"w.toml:3: users: entry 2 has the name of an entry before it"}},
	{"users 3", "users = ['']\n" + minimal, []string{"w.toml:1: users: entry 1: the name is missing: write NAME RULE..."}},
	{"acl file", "acl_file = 'none'\n" + minimal, []string{"w.toml:1: acl_file: read none: file does not exist: create it, or correct the path"}},
	{"scripts", minimal + "notification_script = 'none'\nclient_reconfig_script = ''\n", []string{
		`w.toml:6: group "m": notification_script: read none: file does not exist`, `w.toml:7: group "m": client_reconfig_script: is empty`}},
	{"renames", minimal + "rename_commands = { CONFIG = 5, config = 'x', ping = 'a b', \"a b\" = 'x', PING = '' }\n", []string{
		`w.toml:6: group "m": rename_commands: the new name of CONFIG is a whole number`,
		`w.toml:6: group "m": rename_commands: the new name of PING is empty or contains a blank`,
		`w.toml:6: group "m": rename_commands: "a b" is not the name of a command`,
		`w.toml:6: group "m": rename_commands: the new name of PING is empty or contains a blank`}},
	{"renames twice", minimal + "[masters.rename_commands]\nCONFIG = 'x'\nconfig = 'y'\n", []string{
		`w.toml:8: group "m": rename_commands: CONFIG is renamed twice`}},
	{"renames as text", minimal + "rename_commands = 'CONFIG x'\n", []string{
		`w.toml:6: group "m": rename_commands: is text, but a table is wanted: write rename_commands = {`}},
	{"gossip keys", "gossip_secret_key = ['AAAA', '!']\n" + minimal, []string{
		"w.toml:1: gossip_secret_key: key 1 is 3 bytes long: ... urandom", "w.toml:1: gossip_secret_key: key 2 is not base64"}},
	{"syntax and more", "prot = 1\nport =\nhost = 0.0.0.0\n" + minimal + "quorum2 = 1\n", []string{
		"w.toml:1: prot: unknown", "w.toml:2: port: not valid TOML", "w.toml:3: host: not valid TOML",
		`w.toml:9: group "m": quorum2: unknown key: did you mean "quorum"?`}},
	{"broken line", minimal + "oops\n", []string{"w.toml:6: not valid TOML"}},
	{"broken table", "[[masters]\nname = 'm'\n", []string{"w.toml:1: not valid TOML"}},
	{"key twice", minimal + "quorum = 3\n", []string{"w.toml:6: quorum: not valid TOML: key quorum is already defined"}},
	{"inline", "masters = [\n {name='m', ip='10.0.0.1', port=1, quorum=1},\n {name='n', ip='10.0.0.2', port=1, quorum=0},\n]\n", []string{
		`w.toml:3: group "n": quorum: is 0`}},
	{"windows lines", "port = 26379\r\nprot = 1\r\n" + minimal, []string{"w.toml:2: prot: unknown"}},
}

// Each mistake is reported on its line with its key and a remedy.
func TestMistakes(t *testing.T) {
	for _, tt := range wrongConfigs {
		t.Run(tt.name, func(t *testing.T) {
			expectMistakes(t, tt.text, tt.want, noFiles)
		})
	}
}

// expectMistakes checks what is said about a file; see wrongConfigs.
func expectMistakes(t *testing.T, text string, wanted []string, read FileReader) {
	t.Helper()
	_, err := Parse("w.toml", []byte(text), read)
	if err == nil {
		t.Fatal("no mistake was found")
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(wanted) {
		t.Fatalf("%d mistakes, want %d:\n%s", len(got), len(wanted), err)
	}
	for i, want := range wanted {
		start, rest, _ := strings.Cut(want, " ... ")
		if !strings.HasPrefix(got[i], start) || !strings.Contains(got[i], rest) {
			t.Errorf("mistake %d:\n got %s\nwant %s", i+1, got[i], want)
		}
	}
}

// What looks dangerous is said, and no more than that.
func TestWarnings(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 16))
	closed := "requirepass = 'x'\ngossip_secret_key = '" + key + "'\n"
	tests := []struct{ name, text, want string }{
		{"safe", closed + minimal, ""},
		{"loopback", "host = '127.0.0.1'\n" + minimal, ""},
		{"loopback 6", "host = '::1'\n" + minimal, ""},
		{"loopback name", "host = 'localhost'\n" + minimal, ""},
		{"no password", "gossip_secret_key = '" + key + "'\n" + minimal, "requirepass"},
		{"no key", "requirepass = 'x'\n" + minimal, "gossip_secret_key"},
		{"half", closed + minimal + "wardens = 4\n", `w.toml:7: group "m": quorum: 2 is not more than half of 4`},
		{"more than half", closed + minimal + "wardens = 3\n", ""},
		{"join", "join = ['a','b','c','d']\n" + closed + minimal, "at least 4 Wardens"},
		{"join of three", "join = ['a','b','c']\n" + closed + minimal, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("w.toml", []byte(tt.text), noFiles)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(c.Warnings, "\n")
			if (tt.want == "") != (all == "") || !strings.Contains(all, tt.want) || len(c.Warnings) > 1 {
				t.Errorf("warnings %q, want %q", all, tt.want)
			}
		})
	}
}

// Load reads real files, resolves paths beside them and looks at modes.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "warden.toml")
	write := func(name, text string, mode fs.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("pw", "hunter2\n", 0o644)
	write("warden.toml", "host='::1'\n"+minimal+"auth_password_file = 'pw'\n", 0o644)
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Masters[0].AuthPassword != "hunter2" {
		t.Error("the password file was read wrongly")
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "chmod 600") {
		t.Errorf("warnings %q, want one about the password file's mode", c.Warnings)
	}
	if want := filepath.Join(dir, "warden-26379.data"); c.DataDir != want {
		t.Errorf("data directory %s, want %s", c.DataDir, want)
	}

	write("warden.toml", "host='::1'\n"+minimal+"auth_password = 'hunter2'\n", 0o644)
	if c, err = Load(file); err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "chmod o-r") {
		t.Errorf("warnings %q, error %v: want one about the configuration's mode", c.Warnings, err)
	}
	if _, err = Load(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing file: %v", err)
	}
	if _, err = Load(dir); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("directory: %v", err)
	}
	var ms Mistakes
	write("warden.toml", "x", 0o600)
	if _, err = Load(file); !errors.As(err, &ms) {
		t.Errorf("%T is not Mistakes: %v", err, err)
	}
}

// However a file with secrets is wrong, and however a Config is printed, the
// secrets stay unseen.
func TestHidesSecrets(t *testing.T) {
	const secret = "Tr0ub4dor"
	for _, key := range secretKeys() {
		for _, value := range []string{secret, `"` + secret, `"` + secret + `" x`, `["` + secret + `"]`, `{ a = "` + secret + `"}`,
			`"""` + secret, `"\` + secret + `"`, "[\n" + secret + "\n]", `["a",` + "\n" + `"` + secret + `"]`} {
			for _, text := range []string{key + " = " + value + "\n" + minimal, minimal + key + " = " + value + "\n",
				minimal + key + "= 'x'\n" + key + " = " + value + "\n"} {
				c, err := Parse("w.toml", []byte(text), noFiles)
				if err != nil && strings.Contains(err.Error(), secret) || strings.Contains(strings.Join(c.Warnings, ""), secret) {
					t.Errorf("%q shows the secret: %v", text, err)
				}
			}
		}
	}
	c, err := Parse("w.toml", []byte("requirepass='"+secret+"'\n"+minimal+"auth_password='"+secret+"'\n"), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "p", c.RequirePass)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %q %x %s", c, c, c.RequirePass, c.RequirePass, c.RequirePass), string(js), log.String()} {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("printed: %s", text)
		}
	}
}

// warden.toml.example is valid as it stands, and again with every default
// written out, which then changes nothing: the stated defaults are the real
// ones.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("../../../warden.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Parse("w.toml", data, noFiles)
	if err != nil {
		t.Fatal(err)
	}
	uncommented := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAll(data, []byte("$1"))
	full, err := Parse("w.toml", uncommented, noFiles)
	if err != nil {
		t.Fatal(err)
	}
	for _, masters := range [][]Master{plain.Masters, full.Masters} {
		for i := range masters {
			masters[i].Written = nil // that is the only difference
		}
	}
	if !reflect.DeepEqual(plain, full) {
		t.Errorf("a stated default is not the real one:\n%+v\n%+v", plain, full)
	}
	for _, key := range append(append(masterKeys(), topKeys()...), "port") {
		if !regexp.MustCompile(`(?m)^#? ?` + key + ` = `).Match(data) {
			t.Errorf("%s is not documented", key)
		}
	}
	defaults := regexp.MustCompile(`(?m)^#[a-z_]+ = `).FindAll(data, -1)
	if len(defaults) < 20 {
		t.Errorf("only %d defaults are stated", len(defaults))
	}
	// The keys without a default are valid as shown, too.
	shown := regexp.MustCompile(`(?m)^# (announce_ip|wardens|auth_user|auth_password|tls_key_password|rename_commands|tags|replication_user|replication_passfile) = `).ReplaceAll(uncommented, []byte("$1 = "))
	if _, err := Parse("w.toml", shown, noFiles); err != nil {
		t.Error(err)
	}
}

// The lists of keys that help with misplaced keys agree with what is read.
func TestKeyLists(t *testing.T) {
	doc := parseDocument("w.toml", []byte(minimal))
	l := &loader{doc: doc, read: noFiles}
	top := l.section("", doc.values)
	l.loadTop(top)
	for _, key := range top.known {
		if key != "port" && !contains(topKeys(), key) {
			t.Errorf("topKeys lacks %s", key)
		}
	}
	if len(top.known) < len(topKeys()) {
		t.Errorf("known keys %q, listed %q", top.known, topKeys())
	}
	_, err := Parse("w.toml", []byte(strings.Join(masterKeys(), " = 1\n")+" = 1\n"+minimal), noFiles)
	if n := strings.Count(fmt.Sprint(err), "does not belong here"); n != len(masterKeys()) {
		t.Errorf("%d of %d misplaced keys were recognised:\n%v", n, len(masterKeys()), err)
	}
}

func contains(all []string, s string) bool {
	return strings.Contains(" "+strings.Join(all, " ")+" ", " "+s+" ")
}

// No text whatsoever makes the loader panic, and what it accepts is whole.
func FuzzConfig(f *testing.F) {
	f.Add(sample)
	f.Add(minimal)
	f.Add("masters = [{name='m', nodes=['[::1]:1']}, 1]\n[a.b]\nc.d = 1\n[[masters]]")
	f.Add("gossip_secret_key = [\"MDEyMzQ1Njc4OWFiY2RlZg==\"]\njoin=['a',2,[3]]\nport = 1_0\n" + minimal)
	f.Add("[[masters]]\n[masters.x]\n[[masters.y]]\nz = 1979-05-27\n")
	f.Add("\ufeffport = 30s\nport =\n= 1\n")
	if data, err := os.ReadFile("../../../warden.toml.example"); err == nil {
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("w.toml", []byte(text), noFiles)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		if len(c.Masters) == 0 || c.Port == c.GossipPort || c.GossipPort > 65535 {
			t.Fatalf("accepted %+v", c)
		}
		for _, m := range c.Masters {
			if _, err := warden.ParseNode(string(m.Primary)); err != nil || m.Name == "" || m.Quorum < 1 || m.CrashAfter > m.DownAfter {
				t.Fatalf("accepted %+v (%v)", m, err)
			}
		}
	})
}
