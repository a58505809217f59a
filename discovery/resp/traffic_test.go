package resp

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// Goal: a client costs one goroutine, also when it has been answered and told
// of events.
func TestOneGoroutineForEachClient(t *testing.T) {
	s := startServer(t, newFake(), nil)
	before := runtime.NumGoroutine()
	const n = 20
	for i := range n {
		p := dial(t, s)
		p.want("+PONG\r\n", "PING")
		if i%2 == 0 {
			p.ask("PSUBSCRIBE", "*")
		}
	}
	s.Publish(event("+switch-master", "x"))
	eventually(t, "the goroutines to be one for each client", func() bool { return runtime.NumGoroutine() == before+n })
}

// Goal: a client that asks now and then is not idle, however long it has been
// connected, and one that stops asking is.
func TestIdleCountsFromTheLastRequest(t *testing.T) {
	const limit = time.Second
	s := startServer(t, newFake(), func(o *Options) { o.IdleTimeout = limit })
	p := dial(t, s)
	tick := time.NewTicker(limit / 10)
	defer tick.Stop()
	var last time.Time
	for start := time.Now(); time.Since(start) < 2*limit; <-tick.C {
		last = time.Now()
		p.want("+PONG\r\n", "PING")
	}
	p.closed()
	if idle := time.Since(last); idle < limit {
		t.Errorf("it was cut %v after its last request, the limit is %v", idle, limit)
	}
}

// Goal: the deadline of a large answer is none for the small ones after it.
func TestSlowAnswerLeavesNoDeadline(t *testing.T) {
	const limit = 500 * time.Millisecond
	s := startServer(t, newFake(), func(o *Options) { o.WriteTimeout = limit })
	p := dial(t, s)
	big := strings.Repeat("x", 1_000_000)
	const n = 30 // more than both sockets hold
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = p.conn.Write([]byte(strings.Repeat(request("PING", big), n)))
	}()
	eventually(t, "answers to wait in the queue", func() bool { return s.queued.Load() > 4<<20 })
	for i := range n {
		if got := p.frame(); !strings.HasSuffix(got, "x\r\n") {
			t.Fatalf("answer %d is %.40q", i, got)
		}
	}
	<-sent
	over := time.NewTimer(2 * limit)
	defer over.Stop()
	<-over.C
	p.want("+PONG\r\n", "PING")
}
