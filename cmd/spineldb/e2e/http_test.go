package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// webToken is what those who change something by HTTP show.
const webToken = "the-token-of-the-tests"

func withWeb(s *settings) { s.web = true }

// webAnswer is an answer by HTTP; status 0: there was none.
type webAnswer struct {
	status int
	body   string
}

// askWeb asks a Warden by HTTP.
func (w *ward) askWeb(ctx context.Context, method, path, body string) webAnswer {
	r, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://%s:%d%s", w.host, w.web, path), strings.NewReader(body))
	if err != nil {
		return webAnswer{body: err.Error()}
	}
	if method == http.MethodPost {
		r.Header.Set("Authorization", "Bearer "+webToken)
	}
	a, err := w.lab.webClient().Do(r)
	if err != nil {
		return webAnswer{body: err.Error()}
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		return webAnswer{body: err.Error()}
	}
	return webAnswer{a.StatusCode, string(text)}
}

// webClient asks Wardens of the lab, wherever they are.
func (l *lab) webClient() *http.Client {
	l.webOnce.Do(func() {
		l.web = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 8}}
		l.t.Cleanup(l.web.CloseIdleConnections)
	})
	return l.web
}

// check is the status of a health check of one node.
func (w *ward) check(ctx context.Context, name string, node warden.NodeID) webAnswer {
	return w.askWeb(ctx, http.MethodGet, "/groups/"+groupName+"/nodes/"+string(node)+"/"+name, "")
}

// yes is one answer that a node is the primary. It holds from when it was asked
// for until it came.
type yes struct {
	by       string
	node     warden.NodeID
	version  warden.Version
	from, to time.Time
}

