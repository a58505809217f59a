package postgres

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// scripted is a server that does one thing to every connection. It ends with
// the test, and so do its connections.
func scripted(t *testing.T, do func(conn net.Conn, b *pgproto3.Backend)) warden.NodeID {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				do(conn, pgproto3.NewBackend(conn, conn))
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); work.Wait() })
	a := l.Addr().(*net.TCPAddr)
	return warden.MakeNode(a.IP.String(), a.Port)
}

// nothingLeft waits until no goroutine of the adapter or its driver runs.
func nothingLeft(t *testing.T) {
	t.Helper()
	adaptertest.Await(t, "no goroutine of the adapter is left", func() bool {
		buf := make([]byte, 1<<20)
		stacks := buf[:runtime.Stack(buf, true)]
		return !bytes.Contains(stacks, []byte("adapters/postgres.(*")) && !bytes.Contains(stacks, []byte("pgconn.(*"))
	})
}

// Goal: a server that is not ready says so in its own language, and is alive.
func TestStartingUp(t *testing.T) {
	node := scripted(t, func(_ net.Conn, b *pgproto3.Backend) {
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P03", Message: "das Datenbanksystem startet"})
		_ = b.Flush()
	})
	link := New(options()).Open(node, warden.LinkEvents{})
	defer link.Close()
	if o := link.Look(t.Context()); o.Health != warden.HealthLoading || !strings.Contains(o.Detail, "startet") {
		t.Errorf("look: %+v", o)
	}
	if err := link.Knock(t.Context()); err != nil {
		t.Errorf("knock: %v", err)
	}
}

// Goal: TLS that is demanded and refused is a matter of configuration, and
// nothing is sent in clear text instead.
func TestTLSRefused(t *testing.T) {
	node := scripted(t, func(conn net.Conn, b *pgproto3.Backend) {
		if m, err := b.ReceiveStartupMessage(); err != nil {
			return
		} else if _, ok := m.(*pgproto3.SSLRequest); !ok {
			t.Errorf("received %T, want a request for TLS", m)
		}
		_, _ = conn.Write([]byte("N"))
		if m, err := b.ReceiveStartupMessage(); err == nil {
			t.Errorf("received %T after TLS was refused", m)
		}
	})
	link := New(Options{User: "u", Password: "secret", SSLMode: "require"}).Open(node, warden.LinkEvents{})
	defer link.Close()
	if o := link.Look(t.Context()); o.Health != warden.HealthDenied || strings.Contains(o.Detail, "secret") {
		t.Errorf("look: %+v, want denied", o)
	}
}

// Goal: a server that accepts and says nothing is silent, the deadlines of
// callers are kept, and nothing is left behind.
func TestSilentServer(t *testing.T) {
	node := scripted(t, func(conn net.Conn, _ *pgproto3.Backend) {
		var one [1]byte
		for {
			if _, err := conn.Read(one[:]); err != nil {
				return
			}
		}
	})
	a := New(options())
	link := a.Open(node, warden.LinkEvents{})
	calls := map[string]func(context.Context) bool{
		"look":    func(ctx context.Context) bool { return link.Look(ctx).Health == warden.HealthSilent },
		"knock":   func(ctx context.Context) bool { return link.Knock(ctx) != nil },
		"publish": func(ctx context.Context) bool { return link.Publish(ctx, warden.Hello{Client: "a:1"}) != nil },
		"claim": func(ctx context.Context) bool {
			_, res := a.Claim(ctx, node, warden.Claim{Group: "g", Epoch: 1, Warden: warden.WardenID(strings.Repeat("a", 40))})
			return res.Outcome == warden.Refused && !res.Superseded
		},
	}
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		if !call(ctx) {
			t.Errorf("%s: not as expected of a silent server", name)
		}
		cancel()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s with a deadline of 100ms took %v", name, took)
		}
	}
	link.Close()
	nothingLeft(t)
}

// Goal: a look that is given up in the middle of its query leaves nothing, and
// sends no cancel request.
func TestSilentInTheMiddle(t *testing.T) {
	asked := make(chan struct{}, 16)
	var cancels atomic.Int32
	node := scripted(t, func(_ net.Conn, b *pgproto3.Backend) {
		if m, err := b.ReceiveStartupMessage(); err != nil {
			return
		} else if _, ok := m.(*pgproto3.CancelRequest); ok {
			cancels.Add(1)
			return
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if b.Flush() != nil {
			return
		}
		for {
			m, err := b.Receive()
			if err != nil {
				return
			}
			if _, ok := m.(*pgproto3.Parse); ok {
				select {
				case asked <- struct{}{}:
				default:
				}
			}
		}
	})
	link := New(options()).Open(node, warden.LinkEvents{})
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan warden.Observation, 1)
	go func() { seen <- link.Look(ctx) }()
	<-asked
	<-asked // the listener asks as well: one of the two may be its
	cancel()
	if o := <-seen; o.Health != warden.HealthSilent {
		t.Errorf("look: %+v, want silent", o)
	}
	link.Close()
	nothingLeft(t)
	if n := cancels.Load(); n != 0 {
		t.Errorf("%d cancel requests were sent", n)
	}
}
