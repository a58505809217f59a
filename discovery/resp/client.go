package resp

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	flushBytes  = 64 << 10 // replies gathered before they are queued
	writeChunk  = 64 << 10 // what must be written within WriteTimeout
	keepBuffer  = 64 << 10
	lingerLimit = 500 * time.Millisecond
)

// client is one connection: a goroutine that reads and answers (it owns the
// fields up to mu), and one that writes what is in the outbox.
type client struct {
	server *Server
	conn   net.Conn
	id     int64
	born   time.Time
	out    *outbox
	reader *requestReader

	w          writer
	replies    replyMode
	authorized bool
	quitting   bool
	// linger: the last answer matters, so let the other side read it before
	// the connection goes.
	linger     bool
	frameSince time.Time // when the request being read began to arrive

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
	now := time.Now()
	c := &client{
		server: s, conn: conn, id: id, born: now,
		out:        newOutbox(s.options, &s.queued),
		w:          writer{proto: 2},
		authorized: s.options.Password == "",
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
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.writeLoop()
	}()
	c.readLoop()
	c.server.hub.remove(c)
	c.flush()
	c.out.end()
	<-written
	c.lingerOn()
	c.close()
	c.out.kill("") // gives its share of the total back
	if why := c.out.reason(); why != "" {
		c.server.stats.cut.Add(1)
		c.server.log.Warn("client cut", "client", c.conn.RemoteAddr().String(), "id", c.id, "why", why)
	}
}

func (c *client) readLoop() {
	for !c.quitting {
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

// Read is the reader's source. No answer waits for the next request: whatever
// is ready goes out before the connection is waited on.
func (c *client) Read(p []byte) (int, error) {
	if !c.flush() {
		return 0, net.ErrClosed
	}
	if err := c.conn.SetReadDeadline(c.readDeadline(time.Now())); err != nil {
		return 0, err
	}
	// Shutdown first ends the context and then moves all deadlines to now, so
	// one of the two is seen.
	if err := c.server.ctx.Err(); err != nil {
		return 0, err
	}
	return c.conn.Read(p)
}

// readDeadline: zero is for ever, which is what subscribers need.
func (c *client) readDeadline(now time.Time) time.Time {
	o := c.server.options
	var deadline time.Time
	if c.reader.mid {
		if c.frameSince.IsZero() {
			c.frameSince = now
		}
		deadline = c.frameSince.Add(o.RequestTimeout)
	} else if o.IdleTimeout > 0 && c.subscriptions.Load() == 0 {
		deadline = now.Add(o.IdleTimeout)
	}
	if login := c.born.Add(o.AuthTimeout); !c.authorized && (deadline.IsZero() || login.Before(deadline)) {
		deadline = login
	}
	return deadline
}

// flush queues the replies gathered so far. It reports whether the client is
// still there.
func (c *client) flush() bool {
	if len(c.w.buf) == 0 {
		return true
	}
	ok := c.out.reply(c.w.buf, c.w.proto)
	c.w.buf = recycle(c.w.buf)
	return ok
}

func (c *client) writeLoop() {
	var spare []byte
	for {
		frame, ok := c.out.take(spare)
		if !ok {
			return
		}
		if err := c.write(frame); err != nil {
			why := ""
			if ne, is := errors.AsType[net.Error](err); is && ne.Timeout() {
				why = "it did not read its answers within " + c.server.options.WriteTimeout.String()
			}
			c.cut(why)
			return
		}
		spare = recycle(frame)
	}
}

// write sends a frame piece by piece, each with a deadline of its own: a client
// may be slow with a large answer, but must move.
func (c *client) write(frame []byte) error {
	for len(frame) > 0 {
		piece := frame[:min(len(frame), writeChunk)]
		if err := c.conn.SetWriteDeadline(time.Now().Add(c.server.options.WriteTimeout)); err != nil {
			return err
		}
		n, err := c.conn.Write(piece)
		if err != nil {
			return err
		}
		frame = frame[n:]
	}
	return nil
}

// cut ends a connection at once; both goroutines notice. It does not block.
func (c *client) cut(why string) {
	c.out.kill(why)
	_ = socket(c.conn).Close()
}

// lingerOn closes the sending side and reads on for a moment. Closing with
// unread input would reset the connection and could take the last answer with
// it.
func (c *client) lingerOn() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !c.linger || !ok || c.out.reason() != "" || c.server.ctx.Err() != nil || half.CloseWrite() != nil {
		return
	}
	if c.conn.SetReadDeadline(time.Now().Add(lingerLimit)) != nil || c.server.ctx.Err() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, 2*maxFrame))
}

func (c *client) note(command string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info.command, c.info.active, c.info.proto = command, time.Now(), c.w.proto
}

func (c *client) snapshot() clientInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// recycle empties a buffer and lets go of a large one.
func recycle(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
}
