package resp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// lobbyOff has all servers of the tests work as where there is no lobby. Tests
// do not run beside one another.
var lobbyOff bool

// Goal: all that is true of clients is true without the lobby too.
func TestWithoutLobby(t *testing.T) {
	lobbyOff = true
	t.Cleanup(func() { lobbyOff = false })
	for name, test := range map[string]func(*testing.T){
		"answers larger than the queue": TestAnswersLargerThanTheQueue,
		"come and go":                   TestThousandClientsComeAndGo,
		"cut":                           TestRestingClientsAreCut,
		"does not read":                 TestClientThatDoesNotReadIsCut,
		"half closed":                   TestHalfClosedConnections,
		"idle":                          TestIdleCountsFromTheLastRequest,
		"malformed":                     TestMalformedInput,
		"max clients":                   TestMaxClients,
		"panic":                         TestPanicInCommand,
		"password":                      TestPassword,
		"pause":                         TestClientPause,
		"pipelining":                    TestPipelining,
		"quick answers nobody reads":    TestQuickAnswersNobodyReads,
		"reply":                         TestClientReply,
		"shutdown":                      TestShutdownEndsWaitingCommands,
		"shutdown of slow clients":      TestShutdownCutsSlowClients,
		"slow answer":                   TestSlowAnswerLeavesNoDeadline,
		"split":                         TestSplitRequests,
		"strangers":                     TestStrangersAreBounded,
		"subscriber":                    TestSubscriberThatDoesNotReadIsCut,
		"timeouts":                      TestTimeouts,
	} {
		t.Run(name, test)
	}
}

// rested waits until n clients are in the lobby; where there is none they have
// been answered, and no more can be said.
func rested(t *testing.T, s *Server, n int) {
	t.Helper()
	if s.lobby == nil {
		return
	}
	eventually(t, fmt.Sprintf("%d clients to rest", n), func() bool { return guests(s) == n })
}

const (
	askAddress = "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n$8\r\nmymaster\r\n"
	address1   = "*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n"
)

// Goal: a client that was answered a quick question rests, is answered there,
// comes out for anything else, and goes back.
func TestLobbyGuests(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	for range 3 {
		p.want("+PONG\r\n", "PING")
		rested(t, s, 1)
		p.send(askAddress)
		if got := p.frame(); got != address1 {
			t.Errorf("got %q", got)
		}
		rested(t, s, 1)
		if got := p.ask("SENTINEL", "MASTER", "mymaster"); !strings.Contains(got, "10.0.0.1") {
			t.Errorf("got %q", got)
		}
		rested(t, s, 0)
	}
	// A subscriber stays with its own goroutine.
	p.want("+PONG\r\n", "PING")
	rested(t, s, 1)
	p.ask("SUBSCRIBE", "+sdown")
	p.ask("PING")
	rested(t, s, 0)
	s.Publish(event("+sdown", "x"))
	if got := p.frame(); !strings.Contains(got, "+sdown") {
		t.Errorf("got %q", got)
	}
	p.ask("UNSUBSCRIBE")
	p.want("+PONG\r\n", "PING")
	rested(t, s, 1)
	p.send(askAddress)
	p.frame()
	q := dial(t, s)
	if got := q.ask("CLIENT", "LIST"); !strings.Contains(got, "cmd=sentinel|get-master-addr-by-name") {
		t.Errorf("CLIENT LIST does not show the last command: %q", got)
	}
	before := s.stats.commands.Load()
	p.send(strings.Repeat(askAddress, 5))
	for range 5 {
		p.frame()
	}
	if n := s.stats.commands.Load() - before; n != 5 {
		t.Errorf("%d commands were counted, want 5", n)
	}
	p.want("-ERR wrong number of arguments for 'sentinel|get-master-addr-by-name' command\r\n", "SENTINEL", "GET-MASTER-ADDR-BY-NAME")
	p.want("+PONG\r\n", "PING")
}

