package embeddednode

import (
	"bytes"
	"fmt"
	"strings"
)

// action carries out one command of our own and returns its reply. Node.mu is
// held.
type action struct {
	run      func(n *Node, c *client, args []string) []byte
	min, max int // number of arguments after the command's name; max -1: any
	// held: like a write, it waits while writes are paused.
	held bool
}

// ownCommands are those that do not go to miniredis.
func ownCommands() map[string]action {
	return map[string]action{
		"CLIENT":       {(*Node).cmdClient, 1, -1, false},
		"COMMAND":      {(*Node).cmdCommand, 0, -1, false},
		"CONFIG":       {(*Node).cmdConfig, 1, -1, false},
		"HELLO":        {(*Node).cmdHello, 0, -1, false},
		"INFO":         {(*Node).cmdInfo, 0, -1, false},
		"PSYNC":        {(*Node).cmdPsync, 2, 2, false},
		"PUBLISH":      {(*Node).cmdPublish, 2, 2, true},
		"QUIT":         {(*Node).cmdQuit, 0, 0, false},
		"REPLCONF":     {(*Node).cmdReplconf, 0, -1, false},
		"REPLICAOF":    {(*Node).cmdReplicaOf, 2, 2, false},
		"ROLE":         {(*Node).cmdRole, 0, 0, false},
		"SELECT":       {(*Node).cmdSelect, 1, 1, false},
		"SHUTDOWN":     {(*Node).cmdShutdown, 0, -1, false},
		"SLAVEOF":      {(*Node).cmdReplicaOf, 2, 2, false},
		"SUBSCRIBE":    {(*Node).cmdSubscribe, 1, -1, false},
		"UNSUBSCRIBE":  {(*Node).cmdUnsubscribe, 0, -1, false},
		"DBSIZE":       {(*Node).cmdDBSize, 0, 0, false},
		"MULTI":        {(*Node).cmdMulti, 0, 0, false},
		"DISCARD":      {(*Node).cmdDiscard, 0, 0, false},
		"READONLY":     {(*Node).cmdOK, 0, 0, false},
		"READWRITE":    {(*Node).cmdOK, 0, 0, false},
		"BGREWRITEAOF": {(*Node).cmdOK, 0, 0, false},
	}
}

// command carries out one command of a client. The reply is put into its
// outbox under the same lock, because on a replica's or a subscriber's
// connection what comes next is put there by others.
func (n *Node) command(c *client, args []string) {
	name := strings.ToUpper(args[0])
	if !n.waits(c, name) {
		n.mu.Lock()
	} else if !n.lockForWrite(c.ctx) {
		return
	}
	defer n.mu.Unlock()
	if n.clients[c.id] != c {
		return // killed meanwhile: what was under way is discarded
	}
	c.out.put(n.reply(c, name, args))
}

// reply checks one command and carries it out. n.mu must be held.
func (n *Node) reply(c *client, name string, args []string) []byte {
	if len(c.channels) > 0 && !strings.Contains(" SUBSCRIBE UNSUBSCRIBE PING QUIT ", " "+name+" ") {
		return failure("ERR Can't execute '%s': only SUBSCRIBE / UNSUBSCRIBE / PING / QUIT are allowed in this context", strings.ToLower(name))
	}
	if name == "EXEC" {
		return n.exec(c)
	}
	if c.multi && name != "MULTI" && name != "DISCARD" && name != "QUIT" {
		return n.enqueue(c, name, args)
	}
	if refusal := n.refusal(name, args); refusal != nil {
		return refusal
	}
	return n.carryOut(c, name, args)
}

// waits reports whether a command is one that a pause holds up.
func (n *Node) waits(c *client, name string) bool {
	if name != "EXEC" {
		return n.isHeld(name)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, queued := range c.queue {
		if n.isHeld(strings.ToUpper(queued[0])) {
			return true
		}
	}
	return false
}

func (n *Node) isHeld(name string) bool {
	if a, ok := n.own[name]; ok {
		return a.held
	}
	_, write := n.engine.knows(name)
	return write
}

// refusal is the error for a command that does not exist or has the wrong
// number of arguments; nil when it may be carried out.
func (n *Node) refusal(name string, args []string) []byte {
	if a, ok := n.own[name]; ok {
		if got := len(args) - 1; got < a.min || a.max >= 0 && got > a.max {
			return failure("ERR wrong number of arguments for '%s' command", strings.ToLower(name))
		}
		return nil
	}
	if known, _ := n.engine.knows(name); !known {
		return failure("ERR unknown command '%.128s', with args beginning with: (an embedded node knows few commands)", args[0])
	}
	return nil
}

// carryOut runs one command that was not refused. n.mu must be held.
func (n *Node) carryOut(c *client, name string, args []string) []byte {
	if a, ok := n.own[name]; ok {
		return a.run(n, c, args[1:])
	}
	if name == "PING" && len(c.channels) > 0 {
		return appendCommand(nil, "pong", "")
	}
	_, write := n.engine.knows(name)
	if write && n.repl.upstream != "" {
		return failure("READONLY You can't write against a read only replica.")
	}
	reply := bytes.Clone(n.engine.do(args))
	if write && !bytes.HasPrefix(reply, []byte("-")) {
		n.feed(appendCommand(nil, args...))
	}
	return reply
}

// enqueue keeps a command for EXEC.
func (n *Node) enqueue(c *client, name string, args []string) []byte {
	refusal := n.refusal(name, args)
	if refusal == nil && strings.Contains(" SUBSCRIBE UNSUBSCRIBE PSYNC WATCH ", " "+name+" ") {
		refusal = failure("ERR Command not allowed inside a transaction")
	}
	if refusal != nil {
		c.dirty = true
		return refusal
	}
	c.queue = append(c.queue, args)
	return appendSimple(nil, "QUEUED")
}

// exec carries out the queued commands, all under one lock.
func (n *Node) exec(c *client) []byte {
	if !c.multi {
		return failure("ERR EXEC without MULTI")
	}
	queue, dirty := c.queue, c.dirty
	c.multi, c.dirty, c.queue = false, false, nil
	if dirty {
		return failure("EXECABORT Transaction discarded because of previous errors.")
	}
	reply := appendLen(nil, len(queue))
	for _, args := range queue {
		reply = append(reply, n.carryOut(c, strings.ToUpper(args[0]), args)...)
	}
	return reply
}

func (n *Node) cmdMulti(c *client, _ []string) []byte {
	if c.multi {
		return failure("ERR MULTI calls can not be nested")
	}
	c.multi = true
	return ok()
}

func (n *Node) cmdDiscard(c *client, _ []string) []byte {
	if !c.multi {
		return failure("ERR DISCARD without MULTI")
	}
	c.multi, c.dirty, c.queue = false, false, nil
	return ok()
}

func (n *Node) cmdOK(*client, []string) []byte { return ok() }

func (n *Node) cmdDBSize(*client, []string) []byte {
	return appendInt(nil, int64(n.engine.size()))
}

func ok() []byte { return appendSimple(nil, "OK") }

func failure(format string, args ...any) []byte {
	return appendSimple(nil, "-"+fmt.Sprintf(format, args...))
}
