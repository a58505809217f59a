package network

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Goal: two hosts reach each other through the router, and only through it: a
// cut makes them lose sight, and its end brings them back.
func TestHosts(t *testing.T) {
	without := strings.Fields(os.Getenv("WARDEN_E2E_WITHOUT"))
	if slices.Contains(without, "netns") || slices.Contains(without, "tun") {
		t.Log("no hosts were made: this machine may not make namespaces (WARDEN_E2E_WITHOUT)")
		return
	}
	n := New()
	t.Cleanup(n.Close)
	a, err := n.AddHost("a", netip.MustParseAddr("10.78.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.AddHost("b", netip.MustParseAddr("10.78.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	l := listenOn(t, b)
	reach := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		conn, err := a.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		_, err = io.ReadAll(conn)
		return err
	}
	if err := reach(); err != nil {
		t.Fatalf("a does not reach b: %v", err)
	}
	cut := n.Inject(Fault{From: []string{"b"}, To: []string{"a"}, Cut: true})
	if err := reach(); err == nil {
		t.Error("a reaches b through a cut")
	}
	if cut.Lift().Dropped == 0 {
		t.Error("the cut dropped nothing")
	}
	if err := reach(); err != nil {
		t.Errorf("a does not reach b after the cut: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), a.Prefix()[0], append(a.Prefix()[1:], "ip", "-o", "-4", "addr", "show", "dev", device)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "10.78.0.1/24") {
		t.Errorf("a command on host a sees %q: %v", out, err)
	}
	if here, err := os.ReadFile("/proc/net/dev"); err != nil || strings.Contains(string(here), device+":") {
		t.Errorf("the device is seen outside of the namespaces: %v", err)
	}
}

// listenOn says nothing to everybody who connects, and hangs up.
func listenOn(t *testing.T, h *Host) net.Listener {
	t.Helper()
	var l net.Listener
	err := aside(func() (err error) {
		if err := h.enter(); err != nil {
			return err
		}
		l, err = net.Listen("tcp", h.Addr.String()+":7000")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return l
}
