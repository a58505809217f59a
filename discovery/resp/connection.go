package resp

import (
	"strconv"
	"strings"
)

// connectionCommands are those about the connection itself.
func connectionCommands() []command {
	return []command{
		aclCommands(),
		{name: "auth", arity: -2, free: true, summary: "Give the password.", run: auth},
		clientCommands(),
		catalogCommands(),
		{name: "hello", arity: -1, free: true, summary: "Choose the protocol, and authenticate.", run: hello},
		{name: "info", arity: -1, summary: "Describe this server.", run: info},
		{name: "ping", arity: -1, listening: true, quick: true, summary: "Ask for a sign of life.", run: ping},
		{name: "quit", arity: -1, free: true, listening: true, summary: "End the connection.", run: quit},
		{name: "publish", arity: 3, summary: "Take the hello of another Sentinel.", run: publish},
		{name: "role", arity: 1, summary: "Return the role, which is sentinel.", run: role},
		{name: "shutdown", arity: -1, usage: "[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]", summary: "End this process.", run: shutdown},
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
	user, password := anybody, c.words[1]
	switch len(c.words) {
	case 2:
		if c.server.open() {
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
	if !c.client.admitted() {
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
