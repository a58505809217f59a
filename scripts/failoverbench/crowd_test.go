package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// A crowd is connected to every monitor, hears of a switch, and is missed when
// it does not.
func TestCrowd(t *testing.T) {
	var monitors []string
	told := make(chan struct{})
	for range 2 {
		s, err := server.NewServer("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(s.Register("PING", func(c *server.Peer, _ string, _ []string) { c.WriteInline("PONG") }))
		must(s.Register("PSUBSCRIBE", func(c *server.Peer, _ string, args []string) {
			c.WriteStrings([]string{"psubscribe", args[0], "1"})
			c.Flush()
			<-told
			c.WriteStrings([]string{"pmessage", "*", "+odown", "x"})
			c.WriteStrings([]string{"pmessage", "*", "+switch-master", "x"})
		}))
		monitors = append(monitors, s.Addr().String())
	}
	c, err := gather(monitors, 3, 2)
	defer c.leave()
	if err != nil || len(c.idle) != 6 || len(c.listeners) != 4 {
		t.Fatalf("%d idle and %d listening clients, %v", len(c.idle), len(c.listeners), err)
	}
	if err := c.untouched(); err != nil {
		t.Error(err)
	}
	ctx := within(t, 50*time.Millisecond)
	if err := c.told(ctx); err == nil || !strings.HasPrefix(err.Error(), "0 of 4 subscribers") {
		t.Errorf("before anybody was told: %v", err)
	}
	close(told)
	if err := c.told(within(t, patience)); err != nil {
		t.Error(err)
	}
	c.idle[0].close()
	if err := c.untouched(); err == nil {
		t.Error("a client that was cut is not missed")
	}
}

// The crowd's median must not be beyond what was seen without it.
func TestClientsBar(t *testing.T) {
	alone := Series{Values: []float64{10, 20, 30}}.summed()
	for _, tt := range []struct {
		values []float64
		want   bool
	}{{[]float64{20, 25, 90}, true}, {[]float64{31, 31, 31}, false}} {
		if bar := clientsBar(alone, Series{Values: tt.values}.summed()); bar.Holds != tt.want {
			t.Errorf("%v: %+v", tt.values, bar)
		}
	}
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// The verdict is the first +odown since the fault, and none is no mistake.
func TestVerdictIn(t *testing.T) {
	const log = `{"events":[{"event":"+odown","unix_ms":5},{"event":"+sdown","unix_ms":9},{"event":"+odown","unix_ms":11},{"event":"+odown","unix_ms":12}]}`
	for since, want := range map[int64]int64{1: 5, 6: 11, 11: 11, 12: 12, 13: 0} {
		if got, err := verdictIn(log, since); got != want || err != nil {
			t.Errorf("since %d: %d, %v, want %d", since, got, err, want)
		}
	}
	if _, err := verdictIn(refusal("ERR what?"), 0); err == nil {
		t.Error("an error is taken for a log")
	}
}
