package resp

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// client is one connection: a goroutine that reads and answers, which owns the
// fields from w to armed. It writes too, as long as that needs no waiting. While
// the client rests, all of that is the lobby's.
type client struct {
	server *Server
	conn   net.Conn
	id     int64
	born   time.Time
	out    *outbox
	reader *requestReader

	w          writer
	call       call
	replies    replyMode
	authorized bool
	// user is who has logged in, nil before; others read it.
	user     atomic.Pointer[string]
	quitting bool
	// linger: the last answer matters, so let the other side read it before
	// the connection goes.
	linger     bool
	frameSince time.Time // when the request being read began to arrive
	armed      time.Time // the deadline set on the connection; zero: none

	direct *direct // belongs to whoever has claimed the writing
	seat   seat

	// subscriptions counts channels and patterns, patternCount only the
	// latter; the hub writes them.
	subscriptions, patternCount atomic.Int32
	// channels and patterns belong to the hub and its lock.
	channels, patterns map[string]struct{}

	mu   sync.Mutex
	info clientInfo
}

// clientInfo is what CLIENT LIST shows.
type clientInfo struct {
	name, libName, libVersion, command string
	proto                              int
	active                             time.Time
	noEvict                            bool
	tracking                           tracking
}

func (s *Server) newClient(conn net.Conn, id int64) *client {
	if s.lobby != nil {
		conn = s.lobby.adopt(conn)
	}
	now := time.Now()
	c := &client{
		server: s, conn: conn, id: id, born: now,
		out:        newOutbox(s.options, &s.queued),
		direct:     newDirect(conn),
		w:          writer{proto: 2},
		authorized: s.open(),
		channels:   map[string]struct{}{}, patterns: map[string]struct{}{},
		info: clientInfo{proto: 2, active: now},
	}
	c.reader = newRequestReader(c)
	return c
}

// serve runs a client until it is gone.
func (c *client) serve() {
	if !c.shakeHands() {
		c.close()
		return
	}
	c.readLoop()
	c.server.hub.remove(c)
	c.flush()
	c.out.finish()
	c.lingerOn()
	c.close()
	c.out.kill("") // gives its share of the total back
	if why := c.out.reason(); why != "" {
		c.server.stats.cut.Add(1)
		c.server.log.Warn("client cut", "client", c.conn.RemoteAddr().String(), "id", c.id, "why", why)
	}
}

func (c *client) readLoop() {
	for c.rest(); !c.quitting; c.rest() {
		c.frameSince = time.Time{}
		words, err := c.reader.read(c.authorized)
		if err != nil {
			var bad protocolError
			if errors.As(err, &bad) {
				c.server.stats.errors.Add(1)
				c.w.fail("ERR " + bad.Error())
				c.linger = true
				c.server.log.Info("protocol error", "client", c.conn.RemoteAddr().String(), "error", bad.Error())
			}
			return
		}
		if len(words) == 0 {
			continue
		}
		c.server.dispatch(c, words)
		if len(c.w.buf) >= flushBytes && !c.flush() {
			return
		}
	}
}

func (c *client) note(command string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info.command, c.info.active, c.info.proto = command, c.now(), c.w.proto
}

func (c *client) snapshot() clientInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}
