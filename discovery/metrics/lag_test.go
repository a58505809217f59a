package metrics

import (
	"testing"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

// Goal: the lag in time is that since the primary was seen to have what the
// replica lacks, as of the look at the replica.
func TestLagInSeconds(t *testing.T) {
	b := newBench(t, sample("g"))
	const lag = `warden_node_lag_seconds{group="g",node="10.0.0.2:5432"}`
	at := warden.Instant(1000 * warden.Second)
	scrape := func(after warden.Duration, primary, replica int64, want float64) {
		t.Helper()
		at = at.Add(after)
		b.Set(func(d *directorytest.Directory) {
			g := &d.Views[0]
			g.At = at
			g.Nodes[0].ObservedAgo, g.Nodes[0].Observation.Position = 100*warden.Millisecond, primary
			g.Nodes[1].ObservedAgo, g.Nodes[1].Observation.Position = 300*warden.Millisecond, replica
		})
		b.want(map[string]float64{lag: want})
	}
	scrape(0, 1000, 1000, 0)
	scrape(10*warden.Second, 2000, 1500, 0)    // seen before the primary was seen there
	scrape(10*warden.Second, 3000, 1500, 9.8)  // since the scrape before
	scrape(10*warden.Second, 3000, 1500, 19.8) // the primary writes nothing; the replica still lacks it
	scrape(10*warden.Second, 4000, 3000, 0)    // has all that the primary had when it was looked at
	scrape(10*warden.Second, 4000, 3999, 9.8)
	scrape(10*warden.Second, 4000, 4000, 0)
	scrape(10*warden.Second, 500, 400, 0) // the primary went back: a new track
	b.Set(func(d *directorytest.Directory) { d.Views[0].Nodes[1].Observation.Lineage = "L0" })
	b.want(map[string]float64{lag: none, `warden_node_lag_seconds{group="g",node="10.0.0.1:5432"}`: none})
}

// Goal: what is remembered is bounded; who is behind by more is said to be behind
// by that.
func TestTrackIsBounded(t *testing.T) {
	var track track
	const n = 10_000
	for i := range n {
		track.note("a:1", "L", mark{warden.Instant(i+1) * warden.Instant(warden.Second), int64(i+1) * 10})
	}
	if len(track.marks) > marksMost {
		t.Errorf("%d marks are kept", len(track.marks))
	}
	now := warden.Instant(n) * warden.Instant(warden.Second)
	for lacks, want := range map[int64]float64{1: 0, 50: 49, 200: 199, 9000: marksMost - 1} {
		// The replica has what the primary had so many seconds ago.
		if got := track.behind(now, (n-lacks)*10); got != want {
			t.Errorf("a replica that lacks %d s is said to be %v s behind, want %v", lacks, got, want)
		}
	}
	if got := track.behind(now, n*10); got != 0 {
		t.Errorf("a replica that has everything is said to be %v s behind", got)
	}
}
