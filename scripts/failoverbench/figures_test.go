package main

import (
	"testing"
	"time"
)

// The summary of an even and an odd number of values.
func TestSummary(t *testing.T) {
	even := Series{Values: []float64{10, 2, 9, 1, 8, 3, 7, 4, 6, 5}}.summed()
	if even.Min != 1 || even.Median != 5.5 || even.P90 != 9 || even.Max != 10 {
		t.Errorf("ten values: %+v", even)
	}
	odd := Series{Values: []float64{-5, 100, 0}}.summed()
	if odd.Min != -5 || odd.Median != 0 || odd.P90 != 100 || odd.Max != 100 {
		t.Errorf("three values: %+v", odd)
	}
	if odd.Values[0] != -5 || odd.Values[1] != 100 {
		t.Errorf("the order of the trials was lost: %v", odd.Values)
	}
	if got := ms(1234567 * time.Nanosecond); got != 1.23 {
		t.Errorf("ms: %v", got)
	}
}

// A missed bar is seen, and a share of nothing holds no bar.
func TestBars(t *testing.T) {
	for name, tt := range map[string]struct {
		bar  Bar
		want bool
	}{
		"below":             {below("", 99.9, 100), true},
		"at the limit":      {below("", 100, 100), false},
		"negative":          {below("", -90, 100), true},
		"nothing lost":      {none("", 0), true},
		"one write lost":    {none("", 1), false},
		"small share":       {below("", percent(50, 1000), 10), true},
		"large share":       {below("", percent(500, 1000), 10), false},
		"share of nothing":  {below("", percent(1, 0), 10), false},
		"share of negative": {below("", percent(-90, -10), 10), false},
	} {
		if tt.bar.Holds != tt.want {
			t.Errorf("%s: %+v", name, tt.bar)
		}
		if r := (report{Bars: []Bar{none("", 0), tt.bar}}); r.allHold() != tt.want {
			t.Errorf("%s: the whole run is judged wrongly", name)
		}
	}
}
