package resp

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// detachablePair is a connection, and the other side of it.
func detachablePair(t *testing.T) (*detachable, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d := newDetachable(conn.(*net.TCPConn))
	t.Cleanup(func() { d.attach(); _ = d.Close() })
	for _, c := range []net.Conn{other, d} {
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return d, other
}

func (d *detachable) option(t *testing.T, level, name int) int {
	t.Helper()
	raw, err := d.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if e := raw.Control(func(fd uintptr) { n, err = syscall.GetsockoptInt(int(fd), level, name) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return n
}

// Goal: a connection survives being taken out and put back, with the options of
// its socket, and has deadlines again.
func TestDetachAndAttach(t *testing.T) {
	d, other := detachablePair(t)
	if err := d.in.(*net.TCPConn).SetKeepAlivePeriod(77 * time.Second); err != nil {
		t.Fatal(err)
	}
	local, remote := d.LocalAddr().String(), d.RemoteAddr().String()
	buf := make([]byte, 10)
	for range 3 {
		fd, ok := d.detach()
		if !ok {
			t.Fatal("not detached")
		}
		if again, ok := d.detach(); ok {
			t.Errorf("detached twice, as %d", again)
		}
		if n := d.descriptor(); n != fd {
			t.Errorf("shows descriptor %d, want %d", n, fd)
		}
		if _, err := d.Read(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading while it is out: %v", err)
		}
		if _, err := d.Write(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing while it is out: %v", err)
		}
		if err := d.SetReadDeadline(time.Now()); err != nil {
			t.Error(err)
		}
		if _, err := syscall.Write(fd, []byte("out")); err != nil {
			t.Error(err)
		}
		d.attach()
		if _, err := d.Write([]byte("in")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(other, buf[:5]); err != nil || string(buf[:5]) != "outin" {
			t.Errorf("got %q, %v", buf[:5], err)
		}
		if _, err := other.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if n, err := d.Read(buf); n != 1 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if err := d.SetReadDeadline(time.Now()); err != nil {
			t.Error(err)
		}
		var late net.Error
		if _, err := d.Read(buf); !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("after the deadline: %v", err)
		}
	}
	if n := d.option(t, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE); n != 77 {
		t.Errorf("signs of life after %d s, want 77", n)
	}
	if d.LocalAddr().String() != local || d.RemoteAddr().String() != remote {
		t.Errorf("the addresses are %s and %s, want %s and %s", d.LocalAddr(), d.RemoteAddr(), local, remote)
	}
	if err := d.CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := other.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d bytes, %v", n, err)
	}
}

// Goal: closing what is out tells the other side at once, and gives the
// descriptor away only when it is put back.
func TestCloseDetached(t *testing.T) {
	d, other := detachablePair(t)
	fd, ok := d.detach()
	if !ok {
		t.Fatal("not detached")
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if n, err := other.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("got %d bytes, %v", n, err)
	}
	var s syscall.Stat_t
	if err := syscall.Fstat(fd, &s); err != nil {
		t.Errorf("the descriptor is gone: %v", err)
	}
	if err := d.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	d.attach()
	if n := d.descriptor(); n != -1 {
		t.Errorf("descriptor %d is still open", n)
	}
	if _, ok := d.detach(); ok {
		t.Error("detached what is closed")
	}
}

// Goal: CLIENT LIST shows the descriptors of those who rest.
func TestDescriptorOfRestingClient(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p, q := dial(t, s), dial(t, s)
	p.want("+PONG\r\n", "PING")
	rested(t, s, 1)
	if got := q.ask("CLIENT", "LIST"); strings.Count(got, " fd=") != 2 || strings.Contains(got, "fd=-1") {
		t.Errorf("got %q", got)
	}
}
