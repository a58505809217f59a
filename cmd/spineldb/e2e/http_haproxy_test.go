package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// haproxy is a running HAProxy with the file of docs/haproxy.md.
type haproxy struct {
	write, read string // addresses for clients
}

// startHAProxy starts HAProxy as docs/haproxy.md tells, with the addresses of a
// lab in place of those of the page.
func (l *lab) startHAProxy(nodes []warden.NodeID) haproxy {
	l.t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		l.t.Fatalf("find haproxy (scripts/test installs it): %v", err)
	}
	page, err := os.ReadFile("../../../docs/haproxy.md")
	if err != nil {
		l.t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```haproxy\n(.*?)```").FindSubmatch(page)
	if block == nil {
		l.t.Fatal("docs/haproxy.md has no configuration")
	}
	local := func() string { return net.JoinHostPort(l.host, strconv.Itoa(freePort(l.t, l.host))) }
	h := haproxy{write: local(), read: local()}
	_, checks, _ := net.SplitHostPort(local())
	swap := []string{"*:6380", h.write, "*:6381", h.read, "127.0.0.1:8009", net.JoinHostPort(l.host, checks), "port 8009", "port " + checks}
	for i, n := range nodes {
		swap = append(swap, fmt.Sprintf("10.0.0.%d:6379", i+1), string(n))
	}
	for i, w := range l.wardens {
		swap = append(swap, fmt.Sprintf("10.0.1.%d:8008", i+1), net.JoinHostPort(w.host, strconv.Itoa(w.web)))
	}
	text := strings.NewReplacer(swap...).Replace(string(block[1]))
	if left := regexp.MustCompile(`10\.0\.|80\d\d\b|\*:`).FindString(strings.Join(regexp.MustCompile(`127\.0\.0\.1:\d+|port \d+`).Split(text, -1), "")); left != "" {
		l.t.Fatalf("%q of the page is not replaced:\n%s", left, text)
	}
	file := l.path("haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	p := l.spawn("haproxy", l.path("haproxy.log"), nil, program, "-db", "-f", file)
	await(l.t, "HAProxy listens", func() bool {
		if !p.alive() {
			l.t.Fatalf("HAProxy ended:\n%s", p.tail(20))
		}
		c, err := net.DialTimeout("tcp", h.read, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return h
}

// plainWriter is a client that knows one address and nothing of Sentinel.
func (l *lab) plainWriter(addr string) *writer {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{cancel: cancel, done: make(chan struct{}), client: redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1, PoolSize: 1 << 14, DialTimeout: 500 * time.Millisecond, ReadTimeout: 300 * time.Millisecond, WriteTimeout: 300 * time.Millisecond,
	})}
	go w.run(ctx)
	l.t.Cleanup(func() { w.stop() })
	await(l.t, "the writer has written", func() bool { return w.count() > 10 })
	return w
}

// Goal: the documented HAProxy sends a client that knows nothing of Sentinel to
// the primary, through the loss of a Warden, a crash, and a planned change; and
// readers to replicas alone.
func TestHAProxyRedis(t *testing.T) {
	t.Parallel()
	l := startLab(t, withWeb)
	old := l.nodes[0]
	h := l.startHAProxy(l.addresses())
	w := l.plainWriter(h.write)
	reader := redis.NewClient(&redis.Options{Addr: h.read, MaxRetries: -1, PoolSize: 1, DialTimeout: time.Second, ReadTimeout: time.Second})
	t.Cleanup(func() { reader.Close() })
	// readsReplica opens a connection and asks whose it is.
	readsReplica := func() bool {
		c := reader.Conn()
		defer c.Close()
		text, err := c.Info(l.ctx(5*time.Second), "replication").Result()
		if err == nil && strings.Contains(text, "role:master") {
			t.Errorf("a reader was sent to a primary:\n%s", text)
		}
		return err == nil
	}
	await(t, "a reader is served", readsReplica)

	l.wardens[0].process.kill()
	before := w.count()
	await(t, "the client writes on without the first Warden", func() bool { return w.count() > before+200 })
	l.wardens[0].start()
	await(t, "all Wardens are back", func() bool { return l.healthy(old) })

	old.process.kill()
	t.Logf("the client wrote again %s after the kill", milliseconds(w.awaitAfter(t, time.Now())))
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	old.start()
	l.awaitAgreed(fresh)
	await(t, "a reader is served", readsReplica)
	kept := w.count()
	l.switchoverByWeb(old)
	l.awaitAgreed(old)
	w.awaitAfter(t, time.Now())
	if gone := lost(t, w.stop()[kept:], old); len(gone) > 0 {
		t.Errorf("%d writes confirmed since the first failover are lost: %v", len(gone), gone)
	}
	t.Logf("longest pause of the client since the start: %s", milliseconds(w.gap))
}

// Goal: the same file serves PostgreSQL: sessions through HAProxy write to the
// primary, through a crash, and nothing that was confirmed is lost.
func TestHAProxyPostgres(t *testing.T) {
	t.Parallel()
	pl := newPgLab(t, "durability = \"quorum\"")
	pl.settings.web = true
	pl.fill()
	old := pl.servers[0]
	var nodes []warden.NodeID
	for _, n := range pl.servers {
		nodes = append(nodes, n.Addr)
	}
	h := pl.startHAProxy(nodes)
	w := &pgWriter{lab: pl, Writer: postgreslab.Write(postgreslab.WriterOptions{
		Where: func(context.Context) (warden.NodeID, error) { return warden.NodeID(h.write), nil },
		Pace:  time.Millisecond, Patience: 300 * time.Millisecond, Role: postgreslab.Client,
	})}
	t.Cleanup(func() { w.Stop() })
	await(t, "the writer has written", func() bool { return len(w.Acks()) > 10 })
	at := time.Now()
	old.kill()
	fresh := pl.awaitOther(old, pl.wardens...)
	w.goesOn()
	acks := w.Acks()
	for _, a := range acks {
		if a.Sent.After(at) {
			t.Logf("the client wrote again %s after the kill", milliseconds(a.At.Sub(at)))
			break
		}
	}
	old.start()
	pl.awaitFenced(old, fresh)
	w.goesOn()
	w.keepsAll(fresh)
}