// Goal: requests mean the same wherever they are cut into pieces, and whatever
// comes before and after them.
func TestSplitRequests(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	parts := []string{askAddress, request("CLIENT", "GETNAME"), "PING x\r\n", "\r\n", askAddress, request("PING")}
	all := strings.Join(parts, "")
	// Between two requests it rests, unless the one before was not quick.
	between := map[int]bool{len(parts[0]): true}
	for i := 3; i < len(parts); i++ {
		between[len(strings.Join(parts[:i], ""))] = true
	}
	want := address1 + "$-1\r\n" + "$1\r\nx\r\n" + address1 + "+PONG\r\n"
	got := make([]byte, len(want))
	for cut := 1; cut < len(all); cut++ {
		p.want("+PONG\r\n", "PING")
		rested(t, s, 1)
		p.send(all[:cut])
		if between[cut] {
			rested(t, s, 1)
		} else {
			rested(t, s, 0)
		}
		p.send(all[cut:])
		if _, err := io.ReadFull(p.br, got); err != nil || string(got) != want {
			t.Fatalf("cut at %d: got %q, %v", cut, got, err)
		}
	}
	// More than the lobby reads at once, and a request that is cut by that.
	const n = 400
	p.want("+PONG\r\n", "PING")
	rested(t, s, 1)
	p.send(strings.Repeat(askAddress, n))
	for i := range n {
		if got := p.frame(); got != address1 {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
}

// Goal: who closes the sending side is answered what was asked before that, and
// then the connection ends.
func TestHalfClosedConnections(t *testing.T) {
	s := startServer(t, newFake(), nil)
	for _, last := range []string{"", askAddress, request("CLIENT", "GETNAME"), askAddress[:20]} {
		p := dial(t, s)
		p.want("+PONG\r\n", "PING")
		rested(t, s, 1)
		p.send(last)
		if err := p.conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p.br)
		want := map[string]string{askAddress: address1, request("CLIENT", "GETNAME"): "$-1\r\n"}[last]
		if err != nil || string(got) != want {
			t.Errorf("after %q: got %q, %v", last, got, err)
		}
		rested(t, s, 0)
	}
}

// Goal: a client that asks quick questions and reads no answer is cut, and
// others are answered all the time.
func TestQuickAnswersNobodyReads(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.QueueBytes, o.WriteTimeout = 100_000, 200*time.Millisecond })
	p, good := dial(t, s), dial(t, s)
	good.want("+PONG\r\n", "PING")
	many := []byte(strings.Repeat(askAddress, 1000))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for range 10_000 { // until the server has closed the connection
			if _, err := p.conn.Write(many); err != nil {
				return
			}
		}
	}()
	for s.stats.cut.Load() == 0 {
		start := time.Now()
		good.want("+PONG\r\n", "PING")
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("another client waited %v", took)
		}
		select {
		case <-gone:
			eventually(t, "the client to be cut", func() bool { return s.stats.cut.Load() == 1 })
		default:
		}
	}
	<-gone
}

// Goal: a crowd that comes, asks and goes at the same time is answered, and
// nothing of it stays.
func TestThousandClientsComeAndGo(t *testing.T) {
	s := startServer(t, newFake(), nil)
	const workers, each = 50, 20
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range each {
				if err := visit(s, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "all to be gone", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.clients) == 0
	})
	rested(t, s, 0)
	if n := s.stats.connections.Load(); n != workers*each {
		t.Errorf("%d connections were counted", n)
	}
}

// visit connects, asks and leaves in one of several ways.
func visit(s *Server, i int) error {
	conn, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	got := make([]byte, len(address1))
	for range 1 + i%4 {
		if _, err := io.WriteString(conn, askAddress); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != address1 {
			return fmt.Errorf("got %q: %v", got, err)
		}
	}
	switch i % 3 {
	case 0: // leave an answer unread, so that closing resets the connection
		_, err = io.WriteString(conn, askAddress)
	case 1:
		_, err = io.WriteString(conn, askAddress[:10])
	}
	return err
}

