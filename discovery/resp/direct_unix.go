//go:build unix

package resp

import (
	"net"
	"syscall"
)

// direct writes to a socket without ever waiting, which needs neither a
// deadline nor another goroutine. Used by one goroutine at a time.
type direct struct {
	raw   syscall.RawConn // nil: this connection is no plain socket
	try   func(fd uintptr) bool
	frame []byte
	n     int
	err   error
}

func newDirect(conn net.Conn) *direct {
	d := &direct{}
	if plain, ok := conn.(syscall.Conn); ok {
		if raw, err := plain.SyscallConn(); err == nil {
			d.raw = raw
		}
	}
	// Made once, so that a write allocates nothing.
	d.try = func(fd uintptr) bool {
		d.n, d.err = writeOnce(int(fd), d.frame)
		return true
	}
	return d
}

// write sends as much of frame as the socket takes now, perhaps nothing.
func (d *direct) write(frame []byte) (int, error) {
	if d.raw == nil {
		return 0, nil
	}
	d.frame = frame
	err := d.raw.Write(d.try)
	d.frame = nil
	if err != nil {
		return 0, err
	}
	return d.n, d.err
}

func writeOnce(fd int, frame []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, frame)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}
