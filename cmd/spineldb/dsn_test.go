package main

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

// askFor runs a command against a Warden that shows a view, and returns what it
// prints as JSON.
func askFor(t *testing.T, v warden.GroupView, server string, into any, words ...string) {
	t.Helper()
	f := startFake(t, idA, v)
	if server != "" {
		f.status.Self.Client = server
	}
	o := runCommand(t, append(words, "--server", f.addr, "--json")...)
	if o.code != exit.Done {
		t.Fatalf("exit code %d: %s%s", o.code, o.out, o.errs)
	}
	if err := json.Unmarshal([]byte(o.out), into); err != nil {
		t.Fatalf("read %q: %v", o.out, err)
	}
}

// software gives every node of a view a server of that name.
func software(v warden.GroupView, name string) warden.GroupView {
	v.Nodes = slices.Clone(v.Nodes)
	for i := range v.Nodes {
		v.Nodes[i].Observation.Server = name
	}
	return v
}

// textFor is the string for clients whose description contains a word.
func textFor(t *testing.T, e endpoints, word string) string {
	t.Helper()
	for _, s := range e.Strings {
		if strings.Contains(s.For, word) {
			return s.Text
		}
	}
	t.Fatalf("there is nothing for %s in %+v", word, e.Strings)
	return ""
}

// Goal: PostgreSQL's drivers are given every node, the primary first, and what
// they read of it is the node that takes writes.
func TestDSNOfPostgreSQL(t *testing.T) {
	v := software(healthyView(idA, map[string]string{}), "postgresql 15.8")
	v.Nodes = append(v.Nodes, warden.NodeView{Node: "10.0.0.9:6379", Foreign: true})
	v.Primary = "10.0.0.2:6379"
	var e endpoints
	askFor(t, v, "10.0.1.1:26379", &e, "dsn", "mymaster", "--database", "my shop")
	if want := []warden.NodeID{"10.0.0.2:6379", "10.0.0.1:6379", "[2001:db8::3]:6379"}; !slices.Equal(e.Nodes, want) {
		t.Errorf("nodes %q, want %q", e.Nodes, want)
	}
	for _, word := range []string{"libpq, psql", "libpq as keywords", "libpq 14"} {
		text := textFor(t, e, word)
		c, err := pgconn.ParseConfig(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		hosts := []string{c.Host}
		for _, f := range c.Fallbacks {
			hosts = append(hosts, f.Host)
		}
		if c.Host != "10.0.0.2" || c.Port != 6379 || c.Database != "my shop" || !slices.Contains(hosts, "2001:db8::3") || !slices.Contains(hosts, "10.0.0.1") || c.ValidateConnect == nil {
			t.Errorf("%s is read as %q port %d of %q", text, hosts, c.Port, c.Database)
		}
	}
	for word, want := range map[string]string{
		"JDBC: the node": "jdbc:postgresql://10.0.0.2:6379,10.0.0.1:6379,[2001:db8::3]:6379/my%20shop?targetServerType=primary&connectTimeout=3",
		"libpq, psql":    "postgresql://10.0.0.2:6379,10.0.0.1:6379,[2001:db8::3]:6379/my%20shop?target_session_attrs=read-write&connect_timeout=3",
	} {
		if got := textFor(t, e, word); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", word, got, want)
		}
	}
}

