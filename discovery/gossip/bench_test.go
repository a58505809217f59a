//go:build unix

package gossip

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// A question and its answer between two Wardens, as a vote is: twice the way
// from Send to OnMessage. Reports the median and the 99th of a hundred.
func BenchmarkRoundTrip(b *testing.B) { roundTrip(b, nil) }

// The same with encryption.
func BenchmarkRoundTripEncrypted(b *testing.B) { roundTrip(b, [][]byte{key(1)}) }

func roundTrip(b *testing.B, keys [][]byte) {
	back := make(chan struct{}, 1)
	var answer *Gossip
	asked := make(chan struct{}, 1)
	one := quiet(b, 1, keys, nil, func(warden.Message) { back <- struct{}{} })
	two := quiet(b, 2, keys, []string{one.Addr()}, func(warden.Message) { asked <- struct{}{} })
	answer = two
	go func() {
		for range asked {
			answer.Send(testID(1), message(2, "g"))
		}
	}()
	for end := time.Now().Add(patience); !slicesHas(one.Peers(), testID(2)) || !slicesHas(two.Peers(), testID(1)); {
		if time.Now().After(end) {
			b.Fatal("they do not meet")
		}
	}
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		one.Send(testID(2), message(1, "g"))
		<-back
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
}

// quiet starts a Gossip that is not paced, since a benchmark asks for more
// connections than a Warden would.
func quiet(b *testing.B, id int, keys [][]byte, join []string, on func(warden.Message)) *Gossip {
	b.Helper()
	o := Options{Self: testID(id), BindAddr: "127.0.0.1", ClientAddr: "127.0.0.1:1", Keys: keys, OnMessage: on}
	g := newGossip(o)
	g.pause = 0
	if err := g.open(b.Context()); err != nil {
		b.Fatal(err)
	}
	close(g.ready)
	g.tasks.Go(g.takeNotes)
	for _, entry := range join {
		g.tasks.Go(func() { g.keepJoining(entry) })
	}
	b.Cleanup(func() { _ = g.Close(context.Background()) })
	return g
}
