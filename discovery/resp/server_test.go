package resp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: with a password, nothing but AUTH and HELLO gets through, and the
// checks come in Redis's order.
func TestPassword(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.Password = "secret" })
	p := dial(t, s)
	p.want("-NOAUTH Authentication required.\r\n", "PING")
	p.want("-NOAUTH Authentication required.\r\n", "SENTINEL", "MASTERS")
	p.want("-NOAUTH Authentication required.\r\n", "WARDEN", "STATUS")
	p.want("-ERR unknown command 'SELECT', with args beginning with: '0' \r\n", "SELECT", "0")
	p.want("-ERR wrong number of arguments for 'sentinel|master' command\r\n", "SENTINEL", "MASTER")
	const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	for _, words := range [][]string{{"AUTH", "secre"}, {"AUTH", ""}, {"AUTH", "Secret"}, {"AUTH", "other", "secret"},
		{"HELLO", "3", "AUTH", "default", "wrong"}} {
		p.want(wrong, words...)
	}
	if got := p.ask("HELLO", "3"); !strings.HasPrefix(got, "-NOAUTH HELLO must be called") {
		t.Errorf("got %q", got)
	}
	p.want("-NOAUTH Authentication required.\r\n", "PING")
	p.want("+OK\r\n", "AUTH", "secret")
	p.want("+PONG\r\n", "PING")

	q := dial(t, s)
	if got := q.ask("HELLO", "3", "AUTH", "default", "secret", "SETNAME", "n"); !strings.HasPrefix(got, "%6\r\n$6\r\nserver\r\n$5\r\nredis\r\n") {
		t.Errorf("got %q", got)
	}
	q.want("$1\r\nn\r\n", "CLIENT", "GETNAME")
}

// Goal: a stranger may not send much, nor stay long.
func TestStrangersAreBounded(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.Password, o.AuthTimeout = "secret", 50*time.Millisecond })
	p := dial(t, s)
	p.closed()

	s = startServer(t, newFake(), func(o *Options) { o.Password = "secret" })
	p = dial(t, s)
	p.send("*2\r\n$4\r\nAUTH\r\n$65536\r\n")
	if got := p.frame(); got != "-ERR Protocol error: unauthenticated bulk length\r\n" {
		t.Errorf("got %q", got)
	}
	p.closed()
}

// Goal: malformed input gets its error, even when more was on its way, and
// then the connection ends; others do not notice.
func TestMalformedInput(t *testing.T) {
	s := startServer(t, newFake(), nil)
	other := dial(t, s)
	for _, c := range []struct{ input, want string }{
		{"*1\r\n$x\r\n" + strings.Repeat("rest", 50_000), "-ERR Protocol error: invalid bulk length\r\n"},
		{"*2000\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n"},
		{"PING \"x\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
		{strings.Repeat("x", 70_000), "-ERR Protocol error: too big inline request\r\n"},
		{"*2\r\n$4\r\nPING\r\n$1048576\r\n" + strings.Repeat("x", 1<<20), "-ERR Protocol error: invalid bulk length\r\n"},
	} {
		p := dial(t, s)
		p.send(request("PING"))
		if got := p.frame(); got != "+PONG\r\n" {
			t.Errorf("got %q", got)
		}
		p.send(c.input)
		if got := p.frame(); got != c.want {
			t.Errorf("%.20q: got %q, want %q", c.input, got, c.want)
		}
		p.closed()
	}
	other.want("+PONG\r\n", "PING")
}

// Goal: a request that never ends, and an idle client where that is wished,
// are cut; a subscriber may be silent for as long as it likes.
func TestTimeouts(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.RequestTimeout = 30 * time.Millisecond })
	p := dial(t, s)
	p.send("*1\r\n$4\r\nPI")
	p.closed()

	s = startServer(t, newFake(), func(o *Options) { o.IdleTimeout = 30 * time.Millisecond })
	subscriber := dial(t, s)
	subscriber.ask("SUBSCRIBE", "+sdown")
	idle := dial(t, s)
	idle.closed()
	s.Publish(warden.Event{Name: "+sdown", Level: warden.LevelWarning, Payload: "x"})
	if got := subscriber.frame(); !strings.HasSuffix(got, "$1\r\nx\r\n") {
		t.Errorf("got %q", got)
	}
}

