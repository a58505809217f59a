package resp

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pollable is what Go's poller waits for.
type pollable interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Close() error
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	SyscallConn() (syscall.RawConn, error)
}

// detachable is a TCP connection that can be taken out of Go's poller and put
// back. While it is out, its descriptor belongs to who has taken it out; reading
// and writing fail, deadlines are forgotten, and closing tells the other side
// and leaves the descriptor open, so that its number cannot become another
// connection's while it is used.
type detachable struct {
	local, remote net.Addr

	mu     sync.Mutex
	in     pollable // nil while it is out
	fd     int      // while it is out
	closed bool
}

func newDetachable(conn *net.TCPConn) *detachable {
	return &detachable{local: conn.LocalAddr(), remote: conn.RemoteAddr(), in: conn}
}

// detach takes the connection out of the poller, which would otherwise be told
// of all that arrives. It is out already if it reports false for that reason,
// or was closed, or there is no descriptor left to do it with.
func (d *detachable) detach() (fd int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.in == nil {
		return 0, false
	}
	raw, err := d.in.SyscallConn()
	if err != nil {
		return 0, false
	}
	// Closing what the poller knows is the only way out of it, so the connection
	// goes on under another number.
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		var n uintptr
		n, _, errno = syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(n)
	})
	if err != nil || errno != 0 {
		return 0, false
	}
	_ = d.in.Close()
	d.in, d.fd = nil, fd
	return fd, true
}

// attach ends what detach began, and closes the connection if that was asked
// for meanwhile. No deadline is set then.
func (d *detachable) attach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in != nil {
		return
	}
	// A file is a stream like any other, and the options of the socket, such as
	// its keep-alive, stay as they are.
	d.in = os.NewFile(uintptr(d.fd), "client")
	if d.closed {
		_ = d.in.Close()
	}
}

// now is the connection as it is in the poller.
func (d *detachable) now() (pollable, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in == nil {
		return nil, net.ErrClosed
	}
	return d.in, nil
}

// set sets a deadline, unless the connection is out.
func (d *detachable) set(deadline func(pollable) error) error {
	in, err := d.now()
	if err != nil {
		return nil
	}
	return deadline(in)
}

func (d *detachable) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	if d.in == nil {
		return syscall.Shutdown(d.fd, syscall.SHUT_RDWR)
	}
	return d.in.Close()
}

// CloseWrite ends what is sent, not what is received.
func (d *detachable) CloseWrite() error {
	raw, err := d.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Shutdown(int(fd), syscall.SHUT_WR) })
	if err != nil {
		return err
	}
	return failed
}

func (d *detachable) Read(p []byte) (int, error) {
	in, err := d.now()
	if err != nil {
		return 0, err
	}
	return in.Read(p)
}

func (d *detachable) Write(p []byte) (int, error) {
	in, err := d.now()
	if err != nil {
		return 0, err
	}
	return in.Write(p)
}

func (d *detachable) LocalAddr() net.Addr  { return d.local }
func (d *detachable) RemoteAddr() net.Addr { return d.remote }

func (d *detachable) SetDeadline(t time.Time) error {
	return d.set(func(in pollable) error { return in.SetDeadline(t) })
}

func (d *detachable) SetReadDeadline(t time.Time) error {
	return d.set(func(in pollable) error { return in.SetReadDeadline(t) })
}

func (d *detachable) SetWriteDeadline(t time.Time) error {
	return d.set(func(in pollable) error { return in.SetWriteDeadline(t) })
}

// SyscallConn is for the connection in the poller: it is of no use after the
// next detach.
func (d *detachable) SyscallConn() (syscall.RawConn, error) {
	in, err := d.now()
	if err != nil {
		return nil, err
	}
	return in.SyscallConn()
}

// descriptor is the number of the socket, -1 when it is closed.
func (d *detachable) descriptor() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.in == nil {
		return d.fd
	}
	return descriptorOf(d.in)
}
