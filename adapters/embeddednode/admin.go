package embeddednode

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

func (n *Node) cmdClient(c *client, args []string) []byte {
	rest := args[1:]
	switch sub := strings.ToUpper(args[0]); {
	case sub == "ID" && len(rest) == 0:
		return appendInt(nil, c.id)
	case sub == "GETNAME" && len(rest) == 0:
		return appendBulk(nil, c.name)
	case sub == "SETNAME" && len(rest) == 1:
		if strings.ContainsAny(rest[0], " \r\n") {
			return failure("ERR Client names cannot contain spaces, newlines or special characters.")
		}
		c.name = rest[0]
		return ok()
	case sub == "SETINFO":
		return ok()
	case sub == "LIST":
		return appendBulk(nil, n.clientList())
	case sub == "INFO" && len(rest) == 0:
		return appendBulk(nil, c.line())
	case sub == "KILL":
		return n.clientKill(c, rest)
	case sub == "PAUSE":
		return n.clientPause(rest)
	case sub == "UNPAUSE" && len(rest) == 0:
		n.release()
		return ok()
	default:
		return failure("ERR unknown subcommand or wrong number of arguments for 'client|%s'", strings.ToLower(sub))
	}
}

func (n *Node) clientList() string {
	var b strings.Builder
	for _, c := range n.sortedClients() {
		b.WriteString(c.line())
	}
	return b.String()
}

func (n *Node) sortedClients() []*client {
	all := make([]*client, 0, len(n.clients))
	for _, c := range n.clients {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *client) int { return int(a.id - b.id) })
	return all
}

// clientKill knows the filters ID and TYPE, and spares the caller.
func (n *Node) clientKill(self *client, args []string) []byte {
	if len(args) != 2 {
		return failure("ERR syntax error")
	}
	match := func(c *client) bool { return strconv.FormatInt(c.id, 10) == args[1] }
	switch strings.ToUpper(args[0]) {
	case "ID":
	case "TYPE":
		kind := strings.ToLower(args[1])
		if kind == "slave" {
			kind = "replica"
		}
		if !slices.Contains([]string{"normal", "pubsub", "replica"}, kind) {
			return failure("ERR Unknown client type '%s'", kind)
		}
		match = func(c *client) bool { return c.kind() == kind }
	default:
		return failure("ERR syntax error")
	}
	killed := int64(0)
	for _, c := range n.sortedClients() {
		if c != self && match(c) {
			n.drop(c)
			killed++
		}
	}
	return appendInt(nil, killed)
}

// drop ends a client at once: nothing it still sends is looked at, because
// command() no longer finds it. n.mu must be held.
func (n *Node) drop(c *client) {
	delete(n.clients, c.id)
	c.close()
}

func (n *Node) clientPause(args []string) []byte {
	if len(args) == 0 || len(args) > 2 || len(args) == 2 && !strings.EqualFold(args[1], "WRITE") {
		return failure("ERR syntax error: an embedded node only pauses writes: CLIENT PAUSE <ms> WRITE")
	}
	ms, err := strconv.ParseInt(args[0], 10, 32)
	if err != nil || ms < 0 {
		return failure("ERR timeout is not an integer or out of range")
	}
	n.hold(time.Duration(ms) * time.Millisecond)
	return ok()
}

func (n *Node) cmdCommand(_ *client, args []string) []byte {
	if len(args) == 0 || !strings.EqualFold(args[0], "INFO") {
		return appendLen(nil, 0)
	}
	reply := appendLen(nil, len(args)-1)
	for _, name := range args[1:] {
		up := strings.ToUpper(name)
		_, ours := n.own[up]
		if known, _ := n.engine.knows(up); !known && !ours {
			reply = append(reply, "*-1\r\n"...)
			continue
		}
		reply = appendLen(reply, 2)
		reply = appendBulk(reply, strings.ToLower(name))
		reply = appendInt(reply, -1) // any number of arguments
	}
	return reply
}

func (n *Node) cmdConfig(_ *client, args []string) []byte {
	switch strings.ToUpper(args[0]) {
	case "REWRITE":
		n.unsaved = true
		select {
		case n.saveNow <- struct{}{}:
		default: // already asked for
		}
		return ok()
	case "GET":
		return appendLen(nil, 0)
	}
	return failure("ERR unknown subcommand '%s'", args[0])
}

func (n *Node) cmdHello(c *client, args []string) []byte {
	if len(args) > 0 && args[0] != "2" {
		return failure("NOPROTO unsupported protocol version")
	}
	role := "master"
	if n.repl.upstream != "" {
		role = "replica"
	}
	reply := appendLen(nil, 14)
	for _, kv := range [][2]string{{"server", "redis"}, {"version", version}} {
		reply = appendBulk(appendBulk(reply, kv[0]), kv[1])
	}
	reply = appendInt(appendBulk(reply, "proto"), 2)
	reply = appendInt(appendBulk(reply, "id"), c.id)
	for _, kv := range [][2]string{{"mode", "standalone"}, {"role", role}} {
		reply = appendBulk(appendBulk(reply, kv[0]), kv[1])
	}
	return appendLen(appendBulk(reply, "modules"), 0)
}

func (n *Node) cmdSelect(_ *client, args []string) []byte {
	if args[0] != "0" {
		return failure("ERR DB index is out of range: an embedded node has only database 0")
	}
	return ok()
}

func (n *Node) cmdQuit(c *client, _ []string) []byte {
	c.out.put(ok())
	c.out.finish()
	return nil
}

func (n *Node) cmdShutdown(*client, []string) []byte {
	n.cancel()
	return nil
}

func (n *Node) cmdReplicaOf(_ *client, args []string) []byte {
	if strings.EqualFold(args[0], "NO") && strings.EqualFold(args[1], "ONE") {
		n.promote()
		return ok()
	}
	port, err := strconv.Atoi(args[1])
	if err != nil || port < 1 || port > 65535 {
		return failure("ERR Invalid master port")
	}
	upstream := warden.MakeNode(args[0], port)
	if upstream == n.repl.upstream {
		return appendSimple(nil, "OK Already connected to specified master")
	}
	n.follow(upstream)
	return ok()
}
