package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

// fakeWarden answers on a RESP port as a Warden does, with what a test gives it.
type fakeWarden struct {
	t    *testing.T
	srv  *server.Server
	addr string

	mu       sync.Mutex
	status   remote.Status
	user     string // who has the password; "" for the default user
	password string
	past     []remote.Event
	reports  []warden.Report
	facts    remote.Facts // its clock is right unless UnixMS is set
	answer   string       // to every order; "" closes the connection instead
	ckquorum string       // an error, or "" for yes
	asked    []string
	subs     []*server.Peer
}

const (
	idA = "aaaaaaaa00000000000000000000000000000001"
	idB = "bbbbbbbb00000000000000000000000000000002"
	idC = "cccccccc00000000000000000000000000000003"
	// oldID in the facts is of a Warden that knows no facts.
	oldID = "old"
)

func startFake(t *testing.T, id string, views ...warden.GroupView) *fakeWarden {
	t.Helper()
	f := &fakeWarden{t: t, answer: `{"verdict":"done","text":"it is so"}`}
	f.listen("127.0.0.1:0")
	f.status = remote.Status{Self: warden.SelfView{ID: warden.WardenID(id), Client: f.addr, Version: "1"}, Groups: views}
	t.Cleanup(func() { f.srv.Close() })
	return f
}

func (f *fakeWarden) listen(addr string) {
	f.t.Helper()
	srv, err := server.NewServer(addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.serve(srv)
}

// serve answers at a server that listens already.
func (f *fakeWarden) serve(srv *server.Server) {
	f.t.Helper()
	f.srv, f.addr = srv, srv.Addr().String()
	commands := map[string]server.Cmd{"AUTH": f.auth, "PING": f.ping, "WARDEN": f.warden, "SENTINEL": f.sentinel, "SUBSCRIBE": f.subscribe}
	for name, command := range commands {
		if err := srv.Register(name, command); err != nil {
			f.t.Fatal(err)
		}
	}
	srv.SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.password == "" || c.ClientName == "in" || cmd == "AUTH" || cmd == "HELLO" {
			return false
		}
		c.WriteError("NOAUTH Authentication required.")
		return true
	})
}

func (f *fakeWarden) auth(c *server.Peer, _ string, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	want := []string{f.password}
	if f.user != "" {
		want = []string{f.user, f.password}
	}
	if slices.Equal(args, want) {
		c.ClientName = "in"
		c.WriteOK()
		return
	}
	c.WriteError("WRONGPASS invalid username-password pair or user is disabled.")
}

func (f *fakeWarden) ping(c *server.Peer, _ string, _ []string) { c.WriteInline("PONG") }

func (f *fakeWarden) warden(c *server.Peer, _ string, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.Join(args, " "))
	switch args[0] {
	case "STATUS":
		f.write(c, f.status)
	case "FACTS":
		facts := f.facts
		if facts.ID == oldID {
			c.WriteError("ERR unknown subcommand 'FACTS'. Try WARDEN HELP.")
			return
		}
		if facts.ID == "" {
			facts.ID, facts.Version = f.status.Self.ID, f.status.Self.Version
		}
		if facts.UnixMS == 0 {
			facts.UnixMS = time.Now().UnixMilli()
		}
		f.write(c, facts)
	case "REPORTS":
		f.writeReports(c, args[2])
	case "EVENTS":
		f.write(c, map[string]any{"events": f.past})
	case "EXPLAIN":
		i := slices.IndexFunc(f.status.Groups, func(g warden.GroupView) bool { return string(g.Name) == args[1] })
		if i < 0 {
			c.WriteError("ERR No such group")
			return
		}
		f.write(c, map[string]any{"group": args[1], "explain": f.status.Groups[i].Explain})
	default:
		if f.answer == "" {
			c.Close()
		} else if strings.HasPrefix(f.answer, "-") {
			c.WriteError(f.answer[1:])
		} else {
			c.WriteBulk(f.answer)
		}
	}
}

func (f *fakeWarden) write(c *server.Peer, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		f.t.Error(err)
	}
	c.WriteBulk(string(data))
}

func (f *fakeWarden) sentinel(c *server.Peer, _ string, _ []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ckquorum != "" {
		c.WriteError(f.ckquorum)
		return
	}
	c.WriteInline("OK 3 usable Wardens")
}

