package rest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

// Goal: an answer about a node has everything that a reader needs to trust it,
// and the two spellings of a question are one.
func TestCheckAnswer(t *testing.T) {
	s := open(t)
	want := `{"group":"mymaster","node":"10.0.0.2:6379","check":"replica","ok":true,"role":"replica","primary":"10.0.0.1:6379",` +
		`"epoch":7,"version":"7.2","age_ms":1000,"lag_bytes":1000}` + "\n"
	for _, path := range []string{
		"/groups/mymaster/nodes/10.0.0.2:6379/replica", "/replica?group=mymaster&node=10.0.0.2:6379", "/replica?node=10.0.0.2%3A6379",
		"/groups/mymaster/replica?node=10.0.0.2:6379", "/replica?node=10.0.0.2:6379&lag=1000&tag_nofailover=false&tag_replicatefrom=",
	} {
		r := s.get(path)
		if r.status != 200 || r.body != want || r.header.Get("Warden-Epoch") != "7" || r.header.Get("Warden-Age-Ms") != "1000" ||
			r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s%v", path, r.status, r.body, r.header)
		}
	}
	s.view(func(v *warden.GroupView) { v.Nodes[1].GoodAgo = -1 })
	if r := s.get("/health?node=" + nodeB); r.status != 503 || !strings.Contains(r.body, `"age_ms":-1`) || r.header.Get("Warden-Age-Ms") != "-1" {
		t.Errorf("a node never seen: %d %s", r.status, r.body)
	}
}

