package main

import "testing"

func TestSoakBarsSeeGrowthAndForgiveJumps(t *testing.T) {
	calm, leak := []sample{}, []sample{}
	for i := range 30 {
		s := sample{goroutines: 100 + float64(i%3)*5, files: 100, memory: 30, disk: 0.1}
		calm = append(calm, s)
		s.files += float64(i) * 2 // from about 109 to about 149
		leak = append(leak, s)
	}
	for i, bar := range soakBars([][]sample{calm, leak}) {
		if want := i != 6; bar.Holds != want {
			t.Errorf("%d: %+v, want %v", i, bar, want)
		}
	}
	if bars := soakBars([][]sample{calm[:2]}); len(bars) != 1 || bars[0].Holds {
		t.Errorf("two samples are judged: %+v", bars)
	}
}
