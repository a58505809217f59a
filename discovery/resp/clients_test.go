package resp

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// Goal: CLIENT KILL ends whom its filters name and nobody else, and the one
// who asks only when it says so.
func TestClientKill(t *testing.T) {
	s := startServer(t, newFake(), nil)
	me := dial(t, s)
	me.ask("CLIENT", "ID")
	for _, c := range []struct {
		name    string
		filters func(victim *peer, id string) []string
	}{
		{"by id", func(_ *peer, id string) []string { return []string{"ID", id} }},
		{"by address", func(v *peer, _ string) []string { return []string{"ADDR", v.conn.LocalAddr().String()} }},
		{"by type", func(*peer, string) []string { return []string{"TYPE", "pubsub"} }},
		{"by several", func(v *peer, id string) []string {
			return []string{"id", id, "laddr", v.conn.RemoteAddr().String(), "user", "default", "type", "pubsub"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			victim, other := dial(t, s), dial(t, s)
			id := strings.Trim(victim.ask("CLIENT", "ID"), ":\r\n")
			victim.ask("SUBSCRIBE", "x")
			other.ask("PING")
			if got := me.ask(append([]string{"CLIENT", "KILL"}, c.filters(victim, id)...)...); got != ":1\r\n" {
				t.Errorf("got %q", got)
			}
			victim.closed()
			other.want("+PONG\r\n", "PING")
			_ = other.conn.Close()
			eventually(t, "both to be gone", func() bool { return len(s.everybody()) == 1 })
		})
	}
	eventually(t, "the others to be gone", func() bool { return len(s.everybody()) == 1 })
	me.want(":0\r\n", "CLIENT", "KILL", "TYPE", "normal")
	me.want(":0\r\n", "CLIENT", "KILL", "MAXAGE", "3600", "SKIPME", "no")
	old := dial(t, s)
	old.ask("PING")
	me.want("+OK\r\n", "CLIENT", "KILL", old.conn.LocalAddr().String())
	old.closed()
	eventually(t, "the killed one to be gone", func() bool { return len(s.everybody()) == 1 })
	me.want("-ERR No such client\r\n", "CLIENT", "KILL", old.conn.LocalAddr().String())
	me.want("-ERR No such client\r\n", "CLIENT", "KILL", "")
	me.want(":1\r\n", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
	me.closed()
}

// Goal: a line of CLIENT LIST has Redis's fields in Redis's order, and filters
// choose lines.
func TestClientListFilters(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p, q := dial(t, s), dial(t, s)
	q.ask("SUBSCRIBE", "x")
	p.ask("CLIENT", "NO-EVICT", "ON")
	p.ask("CLIENT", "TRACKING", "ON", "BCAST")
	shape := regexp.MustCompile(`^\$\d+\r\nid=1 addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name= age=\d+ idle=\d+ flags=tBe db=0 sub=0 psub=0 ssub=0 multi=-1 ` +
		`qbuf=\d+ qbuf-free=\d+ argv-mem=\d+ multi-mem=\d+ rbs=\d+ rbp=\d+ obl=\d+ oll=\d+ omem=\d+ tot-mem=\d+ events=r cmd=client\|list user=default redir=0 resp=2 lib-name= lib-ver=\n\r\n$`)
	if got := p.ask("CLIENT", "LIST", "ID", "1", "77"); !shape.MatchString(got) {
		t.Errorf("got %q", got)
	}
	if got := p.ask("CLIENT", "LIST", "TYPE", "pubsub"); strings.Count(got, "id=") != 1 || !strings.Contains(got, " flags=P ") || !strings.Contains(got, "sub=1") {
		t.Errorf("got %q", got)
	}
	if got := p.ask("CLIENT", "LIST"); strings.Count(got, "id=") != 2 {
		t.Errorf("got %q", got)
	}
	p.want("$0\r\n\r\n", "CLIENT", "LIST", "TYPE", "replica")
	wantIn(t, p.ask("INFO", "clients"), "tracking_clients:1\r\npubsub_clients:1\r\n")
}

// Goal: CLIENT REPLY silences answers and errors, and nothing else: events go
// on, and the connection stays usable.
func TestClientReply(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	p.send(request("CLIENT", "REPLY", "SKIP") + request("NONSENSE") + request("PING", "1"))
	if got := p.frame(); got != "$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
	p.send(request("CLIENT", "REPLY", "SKIP") + request("CLIENT", "REPLY", "SKIP") + request("PING") + request("PING", "2"))
	if got := p.frame(); got != "$1\r\n2\r\n" {
		t.Errorf("got %q", got)
	}
	p.send(request("CLIENT", "REPLY", "OFF") + request("SENTINEL", "MASTERS") + request("PING") + request("CLIENT", "REPLY", "SKIP") +
		request("CLIENT", "REPLY", "ON") + request("PING", "3"))
	if got := p.frame() + p.frame(); got != "+OK\r\n$1\r\n3\r\n" {
		t.Errorf("got %q", got)
	}
	// Also where an answer comes after others were sent on: here, in a pause.
	q := dial(t, s)
	q.ask("CLIENT", "PAUSE", "30")
	p.send(request("PING", strings.Repeat("x", 100)) + request("CLIENT", "REPLY", "SKIP") + request("PING") + request("PING", "4"))
	p.frame()
	if got := p.frame(); got != "$1\r\n4\r\n" {
		t.Errorf("got %q", got)
	}
	p.want("-ERR syntax error\r\n", "CLIENT", "REPLY", "NO")
}

// Goal: a pause holds questions back until it ends, and neither what ends it
// nor what a quorum needs.
func TestClientPause(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p, q := dial(t, s), dial(t, s)
	p.want("+OK\r\n", "CLIENT", "PAUSE", "60000", "WRITE")
	q.want("+PONG\r\n", "PING")
	p.want("+OK\r\n", "CLIENT", "PAUSE", "3600000")
	q.send(request("PING"))
	p.want("*3\r\n:0\r\n$1\r\n*\r\n:0\r\n", "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "10.0.0.1", "6379", "0", "*")
	p.want(":1\r\n", "PUBLISH", "__sentinel__:hello", "x")
	p.json(new(Version), "WARDEN", "VERSION")
	p.want("-ERR unknown command 'NONSENSE', with args beginning with: \r\n", "NONSENSE")
	if err := q.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if raw, err := readFrame(q.br); err == nil {
		t.Errorf("answered in a pause: %q", raw)
	}
	if err := q.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p.want("+OK\r\n", "CLIENT", "UNPAUSE")
	if got := q.frame(); got != "+PONG\r\n" {
		t.Errorf("got %q", got)
	}
	start := time.Now()
	p.want("+OK\r\n", "CLIENT", "PAUSE", "50", "ALL")
	q.want("+PONG\r\n", "PING")
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("the pause took %v", took)
	}
	// A pause that runs at the end does not delay it (startServer looks).
	p.want("+OK\r\n", "CLIENT", "PAUSE", "9223372036854775807")
	q.send(request("PING"))
}