// Goal: names of nodes are found however they are written.
func TestNodeNames(t *testing.T) {
	s := open(t)
	s.view(func(v *warden.GroupView) {
		v.Primary, v.Topology.Primary, v.Nodes[0].Node = "[2001:db8::1]:6379", "[2001:db8::1]:6379", "[2001:db8::1]:6379"
		v.Peers = nil
		v.Nodes[1].Node = "db2.example:6379"
		v.Nodes[1].Observation.Upstream = "[2001:db8::1]:6379"
	})
	for _, path := range []string{
		"/groups/mymaster/nodes/[2001:db8::1]:6379/primary", "/groups/mymaster/nodes/%5B2001:DB8::1%5D:6379/primary", "/primary?node=[2001:db8:0::1]:6379",
		"/groups/mymaster/nodes/DB2.example:6379/replica",
	} {
		if r := s.get(path); r.status != 200 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// Goal: conditions are judged, and what is not known is not assumed.
func TestConditions(t *testing.T) {
	s := open(t)
	s.view(func(v *warden.GroupView) {
		v.Nodes[1].Observation.Priority, v.Nodes[1].Observation.NoSync, v.Nodes[1].Observation.From = 0, true, nodeC
	})
	for query, want := range map[string]string{
		"lag=1000": "", "lag=999": "it lacks 1000 bytes, more than 999", "lag=1kB": "", "lag=1%20KiB": "", "lag=0": "it lacks 1000 bytes", "lag=1TB": "",
		"tag_nofailover=true": "", "tag_nofailover=false": `its tag nofailover is "true", not "false"`,
		"tag_nosync=true": "", "tag_nosync=false": "tag nosync", "tag_noloadbalance=false": "", "tag_noloadbalance=true": "tag noloadbalance",
		"tag_replicatefrom=10.0.0.3:6379": "", "tag_replicatefrom=": "tag replicatefrom",
	} {
		r := s.get("/replica?node=" + nodeB + "&" + query)
		if got := decode[Check](t, r); (r.status == 200) != (want == "") || !strings.Contains(got.Reason, want) || r.status == 400 {
			t.Errorf("%s: %d %q, want %q", query, r.status, got.Reason, want)
		}
	}
	s.view(func(v *warden.GroupView) { v.Nodes[1].Observation.Lineage = "another" })
	if r := s.get("/replica?lag=1TB&node=" + nodeB); r.status != 503 || !strings.Contains(r.body, "is not known") {
		t.Errorf("an unknown lag: %d %s", r.status, r.body)
	}
}

// Goal: this Warden's own health follows its groups, and a group's readiness
// what it knows of that group.
func TestOwnHealth(t *testing.T) {
	s := open(t)
	other := calm()
	other.Name = "other"
	s.dir.Views = append(s.dir.Views, other)
	ask := func(path string, want int) {
		t.Helper()
		if r := s.get(path); r.status != want {
			t.Errorf("%s: %d %s, want %d", path, r.status, r.body, want)
		}
	}
	for _, path := range []string{"/liveness", "/health", "/readiness", "/readiness?group=mymaster", "/groups/other/readiness"} {
		ask(path, 200)
	}
	s.view(func(v *warden.GroupView) { v.Agreed = false })
	ask("/liveness", 200)
	ask("/health", 200)
	ask("/readiness", 503)
	ask("/groups/mymaster/readiness", 503)
	ask("/groups/other/readiness", 200)
	s.view(func(v *warden.GroupView) { v.Agreed, v.Provisional = true, true })
	ask("/readiness", 503)
	for _, change := range []func(*warden.GroupView){func(v *warden.GroupView) { v.Tilt = true }, func(v *warden.GroupView) { v.Mute = true }} {
		s.view(func(v *warden.GroupView) { *v = calm(); change(v) })
		ask("/health", 503)
		ask("/liveness", 200)
	}
	if r := s.get("/health"); len(decode[OwnHealth](t, r).Reasons) != 1 {
		t.Errorf("reasons: %s", r.body)
	}
}

// Goal: who asks wrongly is told what is wrong, at every path; nothing is
// guessed, and no order is given.
func TestWrongQuestions(t *testing.T) {
	s := open(t)
	s.dir.Views = append(s.dir.Views, warden.GroupView{Name: "other"})
	long := strings.Repeat("x", 5000)
	for path, want := range map[string]string{
		"/":                                      `404 unknown-path there is nothing at /`,
		"/primry":                                `404 unknown-path unknown path "primry": did you mean "primary"?`,
		"/" + long:                               `404 unknown-path`,
		"/primary/":                              `404 unknown-path`,
		"//primary":                              `404 unknown-path`,
		"/groups/":                               `404 unknown-path`,
		"/groups/mymaster/nodes/":                `404 unknown-path /nodes/ names no node`,
		"/nodes/10.0.0.1:6379/primary":           `404 unknown-path /nodes/ stands without a group`,
		"/groups/mymaster/nodes/a:1/cluster":     `404 unknown-path /cluster is not about that`,
		"/groups/mymaster/events":                `404 unknown-path /events is not about that`,
		"/primary":                               `400 usage this Warden watches 2 groups: name one`,
		"/primary?group=mymaster":                `400 usage which node is meant? Write /groups/mymaster/nodes/HOST:PORT/primary`,
		"/primary?group=mymastr&node=10.0.0.1:1": `404 unknown-group no group "mymastr" here`,
		"/primary?group=" + long + "&node=a:1":   `404 unknown-group no group "xxx`,
		"/primary?group=mymaster&node=10.0.0.9:6379":                       `404 unknown-node no node 10.0.0.9:6379 in group mymaster`,
		"/primary?group=mymaster&node=10.0.0.1":                            `400 usage address "10.0.0.1" has no port`,
		"/primary?group=mymaster&node=a:99999":                             `400 usage address "a:99999": port "99999" is not a number`,
		"/primary?group=mymaster&node=" + long:                             `400 usage`,
		"/primary?group=mymaster&nod=a:1":                                  `400 usage unknown parameter "nod": did you mean "node"?`,
		"/primary?group=mymaster&group=other":                              `400 usage parameter group is given twice`,
		"/primary?%zz":                                                     `400 usage the query cannot be read`,
		"/groups/mymaster/primary?group=mymaster&node=a:1":                 `400 usage the group is named in the path and in the query`,
		"/groups/mymaster/nodes/10.0.0.1:6379/primary?node=a:1":            `400 usage the node is named in the path and in the query`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?lag=-1":              `400 usage parameter lag is "-1"`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?lag=1XB":             `400 usage parameter lag is "1XB"`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?lag=":                `400 usage parameter lag is ""`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?lag=99999999TB":      `400 usage parameter lag is`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?tag_nosink=true":     `400 usage unknown tag "nosink": did you mean "nosync"?`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?tag_nosync=yes":      `400 usage parameter tag_nosync is "yes": choose true or false`,
		"/groups/mymaster/nodes/10.0.0.2:6379/replica?tag_replicatefrom=x": `400 usage parameter tag_replicatefrom: address "x" has no port`,
		"/health?group=mymaster&lag=1":                                     `400 usage parameter lag is about a node`,
		"/readiness?node=x":                                                `400 usage`,
		"/liveness?group=mymaster":                                         `400 usage unknown parameter`,
		"/groups?x=1":                                                      `400 usage unknown parameter`,
		"/cluster?group=nobody":                                            `404 unknown-group`,
		"/cluster?lag=1":                                                   `400 usage unknown parameter "lag"`,
		"/node?group=mymaster&node=":                                       `400 usage which node is meant?`,
		"/openapi.json?x":                                                  `400 usage unknown parameter`,
		"/events?since=yesterday":                                          `400 usage "yesterday" is no id of an event`,
		"/events?since=-5":                                                 `400 usage`,
		"/events?group=nobody":                                             `404 unknown-group`,
		"/events?form=1":                                                   `400 usage unknown parameter "form": there are group, since`,
	} {
		r := s.get(path)
		f := decode[failure](t, r)
		if got := fmt.Sprintf("%d %s %s", r.status, f.Code, f.Text); !strings.HasPrefix(got, want) || len(got) > 1000 {
			t.Errorf("%.80s: %s, want %s", path, got, want)
		}
	}
	if got := s.dir.Ordered(); len(got) > 0 {
		t.Errorf("orders were given: %+v", got)
	}
}

// Goal: a method that does not belong there is refused, whoever asks.
func TestWrongMethods(t *testing.T) {
	s := open(t)
	for _, c := range []struct{ method, path, allow string }{
		{"POST", "/primary", "GET, HEAD, OPTIONS"}, {"DELETE", "/cluster", "GET, HEAD"}, {"GET", "/switchover", "POST"}, {"PUT", "/cluster/config", "POST"},
		{"HEAD", "/events", "GET"}, {"OPTIONS", "/failover/pause", "POST"}, {"BREW", "/liveness", "GET, HEAD, OPTIONS"},
	} {
		if r := s.ask(c.method, c.path, "", "Authorization", "Bearer "+token); r.status != 405 || r.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, r.status, r.header.Get("Allow"))
		}
	}
}