func (f *fakeWarden) subscribe(c *server.Peer, _ string, args []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs = append(f.subs, c)
	c.Block(func(w *server.Writer) {
		w.WriteLen(3)
		w.WriteBulk("subscribe")
		w.WriteBulk(args[0])
		w.WriteInt(1)
	})
}

// happens records an event and tells all subscribers.
func (f *fakeWarden) happens(h remote.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.past = append(f.past, h)
	data, err := json.Marshal(h)
	if err != nil {
		f.t.Error(err)
	}
	for _, c := range f.subs {
		c.Block(func(w *server.Writer) {
			w.WriteLen(3)
			w.WriteBulk("message")
			w.WriteBulk("__warden__:events")
			w.WriteBulk(string(data))
		})
		c.Flush()
	}
}

// restart stops the Warden and starts it again at the same address.
func (f *fakeWarden) restart(while func()) {
	f.srv.Close()
	f.mu.Lock()
	f.subs = nil
	f.mu.Unlock()
	while()
	f.listen(f.addr)
}

func (f *fakeWarden) subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs)
}

// change lets a test change the fake while it runs.
func (f *fakeWarden) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// orders are the questions asked, without STATUS.
func (f *fakeWarden) orders() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, a := range f.asked {
		if a != "STATUS" {
			out = append(out, a)
		}
	}
	return out
}

// outcome is how one run of the command ended.
type outcome struct {
	code      int
	out, errs string
}

// runCommand runs the command as a shell would, without colours.
func runCommand(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := &program{out: &out, errs: &errs}
	code := p.run(ctx, append([]string{"spineldb"}, args...))
	return outcome{code, out.String(), errs.String()}
}

// has checks what a run said and how it ended.
func (o outcome) has(t *testing.T, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d", o.code, code)
	}
	for _, w := range words {
		if !strings.Contains(o.out+o.errs, w) {
			t.Errorf("%q is missing", w)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", o.out, o.errs)
	}
}

// healthyView is a group of three Wardens in good order, as self sees it.
func healthyView(self string, clients map[string]string) warden.GroupView {
	v := warden.GroupView{
		Name: "mymaster", Primary: "10.0.0.1:6379", Agreed: true, Quorum: 2, DownAfter: 30 * warden.Second,
		FailoverTimeout: 3 * warden.Minute, Promise: 3, Explain: []string{"All is well."},
		Topology: warden.Topology{
			Group: "mymaster", Birth: "b1", Version: warden.Version{Epoch: 3, Step: 2}, Phase: warden.PhaseDone,
			Primary: "10.0.0.1:6379", Wardens: []warden.WardenID{idA, idB, idC}, Reason: warden.ReasonFailover,
		},
		Nodes: []warden.NodeView{
			{Node: "10.0.0.1:6379", Primary: true, ObservedAgo: 100 * warden.Millisecond,
				Observation: warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Position: 12345}},
			{Node: "10.0.0.2:6379", ObservedAgo: 200 * warden.Millisecond, Lag: 14,
				Observation: warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, LinkUp: true, Position: 12331}},
			{Node: "[2001:db8::3]:6379", ObservedAgo: -1, Lag: -1},
		},
	}
	for _, id := range []string{idA, idB, idC} {
		if id != self {
			v.Peers = append(v.Peers, warden.PeerView{ID: warden.WardenID(id), Client: clients[id], Listed: true})
		}
	}
	return v
}

// startQuorum starts three fake Wardens that know one another.
func startQuorum(t *testing.T) map[string]*fakeWarden {
	t.Helper()
	fakes, clients := map[string]*fakeWarden{}, map[string]string{}
	for _, id := range []string{idA, idB, idC} {
		fakes[id] = startFake(t, id)
		clients[id] = fakes[id].addr
	}
	for id, f := range fakes {
		f.status.Groups = []warden.GroupView{healthyView(id, clients)}
	}
	return fakes
}

// eventually waits for a condition, long enough for a busy machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// writeReports answers WARDEN REPORTS for a number of them, or one by its ID.
func (f *fakeWarden) writeReports(c *server.Peer, what string) {
	if n, err := strconv.Atoi(what); err == nil {
		f.write(c, map[string]any{"reports": f.reports[max(0, len(f.reports)-n):]})
		return
	}
	i := slices.IndexFunc(f.reports, func(r warden.Report) bool { return r.ID == what })
	if i < 0 {
		c.WriteError("ERR no report '" + what + "' of group 'mymaster' here: another Warden may have it")
		return
	}
	f.write(c, map[string]any{"reports": f.reports[i : i+1]})
}
