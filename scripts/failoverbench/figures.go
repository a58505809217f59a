package main

import (
	"math"
	"slices"
	"time"
)

// Series is what one kind of trial measured, in the order of the trials.
type Series struct {
	Chapter string    `json:"benchmark"`
	Kind    string    `json:"kind"`
	System  string    `json:"system"`
	Unit    string    `json:"unit"`
	Values  []float64 `json:"values"`
	Min     float64   `json:"min"`
	Median  float64   `json:"median"`
	P90     float64   `json:"p90"`
	Max     float64   `json:"max"`
}

// summed fills in the summary.
func (s Series) summed() Series {
	sorted := slices.Sorted(slices.Values(s.Values))
	s.Min, s.Median, s.P90, s.Max = sorted[0], median(sorted), nearest(sorted, 0.9), sorted[len(sorted)-1]
	return s
}

// median of sorted values, not empty.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// nearest is the smallest of the sorted values that a share of them does not
// exceed.
func nearest(sorted []float64, share float64) float64 {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// ms is a duration in milliseconds, to a hundredth.
func ms(d time.Duration) float64 { return math.Round(d.Seconds()*1e5) / 100 }

// Bar is a limit and whether it was kept.
type Bar struct {
	Text  string  `json:"text"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	Holds bool    `json:"holds"`
}

// below is a bar that holds if value is less than limit.
func below(text string, value, limit float64) Bar {
	return Bar{Text: text, Value: value, Limit: limit, Holds: value < limit}
}

// none is a bar that holds if value is zero.
func none(text string, value float64) Bar {
	return Bar{Text: text, Value: value, Holds: value == 0}
}

// percent is part in per cent of whole; 100 where the whole is nothing, of
// which no part can be small.
func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 100
	}
	return 100 * part / whole
}

// atLeast and atMost are bars that hold at the limit too.
func atLeast(text string, value, limit float64) Bar {
	return Bar{Text: text, Value: value, Limit: limit, Holds: value >= limit}
}

func atMost(text string, value, limit float64) Bar {
	return Bar{Text: text, Value: value, Limit: limit, Holds: value <= limit}
}
