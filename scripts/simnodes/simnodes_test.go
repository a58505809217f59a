package main

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/warden"
)

// startCloud starts a group of three on ports that were free a moment ago.
func startCloud(t *testing.T) *cloud {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		c := newCloud(first, first+2, 2)
		if err := c.startAll(); err != nil {
			c.close()
			continue
		}
		t.Cleanup(c.close)
		return c
	}
	t.Fatal("no three free ports in a row")
	return nil
}

func look(t *testing.T, a *spineldb.Adapter, n *node) warden.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	l := a.Open(warden.MakeNode("127.0.0.1", n.port), warden.LinkEvents{})
	defer l.Close()
	return l.Look(ctx)
}

// The nodes are good enough for the adapter: it sees their roles, and a claim,
// a promotion and a new direction do what they do on a server.
func TestAdapterDrivesSimulatedNodes(t *testing.T) {
	c := startCloud(t)
	a := spineldb.New(spineldb.Options{})
	p, r, s := c.nodes[0], c.nodes[1], c.nodes[2]
	if o := look(t, a, p); o.Role != warden.RolePrimary || len(o.Replicas) != 2 || o.Health != warden.HealthGood {
		t.Fatalf("primary: %+v", o)
	}
	p.write()
	if o := look(t, a, r); o.Role != warden.RoleReplica || !o.LinkUp || o.Position != 40 || o.Server != "redis 7.0.15" {
		t.Fatalf("replica: %+v", o)
	}
	p.stop()
	if o := look(t, a, p); o.Health != warden.HealthRefused {
		t.Fatalf("stopped: %+v", o)
	}
	if o := look(t, a, r); o.LinkUp || o.Position != 40 {
		t.Fatalf("replica without a primary: %+v", o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, x := range []struct {
		n  *node
		do func(warden.Session) warden.Result
	}{
		{r, func(s warden.Session) warden.Result { return s.Promote(ctx, nil) }},
		{s, func(s warden.Session) warden.Result {
			return s.Follow(ctx, warden.Following{Primary: warden.MakeNode("127.0.0.1", r.port)})
		}},
	} {
		session, res := a.Claim(ctx, warden.MakeNode("127.0.0.1", x.n.port), warden.Claim{Group: "g", Epoch: 2, Warden: "0123456789abcdef"})
		if res.Outcome != warden.Done {
			t.Fatalf("claim %d: %+v", x.n.port, res)
		}
		if res := x.do(session); res.Outcome != warden.Done {
			t.Fatalf("order %d: %+v", x.n.port, res)
		}
		session.Close()
	}
	if o := look(t, a, r); o.Role != warden.RolePrimary || len(o.Replicas) != 1 || o.LineageBefore != runID(p.port, 0) {
		t.Fatalf("promoted: %+v", o)
	}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	if o := look(t, a, p); o.Role != warden.RolePrimary {
		t.Fatalf("back: %+v", o)
	}
}

func TestControlNamesWhatItRefuses(t *testing.T) {
	c := newCloud(1, 2, 1) // never started
	for _, words := range [][]string{{"STOP"}, {"STOP", "7"}, {"HALT", "1"}, {"STOP", "x"}} {
		if c.obey(words) == nil {
			t.Errorf("%v is obeyed", words)
		}
	}
}