// Goal: many requests in one write are answered in their order, also when the
// last one is not complete yet.
func TestPipelining(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	const n = 5000
	var b strings.Builder
	for i := range n {
		b.WriteString(request("PING", fmt.Sprint(i)))
	}
	last := request("PING", "last")
	b.WriteString(last[:len(last)-3])
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = p.conn.Write([]byte(b.String()))
	}()
	for i := range n {
		text := fmt.Sprint(i)
		if got, want := p.frame(), fmt.Sprintf("$%d\r\n%s\r\n", len(text), text); got != want {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
	<-sent
	p.send(last[len(last)-3:])
	if got := p.frame(); got != "$4\r\nlast\r\n" {
		t.Errorf("got %q", got)
	}
}

// Goal: more answers than fit into the queue are all delivered to a client
// that reads late but reads.
func TestAnswersLargerThanTheQueue(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.QueueBytes, o.QueueEntries = 100_000, 4 })
	p := dial(t, s)
	const n = 200
	big := strings.Repeat("x", 100_000)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = p.conn.Write([]byte(strings.Repeat(request("PING", big), n)))
	}()
	want := fmt.Sprintf("$%d\r\n%s\r\n", len(big), big)
	for i := range n {
		if p.frame() != want {
			t.Fatalf("answer %d differs", i)
		}
	}
	<-sent
}

// Goal: a client that sends and never reads is cut and holds nothing back.
func TestClientThatDoesNotReadIsCut(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.QueueBytes, o.WriteTimeout = 100_000, 100*time.Millisecond })
	p := dial(t, s)
	big := request("PING", strings.Repeat("x", 500_000))
	for range 1000 { // until the server has closed the connection
		if _, err := p.conn.Write([]byte(big)); err != nil {
			break
		}
	}
	eventually(t, "the client to be cut", func() bool { return s.stats.cut.Load() == 1 })
	dial(t, s).want("+PONG\r\n", "PING")
}

// Goal: a subscriber that does not read is cut, and Publish never waits for it.
func TestSubscriberThatDoesNotReadIsCut(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.QueueEntries = 100 })
	slow, good := dial(t, s), dial(t, s)
	slow.ask("PSUBSCRIBE", "*")
	good.ask("SUBSCRIBE", "+last")
	payload := strings.Repeat("x", maxPayload)
	start := time.Now()
	const limit = 100_000
	n := 0
	for s.stats.cut.Load() == 0 && n < limit {
		s.Publish(warden.Event{Name: "+sdown", Level: warden.LevelWarning, Payload: payload})
		n++
	}
	if n == limit {
		eventually(t, "the subscriber to be cut", func() bool { return s.stats.cut.Load() == 1 })
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("publishing took %v: it waits for the write deadline", took)
	}
	s.Publish(warden.Event{Name: "+last", Level: warden.LevelWarning, Payload: "x"})
	if got := good.frame(); !strings.Contains(got, "+last") {
		t.Errorf("got %q", got)
	}
	eventually(t, "the hub to forget it", func() bool { _, _, patterns := s.hub.counts(); return patterns == 0 })
}

