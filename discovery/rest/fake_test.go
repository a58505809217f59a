package rest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	nodeA = "10.0.0.1:6379" // the primary
	nodeB = "10.0.0.2:6379"
	nodeC = "10.0.0.3:6379"
	wOne  = "1111111111111111111111111111111111111111"
	wTwo  = "2222222222222222222222222222222222222222"
	wTri  = "3333333333333333333333333333333333333333"
	token = "a-token-of-the-operators"

	reportID = "7-11111111"
)

// fakeDirectory is a Directory whose answers a test sets.
type fakeDirectory struct {
	mu       sync.Mutex
	now      warden.Instant
	views    []warden.GroupView
	commands []warden.Command
	answer   func(context.Context, warden.Command) warden.Answer
	made     int // views
}

func (d *fakeDirectory) Now() warden.Instant {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *fakeDirectory) Self() warden.SelfView { return warden.SelfView{ID: wOne, Version: "test"} }

func (d *fakeDirectory) Groups() (names []warden.GroupName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.views {
		names = append(names, v.Name)
	}
	return names
}

func (d *fakeDirectory) find(name warden.GroupName) (warden.GroupView, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.views {
		if v.Name == name {
			v.Nodes, v.Peers = slices.Clone(v.Nodes), slices.Clone(v.Peers)
			return v, true
		}
	}
	return warden.GroupView{}, false
}

func (d *fakeDirectory) Primary(name warden.GroupName) (warden.NodeID, bool) {
	v, ok := d.find(name)
	return v.Primary, ok
}

func (d *fakeDirectory) Group(name warden.GroupName) (warden.GroupView, bool) {
	v, ok := d.find(name)
	d.mu.Lock()
	d.made++
	d.mu.Unlock()
	return v, ok
}

func (d *fakeDirectory) Command(ctx context.Context, c warden.Command) warden.Answer {
	d.mu.Lock()
	d.commands = append(d.commands, c)
	answer := d.answer
	d.mu.Unlock()
	switch {
	case answer == nil && c.Wish == warden.WishSettings:
		return warden.Answer{Verdict: warden.VerdictDone, Settings: someSettings(c.Group)}
	case answer == nil:
		return warden.Answer{Verdict: warden.VerdictDone}
	}
	return answer(ctx, c)
}

func someSettings(group warden.GroupName) *warden.SettingsView {
	return &warden.SettingsView{Group: group, Revision: 4, Agreed: true, Settings: []warden.SettingView{
		{Name: "quorum", Value: "2", Source: warden.SourceFile}, {Node: nodeB, Name: "nosync", Value: "true", Source: warden.SourceAgreed}}}
}

func (d *fakeDirectory) change(f func(*warden.GroupView)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.views[0])
}

func (d *fakeDirectory) ordered() []warden.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.commands)
}

// calm is a healthy group: A is the primary since a failover from B long ago, B
// and C follow it, and all three Wardens agree.
func calm() warden.GroupView {
	second := warden.Second
	node := func(id warden.NodeID, role warden.Role, position int64) warden.NodeView {
		n := warden.NodeView{
			Node: id, Primary: role == warden.RolePrimary, GoodAgo: second / 2, AnsweredAgo: second / 2, ObservedAgo: second / 2,
			Observation: warden.Observation{Health: warden.HealthGood, Role: role, Lineage: "line", Position: position, Priority: 100},
		}
		if role == warden.RoleReplica {
			n.Observation.Upstream, n.Observation.LinkUp = nodeA, true
		}
		return n
	}
	peer := func(id warden.WardenID) warden.PeerView {
		return warden.PeerView{ID: id, Listed: true, HeardAgo: second, Serves: nodeA}
	}
	return warden.GroupView{
		Name: "mymaster", Primary: nodeA, Agreed: true, HeardAgo: second, StaleAfter: 6 * second, MovedAgo: 3600 * second,
		Quorum: 2, DownAfter: 5 * second, FailoverTimeout: 60 * second,
		Topology: warden.Topology{
			Group: "mymaster", Birth: "b", Version: warden.Version{Epoch: 7, Step: 2}, Phase: warden.PhaseDone,
			Primary: nodeA, Previous: nodeB, Wardens: []warden.WardenID{wOne, wTwo, wTri},
		},
		Nodes: []warden.NodeView{node(nodeA, warden.RolePrimary, 5000), node(nodeB, warden.RoleReplica, 4000), node(nodeC, warden.RoleReplica, 5000)},
		Peers: []warden.PeerView{peer(wTwo), peer(wTri)},
	}
}

// guess stands for the guess that the command line makes as well: the wrong
// words of these tests.
func guess(word string, known []string) string {
	meant := map[string]string{"too": "to", "To": "to", "failover_pause": "failover_paused", "primry": "primary", "nod": "node", "nosink": "nosync"}[word]
	if slices.Contains(known, meant) {
		return meant
	}
	return ""
}

// site is a server under test.
type site struct {
	t   *testing.T
	dir *fakeDirectory
	*Server
	base   string
	client *http.Client
}

// open starts a server with a calm group and a token.
func open(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	s := &site{t: t, dir: &fakeDirectory{now: warden.Instant(3600 * warden.Second), views: []warden.GroupView{calm()}}}
	o := Options{Directory: s.dir, Token: token, Nearest: guess, Log: func(int64, int) ([]warden.EventRecord, int64, int64) { return nil, 0, 0 }, Reports: someReports}
	for _, f := range change {
		f(&o)
	}
	var err error
	if s.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(l, nil); err != nil {
		t.Fatal(err)
	}
	s.base, s.client = "http://"+l.Addr().String(), &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// view changes the group and makes the server look at it anew.
func (s *site) view(f func(*warden.GroupView)) {
	s.dir.change(f)
	s.scenes.Clear()
}

// reply is an answer as it came.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *site) ask(method, path, body string, header ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := s.client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{a.StatusCode, a.Header, string(text)}
}

func (s *site) get(path string) reply { s.t.Helper(); return s.ask("GET", path, "") }

// post gives an order with the token.
func (s *site) post(path, body string) reply {
	s.t.Helper()
	return s.ask("POST", path, body, "Authorization", "Bearer "+token, "Content-Type", "application/json")
}

// decode reads a JSON answer.
func decode[T any](t *testing.T, r reply) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &out); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return out
}
