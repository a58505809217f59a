package resp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// connectionCommands are those about the connection itself.
func connectionCommands() []command {
	return []command{
		{name: "auth", arity: -2, free: true, summary: "Give the password.", run: auth},
		{name: "client", arity: -2, summary: "Ask and tell about connections.", subs: []command{
			{name: "getname", arity: 2, summary: "Return the name of this connection.", run: clientGetName},
			{name: "help", arity: 2, summary: "Print this help.", run: help("client")},
			{name: "id", arity: 2, summary: "Return the number of this connection.",
				run: func(c *call) { c.number(c.client.id) }},
			{name: "info", arity: 2, summary: "Describe this connection.",
				run: func(c *call) { c.text(c.client.line(time.Now()) + "\n") }},
			{name: "list", arity: -2, summary: "Describe all connections.", run: clientList},
			{name: "setinfo", arity: 4, usage: "<option> <value>", summary: "Tell LIB-NAME or LIB-VER of the client.", run: clientSetInfo},
			{name: "setname", arity: 3, usage: "<name>", summary: "Name this connection.", run: clientSetName},
		}},
		{name: "command", arity: -1, summary: "Describe the commands.", run: commandAll, subs: []command{
			{name: "count", arity: 2, summary: "Return how many commands there are.",
				run: func(c *call) { c.number(int64(len(c.server.table.rows))) }},
			{name: "docs", arity: -2, usage: "[<name> ...]", summary: "Return what commands are for.", run: commandDocs},
			{name: "help", arity: 2, summary: "Print this help.", run: help("command")},
			{name: "info", arity: -2, usage: "[<name> ...]", summary: "Return the shape of commands.", run: commandInfo},
			{name: "list", arity: -2, summary: "Return the names of all commands.", run: commandList},
		}},
		{name: "hello", arity: -1, free: true, summary: "Choose the protocol, and authenticate.", run: hello},
		{name: "info", arity: -1, summary: "Describe this server.", run: info},
		{name: "ping", arity: -1, listening: true, summary: "Ask for a sign of life.", run: ping},
		{name: "quit", arity: -1, free: true, listening: true, summary: "End the connection.", run: quit},
		{name: "role", arity: 1, summary: "Return the role, which is sentinel.", run: role},
	}
}

func ping(c *call) {
	if len(c.words) > 2 {
		c.wrongArity()
		return
	}
	message := ""
	if len(c.words) == 2 {
		message = c.words[1]
	}
	switch {
	case c.proto < 3 && c.client.subscriptions.Load() > 0:
		c.array(2)
		c.bulks("pong", message)
	case len(c.words) == 2:
		c.bulk(message)
	default:
		c.simple("PONG")
	}
}

func quit(c *call) {
	c.simple("OK")
	c.client.quitting, c.client.linger = true, true
}

