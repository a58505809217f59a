package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// eventReader reads the stream of events from an id on.
type eventReader struct {
	t  *testing.T
	in *bufio.Scanner
	// id and event are of the last one that was read.
	id, event string
}

func readEvents(t *testing.T, port int, last string) *eventReader {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/events", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Last-Event-ID", last)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	a, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Body.Close()
		client.CloseIdleConnections()
	})
	return &eventReader{t: t, in: bufio.NewScanner(a.Body)}
}

// next reads events up to one that is about something.
func (r *eventReader) next(about string) (skipped []string) {
	r.t.Helper()
	for r.in.Scan() {
		name, text, _ := strings.Cut(r.in.Text(), ": ")
		switch name {
		case "id":
			r.id = text
		case "event":
			r.event = text
		case "data":
			if strings.Contains(text, about) {
				return skipped
			}
			skipped = append(skipped, r.event+" "+text)
		}
	}
	r.t.Fatalf("the stream ended before %q came: %v", about, r.in.Err())
	return nil
}

// Goal: the numbers of events go on after a restart, WARDEN EVENTS tells those of
// before, and a reader with the id of an event gets what came after it: also where
// the last events of the earlier run were told and never reached the disk.
func TestEventsGoOnAfterARestart(t *testing.T) {
	dir, c := t.TempDir(), webConfig(t)
	d := startTestDaemonIn(t, dir, nil)
	if err := d.serveHTTP(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "three"} {
		d.steward.tell("+set", "m", "127.0.0.1:1", name)
	}
	first := readEvents(t, c.Port, "0")
	first.next("two")
	two := first.id
	first.next("three")
	process, _, _ := strings.Cut(first.id, "-")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	last := d.server.Kept(0, 1).Last

	next := startTestDaemonIn(t, dir, nil)
	if err := next.serveHTTP(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	next.steward.tell("+set", "m", "127.0.0.1:1", "four")
	r := readEvents(t, c.Port, two)
	if skipped := r.next("three"); len(skipped) > 0 {
		t.Errorf("after %s came %q", two, skipped)
	}
	r.next("four")
	if r.id == "" || strings.HasPrefix(r.id, process+"-") {
		t.Errorf("the id %s is one of the earlier run", r.id)
	}
	for _, id := range []string{fmt.Sprintf("%s-%d", process, last), fmt.Sprintf("%s-%d", process, last+100)} {
		for _, text := range readEvents(t, c.Port, id).next("four") {
			if strings.Contains(text, "three") || strings.HasPrefix(text, "gap") {
				t.Errorf("after %s came %s", id, text)
			}
		}
	}
	log := next.server.Kept(0, 10_000)
	if log.First != 1 || log.Last <= last || len(log.Events) != int(log.Last) {
		t.Errorf("%d events, %d to %d, after %d before the restart", len(log.Events), log.First, log.Last, last)
	}
	for i, e := range log.Events {
		if e.Seq != int64(i+1) {
			t.Fatalf("event %d has the number %d", i+1, e.Seq)
		}
	}
}
