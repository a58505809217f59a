package demo

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/cmd/spineldb/exit"
)

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--nope":             "see spineldb demo --help",
		"--engine mysql":     "choose embedded, redis, valkey or postgres",
		"--down-after 1":     "lacks a unit",
		"--down-after 10ms":  "write a time from 100ms to ",
		"--down-after 1h":    "write a time from 100ms to ",
		"node":               "needs ADDRESS STATE-FILE",
		"--plain once again": `"once" was given`,
	} {
		err := Main(t.Context(), strings.Fields(args))
		if exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if err := Main(t.Context(), []string{"--engine", "valkey"}); exit.Code(err) != exit.Refused || !strings.Contains(err.Error(), "no valkey-server in PATH") {
		t.Errorf("without a server: %v", err)
	}
}

// Goal: a lost write is found and told, whatever else was right. An alarm that
// never rang would be worth nothing.
func TestCountsLosses(t *testing.T) {
	server := miniredis.RunT(t)
	w := &writer{store: redisStore{redis.NewClient(&redis.Options{Addr: server.Addr()})}, acked: []int{}, unknown: []int{9001, 9002}}
	defer w.store.close()
	for n := 1; n <= 1200; n++ {
		w.acked = append(w.acked, n)
		if n != 3 && n != 777 { // never arrived
			if err := server.Set(keyOf(n), strconv.Itoa(n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for key, value := range map[string]string{keyOf(1200): "something else", keyOf(9002): "9002"} {
		if err := server.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.count(t.Context())
	if want := (tally{acked: 1200, lost: 3, unknown: 2, arrived: 1}); err != nil || got != want {
		t.Fatalf("counted %+v, %v; want %+v", got, err, want)
	}
	var out strings.Builder
	p := &play{model: newModel("embedded", time.Second, time.Now()), cast: &cast{}, show: &printer{out: &out}, tally: got, counted: true}
	if err := p.close(context.Background(), nil, nil); exit.Code(err) != exit.Refused {
		t.Errorf("a loss ends with %v", err)
	}
	if !strings.HasSuffix(out.String(), "\nacknowledged 1200, lost 3\n") {
		t.Errorf("the end is %q", out.String())
	}
}
