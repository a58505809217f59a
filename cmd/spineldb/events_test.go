package main

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

// page collects output that another goroutine writes.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func event(seq int64, ms int64, name string) remote.Event {
	return remote.Event{EventRecord: warden.EventRecord{Seq: seq, UnixMS: ms, Event: name, Payload: "master mymaster 10.0.0.1 6379", Level: "warning", Group: "mymaster"}}
}

// names reduces output to who said what.
func names(out string) string {
	var got []string
	for _, m := range regexp.MustCompile(`([a-c])[a-c]{7}  ([+-]\S+)`).FindAllStringSubmatch(out, -1) {
		got = append(got, m[1]+m[2])
	}
	return strings.Join(got, " ")
}

// --once shows the past of all Wardens in the order of time.
func TestEventsOnce(t *testing.T) {
	fakes := startQuorum(t)
	fakes[idA].past = []remote.Event{event(1, 1000, "+one"), event(2, 3000, "+three"), event(3, 3000, "+four")}
	fakes[idB].past = []remote.Event{event(9, 2000, "+two")}
	other := event(10, 4000, "+other")
	other.Group = "another"
	fakes[idB].past = append(fakes[idB].past, other)
	o := runCommand(t, "events", "--once", "-s", fakes[idA].addr)
	o.has(t, exit.Done, "master mymaster 10.0.0.1 6379")
	if got := names(o.out); got != "a+one b+two a+three a+four b+other" {
		t.Errorf("order: %s", got)
	}
	if got := names(runCommand(t, "events", "mymaster", "--once", "-n", "7", "-s", fakes[idA].addr).out); got != "a+one b+two a+three a+four" {
		t.Errorf("of one group: %s", got)
	}
	if got := strings.Join(fakes[idA].orders(), ", "); got != "EVENTS 20, EVENTS 7" {
		t.Errorf("asked %s", got)
	}
	if o = runCommand(t, "events", "--once", "-n", "0", "-s", fakes[idA].addr); o.code != exit.Done || o.out != "" {
		t.Errorf("none: %+v", o)
	}
	fakes[idB].past = append(fakes[idB].past, event(11, time.Now().Add(-time.Minute).UnixMilli(), "+lately"))
	if got := names(runCommand(t, "events", "--once", "--since", "1h", "-s", fakes[idA].addr).out); got != "b+lately" {
		t.Errorf("of the last hour: %s", got)
	}
	runCommand(t, "events", "--once", "--since", "1h", "--last", "5", "-s", fakes[idA].addr).has(t, exit.Usage, "in the place of --last")
	runCommand(t, "events", "nope", "--once", "-s", fakes[idA].addr).has(t, exit.Refused, "there is no group")

	lines := strings.Split(strings.TrimSpace(runCommand(t, "events", "--once", "--json", "-s", fakes[idA].addr).out), "\n")
	var h remote.Event
	if err := json.Unmarshal([]byte(lines[1]), &h); err != nil || h.Event != "+two" || h.Warden != idB || h.Server != fakes[idB].addr {
		t.Errorf("%v: %s", err, lines[1])
	}
}

// Following shows the past once, then what happens anywhere; it survives a
// restarted Warden without losing or repeating an event, and ends with ctx.
func TestEventsFollow(t *testing.T) {
	fakes := startQuorum(t)
	fakes[idA].past = []remote.Event{event(1, 1000, "+past")}
	out, errs := &page{}, &page{}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		p := &program{out: out, errs: errs}
		ended <- p.run(ctx, []string{"spineldb", "events", "-s", fakes[idA].addr})
	}()
	for _, f := range fakes {
		eventually(t, "a subscriber", func() bool { return f.subscribers() == 1 })
	}
	eventually(t, "the past", func() bool { return names(out.String()) == "a+past" })
	fakes[idC].happens(event(1, 2000, "+c"))
	eventually(t, "the event of c", func() bool { return names(out.String()) == "a+past c+c" })
	fakes[idA].happens(event(2, 3000, "+a"))
	eventually(t, "the event of a", func() bool { return strings.HasSuffix(names(out.String()), " a+a") })

	// The numbers begin anew, as they do in a new process.
	fakes[idB].restart(func() {
		fakes[idB].past = []remote.Event{event(1, 4000, "+missed")}
		eventually(t, "a warning", func() bool { return strings.Contains(errs.String(), "events of Warden bbbbbbbb") })
	})
	eventually(t, "what was missed", func() bool { return strings.HasSuffix(names(out.String()), " b+missed") })
	eventually(t, "a new subscriber", func() bool { return fakes[idB].subscribers() == 1 })
	fakes[idB].happens(event(2, 5000, "+b"))
	eventually(t, "the event of b", func() bool { return strings.HasSuffix(names(out.String()), " b+b") })

	cancel()
	select {
	case code := <-ended:
		if code != exit.Done {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("following did not end")
	}
	if got := names(out.String()); got != "a+past c+c a+a b+missed b+b" {
		t.Errorf("in all: %s", got)
	}
}

// Output that nobody reads any more ends the following.
func TestEventsClosedOutput(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, nil))
	f.past = []remote.Event{event(1, 1000, "+past")}
	p := &program{out: closedOutput{}, errs: &page{}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if code := p.run(ctx, []string{"spineldb", "events", "-s", f.addr}); code != exit.Refused || ctx.Err() != nil {
		t.Errorf("exit code %d", code)
	}
}

type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) { return 0, context.Canceled }
