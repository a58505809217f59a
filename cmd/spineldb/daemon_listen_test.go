package main

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// elsewhere is an address that no machine has: it is for documentation.
const elsewhere = "192.0.2.1"

// Goal: every way to write an address of bind means what it means to Sentinel.
func TestMeaningOfBind(t *testing.T) {
	for in, want := range map[string]struct {
		network, host string
		optional      bool
	}{
		"*":           {"tcp4", "0.0.0.0", false},
		"-*":          {"tcp4", "0.0.0.0", true},
		"::*":         {"tcp6", "::", false},
		"-::*":        {"tcp6", "::", true},
		"127.0.0.1":   {"tcp", "127.0.0.1", false},
		"-127.0.0.1":  {"tcp", "127.0.0.1", true},
		"::1":         {"tcp6", "::1", false},
		"-fe80::1%lo": {"tcp6", "fe80::1%lo", true},
		"::":          {"tcp6", "::", false},
		"some-host":   {"tcp", "some-host", false},
		"-some-host":  {"tcp", "some-host", true},
	} {
		if network, host, optional := meaning(in); network != want.network || host != want.host || optional != want.optional {
			t.Errorf("%s means %s %s, may be missing %v; want %+v", in, network, host, optional, want)
		}
	}
}

// freeTCP is a port of 127.0.0.1 that nobody listens on.
func freeTCP(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Goal: an address that may be missing is left out, any other one that cannot
// be had is an error, and then nothing stays open.
func TestListen(t *testing.T) {
	open := func() bool { return true }
	for _, tt := range []struct {
		bind []string
		want int // listeners; 0: an error
		why  string
	}{
		{[]string{"127.0.0.1"}, 1, ""},
		{[]string{"-" + elsewhere, "127.0.0.1"}, 1, ""},
		{[]string{"127.0.0.1", elsewhere}, 0, "bind an address of this machine"},
		{[]string{"-" + elsewhere}, 0, "none of the addresses of bind"},
		{[]string{"127.0.0.1", "-127.0.0.1"}, 0, "in use"}, // it is there, and taken
	} {
		port := freeTCP(t)
		all, err := doors{bind: tt.bind}.listen(t.Context(), port, 0, nil, open)
		if len(all) != tt.want || (err != nil) != (tt.want == 0) || err != nil && !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%q: %d listeners, %v", tt.bind, len(all), err)
		}
		for _, l := range all {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		again, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Errorf("%q: something stayed open: %v", tt.bind, err)
			continue
		}
		again.Close()
	}
}

// Goal: a Unix socket has the mode that was asked for, and what a killed
// process left at its path is no obstacle.
func TestListenOnSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	all, err := doors{socket: path, socketMode: 0o600}.listen(t.Context(), 0, 0, nil, nil)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d listeners, %v", len(all), err)
	}
	defer all[0].Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("the socket is %v, %v", info, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := (doors{socket: filepath.Join(path, "x")}).listen(t.Context(), 0, 0, nil, nil); err == nil {
		t.Error("a socket below a socket was opened")
	}
}

// queue is a listener whose connections are made already.
type queue struct {
	net.Listener
	waiting []net.Conn
}

func (q *queue) Accept() (net.Conn, error) {
	if len(q.waiting) == 0 {
		return nil, net.ErrClosed
	}
	c := q.waiting[0]
	q.waiting = q.waiting[1:]
	return c, nil
}

// caller is a connection from an address, which keeps what it is told.
type caller struct {
	net.Conn
	from   net.Addr
	told   strings.Builder
	closed bool
}

func (c *caller) RemoteAddr() net.Addr             { return c.from }
func (c *caller) Write(b []byte) (int, error)      { return c.told.Write(b) }
func (c *caller) SetWriteDeadline(time.Time) error { return nil }
func (c *caller) Close() error                     { c.closed = true; return nil }
func (c *caller) Read([]byte) (int, error)         { return 0, io.EOF }
func from(ip string) *caller                       { return &caller{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}} }
func (q *queue) call(c *caller) *caller            { q.waiting = append(q.waiting, c); return c }
func (g guardedListener) serves(t *testing.T) []net.Conn {
	t.Helper()
	var out []net.Conn
	for {
		c, err := g.Accept()
		if errors.Is(err, net.ErrClosed) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
}

// Goal: without a password only this machine is served, and others are told
// why; with one everybody is.
func TestGuardedListener(t *testing.T) {
	for _, open := range []bool{true, false} {
		q := &queue{}
		stranger := q.call(from("10.0.0.9"))
		near := []*caller{q.call(from("127.0.0.1")), q.call(from("127.1.2.3")), q.call(from("::1"))}
		six := q.call(from("2001:db8::1"))
		socket := q.call(&caller{from: &net.UnixAddr{Name: "s", Net: "unix"}})
		served := guardedListener{q, func() bool { return open }}.serves(t)
		for _, c := range append(near, socket) {
			if !slices.Contains(served, net.Conn(c)) || c.closed || c.told.Len() > 0 {
				t.Errorf("open %v: %s is not served", open, c.from)
			}
		}
		for _, c := range []*caller{stranger, six} {
			if slices.Contains(served, net.Conn(c)) == open || c.closed != open || strings.HasPrefix(c.told.String(), "-DENIED ") != open {
				t.Errorf("open %v: %s is told %q, closed %v", open, c.from, c.told.String(), c.closed)
			}
		}
	}
}