// Goal: further things to GET are mounted, and do not hide what is there.
func TestExtra(t *testing.T) {
	s := open(t, func(o *Options) {
		o.Extra = map[string]http.Handler{"/figures": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "42") })}
	})
	if r := s.get("/figures"); r.body != "42" {
		t.Errorf("got %q", r.body)
	}
	if r := s.get("/figures/more"); r.status != 404 {
		t.Errorf("got %d", r.status)
	}
	if r := s.get("/liveness"); r.status != 200 {
		t.Errorf("got %d", r.status)
	}
}

// Goal: a view is made once for many questions, never serves a former primary,
// and is made anew after its time.
func TestScenes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newDirectory()
		s, err := New(Options{Directory: dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if _, ok := s.scene("mymaster"); !ok {
				t.Fatal("no scene")
			}
		}
		if dir.Looks != 1 {
			t.Errorf("%d views were made for one moment", dir.Looks)
		}
		dir.Change(func(v *warden.GroupView) { v.Primary = nodeC })
		if c, _ := s.scene("mymaster"); c.view.Primary != nodeC || dir.Looks != 2 {
			t.Errorf("%s is served, %d views", c.view.Primary, dir.Looks)
		}
		dir.Change(func(v *warden.GroupView) { v.Agreed = false })
		time.Sleep(sceneLife)
		if c, _ := s.scene("mymaster"); c.view.Agreed || dir.Looks != 3 {
			t.Errorf("an old view is shown, %d were made", dir.Looks)
		}
		dir.Change(func(v *warden.GroupView) { v.Name = "another" })
		if _, ok := s.scene("mymaster"); ok {
			t.Error("a group that is gone is shown")
		}
		if _, ok := s.scenes.Load(warden.GroupName("mymaster")); ok {
			t.Error("the view of a group that is gone is kept")
		}
	})
}