// Goal: resting clients are cut by CLIENT KILL as others are, also while they
// ask.
func TestRestingClientsAreCut(t *testing.T) {
	s := startServer(t, newFake(), nil)
	operator := dial(t, s)
	operator.want("$-1\r\n", "CLIENT", "GETNAME")
	alone := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.clients) == 1
	}
	for i := range 40 {
		p := dial(t, s)
		p.want("+PONG\r\n", "PING")
		asking := make(chan struct{})
		if i%2 == 0 {
			close(asking)
			rested(t, s, 1)
		} else {
			go func() {
				defer close(asking)
				for {
					if _, err := io.WriteString(p.conn, askAddress); err != nil {
						return
					}
				}
			}()
		}
		operator.want(":1\r\n", "CLIENT", "KILL", "SKIPME", "yes")
		p.closed()
		_ = p.conn.Close()
		<-asking
		eventually(t, "the client to be gone", alone)
		rested(t, s, 0)
	}
}

// Goal: a shutdown ends with clients in the lobby, who are told nothing but the
// end of the connection.
func TestShutdownWithRestingClients(t *testing.T) {
	s := startServer(t, newFake(), nil)
	var peers []*peer
	for range 30 {
		p := dial(t, s)
		p.want("+PONG\r\n", "PING")
		peers = append(peers, p)
	}
	rested(t, s, len(peers))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if rest, err := io.ReadAll(p.br); err != nil || len(rest) != 0 {
			t.Errorf("got %q, %v", rest, err)
		}
	}
}

// Goal: the deadline of the login is none for those who rest after it.
func TestLoginDeadlineDoesNotEndRest(t *testing.T) {
	const limit = 300 * time.Millisecond
	s := startServer(t, newFake(), func(o *Options) { o.Password, o.AuthTimeout = "secret", limit })
	p := dial(t, s)
	p.want("+OK\r\n", "AUTH", "secret")
	p.want("+PONG\r\n", "PING")
	rested(t, s, 1)
	over := time.NewTimer(2 * limit)
	defer over.Stop()
	<-over.C
	for range 3 {
		p.want("+PONG\r\n", "PING")
		rested(t, s, 1)
	}
}

// Goal: the same question again means the same, and another one of the same
// length, an empty one and a wrong one do not.
func TestQuestionsAreRemembered(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	p.want("+PONG\r\n", "PING")
	unknown := strings.Replace(askAddress, "mymaster", "nomaster", 1)
	for i, step := range []struct{ ask, want string }{
		{askAddress, address1}, {askAddress, address1}, {unknown, "*-1\r\n"}, {unknown, "*-1\r\n"}, {askAddress, address1},
		{"\r\n", ""}, {"\r\n", ""}, {"\r\n" + askAddress, address1}, {"\r\n", ""}, {"PING\r\n", "+PONG\r\n"}, {"PING\r\n", "+PONG\r\n"},
		{"PING 1\r\n", "$1\r\n1\r\n"}, {"PING 2\r\n", "$1\r\n2\r\n"}, {"PING 2\r\n", "$1\r\n2\r\n"},
		{askAddress + unknown, address1 + "*-1\r\n"}, {askAddress + unknown, address1 + "*-1\r\n"}, {askAddress, address1},
	} {
		rested(t, s, 1)
		p.send(step.ask)
		got := make([]byte, len(step.want))
		if _, err := io.ReadFull(p.br, got); err != nil || string(got) != step.want {
			t.Fatalf("step %d: got %q, %v, want %q", i, got, err, step.want)
		}
	}
	before := s.stats.commands.Load()
	for range 3 {
		p.send(askAddress)
		p.frame()
	}
	if n := s.stats.commands.Load() - before; n != 3 {
		t.Errorf("%d commands were counted, want 3", n)
	}
}

// Goal: who is remembered has no more rights than before: a pause holds it back.
func TestRememberedQuestionWaitsForPause(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p, operator := dial(t, s), dial(t, s)
	for range 3 {
		p.send(askAddress)
		p.frame()
		rested(t, s, 1)
	}
	operator.want("+OK\r\n", "CLIENT", "PAUSE", "100000")
	p.send(askAddress)
	rested(t, s, 0)
	operator.want("+OK\r\n", "CLIENT", "UNPAUSE")
	if got := p.frame(); got != address1 {
		t.Errorf("got %q", got)
	}
}
