package rest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// fakeLog keeps the last events, as the log of a Warden does.
type fakeLog struct {
	mu   sync.Mutex
	all  []warden.EventRecord
	gone int // how many of the first ones are not kept any more
}

func (l *fakeLog) add(group warden.GroupName, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, warden.EventRecord{Seq: int64(len(l.all) + 1), UnixMS: 5, Event: name, Level: warden.LevelWarning, Group: group, Payload: strings.Repeat("p", 900)})
}

func (l *fakeLog) since(seq int64, limit int) (events []warden.EventRecord, first, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := min(max(int(seq), l.gone), len(l.all))
	events = append(events, l.all[from:min(from+limit, len(l.all))]...)
	if len(l.all) > 0 {
		first = int64(l.gone) + 1
	}
	return events, first, int64(len(l.all))
}

// openLog starts a server with a log of its own.
func openLog(t *testing.T, change ...func(*Options)) (*site, *fakeLog) {
	log := &fakeLog{}
	change = append([]func(*Options){func(o *Options) { o.Log, o.Process = log.since, "run2" }}, change...)
	return open(t, change...), log
}

// reader reads a stream of events.
type reader struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
}

func (s *site) listen(path string, header ...string) *reader {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.base+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := (&http.Client{Transport: s.client.Transport}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { a.Body.Close() })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(a.Body)
		s.t.Fatalf("%s: %d %s", path, a.StatusCode, text)
	}
	in := &reader{s.t, a.Body, bufio.NewReader(a.Body)}
	if got := in.next(); got != "retry: 1000" {
		s.t.Fatalf("the stream begins with %q", got)
	}
	return in
}

// next is the next block, up to an empty line.
func (r *reader) next() string {
	r.t.Helper()
	var lines []string
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			r.t.Fatalf("read the stream: %v after %q", err, lines)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, " ")
		}
		lines = append(lines, strings.ReplaceAll(line, strings.Repeat("p", 900), "p"))
	}
}

func (r *reader) want(wanted ...string) {
	r.t.Helper()
	for _, w := range wanted {
		if got := r.next(); !strings.HasPrefix(got, w) {
			r.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// Goal: events arrive as they happen, with ids, from now on or from any id on,
// and each reader gets each of them once and in order.
func TestEvents(t *testing.T) {
	s, log := openLog(t)
	log.add("mymaster", "+sdown")
	log.add("other", "+odown")
	fromNow := s.listen("/events")
	all := s.listen("/events?since=0")
	resumed := s.listen("/events", "Last-Event-ID", "run2-1")
	before := s.listen("/events?since=run1-1")
	filtered := s.listen("/events?group=mymaster&since=0")
	sdown := `id: run2-1 event: +sdown data: {"seq":1,"unix_ms":5,"event":"+sdown","level":"warning","group":"mymaster","payload":"p"}`
	all.want(sdown, "id: run2-2 event: +odown")
	before.want(sdown, "id: run2-2 event: +odown")
	resumed.want("id: run2-2 event: +odown")
	filtered.want(sdown)
	for i := range 300 {
		log.add("mymaster", fmt.Sprintf("+e%d", i))
		s.Notify()
	}
	for _, r := range []*reader{fromNow, all, resumed, before, filtered} {
		for i := range 300 {
			r.want(fmt.Sprintf("id: run2-%d event: +e%d data: ", i+3, i))
		}
	}
}

// Goal: who resumes after events that are not kept any more is told how many
// are missing, and an id that was never given is no reason to wait for it.
func TestGap(t *testing.T) {
	s, log := openLog(t)
	for range 10 {
		log.add("mymaster", "+e")
	}
	log.gone = 6
	s.listen("/events?since=2").want(`id: run2-6 event: gap data: {"missed":4}`, "id: run2-7 event: +e", "id: run2-8")
	s.listen("/events?since=run1-400").want(`id: run2-6 event: gap data: {"missed":6}`, "id: run2-7")
	s.listen("/events?since=6").want("id: run2-7")
	late := s.listen("/events?since=4000")
	log.add("mymaster", "+late")
	s.Notify()
	late.want("id: run2-11 event: +late")
}

// Goal: wherever a reader says that he begins, what happens once he has the head
// of his answer reaches him.
func TestBeginsWithTheAnswer(t *testing.T) {
	for _, path := range []string{"/events", "/events?since=0", "/events?since=4000", "/events?since=run1-400"} {
		var asked, late atomic.Bool
		var log *fakeLog
		s, log := openLog(t, func(o *Options) {
			kept := o.Log
			o.Log = func(since int64, limit int) ([]warden.EventRecord, int64, int64) {
				if asked.Swap(true) && !late.Swap(true) {
					log.add("mymaster", "+late") // after where to begin, before the first look
				}
				return kept(since, limit)
			}
		})
		s.listen(path).want("id: run2-1 event: +late")
	}
}

// Goal: a silent stream shows that it lives.
func TestHeartbeat(t *testing.T) {
	s, _ := openLog(t, func(o *Options) { o.StreamBeat = 20 * time.Millisecond })
	s.listen("/events").want(": still here", ": still here")
}

// Goal: readers are bounded, and a place is free again when one goes. A reader
// who does not read is cut; the others and who announces events do not notice.
func TestSlowReaderIsCut(t *testing.T) {
	s, log := openLog(t, func(o *Options) { o.MaxStreams, o.RequestTimeout = 2, 300*time.Millisecond })
	quick := s.listen("/events")
	slow := s.dial()
	fmt.Fprint(slow, "GET /events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n")
	s.awaitStreams(2)
	if r := s.get("/events"); r.status != 503 || !strings.Contains(r.body, "too-many") {
		t.Errorf("a third reader: %d %s", r.status, r.body)
	}
	const many = 20_000 // 18 MB, more than the kernel takes for a reader
	for range many {
		log.add("mymaster", "+e")
	}
	began := time.Now()
	s.Notify()
	if took := time.Since(began); took > time.Second {
		t.Errorf("Notify took %s", took)
	}
	for i := range many {
		quick.want(fmt.Sprintf("id: run2-%d ", i+1))
	}
	s.awaitStreams(1)
	text, err := io.ReadAll(slow)
	if err == nil && len(text) > many*900 {
		t.Errorf("the slow reader got everything, %d bytes", len(text))
	}
	s.listen("/events")
}

// awaitStreams waits until so many readers are served.
func (s *site) awaitStreams(want int) {
	s.t.Helper()
	poll, end := time.NewTicker(5*time.Millisecond), time.NewTimer(20*time.Second)
	defer poll.Stop()
	defer end.Stop()
	for len(s.streams) != want {
		select {
		case <-poll.C:
		case <-end.C:
			s.t.Fatalf("%d readers are served, want %d", len(s.streams), want)
		}
	}
}

// Goal: without a log there is no stream, and that is said.
func TestNoLog(t *testing.T) {
	s := open(t, func(o *Options) { o.Log = nil })
	if r := s.get("/events"); r.status != 501 || !strings.Contains(r.body, "no-log") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