// Goal: when the server as a whole has too much queued, each client is down to
// its share.
func TestTotalBound(t *testing.T) {
	s := startServer(t, newFake(), nil)
	b := newOutbox(Options{QueueBytes: 1 << 20, QueueEntries: 1 << 20, QueueBytesTotal: 100_000}, &s.queued)
	event := make([]byte, 1000)
	n := 0
	for n < 1000 && b.event(event, event) {
		n++
	}
	if n != 100 {
		t.Errorf("%d events fit, want those of 100,000 bytes", n)
	}
	second := newOutbox(Options{QueueBytes: 1 << 20, QueueEntries: 1 << 20, QueueBytesTotal: 100_000}, &s.queued)
	n = 0
	for n < 1000 && second.event(event, event) {
		n++
	}
	if n != shareWhenFull/1000+1 {
		t.Errorf("%d events fit into the share", n)
	}
	b.kill("")
	second.kill("")
	if s.queued.Load() != 0 {
		t.Errorf("%d bytes are left over", s.queued.Load())
	}
}

// Goal: one client too many is told so, and a place that is free is free again.
func TestMaxClients(t *testing.T) {
	s := startServer(t, newFake(), func(o *Options) { o.MaxClients = 2 })
	a, b := dial(t, s), dial(t, s)
	a.want("+PONG\r\n", "PING")
	b.want("+PONG\r\n", "PING")
	c := dial(t, s)
	if got := c.frame(); got != "-ERR max number of clients reached\r\n" {
		t.Errorf("got %q", got)
	}
	c.closed()
	_ = b.conn.Close()
	eventually(t, "the place to be free", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.clients) == 1
	})
	dial(t, s).want("+PONG\r\n", "PING")
	if n := s.stats.rejected.Load(); n != 1 {
		t.Errorf("%d were counted as rejected", n)
	}
}

