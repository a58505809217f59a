package resp

import (
	"strings"
	"time"
)

// killFilter is what CLIENT KILL looks for; a zero field matches all.
type killFilter struct {
	id                     int64
	addr, laddr, kind, who string
	maxAge                 time.Duration
	skipMe                 bool
}

func (f killFilter) matches(c, me *client, now time.Time) bool {
	switch {
	case f.skipMe && c == me,
		f.id != 0 && c.id != f.id,
		f.addr != "" && c.conn.RemoteAddr().String() != f.addr,
		f.laddr != "" && c.conn.LocalAddr().String() != f.laddr,
		f.kind != "" && c.kind() != f.kind,
		f.who != "" && c.userName() != f.who,
		f.maxAge != 0 && now.Sub(c.born) < f.maxAge:
		return false
	}
	return true
}

func clientKill(c *call) {
	old := len(c.words) == 3 // the form of Redis 2.4: one address
	f := killFilter{skipMe: true}
	if old {
		f = killFilter{addr: c.words[2]}
		if f.addr == "" {
			c.fail("ERR No such client")
			return
		}
	} else if !c.killFilters(&f) {
		return
	}
	killed, now := 0, time.Now()
	for _, other := range c.server.everybody() {
		if !f.matches(other, c.client, now) {
			continue
		}
		killed++
		if other == c.client {
			// The answer to the command comes first.
			c.client.quitting, c.client.linger = true, true
		} else {
			other.cut("CLIENT KILL by client " + c.client.conn.RemoteAddr().String())
		}
	}
	switch {
	case !old:
		c.number(int64(killed))
	case killed == 0:
		c.fail("ERR No such client")
	default:
		c.simple("OK")
	}
}

// killFilters reads pairs of a filter and its value. On false it has answered.
func (c *call) killFilters(f *killFilter) bool {
	for rest := c.words[2:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 {
			c.syntaxError()
			return false
		}
		if !c.killFilter(f, strings.ToLower(rest[0]), rest[1]) {
			return false
		}
	}
	return true
}

func (c *call) killFilter(f *killFilter, option, value string) bool {
	n, isNumber := parseInt(value)
	switch {
	case option == "id" && (!isNumber || n < 1):
		c.fail("ERR client-id should be greater than 0")
		return false
	case option == "id":
		f.id = n
	case option == "addr":
		f.addr = value
	case option == "laddr":
		f.laddr = value
	case option == "type":
		kind, ok := kindNamed(value)
		if !ok {
			c.fail("ERR Unknown client type '%s'", clip(value, quoteMost))
			return false
		}
		f.kind = kind
	case option == "user":
		if !c.server.hasUser(value) {
			c.fail("ERR No such user '%s'", clip(value, quoteMost))
			return false
		}
		f.who = value
	case option == "maxage" && !isNumber:
		c.fail("ERR maxage is not an integer or out of range")
		return false
	case option == "maxage" && n < 1:
		c.fail("ERR maxage should be greater than 0")
		return false
	case option == "maxage":
		f.maxAge = time.Duration(min(n, int64(maxPause/time.Second))) * time.Second
	case option == "skipme" && strings.EqualFold(value, "yes"):
		f.skipMe = true
	case option == "skipme" && strings.EqualFold(value, "no"):
		f.skipMe = false
	default:
		c.syntaxError()
		return false
	}
	return true
}
