package remote

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

func record(seq, unixMS int64) Event {
	return Event{EventRecord: warden.EventRecord{Seq: seq, UnixMS: unixMS}}
}

// What was told is not told again, also when the numbers begin anew in a new
// process.
func TestProgress(t *testing.T) {
	p := NewProgress(5)
	numbers := func(all []Event) (out []int64) {
		for _, e := range all {
			out = append(out, e.Seq)
		}
		return out
	}
	for _, tt := range []struct {
		told []Event
		want []int64
	}{
		{[]Event{record(7, 100), record(8, 100)}, []int64{7, 8}},
		{[]Event{record(7, 100), record(8, 100), record(9, 100)}, []int64{9}},
		{[]Event{record(9, 100), record(1, 200), record(2, 200)}, []int64{1, 2}},
		{[]Event{record(1, 200)}, nil},
	} {
		if got := numbers(p.fresh(slices.Clone(tt.told))); !slices.Equal(got, tt.want) {
			t.Errorf("of %v were told %v, want %v", tt.told, got, tt.want)
		}
	}
}

// Whoever cannot be reached is named, and the exit code is that of nobody
// having been asked.
func TestNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Target{Servers: []string{addr}, Timeout: 30 * time.Second}.Survey(t.Context())
	if exit.Code(err) != exit.Unreachable || !strings.Contains(err.Error(), addr) {
		t.Errorf("it ended with %v", err)
	}
}

func TestWhy(t *testing.T) {
	for want, err := range map[string]error{
		"no answer in time":  context.DeadlineExceeded,
		"interrupted":        context.Canceled,
		"refused it":         &net.OpError{Op: "dial", Err: errors.New("refused it")},
		"something?[2J else": errors.New("something\x1b[2J else"),
	} {
		if got := Why(err); got != want {
			t.Errorf("%v is worded %q, want %q", err, got, want)
		}
	}
}
