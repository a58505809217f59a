package resp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

func event(name, payload string) warden.Event {
	return warden.Event{Name: name, Level: warden.LevelWarning, Group: "mymaster", Payload: payload}
}

// Goal: deliveries have the exact bytes of each protocol, for channels and
// patterns, in the order of publishing.
func TestDelivery(t *testing.T) {
	s := startServer(t, newFake(), nil)
	old, fresh := dial(t, s), dial(t, s)
	fresh.ask("HELLO", "3")
	old.want("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n", "SUBSCRIBE", "+switch-master")
	old.want("*3\r\n$10\r\npsubscribe\r\n$9\r\n[-+]sdown\r\n:2\r\n", "PSUBSCRIBE", "[-+]sdown")
	fresh.want(">3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n", "SUBSCRIBE", "+switch-master")
	fresh.want(">3\r\n$10\r\npsubscribe\r\n$9\r\n[-+]sdown\r\n:2\r\n", "PSUBSCRIBE", "[-+]sdown")

	s.Publish(event("+sdown", "master mymaster 10.0.0.1 6379"))
	s.Publish(warden.Event{Name: "-sdown", Level: warden.LevelDebug, Payload: "not for you"})
	s.Publish(event("+odown", "nobody listens"))
	s.Publish(event("+switch-master", "mymaster 10.0.0.1 6379 10.0.0.2 6379"))
	s.Publish(event("-sdown", "two\r\nlines"))

	for _, c := range []struct {
		p    *peer
		kind string
	}{{old, "*"}, {fresh, ">"}} {
		for _, want := range []string{
			"4\r\n$8\r\npmessage\r\n$9\r\n[-+]sdown\r\n$6\r\n+sdown\r\n$29\r\nmaster mymaster 10.0.0.1 6379\r\n",
			"3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$36\r\nmymaster 10.0.0.1 6379 10.0.0.2 6379\r\n",
			"4\r\n$8\r\npmessage\r\n$9\r\n[-+]sdown\r\n$6\r\n-sdown\r\n$10\r\ntwo  lines\r\n",
		} {
			if got := c.p.frame(); got != c.kind+want {
				t.Errorf("got  %q\nwant %q", got, c.kind+want)
			}
		}
	}
	// RESP3 has no subscribe mode, RESP2 has.
	fresh.want("_\r\n", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "nobody")
	if got := old.ask("SENTINEL", "MASTERS"); !strings.HasPrefix(got, "-ERR Can't execute 'sentinel|masters'") {
		t.Errorf("got %q", got)
	}
	old.want("*2\r\n$4\r\npong\r\n$1\r\nx\r\n", "PING", "x")
}

// Goal: UNSUBSCRIBE without names leaves everything, one confirmation each,
// and nothing is delivered after it.
func TestUnsubscribeAll(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	p.send(request("SUBSCRIBE", "a", "b"))
	p.frame()
	p.frame()
	p.send(request("UNSUBSCRIBE"))
	first, second := p.frame(), p.frame()
	if !strings.HasSuffix(first, ":1\r\n") || !strings.HasSuffix(second, ":0\r\n") || first[:30] == second[:30] {
		t.Errorf("got %q, %q", first, second)
	}
	s.Publish(event("a", "x"))
	p.want("+PONG\r\n", "PING")
	if clients, channels, patterns := s.hub.counts(); clients+channels+patterns != 0 {
		t.Errorf("%d clients, %d channels, %d patterns are left", clients, channels, patterns)
	}
}

// Goal: subscriptions are bounded, and refused ones leave nothing behind.
func TestTooManySubscriptions(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	names := []string{"SUBSCRIBE"}
	for i := range 1000 {
		names = append(names, fmt.Sprint(i))
	}
	p.send(request(names...))
	for range 1000 {
		p.frame()
	}
	for i := range names[1:] {
		names[i+1] += "x"
	}
	if got := p.ask(names...); !strings.HasPrefix(got, "-ERR more than 1024 subscriptions") {
		t.Errorf("got %q", got)
	}
	if got := p.ask("SUBSCRIBE", strings.Repeat("x", 2000)); !strings.HasPrefix(got, "-ERR channel name") {
		t.Errorf("got %q", got)
	}
	if _, channels, _ := s.hub.counts(); channels != 1000 {
		t.Errorf("%d channels", channels)
	}
}

// Goal: the events channel tells everything as JSON, and patterns do not see it
// a second time.
func TestEventsChannel(t *testing.T) {
	s := startServer(t, newFake(), nil)
	tail, all := dial(t, s), dial(t, s)
	tail.ask("SUBSCRIBE", EventsChannel)
	all.ask("PSUBSCRIBE", "*")
	s.Publish(event("+sdown", `a "quoted" payload`))
	s.Publish(event("-sdown", "b"))
	for seq, want := range []string{"+sdown", "-sdown"} {
		raw := tail.frame()
		var r warden.EventRecord
		if err := json.Unmarshal([]byte(raw[strings.LastIndex(raw[:len(raw)-2], "\n")+1:]), &r); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if r.Seq != int64(seq+1) || r.Event != want || r.Group != "mymaster" || r.Level != warden.LevelWarning || r.UnixMS == 0 || r.Payload == "" {
			t.Errorf("got %+v", r)
		}
		if got := all.frame(); !strings.Contains(got, want) {
			t.Errorf("got %q, want one %s", got, want)
		}
	}
	all.want("*2\r\n$4\r\npong\r\n$0\r\n\r\n", "PING")
}

