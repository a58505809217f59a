package resp

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	flushBytes  = 64 << 10 // replies gathered before they are queued
	writeChunk  = 64 << 10 // what must be written within WriteTimeout
	keepBuffer  = 16 << 10 // of each buffer of an idle client
	lingerLimit = 500 * time.Millisecond
)

// Read is the reader's source. No answer waits for the next request: whatever
// is ready goes out before the connection is waited on.
func (c *client) Read(p []byte) (int, error) {
	if n := copy(p, c.seat.arrived); n > 0 {
		c.seat.arrived = c.seat.arrived[n:]
		return n, nil
	}
	if c.seat.attended {
		return 0, errNotArrived
	}
	if !c.flush() {
		return 0, net.ErrClosed
	}
	due := c.readDeadline()
	for {
		if err := c.arm(due); err != nil {
			return 0, err
		}
		// Shutdown first ends the context and then moves all deadlines to now,
		// so one of the two is seen.
		if err := c.server.ctx.Err(); err != nil {
			return 0, err
		}
		n, err := c.conn.Read(p)
		if err == nil || n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !due.IsZero() && !time.Now().Before(due) {
			return 0, err
		}
		// An earlier request's deadline. It is over, so set the right one.
		if err := c.conn.SetReadDeadline(due); err != nil {
			return 0, err
		}
		c.armed = due
	}
}

// arm makes sure that reading ends at due, zero for never, or before that. It
// costs much beside a small request, so a deadline that comes too early stays
// until it does.
func (c *client) arm(due time.Time) error {
	if due.IsZero() || !c.armed.IsZero() && !due.Before(c.armed) {
		return nil
	}
	c.armed = due
	return c.conn.SetReadDeadline(due)
}

// readDeadline: zero is for ever, which is what subscribers need.
func (c *client) readDeadline() time.Time {
	o := &c.server.options
	var deadline time.Time
	if c.reader.mid {
		if c.frameSince.IsZero() {
			c.frameSince = time.Now()
		}
		deadline = c.frameSince.Add(o.RequestTimeout)
	} else if o.IdleTimeout > 0 && c.subscriptions.Load() == 0 {
		deadline = time.Now().Add(o.IdleTimeout)
	}
	if login := c.born.Add(o.AuthTimeout); !c.authorized && (deadline.IsZero() || login.Before(deadline)) {
		deadline = login
	}
	return deadline
}

// flush queues the replies gathered so far and begins to send what is queued.
// It reports whether the client is still there.
func (c *client) flush() bool {
	there := true
	if len(c.w.buf) > 0 {
		there = c.out.reply(c.w.buf, c.w.proto)
		c.w.buf = recycle(c.w.buf)
	}
	c.push()
	return there
}

// push sends what is queued, unless somebody is at it. It never waits: what the
// connection does not take at once is left to a goroutine. The server must not
// be able to end meanwhile: the caller is one of its goroutines.
func (c *client) push() {
	for frame, mine := c.out.claim(); mine; frame, mine = c.out.take() {
		n, err := c.direct.write(frame)
		if err != nil {
			c.cut("")
			continue // and be told that it is over
		}
		if n < len(frame) {
			c.server.wg.Go(func() { c.drain(frame[n:]) })
			return
		}
	}
}

// drain sends frame and then what was queued meanwhile, and waits for the
// connection where it must.
func (c *client) drain(frame []byte) {
	for mine := true; mine; frame, mine = c.out.take() {
		if err := c.write(frame); err != nil {
			why := ""
			if ne, is := errors.AsType[net.Error](err); is && ne.Timeout() {
				why = "it did not read its answers within " + c.server.options.WriteTimeout.String()
			}
			c.cut(why)
		}
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
	// Writing directly sets none, and would stumble over one that is over.
	return c.conn.SetWriteDeadline(time.Time{})
}

// cut ends a connection at once; whoever reads or writes it notices. It does
// not block.
func (c *client) cut(why string) {
	c.out.kill(why)
	_ = socket(c.conn).Close()
	c.server.lobby.release(c)
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

// recycle empties a buffer and lets go of a large one.
func recycle(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
}
