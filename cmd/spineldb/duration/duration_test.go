package duration

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]warden.Duration{
		"30s": 30e9, "3m": 180e9, "500ms": 500e6, "1h 30m": 5400e9, "1h30m": 5400e9, "2 minutes": 120e9, "0.5s": 500e6,
		"1day": 86400e9, "0s": 0, "0": 0, " 7 us ": 7000, "1m 2s": 62e9,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%q: %d %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "5", "s", "-1s", "1x", "1..2s", "1s-2s", "99999999999d", "1e9s", "NaN s", "1s 2", "٣s"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was read as %s", text, got)
		}
	}
}
