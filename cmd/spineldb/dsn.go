package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// endpoints are the addresses that clients of a group need. They hold no
// passwords: a Warden tells none.
type endpoints struct {
	Group string `json:"group"`
	// Kind is "postgresql", or "redis" for everything that speaks its protocol.
	Kind    string          `json:"kind"`
	Primary warden.NodeID   `json:"primary"`
	Nodes   []warden.NodeID `json:"nodes"`   // the primary first
	Wardens []warden.NodeID `json:"wardens"` // client ports, sorted
	// Strings are what to give to whom.
	Strings []connectionString `json:"strings"`
}

// connectionString is one way to be told where the primary is.
type connectionString struct {
	For  string `json:"for"`
	Text string `json:"text"`
}

// dsnCommand is built here because two of its flags are its own.
func (p *program) dsnCommand() *cli.Command {
	flags := append(p.connectionFlags(defaultQuestion),
		&cli.StringFlag{Name: "database", EnvVars: []string{"WARDEN_DATABASE"}, Value: "postgres", Usage: "the `NAME` of the database in PostgreSQL's strings"},
		&cli.StringFlag{Name: "http-port", EnvVars: []string{"WARDEN_HTTP_PORT"}, Value: "8008", Usage: "the `PORT` of [http] on the Warden that HAProxy asks"})
	return &cli.Command{
		Name: "dsn", Usage: "print what clients of a group connect with", ArgsUsage: "[GROUP]", Flags: flags, Action: p.dsn,
		Description: "Users and passwords are left to you: a Warden tells none. Addresses are those that\n" +
			"the Wardens know now; print it again after you added or removed a node or a Warden.",
	}
}

// dsn is the action of `dsn [GROUP]`.
func (p *program) dsn(c *cli.Context) error {
	port, err := serverAddress("127.0.0.1:" + c.String("http-port"))
	if err != nil {
		return exit.WrongUsage("--http-port: %v", err)
	}
	r, err := talkOf(c)
	if err != nil {
		return err
	}
	defer r.Close()
	e, err := endpointsOf(r.status, r.group, r.Addr)
	if err != nil {
		return err
	}
	if e.Kind == "postgresql" {
		e.Strings = postgresStrings(e, c.String("database"))
	} else {
		e.Strings = sentinelStrings(e)
	}
	if proxy := haproxyOf(e, warden.NodeID(port).Port()); proxy != "" {
		e.Strings = append(e.Strings, connectionString{"HAProxy, beside a Warden with [http]", proxy})
	}
	if r.TLS != nil && e.Kind == "redis" {
		e.Strings = append(e.Strings, connectionString{"the Wardens were asked by TLS", "give the library its options of TLS for the Sentinels, too"})
	}
	if r.json {
		return p.printJSON(e)
	}
	_, err = fmt.Fprint(p.out, p.renderStrings(e))
	return err
}

// endpointsOf finds the addresses in what one Warden, asked at an address, says.
func endpointsOf(s remote.Status, group, asked string) (endpoints, error) {
	i := slices.IndexFunc(s.Groups, func(g warden.GroupView) bool { return string(g.Name) == group })
	v := s.Groups[i]
	e := endpoints{Group: group, Primary: v.Primary}
	for _, n := range v.Nodes {
		if n.Foreign || n.Observation.Unannounced {
			continue
		}
		e.Nodes = append(e.Nodes, n.Node)
		if name, _, _ := strings.Cut(n.Observation.Server, " "); name == "postgresql" {
			e.Kind = name
		} else if name != "" && e.Kind == "" {
			e.Kind = "redis"
		}
	}
	if e.Kind == "" {
		return e, exit.With(exit.Refused, "no node of %s was seen yet, so it is not known what its clients speak: ask again when spineldb status shows one", group)
	}
	slices.SortStableFunc(e.Nodes, func(a, b warden.NodeID) int {
		return cmp.Or(yesFirst(a == v.Primary, b == v.Primary), strings.Compare(string(a), string(b)))
	})
	e.Wardens = []warden.NodeID{warden.NodeID(cmp.Or(s.Self.Client, asked))}
	for _, q := range v.Peers {
		if q.Client != "" && !q.Real {
			e.Wardens = append(e.Wardens, warden.NodeID(q.Client))
		}
	}
	slices.Sort(e.Wardens)
	e.Wardens = slices.Compact(e.Wardens)
	return e, nil
}

// yesFirst orders one of which something is true before one of which it is not.
func yesFirst(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return -1
	}
	return 1
}

func (p *program) renderStrings(e endpoints) string {
	var b strings.Builder
	for i, s := range e.Strings {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(p.paint(terminal.Faint, "# "+s.For) + "\n")
		for line := range strings.Lines(s.Text) {
			b.WriteString(wording.Shown(strings.TrimRight(line, "\n")) + "\n")
		}
	}
	return b.String()
}