// Goal: a panic in a command ends that connection with an error, in one piece,
// and leaves the server at work.
func TestPanicInCommand(t *testing.T) {
	dir := newFake()
	var logged lockedBuffer
	s := startServer(t, dir, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	p := dial(t, s)
	dir.Lock()
	dir.Asked = func() { panic("a bug in the directory") }
	dir.Unlock()
	p.want("-ERR internal error in 'role': please report it, the log has the details\r\n", "ROLE")
	p.closed()
	dial(t, s).want("+PONG\r\n", "PING")
	if !strings.Contains(logged.String(), "a bug in the directory") {
		t.Errorf("the log lacks the cause: %s", logged.String())
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Goal: Shutdown ends a command that waits, delivers its answer, and leaves
// nothing (startServer looks for goroutines).
func TestShutdownEndsWaitingCommands(t *testing.T) {
	dir := newFake()
	entered := make(chan struct{})
	dir.Answer = func(ctx context.Context, _ warden.Command) warden.Answer {
		close(entered)
		<-ctx.Done()
		return warden.Answer{Verdict: warden.VerdictUnknown, Code: "timeout"}
	}
	s := startServer(t, dir, nil)
	idle, half, subscriber, waiting := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	idle.want("+PONG\r\n", "PING")
	half.send("*1\r\n$4\r\n")
	subscriber.ask("PSUBSCRIBE", "*")
	waiting.send(request("WARDEN", "SWITCHOVER", "mymaster"))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if got := waiting.frame(); !strings.Contains(got, `"verdict":"unknown"`) {
		t.Errorf("got %q", got)
	}
	for _, p := range []*peer{idle, half, subscriber, waiting} {
		p.closed()
	}
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("the port is still open")
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("a server that was shut down starts again")
	}
	s.Publish(warden.Event{Name: "+sdown", Level: warden.LevelWarning}) // must not panic
}

// Goal: a client that does not read cannot hold up Shutdown.
func TestShutdownCutsSlowClients(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	go func() {
		big := []byte(request("PING", strings.Repeat("x", 500_000)))
		for {
			if _, err := p.conn.Write(big); err != nil {
				return
			}
		}
	}()
	eventually(t, "a full queue", func() bool { return s.queued.Load() > 1<<20 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// Goal: a directory that ignores its context is named, not waited for.
func TestShutdownReportsStuckCommand(t *testing.T) {
	dir := newFake()
	entered, release := make(chan struct{}), make(chan struct{})
	dir.Answer = func(context.Context, warden.Command) warden.Answer {
		close(entered)
		<-release
		return warden.Answer{}
	}
	s := startServer(t, dir, nil)
	dial(t, s).send(request("SENTINEL", "FAILOVER", "mymaster"))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "still running") {
		t.Errorf("got %v", err)
	}
	close(release)
}

// Goal: mistakes in the options are found before anything starts.
func TestOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no directory was accepted")
	}
	if _, err := New(Options{Directory: newFake(), MaxClients: -1}); err == nil {
		t.Error("a negative bound was accepted")
	}
	if _, err := New(Options{Directory: newFake(), WriteTimeout: -1}); err == nil {
		t.Error("a negative timeout was accepted")
	}
	s := startServer(t, newFake(), nil)
	second, err := New(Options{Directory: newFake(), Addr: s.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), s.Addr().String()) {
		t.Errorf("a port in use: got %v", err)
	}
	if second.Addr() != nil {
		t.Error("there is an address without a listener")
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Goal: redis-cli, which people will use, understands the answers, its own
// look at COMMAND DOCS included.
func TestRedisCLI(t *testing.T) {
	s := startServer(t, newFake(), nil)
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"-2", "-3"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "redis-cli", mode, "-p", port)
		cmd.Stdin = strings.NewReader("COMMAND DOCS\nCOMMAND\nHELP @sentinel\nSENTINEL MASTERS\nSENTINEL MASTER mymaster\nWARDEN VERSION\n")
		cmd.Env = append(os.Environ(), "REDISCLI_HISTFILE=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli %s: %v: %s", mode, err, out)
		}
		if !strings.Contains(string(out), "10.0.0.1") || !strings.Contains(string(out), idSelf) {
			t.Errorf("redis-cli %s: %s", mode, out)
		}
	}
}

// Goal: the sections of INFO stand in Redis's order, apart by an empty line.
func TestInfoSections(t *testing.T) {
	s := startServer(t, newFake(), nil)
	body := dial(t, s).ask("INFO", "everything")
	last := 0
	for i, title := range []string{"# Server\r\n", "\r\n\r\n# Clients\r\n", "\r\n\r\n# Stats\r\n", "\r\n\r\n# CPU\r\n", "\r\n\r\n# Sentinel\r\n"} {
		at := strings.Index(body, title)
		if at < last || i == 0 && at < 0 {
			t.Errorf("%q is at %d, the one before at %d", title, at, last)
		}
		last = at
	}
	if !strings.Contains(body, "master0:name=mymaster,status=ok,address=10.0.0.1:6379,slaves=2,sentinels=3\r\n") {
		t.Errorf("the master line is missing: %s", body)
	}
}

// Goal: an operator's answers and orders survive the way through the wire.
func TestWardenStatus(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	var got Status
	p.json(&got, "WARDEN", "STATUS")
	if got.Self.ID != idSelf || len(got.Groups) != 2 || got.Groups[0].Primary != "10.0.0.1:6379" || got.Groups[0].Topology.Epoch != 7 {
		t.Errorf("got %+v", got)
	}
	p.json(&got, "WARDEN", "STATUS", "waiting")
	if len(got.Groups) != 1 || got.Groups[0].Name != "waiting" {
		t.Errorf("got %+v", got)
	}
	p.want("-ERR no group 'nobody' here: WARDEN STATUS lists them\r\n", "WARDEN", "STATUS", "nobody")
	p.want("-ERR wrong number of arguments for 'warden|status' command\r\n", "WARDEN", "STATUS", "a", "b")
}

// json asks and decodes the answer, a bulk string.
func (p *peer) json(into any, words ...string) {
	p.t.Helper()
	raw := p.ask(words...)
	_, body, ok := strings.Cut(raw, "\r\n")
	if !ok || raw[0] != '$' {
		p.t.Fatalf("%q: got %q", words, raw)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		p.t.Fatalf("%q: %v in %q", words, err, body)
	}
}
