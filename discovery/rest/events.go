package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// batch is how many events are sent at once, pause the least time between two
// batches: a failover announces a dozen events within that.
const (
	batch       = 256
	streamPause = 20 * time.Millisecond
)

// bell wakes everybody who waits for it. The zero value is ready.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// next is closed at the next ring.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// Notify tells the readers of events that there is a new one in Options.Log. It
// never blocks on any of them.
func (s *Server) Notify() { s.bell.ring() }

// streamEvents answers GET /events.
func (s *Server) streamEvents(q *request) *answer {
	given, err := q.parameters("group", "since")
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	if s.options.Log == nil {
		return refuse(http.StatusNotImplemented, "no-log", "this Warden keeps no log of events")
	}
	group := warden.GroupName(given["group"])
	if _, named := given["group"]; named {
		if _, known := s.dir.Primary(group); !known {
			return refuse(http.StatusNotFound, "unknown-group", fmt.Sprintf("no group %q here: GET /groups lists them", clip(string(group))))
		}
	}
	from, err := s.resumeAt(q, given)
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return refuse(http.StatusServiceUnavailable, "too-many", fmt.Sprintf("%d readers of events are connected already: try another Warden", s.options.MaxStreams))
	}
	s.stream(q, group, from)
	return nil
}

// resumeAt is the number after which a reader wants the events; by default, and
// for a number that was not given yet, those from now on. Where a reader of an
// earlier process goes on is what Resume says.
//
// It is settled before the reader has an answer: whatever happens after that, he
// gets.
func (s *Server) resumeAt(q *request, given map[string]string) (int64, error) {
	last := q.Header.Get("Last-Event-ID")
	if since, ok := given["since"]; ok {
		last = since
	}
	_, _, newest := s.options.Log(0, 1)
	if last == "" {
		return newest, nil
	}
	process, number, both := strings.Cut(last, "-")
	if !both {
		process, number = s.options.Process, last
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || process == "" {
		return 0, fmt.Errorf("%q is no id of an event: give the id of the last one you have, or 0 for all", clip(last))
	}
	if process != s.options.Process {
		n = max(s.options.Resume(process, n), 0)
	}
	return min(n, newest), nil
}

// stream sends events until the reader is gone or does not take them.
func (s *Server) stream(q *request, group warden.GroupName, from int64) {
	out := http.NewResponseController(q.w)
	h := q.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	q.w.WriteHeader(http.StatusOK)
	_ = out.SetReadDeadline(time.Time{}) // the request is here as a whole
	pause, beat := time.NewTimer(0), time.NewTicker(s.options.StreamBeat)
	defer pause.Stop()
	defer beat.Stop()
	text := []byte("retry: 1000\n\n")
	for {
		if len(text) > 0 {
			if out.SetWriteDeadline(time.Now().Add(s.options.RequestTimeout)) != nil {
				return
			}
			if _, err := q.w.Write(text); err != nil || out.Flush() != nil {
				return
			}
		}
		rung := s.bell.next()
		if text, from = s.eventsAfter(from, group); len(text) == 0 {
			select {
			case <-rung:
			case <-beat.C:
				text = []byte(": still here\n\n")
				continue
			case <-q.Context().Done():
				return
			}
		}
		pause.Reset(streamPause)
		select {
		case <-pause.C:
		case <-q.Context().Done():
			return
		}
		if len(text) == 0 {
			// Only now: what readers cost must not fall into the moment in which this
			// Warden decides.
			text, from = s.eventsAfter(from, group)
		}
	}
}

// eventsAfter are the next events as they are sent, and the number of the last
// one that was looked at.
func (s *Server) eventsAfter(from int64, group warden.GroupName) ([]byte, int64) {
	events, first, _ := s.options.Log(from, batch)
	var b bytes.Buffer
	if missed := first - from - 1; first > 0 && missed > 0 {
		// The id is that of the last one missed: who resumes there misses no more.
		fmt.Fprintf(&b, "id: %s-%d\nevent: gap\ndata: {\"missed\":%d}\n\n", s.options.Process, first-1, missed)
	}
	for _, e := range events {
		from = e.Seq
		if group != "" && e.Group != group {
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			continue // of text and numbers it cannot fail
		}
		fmt.Fprintf(&b, "id: %s-%d\nevent: %s\ndata: %s\n\n", s.options.Process, e.Seq, e.Event, line)
	}
	return b.Bytes(), from
}
