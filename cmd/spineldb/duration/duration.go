// Package duration reads durations as people write them, and waits them out.
package duration

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// Parse reads a duration as people write it: "30s", "1.5s", "3m", "1h 30m",
// "500 ms", "2 minutes". The words are those that SpinelDB's own configuration
// accepts. An error says what is wrong and what to write.
func Parse(text string) (warden.Duration, error) {
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, errors.New(`duration is empty: write one such as "30s"`)
	}
	if rest == "0" {
		return 0, nil
	}
	if rest[0] == '-' {
		return 0, fmt.Errorf("duration %q is negative: leave the minus out", wording.Shown(text))
	}
	total := 0.0
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if digits < 0 {
			return 0, fmt.Errorf("duration %q lacks a unit: write %q or %q", wording.Shown(text), wording.Shown(text)+"s", wording.Shown(text)+"ms")
		}
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, fmt.Errorf("duration %q is not a number with a unit: write one such as \"30s\" or \"3m\"", wording.Shown(text))
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == ' ' || r == '.' })
		if letters < 0 {
			letters = len(rest)
		}
		unit, ok := unit(rest[:letters])
		if !ok {
			return 0, fmt.Errorf("duration %q has an unknown unit %q: use ms, s, m, h or d", wording.Shown(text), wording.Shown(rest[:letters]))
		}
		total += n * float64(unit)
		rest = strings.TrimLeft(rest[letters:], " ")
	}
	// A hundred years and more is a typing mistake, and would overflow.
	if total > math.MaxInt64/4 {
		return 0, fmt.Errorf("duration %q is too long: write a shorter one", wording.Shown(text))
	}
	return warden.Duration(math.Round(total)), nil
}

func unit(word string) (warden.Duration, bool) {
	const hour = 60 * warden.Minute
	switch word {
	case "ns", "nsec", "nanos":
		return 1, true
	case "us", "µs", "usec", "micros":
		return warden.Microsecond, true
	case "ms", "msec", "millis":
		return warden.Millisecond, true
	case "s", "sec", "secs", "second", "seconds":
		return warden.Second, true
	case "m", "min", "mins", "minute", "minutes":
		return warden.Minute, true
	case "h", "hr", "hrs", "hour", "hours":
		return hour, true
	case "d", "day", "days":
		return 24 * hour, true
	}
	return 0, false
}
