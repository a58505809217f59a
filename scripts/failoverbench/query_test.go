package main

import "testing"

// What redis-benchmark prints is read by the names of its columns, and nothing
// else is taken for a result.
func TestPace(t *testing.T) {
	const names = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"
	p, err := readPace([]byte(names + `"SENTINEL x","123304.56","0.267","0.008","0.239","0.487","0.927","4.527"` + "\n"))
	if want := (pace{rps: 123304.56, p50: 0.239, p99: 0.927}); err != nil || p != want {
		t.Errorf("got %+v, %v", p, err)
	}
	for name, out := range map[string]string{
		"empty":      "",
		"no values":  names,
		"no numbers": names + `"x","a","b","c","d","e","f","g"` + "\n",
		"no speed":   names + `"x","0","1","1","1","1","1","1"` + "\n",
		"old":        `"test","rps"` + "\n" + `"x","1"` + "\n",
		"an error":   "Error from server: NOAUTH\n",
	} {
		if p, err := readPace([]byte(out)); err == nil {
			t.Errorf("%s: got %+v and no error", name, p)
		}
	}
}

// Each round is compared with the other system's of that round.
func TestQueryBars(t *testing.T) {
	they := []pace{{rps: 100, p99: 1}, {rps: 200, p99: 2}, {rps: 300, p99: 3}}
	for name, tt := range map[string]struct {
		we         []pace
		fast, calm bool
	}{
		"the same":             {they, true, true},
		"slower":               {[]pace{{rps: 99, p99: 1}, {rps: 199, p99: 2}, {rps: 500, p99: 3}}, false, true},
		"higher p99":           {[]pace{{rps: 100, p99: 1.1}, {rps: 200, p99: 2.1}, {rps: 300, p99: 1}}, true, false},
		"one bad round counts": {[]pace{{rps: 1, p99: 100}, {rps: 200, p99: 2}, {rps: 300, p99: 3}}, true, true},
	} {
		values := map[string][]pace{ours: tt.we, sentinel: they}
		bars := queryBars(values)
		if len(bars) != 2 || bars[0].Holds != tt.fast || bars[1].Holds != tt.calm {
			t.Errorf("%s: %+v", name, bars)
		}
		if series := querySeries(values); len(series) != 8 || series[0].Values[0] != tt.we[0].rps || series[5].Values[2] != 3000 {
			t.Errorf("%s: %+v", name, series)
		}
	}
}
