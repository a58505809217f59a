package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// client is one connection to a node.
type client struct {
	node *node
	conn net.Conn
	id   int64
	in   *bufio.Reader

	name  string // guarded by node.mu
	multi bool
	queue [][]string
	chans int // channels subscribed to

	writing sync.Mutex
}

// writeLimit bounds how long a client that reads nothing can hold up a node.
const writeLimit = time.Second

func (c *client) send(data []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := c.conn.Write(data); err != nil {
		_ = c.conn.Close()
	}
}

// serve answers until the connection ends. What came together is answered
// together.
func (c *client) serve() {
	defer c.node.leave(c)
	var out []byte
	for {
		words, err := readCommand(c.in)
		if err != nil {
			return
		}
		reply, stay := c.answer(words)
		out = append(out, reply...)
		if c.in.Buffered() > 0 && stay {
			continue
		}
		c.send(out)
		out = out[:0]
		if !stay {
			return
		}
	}
}

// readCommand reads one command; its first word comes in upper case.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	if n < 1 || n > 4096 {
		return nil, fmt.Errorf("a command of %d words", n)
	}
	words := make([]string, n)
	for i := range words {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		if size < 0 || size > 1<<16 {
			return nil, fmt.Errorf("a word of %d bytes", size)
		}
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, err
		}
		words[i] = string(buf[:size])
	}
	words[0] = strings.ToUpper(words[0])
	return words, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 4 || line[0] != kind {
		return 0, fmt.Errorf("%q is no command", line)
	}
	return strconv.Atoi(string(line[1 : len(line)-2]))
}

func bulk(text string) string { return "$" + strconv.Itoa(len(text)) + "\r\n" + text + "\r\n" }

const ok = "+OK\r\n"

// answer is the reply to one command; stay is false when the connection ends.
func (c *client) answer(words []string) (reply string, stay bool) {
	if c.multi && words[0] != "EXEC" && words[0] != "DISCARD" {
		c.queue = append(c.queue, words)
		return "+QUEUED\r\n", true
	}
	switch words[0] {
	case "MULTI":
		c.multi, c.queue = true, nil
		return ok, true
	case "DISCARD":
		c.multi, c.queue = false, nil
		return ok, true
	case "EXEC":
		queue := c.queue
		c.multi, c.queue = false, nil
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(queue))
		for _, q := range queue {
			one, _ := c.answer(q)
			b.WriteString(one)
		}
		return b.String(), true
	case "QUIT":
		return ok, false
	}
	return c.simple(words), true
}

// simple answers a command that is no part of a transaction's frame.
func (c *client) simple(words []string) string {
	n := c.node
	switch words[0] {
	case "PING":
		if c.chans > 0 {
			return "*2\r\n" + bulk("pong") + bulk("")
		}
		return "+PONG\r\n"
	case "INFO":
		return bulk(n.info(words[1:]))
	case "ROLE":
		return n.role()
	case "SUBSCRIBE":
		return c.subscribe(words[1:])
	case "PUBLISH":
		if len(words) == 3 {
			return fmt.Sprintf(":%d\r\n", n.publish(words[1], words[2]))
		}
	case "CLIENT":
		if len(words) > 1 {
			return c.client(strings.ToUpper(words[1]), words[2:])
		}
	case "COMMAND":
		return "*2\r\n*1\r\n" + bulk("replicaof") + "*1\r\n" + bulk("slaveof")
	case "REPLICAOF", "SLAVEOF":
		if len(words) == 3 {
			port, _ := strconv.Atoi(words[2]) // NO ONE is 0: a primary
			n.become(port)
			return ok
		}
	case "SET":
		if !n.write() {
			return "-READONLY You can't write against a read only replica.\r\n"
		}
		return ok
	case "CONFIG", "AUTH", "SCRIPT":
		return ok
	}
	return "-ERR unknown command '" + words[0] + "'\r\n"
}

func (c *client) subscribe(channels []string) string {
	n := c.node
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, name := range channels {
		if n.subscribers[name] == nil {
			n.subscribers[name] = map[*client]bool{}
		}
		n.subscribers[name][c] = true
		c.chans++
		fmt.Fprintf(&b, "*3\r\n%s%s:%d\r\n", bulk("subscribe"), bulk(name), c.chans)
	}
	return b.String()
}

// client answers CLIENT.
func (c *client) client(verb string, words []string) string {
	n := c.node
	n.mu.Lock()
	defer n.mu.Unlock()
	switch verb {
	case "SETNAME":
		if len(words) == 1 {
			c.name = words[0]
		}
	case "ID":
		return fmt.Sprintf(":%d\r\n", c.id)
	case "LIST":
		var b strings.Builder
		for _, k := range n.open {
			fmt.Fprintf(&b, "id=%d addr=%s name=%s\n", k.id, k.conn.RemoteAddr(), k.name)
		}
		return bulk(b.String())
	case "KILL":
		return c.kill(words)
	}
	return ok // PAUSE, UNPAUSE, SETINFO
}

// kill ends other connections: one by ID, or all of a TYPE. n.mu is held.
func (c *client) kill(words []string) string {
	if len(words) < 2 {
		return "-ERR syntax error\r\n"
	}
	count := 0
	for _, k := range c.node.open {
		hit := false
		switch strings.ToUpper(words[0]) {
		case "ID":
			hit = strconv.FormatInt(k.id, 10) == words[1]
		case "TYPE":
			hit = k != c && (words[1] == "pubsub") == (len(c.node.channelsOf(k)) > 0)
		}
		if hit {
			count++
			_ = k.conn.Close()
		}
	}
	return fmt.Sprintf(":%d\r\n", count)
}

// channelsOf are the channels that a client listens to. n.mu is held.
func (n *node) channelsOf(c *client) (names []string) {
	for name, set := range n.subscribers {
		if set[c] {
			names = append(names, name)
		}
	}
	return names
}
