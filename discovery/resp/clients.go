package resp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clientCommands are the subcommands of CLIENT.
func clientCommands() command {
	return command{name: "client", arity: -2, summary: "Ask and tell about connections.", subs: []command{
		{name: "caching", arity: 3, usage: "YES|NO", summary: "Choose for the next command whether its keys are tracked.", run: clientCaching},
		{name: "getname", arity: 2, summary: "Return the name of this connection.", run: clientGetName},
		{name: "getredir", arity: 2, summary: "Return the connection that tracking messages go to.", run: clientGetRedir},
		{name: "help", arity: 2, summary: "Print this help.", run: help("client")},
		{name: "id", arity: 2, summary: "Return the number of this connection.",
			run: func(c *call) { c.number(c.client.id) }},
		{name: "info", arity: 2, summary: "Describe this connection.",
			run: func(c *call) { c.text(c.client.line(time.Now()) + "\n") }},
		{name: "kill", arity: -3, usage: "<ip:port> | <filter> <value> [<filter> <value> ...]",
			summary: "End connections. Filters: ID, ADDR, LADDR, TYPE, USER, MAXAGE, SKIPME.", run: clientKill},
		{name: "list", arity: -2, usage: "[TYPE <type> | ID <id> ...]", summary: "Describe connections.", run: clientList},
		{name: "no-evict", arity: 3, usage: "ON|OFF", summary: "Protect this connection from eviction.", run: clientNoEvict},
		{name: "pause", arity: -3, usage: "<milliseconds> [WRITE|ALL]", summary: "Hold commands back for a while.", run: clientPause},
		{name: "reply", arity: 3, usage: "ON|OFF|SKIP", summary: "Choose whether commands are answered.", run: clientReply},
		{name: "setinfo", arity: 4, usage: "<option> <value>", summary: "Tell LIB-NAME or LIB-VER of the client.", run: clientSetInfo},
		{name: "setname", arity: 3, usage: "<name>", summary: "Name this connection.", run: clientSetName},
		{name: "tracking", arity: -3, usage: "ON|OFF [REDIRECT <id>] [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]",
			summary: "Track keys. There are none here, so no message will come.", run: clientTracking},
		{name: "trackinginfo", arity: 2, summary: "Return how this connection tracks keys.", run: clientTrackingInfo},
		{name: "unblock", arity: -3, usage: "<id> [TIMEOUT|ERROR]", summary: "End the wait of a connection. Nothing waits here.", run: clientUnblock},
		{name: "unpause", arity: 2, summary: "End a PAUSE.", run: clientUnpause},
	}}
}

// wrongUsage is Redis's error where a subcommand counts its words itself.
func (c *call) wrongUsage() {
	c.fail("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", clip(c.words[1], 128), strings.ToUpper(c.words[0]))
}

func (c *call) syntaxError() { c.fail("ERR syntax error") }

const notInteger = "ERR value is not an integer or out of range"

// parseInt reads a whole number the way Redis does, which knows no "+1", "01"
// or "-0".
func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
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
		c.fail("ERR Unrecognized option '%s'", clip(c.words[2], quoteMost))
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

func clientNoEvict(c *call) {
	on := strings.EqualFold(c.words[2], "on")
	if !on && !strings.EqualFold(c.words[2], "off") {
		c.syntaxError()
		return
	}
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	c.client.info.noEvict = on
	c.simple("OK")
}

// clientUnblock finds nobody: no command here blocks on keys.
func clientUnblock(c *call) {
	if len(c.words) > 4 {
		c.wrongUsage()
		return
	}
	if len(c.words) == 4 && !strings.EqualFold(c.words[3], "timeout") && !strings.EqualFold(c.words[3], "error") {
		c.fail("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	if _, ok := parseInt(c.words[2]); !ok {
		c.fail(notInteger)
		return
	}
	c.number(0)
}

// everybody returns the connected clients by their numbers.
func (s *Server) everybody() []*client {
	s.mu.Lock()
	clients := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		clients = append(clients, c)
	}
	s.mu.Unlock()
	slices.SortFunc(clients, func(a, b *client) int { return int(a.id - b.id) })
	return clients
}

