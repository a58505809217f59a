package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// cloud is all nodes. Safe for concurrent use.
type cloud struct {
	first int
	nodes []*node // by port, from first on
	work  sync.WaitGroup
}

func newCloud(first, last, replicas int) *cloud {
	c := &cloud{first: first}
	for port := first; port <= last; port++ {
		n := &node{cloud: c, port: port, open: map[int64]*client{}, subscribers: map[string]map[*client]bool{}, lineage: runID(port, 0), before: noID}
		if place := (port - first) % (replicas + 1); place > 0 {
			n.upstream = port - place
			n.lineage = runID(n.upstream, 0)
		}
		c.nodes = append(c.nodes, n)
	}
	return c
}

// noID is what a server writes that has no replication id from before.
const noID = "0000000000000000000000000000000000000000"

// runID is 40 hexadecimal digits, another one for each life of each port.
func runID(port, life int) string { return fmt.Sprintf("%040x", uint64(life)<<20|uint64(port)) }

// at is the node on a port; nil: none of ours.
func (c *cloud) at(port int) *node {
	if i := port - c.first; i >= 0 && i < len(c.nodes) {
		return c.nodes[i]
	}
	return nil
}

func (c *cloud) startAll() error {
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cloud) close() {
	for _, n := range c.nodes {
		n.stop()
	}
	c.work.Wait()
}

// control serves STOP and START until the listener closes.
func (c *cloud) control(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			in := bufio.NewReader(conn)
			for {
				words, err := readCommand(in)
				if err != nil {
					return
				}
				reply := "+OK\r\n"
				if err := c.obey(words); err != nil {
					reply = "-ERR " + err.Error() + "\r\n"
				}
				if _, err := conn.Write([]byte(reply)); err != nil {
					return
				}
			}
		}()
	}
}

// obey carries out one command of the control port. What several nodes are told
// happens to them one right after the other.
func (c *cloud) obey(words []string) error {
	if len(words) < 2 {
		return errors.New("say STOP PORT... or START PORT...")
	}
	for _, word := range words[1:] {
		port, _ := strconv.Atoi(word) // 0 is no node
		n := c.at(port)
		if n == nil {
			return fmt.Errorf("%s is no port of ours", word)
		}
		switch strings.ToUpper(words[0]) {
		case "STOP":
			n.stop()
		case "START":
			if err := n.start(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unknown command %q", words[0])
		}
	}
	return nil
}

// node is one simulated server. Its role and position outlive a stop, as those
// of a server do that writes its configuration file.
type node struct {
	cloud *cloud
	port  int

	mu          sync.Mutex
	listener    net.Listener // nil: stopped
	life        int          // how often it was started
	upstream    int          // the port it follows; 0: a primary
	lineage     string       // replication id, and the one before
	before      string
	position    int64
	last        int64 // the newest client's id
	open        map[int64]*client
	subscribers map[string]map[*client]bool // by channel
	promotions  int
}

// start listens; a node that listens already is left alone.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)))
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	n.listener = l
	n.life++
	n.cloud.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if c := n.enter(conn, l); c != nil {
				n.cloud.work.Go(c.serve)
			}
		}
	})
	return nil
}

// enter takes a connection in, unless the node has been stopped meanwhile.
func (n *node) enter(conn net.Conn, by net.Listener) *client {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener != by {
		_ = conn.Close()
		return nil
	}
	n.last++
	c := &client{node: n, conn: conn, id: n.last, in: bufio.NewReaderSize(conn, 512)}
	n.open[c.id] = c
	return c
}

// stop is what kill -9 does: connections break, new ones are refused.
func (n *node) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener == nil {
		return
	}
	_ = n.listener.Close()
	n.listener = nil
	for _, c := range n.open {
		_ = c.conn.Close()
	}
}

// leave is the end of a connection.
func (n *node) leave(c *client) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, c.id)
	for _, set := range n.subscribers {
		delete(set, c)
	}
	_ = c.conn.Close()
}

// serving is what others see of a node: whether it lives, and as a primary.
func (n *node) serving() (alive, primary bool, position int64, lineage, before string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listener != nil, n.upstream == 0, n.position, n.lineage, n.before
}

// follow brings a replica in step with its primary, and tells whether the link
// between them stands.
func (n *node) follow() (up bool) {
	n.mu.Lock()
	upstream := n.upstream
	n.mu.Unlock()
	if upstream == 0 {
		return false
	}
	p := n.cloud.at(upstream)
	if p == nil {
		return false
	}
	alive, primary, position, lineage, before := p.serving()
	if !alive || !primary {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.upstream == upstream {
		n.position, n.lineage, n.before = position, lineage, before
	}
	return true
}

// become changes the role; 0 makes it a primary with a line of data of its own.
func (n *node) become(upstream int) {
	n.follow()
	n.mu.Lock()
	defer n.mu.Unlock()
	if upstream == 0 && n.upstream != 0 {
		n.promotions++
		n.before, n.lineage = n.lineage, runID(n.port, n.life<<16|n.promotions)
	}
	n.upstream = upstream
}

// write counts one write; false: a replica takes none.
func (n *node) write() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.upstream != 0 {
		return false
	}
	n.position += 40
	return true
}

// publish hands a message to the subscribers of a channel.
func (n *node) publish(channel, payload string) int {
	n.mu.Lock()
	to := make([]*client, 0, len(n.subscribers[channel]))
	for c := range n.subscribers[channel] {
		to = append(to, c)
	}
	n.mu.Unlock()
	message := []byte("*3\r\n" + bulk("message") + bulk(channel) + bulk(payload))
	for _, c := range to {
		c.send(message)
	}
	return len(to)
}

// followers are the living replicas of this node, sorted by port.
func (n *node) followers() []*node {
	var all []*node
	// Groups are neighbours, and replicas are looked for in the vicinity only.
	i := n.port - n.cloud.first
	for _, other := range n.cloud.nodes[max(0, i-8):min(len(n.cloud.nodes), i+9)] {
		if other == n {
			continue
		}
		other.mu.Lock()
		if other.upstream == n.port && other.listener != nil {
			all = append(all, other)
		}
		other.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *node) int { return a.port - b.port })
	return all
}
