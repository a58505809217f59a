package resp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

const (
	idSelf = "1111111111111111111111111111111111111111"
	idB    = "2222222222222222222222222222222222222222"
	idC    = "3333333333333333333333333333333333333333"
	runA   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	runB   = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// newFake has one healthy group of three nodes and three Wardens, and one
// group that has nothing to serve.
func newFake() *directorytest.Directory {
	second := warden.Second
	replica := func(node warden.NodeID, run string) warden.NodeView {
		return warden.NodeView{
			Node: node, ObservedAgo: second, GoodAgo: second / 2, AnsweredAgo: second / 4, RoleFor: 60 * second,
			Observation: warden.Observation{
				Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: "10.0.0.1:6379", LinkUp: true,
				Position: 12345, RunID: run, Priority: 100,
			},
		}
	}
	healthy := warden.GroupView{
		Name: "mymaster", Primary: "10.0.0.1:6379", Agreed: true,
		Topology: warden.Topology{
			Group: "mymaster", Birth: "birth", Version: warden.Version{Epoch: 7, Step: 2}, Phase: warden.PhaseDone,
			Primary: "10.0.0.1:6379", Wardens: []warden.WardenID{idSelf, idB, idC},
		},
		Quorum: 2, DownAfter: 5 * second, FailoverTimeout: 60 * second, ParallelSyncs: 1,
		Nodes: []warden.NodeView{
			{
				Node: "10.0.0.1:6379", Primary: true, ObservedAgo: second, GoodAgo: second / 2, AnsweredAgo: second / 4,
				RoleFor:     90 * second,
				Observation: warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, RunID: runA, Priority: 100},
			},
			replica("10.0.0.2:6379", runB),
			replica("[2001:db8::3]:6379", ""),
		},
		Peers: []warden.PeerView{
			{ID: idB, Client: "10.1.0.2:26379", Listed: true, HeardAgo: second, Vote: idSelf, VoteEpoch: 7},
			{ID: idC, Client: "10.1.0.3:26379", Listed: true, HeardAgo: second},
		},
		Explain: []string{"all is well"},
	}
	return &directorytest.Directory{
		Clock: warden.Instant(100 * second),
		Me:    warden.SelfView{ID: idSelf, RunID: runB, Version: "1.0.0", Started: warden.Instant(10 * second)},
		Answer: func(context.Context, warden.Command) warden.Answer {
			return warden.Answer{Verdict: warden.VerdictStarted}
		},
		Views: []warden.GroupView{healthy, {Name: "waiting", Quorum: 1, DownAfter: 5 * second, FailoverTimeout: 60 * second, ParallelSyncs: 1}},
	}
}

// startServer serves a fake on a free port until the end of the test, and then
// makes sure that nothing of it is left.
func startServer(t *testing.T, dir warden.Directory, change func(*Options)) *Server {
	t.Helper()
	before := runtime.NumGoroutine()
	o := Options{Addr: "127.0.0.1:0", Directory: dir, Version: "1.0.0", Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	o.noLobby = lobbyOff
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if n := s.queued.Load(); n != 0 {
			t.Errorf("after the end %d bytes are still accounted for", n)
		}
		eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	})
	return s
}

// eventually polls until a condition holds, for at most 10 s.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
		<-tick.C
	}
}

// peer is the test's end of a connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	br   *bufio.Reader
}

func dial(t *testing.T, s *Server) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, conn: conn, br: bufio.NewReader(conn)}
}

func (p *peer) send(raw string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, raw); err != nil {
		p.t.Fatal(err)
	}
}

// frame reads one value and returns its bytes.
func (p *peer) frame() string {
	p.t.Helper()
	raw, err := readFrame(p.br)
	if err != nil {
		p.t.Fatalf("read answer: %v (after %q)", err, raw)
	}
	return raw
}

// ask sends words and returns the bytes of the answer.
func (p *peer) ask(words ...string) string {
	p.t.Helper()
	p.send(request(words...))
	return p.frame()
}

func (p *peer) want(want string, words ...string) {
	p.t.Helper()
	if got := p.ask(words...); got != want {
		p.t.Errorf("%s\n got %q\nwant %q", strings.Join(words, " "), clip(got, 300), want)
	}
}

// closed waits for the end of the connection.
func (p *peer) closed() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.br); err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			p.t.Fatal("the connection was not closed")
		}
	}
}

func request(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// readFrame reads one RESP2 or RESP3 value, strictly, and returns its bytes.
func readFrame(br *bufio.Reader) (string, error) {
	head, err := br.ReadString('\n')
	if err != nil {
		return head, err
	}
	text, ok := strings.CutSuffix(head, "\r\n")
	if !ok || text == "" {
		return head, fmt.Errorf("bad line %q", head)
	}
	n := 0
	if strings.ContainsRune("$=*%>~", rune(text[0])) {
		if n, err = strconv.Atoi(text[1:]); err != nil {
			return head, err
		}
	}
	switch text[0] {
	case '+', '-', ':', ',', '_':
		return head, nil
	case '$', '=':
		if n < 0 {
			return head, nil
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(br, body); err != nil || string(body[n:]) != "\r\n" {
			return head + string(body), fmt.Errorf("bad bulk after %q: %v", head, err)
		}
		return head + string(body), nil
	case '%':
		n *= 2
	case '*', '>', '~':
	default:
		return head, fmt.Errorf("bad type in %q", head)
	}
	for range n {
		element, err := readFrame(br)
		head += element
		if err != nil {
			return head, err
		}
	}
	return head, nil
}
