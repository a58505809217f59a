package embeddednode

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// maxPending is how much may wait to be sent to one connection, in bytes. One
// that reads more slowly is ended: a replica then asks again.
const maxPending = 64 << 20

// client is one connection.
type client struct {
	node    *Node
	id      int64
	conn    net.Conn
	ctx     context.Context
	cancel  context.CancelFunc
	started time.Time
	out     *outbox

	// What follows is guarded by Node.mu.
	name     string
	channels map[string]bool
	multi    bool
	dirty    bool // a command of the transaction was refused
	queue    [][]string
	// A replica's connection: its own address, and how far it says it is.
	replica     bool
	replicaNode warden.NodeID
	announced   int
	acked       int64
	ackedAt     time.Time
}

func (c *client) kind() string {
	switch {
	case c.replica:
		return "replica"
	case len(c.channels) > 0:
		return "pubsub"
	}
	return "normal"
}

// close ends the connection; its goroutines then end by themselves.
func (c *client) close() {
	c.cancel()
	c.conn.Close()
	c.out.close()
}

// serve starts a connection's three goroutines: one reads, one acts, one
// writes. Reading goes on while a pause holds an action up, so that the end of
// a client is noticed and what it waited for is dropped.
func (n *Node) serve(conn net.Conn) {
	ctx, cancel := context.WithCancel(n.ctx)
	c := &client{node: n, conn: conn, ctx: ctx, cancel: cancel, started: time.Now(), channels: map[string]bool{}}
	c.out = newOutbox(func(b []byte) error {
		_, err := conn.Write(b)
		return err
	})
	n.mu.Lock()
	n.lastID++
	c.id = n.lastID
	n.clients[c.id] = c
	n.mu.Unlock()
	if n.ctx.Err() != nil {
		c.close()
	}
	commands := make(chan []string)
	n.work.Go(func() { c.read(commands) })
	n.work.Go(func() { c.act(commands) })
	n.work.Go(func() {
		c.out.run()
		conn.Close()
	})
}

func (c *client) read(commands chan<- []string) {
	defer close(commands)
	defer c.cancel()
	r := bufio.NewReaderSize(c.conn, lineSize)
	for {
		args, err := readCommand(r)
		if err == errProtocol {
			c.out.put(appendSimple(nil, "-ERR "+err.Error()))
		}
		if err != nil {
			return
		}
		if len(args) == 0 {
			continue
		}
		select {
		case commands <- args:
		case <-c.node.ctx.Done():
			return
		}
	}
}

func (c *client) act(commands <-chan []string) {
	for args := range commands {
		c.node.command(c, args)
	}
	c.node.mu.Lock()
	delete(c.node.clients, c.id)
	for channel := range c.channels {
		c.node.unsubscribe(c, channel)
	}
	c.node.mu.Unlock()
	c.out.finish()
}

// addr and laddr are the two ends of the connection.
func (c *client) addr() string  { return c.conn.RemoteAddr().String() }
func (c *client) laddr() string { return c.conn.LocalAddr().String() }

// line describes the connection as CLIENT LIST does.
func (c *client) line() string {
	flags := map[string]string{"normal": "N", "pubsub": "P", "replica": "S"}[c.kind()]
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=8 name=%s age=%d idle=0 flags=%s db=0 sub=%d psub=0 multi=-1 resp=2\n",
		c.id, c.addr(), c.laddr(), c.name, int(time.Since(c.started).Seconds()), flags, len(c.channels))
}

// outbox takes what is to be sent and never blocks whoever gives it.
type outbox struct {
	write func([]byte) error

	mu     sync.Mutex
	filled *sync.Cond
	buf    []byte
	ending bool // send what is there, then end
	closed bool // end now
}

func newOutbox(write func([]byte) error) *outbox {
	o := &outbox{write: write}
	o.filled = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) put(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(b) == 0 {
		return
	}
	if len(o.buf)+len(b) > maxPending {
		o.closed = true
	} else {
		o.buf = append(o.buf, b...)
	}
	o.filled.Signal()
}

func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ending = true
	o.filled.Signal()
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.filled.Signal()
}

// run sends until the outbox is closed, finished, or cannot send.
func (o *outbox) run() {
	var sending []byte
	for {
		o.mu.Lock()
		for len(o.buf) == 0 && !o.closed && !o.ending {
			o.filled.Wait()
		}
		if o.closed || len(o.buf) == 0 {
			o.mu.Unlock()
			return
		}
		sending, o.buf = o.buf, sending[:0]
		o.mu.Unlock()
		if err := o.write(sending); err != nil {
			o.close()
			return
		}
	}
}
