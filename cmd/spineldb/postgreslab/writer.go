package postgreslab

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// Client is the role of ordinary clients, whose sessions Wardens may end.
const Client = "app"

// Table is the SQL for the role of clients and the table that writers write to.
const Table = "CREATE ROLE " + Client + " LOGIN;\nCREATE TABLE records (id bigint);\nGRANT ALL ON records TO PUBLIC;\n"

// WriterOptions say how a writer behaves.
type WriterOptions struct {
	// Where tells the address of the primary. It is asked whenever there is
	// no connection.
	Where func(ctx context.Context) (warden.NodeID, error)
	// Moved, if given, is asked before each write whether the connection to the
	// given address is to be left, as a client that is told of changes does.
	Moved func(addr warden.NodeID) bool
	// Pace is the time between two writes, and before another attempt.
	Pace time.Duration
	// Patience is how long it waits for the answer to one write, or to open a
	// connection. Then the connection is closed and it asks anew.
	Patience time.Duration
	Role     string
	// First is the first number (default 1).
	First int
	Dial  Dial // nil: the usual way
}

// Ack is one acknowledged write.
type Ack struct {
	Number int
	Sent   time.Time
	At     time.Time
	Node   warden.NodeID
}

// Writer writes one number after the other, never one twice, and remembers
// which were acknowledged. Safe for concurrent use.
type Writer struct {
	options WriterOptions
	stop    context.CancelFunc
	done    chan struct{}

	mu   sync.Mutex
	acks []Ack
	errs map[string]int
}

// Write starts a writer. It runs until Stop.
func Write(o WriterOptions) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{options: o, stop: cancel, done: make(chan struct{}), errs: map[string]int{}}
	w.options.First = max(o.First, 1)
	go w.run(ctx)
	return w
}

// Stop ends the writer after the write under way, and returns all that was
// acknowledged. Safe to call twice.
func (w *Writer) Stop() []Ack {
	w.stop()
	<-w.done
	return w.Acks()
}

// Acks are the acknowledged writes so far, in their order.
func (w *Writer) Acks() []Ack {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acks[:len(w.acks):len(w.acks)]
}

// Errors counts the errors by kind: a SQLSTATE, or "connection".
func (w *Writer) Errors() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]int{}
	for k, v := range w.errs {
		out[k] = v
	}
	return out
}

func (w *Writer) run(ctx context.Context) {
	defer close(w.done)
	beat := time.NewTicker(w.options.Pace)
	defer beat.Stop()
	var s *Session
	defer func() { s.Close() }()
	for n := w.options.First; ; n++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		if s != nil && w.options.Moved != nil && w.options.Moved(s.Addr) {
			s.Close()
			s = nil
		}
		if s == nil {
			s = w.connect(ctx)
		}
		if s != nil && !w.write(s, n) {
			s.Close()
			s = nil
		}
	}
}

func (w *Writer) connect(ctx context.Context) *Session {
	// What was begun is finished, so that the end comes between two writes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.options.Patience)
	defer cancel()
	addr, err := w.options.Where(ctx)
	if err != nil || addr == "" {
		return nil
	}
	s, err := ConnectBy(ctx, w.options.Dial, addr, w.options.Role, "writer")
	if err != nil {
		w.count(err)
		return nil
	}
	return s
}

// write writes one number and reports whether the session is still good.
func (w *Writer) write(s *Session, n int) bool {
	sent := time.Now()
	_, err := s.Within(w.options.Patience, "INSERT INTO records VALUES ("+strconv.Itoa(n)+")")
	at := time.Now()
	if err != nil {
		w.count(err)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acks = append(w.acks, Ack{n, sent, at, s.Addr})
	return true
}

func (w *Writer) count(err error) {
	kind := State(err)
	if kind == "" {
		kind = "connection"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs[kind]++
}

// Records are all numbers that a server has.
func Records(ctx context.Context, dial Dial, addr warden.NodeID) (map[int]bool, error) {
	s, err := ConnectBy(ctx, dial, addr, Superuser, "count")
	if err != nil {
		return nil, err
	}
	defer s.Close()
	rows, err := s.Query(ctx, "SELECT id FROM records")
	if err != nil {
		return nil, fmt.Errorf("list the records of %s: %w", addr, err)
	}
	have := make(map[int]bool, len(rows))
	for _, r := range rows {
		n, err := strconv.Atoi(r)
		if err != nil {
			return nil, fmt.Errorf("list the records of %s: %w", addr, err)
		}
		have[n] = true
	}
	return have, nil
}

// Lost are the acknowledged writes that a server does not have.
func Lost(ctx context.Context, dial Dial, acks []Ack, addr warden.NodeID) ([]int, error) {
	have, err := Records(ctx, dial, addr)
	var out []int
	for _, a := range acks {
		if err == nil && !have[a.Number] {
			out = append(out, a.Number)
		}
	}
	return out, err
}