// Goal: libraries that know Sentinel are given every Warden and the group.
func TestDSNOfRedis(t *testing.T) {
	v := software(healthyView(idA, map[string]string{idB: "10.0.1.2:26379", idC: "10.0.1.3:26379"}), "redis 7.0.15")
	v.Peers = append(v.Peers, warden.PeerView{ID: "4444444444444444444444444444444444444444", Real: true, Client: "10.0.1.9:26379"})
	var e endpoints
	askFor(t, v, "10.0.1.1:26379", &e, "dsn")
	const each = `{ host: "10.0.1.1", port: 26379 }, { host: "10.0.1.2", port: 26379 }, { host: "10.0.1.3", port: 26379 }`
	for word, want := range map[string]string{
		"Lettuce":             "redis-sentinel://10.0.1.1:26379,10.0.1.2:26379,10.0.1.3:26379#mymaster",
		"go-redis":            `redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{"10.0.1.1:26379", "10.0.1.2:26379", "10.0.1.3:26379"}})`,
		"redis-py":            `Sentinel([("10.0.1.1", 26379), ("10.0.1.2", 26379), ("10.0.1.3", 26379)], socket_timeout=0.5).master_for("mymaster", socket_timeout=0.5)`,
		"ioredis":             `new Redis({ name: "mymaster", sentinels: [` + each + `] })`,
		"node-redis":          `createSentinel({ name: "mymaster", sentinelRootNodes: [` + each + `] })`,
		"Jedis":               `new JedisSentinelPool("mymaster", Set.of("10.0.1.1:26379", "10.0.1.2:26379", "10.0.1.3:26379"))`,
		"Spring":              "spring.data.redis.sentinel.master=mymaster\nspring.data.redis.sentinel.nodes=10.0.1.1:26379,10.0.1.2:26379,10.0.1.3:26379",
		"StackExchange.Redis": "10.0.1.1:26379,10.0.1.2:26379,10.0.1.3:26379,serviceName=mymaster",
	} {
		if got := textFor(t, e, word); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", word, got, want)
		}
	}
	if got := strings.Count(textFor(t, e, "redis-cli"), "SENTINEL get-master-addr-by-name mymaster\n"); got != 3 {
		t.Errorf("redis-cli is told of %d Wardens", got)
	}
	if slices.ContainsFunc(e.Strings, func(s connectionString) bool { return strings.HasPrefix(s.For, "HAProxy") }) {
		t.Error("HAProxy is given a node in brackets, which it takes for no name of a server")
	}
}

// Goal: who asked the Wardens by TLS is reminded that clients have to, as well.
func TestDSNByTLS(t *testing.T) {
	ours := makeIdentity(t, "warden", net.IPv4(127, 0, 0, 1))
	f := startSecretFake(t, &tls.Config{Certificates: []tls.Certificate{ours.pair}})
	f.change(func() {
		f.status.Groups = []warden.GroupView{software(healthyView(idA, map[string]string{}), "redis 7.0.15")}
	})
	runCommand(t, "dsn", "--server", f.addr, "--tls-ca", ours.cert).has(t, exit.Done, "# the Wardens were asked by TLS\n", "redis-sentinel://"+f.addr)
}

// Goal: HAProxy takes the part of a configuration that is printed for it.
func TestDSNForHAProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("needs HAProxy, which the quick tests do without")
	}
	for _, kind := range []string{"redis 7.0.15", "postgresql 15.8"} {
		v := software(healthyView(idA, map[string]string{}), kind)
		v.Nodes = v.Nodes[:2]
		var e endpoints
		askFor(t, v, "10.0.1.1:26379", &e, "dsn", "--http-port", "8009")
		text := textFor(t, e, "HAProxy")
		if !strings.Contains(text, "port 8009 ") || !strings.Contains(text, "\n    server 10.0.0.2:6379 10.0.0.2:6379\n") {
			t.Errorf("%s: got\n%s", kind, text)
		}
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.CommandContext(t.Context(), "haproxy", "-c", "-f", file).CombinedOutput(); err != nil {
			t.Errorf("haproxy does not take it: %v (install haproxy if it is missing)\n%s\n%s", err, said, text)
		}
	}
}

// Goal: without --json there is a line for people before each string; what
// cannot be known is an error, and no password ever comes out.
func TestDSNForPeople(t *testing.T) {
	f := startFake(t, idA, software(healthyView(idA, map[string]string{}), "redis 7.0.15"))
	f.password = "s3cret-of-the-wardens"
	o := runCommand(t, "dsn", "--server", f.addr, "--password", f.password)
	o.has(t, exit.Done, "# Lettuce and others that take a URL\nredis-sentinel://"+f.addr+"#mymaster\n", "# redis-cli, ")
	if strings.Contains(o.out+o.errs, f.password) {
		t.Errorf("the password is printed:\n%s", o.out)
	}
	runCommand(t, "dsn", "other", "--server", f.addr, "--password", f.password).has(t, exit.Refused, "other")
	runCommand(t, "dsn", "--http-port", "none", "--server", f.addr).has(t, exit.Usage, "--http-port")
	runCommand(t, "dsn", "--server", startFake(t, idA, software(healthyView(idA, map[string]string{}), "")).addr).has(t, exit.Refused, "no node of mymaster was seen yet")
}
