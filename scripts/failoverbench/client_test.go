package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

const patience = 10 * time.Second

// startMonitor is a monitor that names what name returns.
func startMonitor(t *testing.T, name func() string) string {
	s, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	err = s.Register("SENTINEL", func(c *server.Peer, _ string, args []string) {
		if len(args) != 2 || !strings.EqualFold(args[0], "get-master-addr-by-name") || args[1] != groupName {
			c.WriteError("ERR what?")
			return
		}
		host, port, err := net.SplitHostPort(name())
		if err != nil {
			c.WriteNull()
			return
		}
		c.WriteStrings([]string{host, port})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.Addr().String()
}

// Answers of all kinds are read, nested ones too, and wrong ones refused.
func TestWire(t *testing.T) {
	for in, want := range map[string]any{
		"+OK\r\n":                            "OK",
		":-7\r\n":                            int64(-7),
		"$5\r\na\r\nbc\r\n":                  "a\r\nbc",
		"$-1\r\n":                            nil,
		"*-1\r\n":                            nil,
		"*0\r\n":                             []any{},
		"*3\r\n+a\r\n*1\r\n:1\r\n$0\r\n\r\n": []any{"a", []any{int64(1)}, ""},
		"-READONLY no\r\n":                   refusal("READONLY no"),
		"":                                   io.EOF,
		"*2\r\n+a\r\n":                       io.EOF,
		"$x\r\n":                             errors.New("invalid syntax"),
		"$99999999999\r\n":                   errors.New("too long"),
		"?1\r\n":                             errors.New("unknown kind"),
		"\r\n":                               errors.New("too short"),
	} {
		got, err := answerTo(t, in)
		if wrong, ok := want.(error); ok {
			if err == nil || !strings.Contains(err.Error(), wrong.Error()) {
				t.Errorf("%q: %v, %v, want error %q", in, got, err, wrong)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v, want %#v", in, got, err, want)
		}
	}
}

// answerTo is what the client makes of a server's bytes.
func answerTo(t *testing.T, text string) (any, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		// All of the question is read first, or closing would reset.
		_, _ = io.ReadFull(c, make([]byte, len("*1\r\n$4\r\nPING\r\n")))
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}()
	w, err := dial(l.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	return w.call(patience, "PING")
}

// A client goes on until a server other than the old primary takes a write:
// dead monitors, the old address, none at all and a replica do not count.
func TestSeek(t *testing.T) {
	old, replica := miniredis.RunT(t), miniredis.RunT(t)
	replica.SetError("READONLY You can't write against a read only replica.")
	var asked atomic.Int64
	monitor := startMonitor(t, func() string {
		switch n := asked.Add(1); {
		case n < 5:
			return old.Addr()
		case n < 8:
			return ""
		case n == 20:
			replica.SetError("")
		}
		return replica.Addr()
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := newSeeker([]string{"127.0.0.1:1", monitor})
	defer s.close()
	f, err := s.seek(ctx, old.Addr())
	if err != nil || f.addr != replica.Addr() {
		t.Fatalf("found %+v, %v", f, err)
	}
	if n := asked.Load(); n < 20 {
		t.Errorf("wrote after %d questions, before it could", n)
	}
	if !f.named.Before(f.wrote) {
		t.Errorf("named at %s, wrote at %s", f.named, f.wrote)
	}
}

// Writes that a server no longer has are counted, and nothing else.
func TestLost(t *testing.T) {
	db := miniredis.RunT(t)
	addr := startMonitor(t, func() string { return db.Addr() })
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	wr := &writer{name: "w"}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		wr.run(ctx, []string{addr})
	}()
	for len(db.Keys()) < checkAtOnce+50 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-ended
	if n, err := wr.lost(db.Addr()); n != 0 || err != nil {
		t.Fatalf("%d lost of %d, %v", n, len(wr.acks), err)
	}
	for _, i := range []int{0, 7, checkAtOnce + 3} {
		db.Del(wr.acks[i].key)
	}
	if n, err := wr.lost(db.Addr()); n != 3 || err != nil {
		t.Errorf("%d lost, want 3, %v", n, err)
	}
}

// A writer that is told to move goes, and the other one stays.
func TestWritersMove(t *testing.T) {
	old, fresh := miniredis.RunT(t), miniredis.RunT(t)
	var switched atomic.Bool
	monitors := []string{startMonitor(t, func() string {
		if switched.Load() {
			return fresh.Addr()
		}
		return old.Addr()
	})}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var moved atomic.Pointer[string]
	stays, told := &writer{name: "stays"}, &writer{name: "told", moved: &moved}
	done := make(chan struct{}, 3)
	for _, f := range []func(){
		func() { stays.run(ctx, monitors) }, func() { told.run(ctx, monitors) },
		func() { watch(ctx, monitors, old.Addr(), &moved) },
	} {
		go func() { f(); done <- struct{}{} }()
	}
	for len(old.Keys()) < 20 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	switched.Store(true)
	for len(fresh.Keys()) < 20 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	stop()
	for range 3 {
		<-done
	}
	if told.last(fresh.Addr()).IsZero() || told.last(old.Addr()).After(told.last(fresh.Addr())) {
		t.Error("the writer that was told did not move")
	}
	if !stays.last(fresh.Addr()).IsZero() || stays.last(old.Addr()).Before(told.last(old.Addr())) {
		t.Error("the writer that stays moved")
	}
}

// The gap is the longest one that ends after the order.
func TestGap(t *testing.T) {
	start := time.Now()
	wr := &writer{}
	for i, at := range []int{0, 50, 51, 60, 90, 91} {
		wr.acks = append(wr.acks, ack{key: fmt.Sprint(i), at: start.Add(time.Duration(at) * time.Millisecond), node: "a"})
	}
	for from, want := range map[int]int{-1: 50, 50: 30, 55: 30, 90: 1, 91: 0} {
		if got := wr.gap(start.Add(time.Duration(from) * time.Millisecond)); got != time.Duration(want)*time.Millisecond {
			t.Errorf("gap after %d ms: %s, want %d ms", from, got, want)
		}
	}
}

// The first of the monitors that announces the verdict counts, and silence is
// no verdict.
func TestVerdict(t *testing.T) {
	a, b := miniredis.RunT(t), miniredis.RunT(t)
	v, err := listen([]string{a.Addr(), b.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	if at, err := v.when(); err == nil {
		t.Fatalf("silence was a verdict at %s", at)
	}
	b.Publish("+sdown", "x")
	before := time.Now()
	b.Publish("+odown", "x")
	at, err := v.when()
	if err != nil || at.Before(before) {
		t.Fatalf("%s, %v, want after %s", at, err, before)
	}
}
