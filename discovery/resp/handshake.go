package resp

import (
	"context"
	"net"
	"time"
)

// secured is a connection with a handshake to be made before it carries
// anything, as tls.Conn is.
type secured interface {
	HandshakeContext(ctx context.Context) error
	NetConn() net.Conn
}

// shakeHands makes the handshake of a TLS connection. It reports whether the
// client may be served. Reading would make it too, but without a limit for a
// client that says nothing.
func (c *client) shakeHands() bool {
	conn, ok := c.conn.(secured)
	if !ok {
		return true
	}
	limit, cancel := context.WithTimeout(c.server.ctx, c.server.options.HandshakeTimeout)
	defer cancel()
	err := conn.HandshakeContext(limit)
	if err != nil && c.server.ctx.Err() == nil {
		// Who scans the port or speaks plain text ends here too, so this is no
		// warning.
		c.server.log.Info("TLS handshake failed", "client", c.conn.RemoteAddr().String(), "error", err)
	}
	return err == nil
}

// socket is the connection below TLS. Closing it never waits, where closing the
// outer one says good-bye, which a client that does not read can hold up for
// seconds.
func socket(conn net.Conn) net.Conn {
	if s, ok := conn.(secured); ok {
		return s.NetConn()
	}
	return conn
}

// close ends a connection that was served. Good-bye is not said in a shutdown,
// which must not wait for clients.
func (c *client) close() {
	if c.server.ctx.Err() != nil {
		_ = socket(c.conn).Close()
		return
	}
	_ = c.conn.Close()
}

// turnAway closes a connection for which there is no room, and says why unless
// that would need a handshake: this runs in the goroutine that accepts.
func turnAway(conn net.Conn) {
	if below := socket(conn); below != conn {
		_ = below.Close()
		return
	}
	// A fresh socket has room for a line; the deadline is for the case that it
	// has not.
	_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = conn.Write([]byte("-ERR max number of clients reached\r\n"))
	_ = conn.Close()
}
