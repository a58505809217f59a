package metrics

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

const (
	idB = warden.WardenID("2222222222222222222222222222222222222222")
	idC = warden.WardenID("3333333333333333333333333333333333333333")
)

// sample is a group with quorum durability in which every kind of figure has a
// value: a primary, a replica that lags, and one that needs a rejoin.
func sample(name warden.GroupName) warden.GroupView {
	return warden.GroupView{
		Name: name, Primary: "10.0.0.1:5432", Agreed: true, HeardAgo: 250 * warden.Millisecond, Quorum: 2,
		DownAfter: 5 * warden.Second, FailoverTimeout: 3 * warden.Minute, Promise: 9, MovedAgo: warden.Minute,
		Topology: warden.Topology{
			Group: name, Birth: "b", Version: warden.Version{Epoch: 8, Step: 3}, Phase: warden.PhaseDone, Primary: "10.0.0.1:5432",
			Wardens: []warden.WardenID{"1111111111111111111111111111111111111111", idB, idC},
			Sync:    []warden.SyncSet{{K: 1, Members: []warden.Member{{Node: "10.0.0.2:5432", Name: "m2"}, {Node: "10.0.0.3:5432", Name: "m3"}}}},
		},
		Nodes: []warden.NodeView{
			{Node: "10.0.0.1:5432", Primary: true, Agreeing: 1, Down: true, ObservedAgo: warden.Second, GoodAgo: warden.Second, Observation: warden.Observation{
				Health: warden.HealthGood, Role: warden.RolePrimary, Position: 1000, Lineage: "L1", Priority: 100}},
			{Node: "10.0.0.2:5432", Lag: 400, Observation: warden.Observation{
				Health: warden.HealthGood, Role: warden.RoleReplica, Position: 600, Lineage: "L1", LinkUp: true, Priority: 100}},
			{Node: "10.0.0.3:5432", Stranded: true, GoodAgo: -1, ObservedAgo: -1, Observation: warden.Observation{
				Health: warden.HealthSilent, Role: warden.RoleReplica, Position: 900, Lineage: "L0", LinkDown: 7 * warden.Second}},
		},
		Peers: []warden.PeerView{
			{ID: idB, Listed: true, HeardAgo: 100 * warden.Millisecond, SaysDown: true, Serves: "10.0.0.2:5432"},
			{ID: idC, Listed: true, HeardAgo: -1, Down: true},
			{ID: "4444444444444444444444444444444444444444", Real: true},
		},
	}
}

// lost is what a log of records tells.
var lost = map[string]func() int64{"events": func() int64 { return 3 }, "reports": func() int64 { return 0 }}

// bench is the metrics of one Warden with a directory.
type bench struct {
	*directorytest.Directory
	*Metrics
	t *testing.T
}

func newBench(t *testing.T, groups ...warden.GroupView) *bench {
	t.Helper()
	d := &directorytest.Directory{Clock: warden.Instant(100 * warden.Second), Views: groups}
	m, err := New(Options{Directory: d, Version: "1.2.3", Lost: lost})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{d, m, t}
}

// text is the answer to a scrape.
func (b *bench) text() string {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		b.t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// series are the values of a scrape, by name and labels as they are printed.
func (b *bench) series() map[string]float64 {
	b.t.Helper()
	found := map[string]float64{}
	for line := range strings.Lines(b.text()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			b.t.Fatalf("line %q: %v", line, err)
		}
		found[line[:i]] = v
	}
	return found
}

// want compares some series; a value below -1 means that there must be none.
func (b *bench) want(want map[string]float64) {
	b.t.Helper()
	have := b.series()
	for name, v := range want {
		got, ok := have[name]
		if v == none && ok {
			b.t.Errorf("%s is %v, want no such series", name, got)
		} else if v != none && (!ok || got != v) {
			b.t.Errorf("%s is %v (there: %v), want %v", name, got, ok, v)
		}
	}
}

const none = -1e9

// names are all metrics of a scrape that are ours.
func (b *bench) names() (found []string) {
	b.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (warden_[a-z_]+) `).FindAllStringSubmatch(b.text(), -1) {
		found = append(found, m[1])
	}
	return found
}
