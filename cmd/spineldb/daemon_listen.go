package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// doors are how clients reach this Warden, beyond a host and a port.
type doors struct {
	// bind are addresses in the words of sentinel.conf: one that begins with
	// "-" may be missing from this machine, "*" is every IPv4 and "::*" every
	// IPv6 address.
	bind []string
	// keepAlive is the time between signs of life on an idle connection;
	// negative: none, 0: the system's.
	keepAlive time.Duration
	// guarded: while the default user needs no password, only this machine is
	// served.
	guarded bool
	// socket is the path of a Unix socket, empty for none.
	socket     string
	socketMode fs.FileMode
	// idle ends a connection that asks nothing for so long; 0: never.
	idle time.Duration
}

// listen opens all doors, and closes those that are open again if one cannot
// be opened. ctx bounds the opening.
func (o doors) listen(ctx context.Context, port, tlsPort int, secure *tls.Config, open func() bool) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
			all = nil
		}
	}()
	lc := net.ListenConfig{KeepAlive: o.keepAlive}
	for _, at := range []struct {
		key  string
		port int
		tls  *tls.Config
	}{{"port", port, nil}, {"tls-port", tlsPort, secure}} {
		if at.port == 0 {
			continue
		}
		for _, b := range o.bind {
			network, host, optional := meaning(b)
			l, err := lc.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(at.port)))
			if err != nil && optional && missing(err) {
				continue
			}
			if err != nil && missing(err) {
				return all, fmt.Errorf("open client port %d (key %s): %w: bind an address of this machine", at.port, at.key, err)
			}
			if err != nil {
				return all, fmt.Errorf("open client port %d (key %s): %w (is another process using the port?)", at.port, at.key, err)
			}
			if o.guarded {
				l = guardedListener{l, open}
			}
			if at.tls != nil {
				l = tls.NewListener(l, at.tls)
			}
			all = append(all, l)
		}
	}
	if o.socket != "" {
		_ = os.Remove(o.socket) // left by a process that was killed
		l, err := lc.Listen(ctx, "unix", o.socket)
		if err == nil && o.socketMode != 0 {
			err = os.Chmod(o.socket, o.socketMode)
		}
		if l != nil {
			all = append(all, l)
		}
		if err != nil {
			return all, fmt.Errorf("open unix socket %s: %w", o.socket, err)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("open client port: none of the addresses of bind is on this machine")
	}
	return all, nil
}

// meaning is what to listen on for one address of bind.
func meaning(b string) (network, host string, optional bool) {
	host, optional = strings.CutPrefix(b, "-")
	switch ip, err := netip.ParseAddr(host); {
	case host == "*":
		return "tcp4", "0.0.0.0", optional
	case host == "::*":
		return "tcp6", "::", optional
	case err == nil && ip.Is6():
		return "tcp6", host, optional
	}
	return "tcp", host, optional
}

// missing reports whether an address is not of this machine.
func missing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// guardedListener turns away clients of other machines while no password is
// needed (protected-mode).
type guardedListener struct {
	net.Listener
	open func() bool
}

const guardedAnswer = "-DENIED This Warden runs in protected mode and the default user has no password, so only clients on its own machine are served. " +
	"Set requirepass, or protected-mode no if nobody else can reach this port.\r\n"

// Accept returns the next connection that may be served.
func (g guardedListener) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, ok := c.RemoteAddr().(*net.TCPAddr)
		if !ok || at.IP.IsLoopback() || !g.open() {
			return c, nil
		}
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Write([]byte(guardedAnswer))
		_ = c.Close()
	}
}