// postgresStrings are for drivers that are given all nodes and find the one that
// takes writes.
func postgresStrings(e endpoints, database string) []connectionString {
	all := joinEach(e.Nodes, ",", func(n warden.NodeID) string { return string(n) })
	hosts := joinEach(e.Nodes, ",", func(n warden.NodeID) string { return n.Host() })
	ports := joinEach(e.Nodes, ",", func(n warden.NodeID) string { return n.Port() })
	name := url.PathEscape(database)
	return []connectionString{
		{"libpq, psql, pgx, psycopg: the node that takes writes", "postgresql://" + all + "/" + name + "?target_session_attrs=read-write&connect_timeout=3"},
		{"libpq as keywords", "host=" + hosts + " port=" + ports + " dbname=" + quoted(database) + " target_session_attrs=read-write connect_timeout=3"},
		{"libpq 14 or newer: a standby for reading, else the primary", "postgresql://" + all + "/" + name + "?target_session_attrs=prefer-standby&connect_timeout=3"},
		{"JDBC: the node that takes writes", "jdbc:postgresql://" + all + "/" + name + "?targetServerType=primary&connectTimeout=3"},
		{"JDBC: a standby for reading, else the primary", "jdbc:postgresql://" + all + "/" + name + "?targetServerType=preferSecondary&loadBalanceHosts=true&connectTimeout=3"},
	}
}

// quoted is a value in libpq's keyword form.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, ` '\`) {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// sentinelStrings are for libraries that know Redis Sentinel.
func sentinelStrings(e endpoints) []connectionString {
	all := joinEach(e.Wardens, ",", func(n warden.NodeID) string { return string(n) })
	each := func(format string) string {
		return joinEach(e.Wardens, ", ", func(n warden.NodeID) string { return fmt.Sprintf(format, n.Host(), n.Port()) })
	}
	strs := joinEach(e.Wardens, ", ", func(n warden.NodeID) string { return fmt.Sprintf("%q", string(n)) })
	var ask strings.Builder
	for _, w := range e.Wardens {
		fmt.Fprintf(&ask, "redis-cli -h %s -p %s SENTINEL get-master-addr-by-name %s\n", w.Host(), w.Port(), e.Group)
	}
	return []connectionString{
		{"Lettuce and others that take a URL", "redis-sentinel://" + all + "#" + e.Group},
		{"go-redis", fmt.Sprintf("redis.NewFailoverClient(&redis.FailoverOptions{MasterName: %q, SentinelAddrs: []string{%s}})", e.Group, strs)},
		{"redis-py", fmt.Sprintf("Sentinel([%s], socket_timeout=0.5).master_for(%q, socket_timeout=0.5)", each(`("%s", %s)`), e.Group)},
		{"ioredis", fmt.Sprintf("new Redis({ name: %q, sentinels: [%s] })", e.Group, each(`{ host: "%s", port: %s }`))},
		{"node-redis", fmt.Sprintf("createSentinel({ name: %q, sentinelRootNodes: [%s] })", e.Group, each(`{ host: "%s", port: %s }`))},
		{"Jedis", fmt.Sprintf("new JedisSentinelPool(%q, Set.of(%s))", e.Group, strs)},
		{"Spring Data Redis", "spring.data.redis.sentinel.master=" + e.Group + "\nspring.data.redis.sentinel.nodes=" + all},
		{"StackExchange.Redis", all + ",serviceName=" + e.Group},
		{"redis-cli, which follows nothing: ask any of the Wardens before use", ask.String()},
	}
}

// haproxyOf is a part of a configuration of HAProxy that sends connections to the
// node that a Warden on the same host calls the primary. HAProxy puts the name
// of a server into the question, so servers are named by their addresses; names
// with brackets it does not take, so there is no such part for IPv6.
func haproxyOf(e endpoints, httpPort string) string {
	if slices.ContainsFunc(e.Nodes, func(n warden.NodeID) bool { return strings.Contains(string(n), "[") }) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen %s\n", e.Group)
	fmt.Fprintf(&b, "    bind 127.0.0.1:%s\n", map[string]string{"postgresql": "5000", "redis": "6380"}[e.Kind])
	b.WriteString("    mode tcp\n    timeout connect 2s\n    timeout client 1h\n    timeout server 1h\n    timeout check 2s\n    option httpchk\n")
	fmt.Fprintf(&b, "    http-check send meth GET uri-lf /groups/%s/nodes/%%[srv_name]/primary\n", e.Group)
	b.WriteString("    http-check expect status 200\n")
	fmt.Fprintf(&b, "    default-server check addr 127.0.0.1 port %s inter 1s fall 2 rise 1 on-marked-down shutdown-sessions\n", httpPort)
	for _, n := range e.Nodes {
		fmt.Fprintf(&b, "    server %s %s\n", n, n)
	}
	return b.String()
}

func joinEach(nodes []warden.NodeID, separator string, write func(warden.NodeID) string) string {
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = write(n)
	}
	return strings.Join(words, separator)
}
