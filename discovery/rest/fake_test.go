package rest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/discovery/directorytest"
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

// newDirectory has one healthy group.
func newDirectory() *directorytest.Directory {
	return &directorytest.Directory{Me: warden.SelfView{ID: wOne, Version: "test"}, Views: []warden.GroupView{calm()}, Answer: obey}
}

// obey answers that a command is done.
func obey(_ context.Context, c warden.Command) warden.Answer {
	a := warden.Answer{Verdict: warden.VerdictDone}
	if c.Wish == warden.WishSettings {
		a.Settings = someSettings(c.Group)
	}
	return a
}

func someSettings(group warden.GroupName) *warden.SettingsView {
	return &warden.SettingsView{Group: group, Revision: 4, Agreed: true, Settings: []warden.SettingView{
		{Name: "quorum", Value: "2", Source: warden.SourceFile}, {Node: nodeB, Name: "nosync", Value: "true", Source: warden.SourceAgreed}}}
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
	dir *directorytest.Directory
	*Server
	base   string
	client *http.Client
}

// open starts a server with a calm group and a token.
func open(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	s := &site{t: t, dir: newDirectory()}
	s.dir.Clock = warden.Instant(3600 * warden.Second)
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
	s.dir.Change(f)
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