// Goal: a mistake of ours is logged as an error, and ends one connection only;
// those of clients are not.
func TestPanicIsLogged(t *testing.T) {
	var log lockedText
	s := open(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
		o.Extra = map[string]http.Handler{"/broken": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a mistake") })}
	})
	if r, err := s.client.Get(s.base + "/broken"); err == nil {
		r.Body.Close()
		t.Error("a broken page answers")
	}
	if r := s.get("/liveness"); r.status != 200 {
		t.Errorf("after a panic: %d", r.status)
	}
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "a mistake") {
		t.Errorf("logged: %s", text)
	}
}

// lockedText is what is logged.
type lockedText struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

// Goal: bad options are refused at once.
func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Directory: &directorytest.Directory{}, MaxStreams: -1}, {Directory: &directorytest.Directory{}, IdleTimeout: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Goal: what is too large is refused, and a request that does not arrive ends.
func TestBounds(t *testing.T) {
	s := open(t, func(o *Options) { o.RequestTimeout = 200 * time.Millisecond })
	large := s.dial()
	_, _ = io.WriteString(large, "GET /liveness HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 64<<10)+"\r\n\r\n") // cut while it is sent
	if text, _ := io.ReadAll(large); len(text) > 0 && !bytes.Contains(text, []byte("431 Request Header Fields Too Large")) {
		t.Errorf("large headers: %s", text)
	}
	if r := s.post("/switchover", `{"to":"`+strings.Repeat("x", maxBody)+`"}`); r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", r.status)
	}
	for what, text := range map[string]string{
		"nothing":        "",
		"half a header":  "GET /liveness HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"half a body":    "POST /switchover HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 100\r\n\r\n{",
		"no HTTP at all": "*1\r\n$4\r\nPING\r\n",
	} {
		c := s.dial()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s held the connection for %s", what, took)
		}
	}
	if got := s.dir.Ordered(); len(got) > 0 {
		t.Errorf("orders were given: %+v", got)
	}
}

// Goal: connections beyond the bound are closed at once, and there is room again
// when others go.
func TestConnectionsAreBounded(t *testing.T) {
	s := open(t, func(o *Options) { o.MaxConnections = 2 })
	first, second := s.dial(), s.dial()
	for _, c := range []net.Conn{first, second} {
		fmt.Fprint(c, "GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if n, err := s.dial().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a third connection is served")
	}
	first.Close()
	for end := time.Now().Add(10 * time.Second); ; {
		if r, err := s.client.Get(s.base + "/liveness"); err == nil {
			r.Body.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatal("the place of a closed connection is not given to another")
		}
	}
}

// Goal: a shutdown ends streams and orders, and leaves nothing.
func TestShutdown(t *testing.T) {
	begun := make(chan struct{})
	s := open(t)
	s.dir.Answer = func(ctx context.Context, _ warden.Command) warden.Answer {
		close(begun)
		<-ctx.Done()
		return warden.Answer{Verdict: warden.VerdictUnknown, Code: "timeout"}
	}
	stream := s.dial()
	fmt.Fprint(stream, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := bufio.NewReader(stream).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	answer := make(chan int, 1)
	go func() {
		r, err := http.NewRequest("POST", s.base+"/switchover", nil)
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+token)
			if a, err := s.client.Do(r); err == nil {
				a.Body.Close()
				answer <- a.StatusCode
				return
			}
		}
		answer <- 0
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if status := <-answer; status != http.StatusGatewayTimeout {
		t.Errorf("the order was answered %d", status)
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l, nil); err == nil {
		t.Error("a server that was shut down serves")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener was not closed: %v", err)
	}
}

// Goal: a client that speaks no TLS is told so, and costs nothing.
func TestPlainTextToTLS(t *testing.T) {
	s := open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /liveness HTTP/1.1\r\nHost: x\r\n\r\n")
	text, _ := io.ReadAll(c)
	if !bytes.Contains(text, []byte("400 Bad Request")) {
		t.Errorf("got %q", text)
	}
}