// onePrimary asks every Warden all the time for every node. The function that it
// returns ends this, fails the test if two nodes were the primary at a time, and
// counts the answers.
func (l *lab) onePrimary(nodes func() []warden.NodeID) (stop func() map[warden.NodeID]int) {
	var mu sync.Mutex
	var all []yes
	ctx, cancel := context.WithCancel(l.t.Context())
	var wg sync.WaitGroup
	for _, w := range l.wardens {
		wg.Go(func() {
			pace := time.NewTicker(25 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				for _, n := range nodes() {
					from := time.Now()
					a := w.check(ctx, "primary", n)
					if a.status != http.StatusOK {
						continue
					}
					y := yes{by: w.name, node: n, from: from, to: time.Now()}
					var body struct{ Version string }
					err := json.Unmarshal([]byte(a.body), &body)
					if n, bad := fmt.Sscanf(body.Version, "%d.%d", &y.version.Epoch, &y.version.Step); err != nil || n != 2 {
						l.t.Errorf("%s: %v, %v", a.body, err, bad)
					}
					mu.Lock()
					all = append(all, y)
					mu.Unlock()
				}
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return func() map[warden.NodeID]int {
		l.t.Helper()
		cancel()
		wg.Wait()
		for _, line := range contradictions(all) {
			l.t.Error(line)
		}
		count := map[warden.NodeID]int{}
		for _, y := range all {
			count[y.node]++
		}
		return count
	}
}

// contradictions are answers that were given although another node had been
// called the primary by a newer agreement.
func contradictions(all []yes) (lines []string) {
	type reign struct {
		node    warden.NodeID
		version warden.Version
	}
	first, last := map[reign]yes{}, map[reign]yes{}
	for _, y := range all {
		r := reign{y.node, y.version}
		if f, ok := first[r]; !ok || y.to.Before(f.to) {
			first[r] = y
		}
		if y.from.After(last[r].from) {
			last[r] = y
		}
	}
	for newer, f := range first {
		for older, e := range last {
			if newer.node != older.node && !older.version.Newer(newer.version) && e.from.After(f.to) {
				lines = append(lines, fmt.Sprintf("at %s %s called %s the primary (%s), and after that, at %s, %s called %s it (%s)",
					f.to.Format("05.000"), f.by, f.node, f.version, e.from.Format("05.000"), e.by, e.node, e.version))
			}
		}
	}
	return lines
}

// Goal: the judge of answers finds two primaries at a time, and nothing where
// one follows the other.
func TestContradictionsAreFound(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	v := func(epoch, step int) warden.Version {
		return warden.Version{Epoch: warden.Epoch(epoch), Step: uint64(step)}
	}
	a1, a2 := yes{"w1", "a:1", v(1, 1), at(1), at(2)}, yes{"w2", "a:1", v(1, 1), at(5), at(6)}
	for name, c := range map[string]struct {
		all  []yes
		want int
	}{
		"one":               {[]yes{a1, a2}, 0},
		"one after another": {[]yes{a1, a2, {"w1", "b:1", v(1, 3), at(7), at(8)}, {"w1", "a:1", v(3, 1), at(9), at(10)}}, 0},
		"asked at a time":   {[]yes{a1, a2, {"w1", "b:1", v(2, 1), at(4), at(7)}}, 0},
		"two at a time":     {[]yes{a1, a2, {"w1", "b:1", v(2, 1), at(3), at(4)}}, 1},
		"in one epoch":      {[]yes{a1, a2, {"w1", "b:1", v(1, 2), at(3), at(4)}}, 1},
		"by one agreement":  {[]yes{a1, a2, {"w1", "b:1", v(1, 1), at(7), at(8)}}, 1},
	} {
		if got := contradictions(c.all); len(got) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func (l *lab) addresses() (out []warden.NodeID) {
	for _, n := range l.nodes {
		out = append(out, n.addr)
	}
	return out
}

// Goal: through a crash and a planned change every Warden names the primary
// and the replicas rightly by HTTP, never two primaries at a time, and the events
// arrive as a stream that can be resumed.
func TestHTTPThroughAFailover(t *testing.T) {
	t.Parallel()
	l := startLab(t, withWeb)
	old := l.nodes[0]
	stop := l.onePrimary(l.addresses)
	settled := func(primary *node) {
		t.Helper()
		for _, w := range l.wardens {
			await(t, w.name+" names "+primary.name+" by HTTP and the others as replicas", func() bool {
				for _, n := range l.nodes {
					asPrimary, asReplica := w.check(t.Context(), "primary", n.addr), w.check(t.Context(), "replica?lag=1MB", n.addr)
					if (asPrimary.status == 200) != (n == primary) || (asReplica.status == 200) == (n == primary) {
						return false
					}
				}
				return w.askWeb(t.Context(), "GET", "/readiness", "").status == 200
			})
		}
	}
	settled(old)
	stream := l.wardens[0].stream(t, "")
	old.process.kill()
	began := time.Now()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	await(t, "a Warden names the new primary by HTTP", func() bool { return l.wardens[0].check(t.Context(), "primary", fresh.addr).status == 200 })
	t.Logf("named by HTTP %s after the kill (down_after %s)", milliseconds(time.Since(began)), downAfter)
	id := stream.awaitEvent("+switch-master")
	old.start()
	settled(fresh)
	l.switchoverByWeb(old)
	settled(old)
	l.wardens[0].stream(t, id).awaitEvent("+switch-master")
	count := stop()
	t.Logf("yes to: %v", count)
	if count[old.addr] == 0 || count[fresh.addr] == 0 {
		t.Errorf("who said yes: %v", count)
	}
	if got := l.wardens[2].askWeb(t.Context(), "GET", "/metrics", ""); got.status != 200 || !strings.Contains(got.body, "warden_group_has_primary") {
		t.Errorf("metrics: %d %.200s", got.status, got.body)
	}
	await(t, "the group is paused by HTTP", func() bool {
		return l.wardens[2].askWeb(t.Context(), http.MethodPost, "/failover/pause", "").status == 200 && l.wardens[2].mustView().Paused
	})
}

// switchoverByWeb orders a planned change until it is done: on a busy machine a
// leader may be lost on the way.
func (l *lab) switchoverByWeb(to *node) {
	l.t.Helper()
	await(l.t, "a switchover by HTTP to "+to.name, func() bool {
		a := l.wardens[1].askWeb(l.t.Context(), http.MethodPost, "/switchover", fmt.Sprintf(`{"to":%q}`, to.addr))
		if a.status != 200 {
			l.t.Logf("a switchover by HTTP: %d %s", a.status, a.body)
		}
		return a.status == 200 || l.wardens[1].served() == to.addr
	})
}

// webStream is a stream of events.
type webStream struct {
	t  *testing.T
	in *bufio.Scanner
}

// stream reads events after an id, "" for those from now on.
func (w *ward) stream(t *testing.T, after string) *webStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/events", w.host, w.web), nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("open a stream of events: %v, %v", a, err)
	}
	t.Cleanup(func() { a.Body.Close() })
	return &webStream{t, bufio.NewScanner(a.Body)}
}

// awaitEvent reads until an event of that name, and returns its id.
func (s *webStream) awaitEvent(name string) (id string) {
	s.t.Helper()
	for s.in.Scan() {
		line := s.in.Text()
		if text, ok := strings.CutPrefix(line, "id: "); ok {
			id = text
		}
		var e happening
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				s.t.Errorf("%s: %v", line, err)
			}
		}
		if e.Event == name {
			return id
		}
	}
	s.t.Fatalf("the stream ended before %s: %v", name, s.in.Err())
	return ""
}

// Goal: the usual address that is taken keeps no Warden from its work, one that
// was asked for does, and says which.
func TestHTTPAddressTaken(t *testing.T) {
	t.Parallel()
	l := startLab(t, withWeb)
	first := l.wardens[0]
	other := l.prepareWarden()
	l.wardens = l.wardens[:3]
	other.web = first.web
	other.write(other.config())
	other.launch()
	if code := other.process.exit(t, patience); code == 0 || !strings.Contains(other.process.tail(5), fmt.Sprintf("open HTTP port %s:%d (key listen under [http])", first.host, first.web)) {
		t.Errorf("exit code %d:\n%s", code, other.process.tail(5))
	}
	var usual []*ward
	for range 2 {
		w := l.prepareWarden()
		w.web = 0 // the usual one
		w.write(w.config())
		w.start()
		usual = append(usual, w)
	}
	warned := 0
	for _, w := range usual {
		if strings.Contains(w.process.tail(100), "no HTTP: another process, perhaps another Warden, uses the usual address") {
			warned++
		}
		w.process.kill()
	}
	if warned == 0 {
		t.Error("no Warden said that the usual address is taken")
	}
	l.wardens = l.wardens[:3]
}