// Goal: the history keeps the newest 4,096, by number and without gaps.
func TestEventHistory(t *testing.T) {
	s := startServer(t, newFake(), nil)
	p := dial(t, s)
	var log EventLog
	p.json(&log, "WARDEN", "EVENTS", "SINCE", "5")
	if len(log.Events) != 0 || log.First != 0 || log.Last != 0 {
		t.Errorf("an empty history: %+v", log)
	}
	const n = 4096 + 100
	for i := range n {
		s.Publish(event("+e", fmt.Sprint(i+1)))
	}
	check := func(from, to int, words ...string) {
		t.Helper()
		var log EventLog
		p.json(&log, append([]string{"WARDEN", "EVENTS"}, words...)...)
		if log.First != 101 || log.Last != n || len(log.Events) != max(to-from+1, 0) {
			t.Fatalf("%q: %d events, %d to %d", words, len(log.Events), log.First, log.Last)
		}
		for i, e := range log.Events {
			if e.Seq != int64(from+i) || e.Payload != fmt.Sprint(from+i) {
				t.Fatalf("%q: event %d is %+v", words, i, e)
			}
		}
	}
	check(n-defaultEvents+1, n)
	check(n-2, n, "3")
	check(101, n, "99999")
	check(101, n, "since", "0")
	check(101, n, "SINCE", "50")
	check(n, n, "SINCE", fmt.Sprint(n-1))
	check(1, 0, "SINCE", fmt.Sprint(n))
	check(1, 0, "SINCE", "9223372036854775807")
	check(201, 202, "SINCE", "200", "2")
	for _, words := range [][]string{{"x"}, {"0"}, {"-1"}, {"SINCE"}, {"SINCE", "x"}, {"SINCE", "-1"}, {"1", "2"}, {"SINCE", "1", "2", "3"}} {
		if got := p.ask(append([]string{"WARDEN", "EVENTS"}, words...)...); !strings.HasPrefix(got, "-ERR ") {
			t.Errorf("%q: got %q", words, got)
		}
	}
}

// Goal: publishers, subscribers that come and go, and requests at the same time
// do not disturb each other; each subscriber sees one order without gaps.
func TestConcurrentPublishing(t *testing.T) {
	s := startServer(t, newFake(), nil)
	tail := dial(t, s)
	tail.ask("SUBSCRIBE", EventsChannel)
	const publishers, each = 4, 300
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for i := range each {
				s.Publish(event("+sdown", fmt.Sprint(i)))
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			p := dial(t, s)
			p.ask("HELLO", "3")
			for range 50 {
				p.send(request("PSUBSCRIBE", "*") + request("PUNSUBSCRIBE", "*") + request("SENTINEL", "MYID"))
				for !strings.Contains(p.frame(), idSelf) {
				}
			}
			_ = p.conn.Close()
		})
	}
	for i := range publishers * each {
		if raw := tail.frame(); !strings.Contains(raw, fmt.Sprintf(`{"seq":%d,`, i+1)) {
			t.Fatalf("event %d is %q", i+1, raw)
		}
	}
	wg.Wait()
}

// Goal: a crowd gets events together, at the latest with the event that clients
// wait for, and a few subscribers get each at once. Nothing is lost or reordered.
func TestCrowdGetsEventsTogether(t *testing.T) {
	s := startServer(t, newFake(), nil)
	s.hub.patience = time.Hour
	var crowd []*peer
	told := func(want ...string) {
		t.Helper()
		for i, p := range crowd {
			for _, payload := range want {
				if got := p.frame(); !strings.Contains(got, "\r\n"+payload+"\r\n") {
					t.Fatalf("subscriber %d got %q, want %q", i, got, payload)
				}
			}
		}
	}
	join := func() {
		p := dial(t, s)
		p.ask("PSUBSCRIBE", "*")
		crowd = append(crowd, p)
	}
	for range fewSubscribers {
		join()
	}
	s.Publish(event("+sdown", "first"))
	told("first")
	join()
	waiting := func() (due int, gathers bool) {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		return len(s.hub.due), s.hub.gather != nil
	}
	s.Publish(event("+sdown", "second"))
	s.Publish(event("+odown", "third"))
	if due, gathers := waiting(); due != len(crowd) || !gathers {
		t.Errorf("events wait for %d subscribers, a time is set: %v", due, gathers)
	}
	// An answer comes after what was published before it.
	crowd[0].send(request("PING"))
	if got := crowd[0].frame() + crowd[0].frame() + crowd[0].frame(); !strings.HasSuffix(got, "$4\r\npong\r\n$0\r\n\r\n") {
		t.Errorf("got %q", got)
	}
	s.Publish(event(urgent, "fourth"))
	if got := crowd[0].frame(); !strings.Contains(got, "fourth") {
		t.Errorf("got %q", got)
	}
	all := crowd
	crowd = crowd[1:]
	told("second", "third", "fourth")
	crowd = all
	if due, gathers := waiting(); due != 0 || gathers {
		t.Errorf("events wait still for %d subscribers, a time is set: %v", due, gathers)
	}
	s.hub.mu.Lock()
	s.hub.patience = time.Millisecond
	s.hub.mu.Unlock()
	s.Publish(event("+sdown", "fifth"))
	told("fifth")
}

// Goal: a shutdown sends what was gathered, and leaves no timer.
func TestShutdownSendsGatheredEvents(t *testing.T) {
	s := startServer(t, newFake(), nil)
	s.hub.patience = time.Hour
	var crowd []*peer
	for range fewSubscribers + 1 {
		p := dial(t, s)
		p.ask("PSUBSCRIBE", "*")
		crowd = append(crowd, p)
	}
	s.Publish(event("+sdown", "last"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for i, p := range crowd {
		if got := p.frame(); !strings.Contains(got, "last") {
			t.Errorf("subscriber %d got %q", i, got)
		}
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if len(s.hub.due) != 0 || s.hub.gather != nil {
		t.Errorf("events wait for %d subscribers after the end", len(s.hub.due))
	}
}