// kind is the client's type in the words of CLIENT LIST TYPE.
func (c *client) kind() string {
	if c.subscriptions.Load() > 0 {
		return "pubsub"
	}
	return "normal"
}

// kindNamed reads a type of client. Connections of replicas and primaries are
// known to the protocol and never found here.
func kindNamed(word string) (kind string, ok bool) {
	switch kind = strings.ToLower(word); kind {
	case "slave":
		return "replica", true
	case "normal", "replica", "pubsub", "master":
		return kind, true
	}
	return "", false
}

// listFilter reads the options of CLIENT LIST. On false it has answered.
func (c *call) listFilter() (func(*client) bool, bool) {
	all := func(*client) bool { return true }
	switch {
	case len(c.words) == 2:
		return all, true
	case len(c.words) == 4 && strings.EqualFold(c.words[2], "type"):
		kind, ok := kindNamed(c.words[3])
		if !ok {
			c.fail("ERR Unknown client type '%s'", clip(c.words[3], quoteMost))
			return nil, false
		}
		return func(o *client) bool { return o.kind() == kind }, true
	case len(c.words) > 3 && strings.EqualFold(c.words[2], "id"):
		wanted := map[int64]bool{}
		for _, word := range c.words[3:] {
			id, ok := parseInt(word)
			if !ok {
				c.fail("ERR Invalid client ID")
				return nil, false
			}
			wanted[id] = true
		}
		return func(o *client) bool { return wanted[o.id] }, true
	}
	c.syntaxError()
	return nil, false
}

func clientList(c *call) {
	wanted, ok := c.listFilter()
	if !ok {
		return
	}
	var b strings.Builder
	now := time.Now()
	for _, other := range c.server.everybody() {
		if wanted(other) {
			b.WriteString(other.line(now))
			b.WriteByte('\n')
		}
	}
	c.text(b.String())
}

// line describes a client as CLIENT LIST does: the fields of Redis 7.2 in its
// order and no others, for go-redis refuses a line with a word it does not
// know. What is not measured here is 0.
func (c *client) line(now time.Time) string {
	i := c.snapshot()
	all, patterns := c.subscriptions.Load(), c.patternCount.Load()
	entries, bytes := c.out.load()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=0 sub=%d psub=%d ssub=0 multi=-1"+
		" qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d events=r cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		c.id, c.conn.RemoteAddr(), c.conn.LocalAddr(), c.descriptor(), i.name, int64(now.Sub(c.born).Seconds()),
		int64(now.Sub(i.active).Seconds()), c.marks(i), max(all-patterns, 0), patterns,
		entries, bytes, bytes, i.command, c.userName(), i.tracking.redirectShown(), i.proto, i.libName, i.libVersion)
}

// marks are the letters of the field "flags".
func (c *client) marks(i clientInfo) string {
	marks := when(c.kind() == "pubsub", "P") + when(i.tracking.on, "t") + when(i.tracking.broadcast, "B") + when(i.noEvict, "e")
	if marks == "" {
		return "N"
	}
	return marks
}

// descriptor is the number of the connection's socket, -1 where there is none
// to be had.
func (c *client) descriptor() int {
	conn := socket(c.conn)
	if s, ok := conn.(interface{ descriptor() int }); ok {
		return s.descriptor()
	}
	if s, ok := conn.(syscall.Conn); ok {
		return descriptorOf(s)
	}
	return -1
}

func descriptorOf(s syscall.Conn) int {
	number := -1
	if raw, err := s.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { number = int(fd) }) // closed by now: stays -1
	}
	return number
}

// load tells how much waits to be sent.
func (b *outbox) load() (entries, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries, len(b.pending) + b.writing
}

// gone reports whether the client was cut.
func (b *outbox) gone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dead
}