func auth(c *call) {
	user, password := "default", c.words[1]
	switch len(c.words) {
	case 2:
		if c.server.options.Password == "" {
			c.fail("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
			return
		}
	case 3:
		user, password = c.words[1], c.words[2]
	default:
		c.fail("ERR syntax error")
		return
	}
	if c.login(user, password) {
		c.simple("OK")
	}
}

// login checks credentials and answers only when they are wrong. The only user
// is "default"; without a password everything is right for it.
func (c *call) login(user, password string) bool {
	known := user == "default"
	right := c.server.passwordIs(password) || c.server.options.Password == ""
	if !known || !right {
		c.fail("WRONGPASS invalid username-password pair or user is disabled.")
		return false
	}
	c.client.authorized = true
	return true
}

func hello(c *call) {
	proto := c.proto
	if len(c.words) > 1 {
		n, err := strconv.Atoi(c.words[1])
		if err != nil {
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if n != 2 && n != 3 {
			c.fail("NOPROTO unsupported protocol version")
			return
		}
		proto = n
	}
	var user, password, name string
	var login, rename bool
	for i := 2; i < len(c.words); {
		switch opt, more := strings.ToLower(c.words[i]), len(c.words)-1-i; {
		case opt == "auth" && more >= 2:
			login, user, password = true, c.words[i+1], c.words[i+2]
			i += 3
		case opt == "setname" && more >= 1:
			rename, name = true, c.words[i+1]
			if !plain(name) {
				c.fail("ERR Client names cannot contain spaces, newlines or special characters.")
				return
			}
			i += 2
		default:
			c.fail("ERR Syntax error in HELLO option '%s'", clip(c.words[i], 128))
			return
		}
	}
	if login && !c.login(user, password) {
		return
	}
	if !c.client.authorized {
		c.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	if rename {
		c.client.rename(name)
	}
	c.proto = proto
	c.client.note(c.name)
	c.greet()
}

func (c *call) greet() {
	c.pairs(6)
	c.bulks("server", "redis", "version", c.server.options.RedisVersion, "proto")
	c.number(int64(c.proto))
	c.bulk("id")
	c.number(c.client.id)
	c.bulks("mode", "sentinel", "modules")
	c.array(0)
}

// plain reports whether s can stand in a line of CLIENT LIST.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

func (c *client) rename(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info.name = clip(name, 1024)
}

func clientGetName(c *call) {
	if name := c.client.snapshot().name; name != "" {
		c.bulk(name)
		return
	}
	c.nilBulk()
}

func clientSetName(c *call) {
	if !plain(c.words[2]) {
		c.fail("ERR Client names cannot contain spaces, newlines or special characters.")
		return
	}
	c.client.rename(c.words[2])
	c.simple("OK")
}

func clientSetInfo(c *call) {
	option, value := strings.ToLower(c.words[2]), c.words[3]
	if option != "lib-name" && option != "lib-ver" {
		c.fail("ERR Unrecognized option '%s'", clip(c.words[2], 128))
		return
	}
	if !plain(value) {
		c.fail("ERR %s cannot contain spaces, newlines or special characters.", option)
		return
	}
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	if option == "lib-name" {
		c.client.info.libName = clip(value, 1024)
	} else {
		c.client.info.libVersion = clip(value, 1024)
	}
	c.simple("OK")
}

func clientList(c *call) {
	if len(c.words) > 2 {
		c.fail("ERR syntax error")
		return
	}
	c.server.mu.Lock()
	clients := make([]*client, 0, len(c.server.clients))
	for other := range c.server.clients {
		clients = append(clients, other)
	}
	c.server.mu.Unlock()
	slices.SortFunc(clients, func(a, b *client) int { return int(a.id - b.id) })
	var b strings.Builder
	now := time.Now()
	for _, other := range clients {
		b.WriteString(other.line(now))
		b.WriteByte('\n')
	}
	c.text(b.String())
}

// line describes a client as CLIENT LIST does, with the fields that exist here
// and no others: go-redis refuses a line with a word it does not know.
func (c *client) line(now time.Time) string {
	i := c.snapshot()
	all, patterns := c.subscriptions.Load(), c.patternCount.Load()
	kind := "N"
	if all > 0 {
		kind = "P"
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d cmd=%s user=default lib-name=%s lib-ver=%s resp=%d",
		c.id, c.conn.RemoteAddr(), c.conn.LocalAddr(), i.name, int64(now.Sub(c.born).Seconds()),
		int64(now.Sub(i.active).Seconds()), kind, max(all-patterns, 0), patterns, i.command, i.libName, i.libVersion, i.proto)
}

func commandAll(c *call) {
	c.array(len(c.server.table.rows))
	for i := range c.server.table.rows {
		c.describe(&c.server.table.rows[i], "")
	}
}

func commandInfo(c *call) {
	if len(c.words) == 2 {
		commandAll(c)
		return
	}
	c.array(len(c.words) - 2)
	for _, word := range c.words[2:] {
		name := strings.ToLower(word)
		if cmd := c.server.table.byName[name]; cmd != nil {
			c.describe(cmd, name[:len(name)-len(cmd.name)])
			continue
		}
		c.nilBulk()
	}
}

// describe writes the ten elements of one command: name, arity, flags, no keys,
// no categories, tips or key specifications, subcommands.
func (c *call) describe(cmd *command, prefix string) {
	c.array(10)
	c.bulk(prefix + cmd.name)
	c.number(int64(cmd.arity))
	flags := []string{"admin", "sentinel"}
	if cmd.free {
		flags = append(flags, "no_auth")
	}
	c.set(len(flags))
	for _, flag := range flags {
		c.simple(flag)
	}
	for range 3 {
		c.number(0)
	}
	for range 3 {
		c.set(0)
	}
	if len(cmd.subs) == 0 {
		c.set(0)
		return
	}
	c.array(len(cmd.subs))
	for i := range cmd.subs {
		c.describe(&cmd.subs[i], cmd.name+"|")
	}
}

func commandDocs(c *call) {
	var found []*command
	if len(c.words) == 2 {
		for i := range c.server.table.rows {
			found = append(found, &c.server.table.rows[i])
		}
	}
	for _, word := range c.words[2:] {
		if cmd := c.server.table.byName[strings.ToLower(word)]; cmd != nil {
			found = append(found, cmd)
		}
	}
	c.pairs(len(found))
	for _, cmd := range found {
		c.bulk(cmd.name)
		c.pairs(2)
		c.bulks("summary", cmd.summary, "group", "sentinel")
	}
}

func commandList(c *call) {
	if len(c.words) > 2 {
		c.fail("ERR syntax error")
		return
	}
	c.array(len(c.server.table.rows))
	for _, row := range c.server.table.rows {
		c.bulk(row.name)
	}
}
