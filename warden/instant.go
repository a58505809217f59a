package warden

import (
	"fmt"
	"strconv"
)

// Instant is a moment on this process's own monotonic clock, in nanoseconds.
// The clock counts suspended time where the system has such a clock
// (CLOCK_BOOTTIME). Instants are never sent, stored or compared across
// processes; Durations may be. Zero means "never".
type Instant int64

// Duration is a span of time in nanoseconds. It is not time.Duration so that
// the core cannot reach for the clock that lives in the same package.
type Duration int64

// Units of Duration.
const (
	Microsecond Duration = 1000
	Millisecond          = 1000 * Microsecond
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
)

// Add is the instant d later.
func (i Instant) Add(d Duration) Instant { return i + Instant(d) }

// Sub is the time from j to i.
func (i Instant) Sub(j Instant) Duration { return Duration(i - j) }

// Milliseconds is the whole number of milliseconds.
func (d Duration) Milliseconds() int64 { return int64(d / Millisecond) }

// String prints a duration the way configuration files write it.
func (d Duration) String() string {
	neg := ""
	if d < 0 {
		neg, d = "-", -d
	}
	switch {
	case d == 0:
		return "0s"
	case d < Millisecond:
		return neg + strconv.FormatInt(int64(d/Microsecond), 10) + "us"
	case d < Second:
		return neg + strconv.FormatInt(int64(d/Millisecond), 10) + "ms"
	case d%Minute == 0:
		return neg + strconv.FormatInt(int64(d/Minute), 10) + "m"
	case d%Second == 0:
		return neg + strconv.FormatInt(int64(d/Second), 10) + "s"
	default:
		return neg + fmt.Sprintf("%d.%03ds", int64(d/Second), int64(d%Second/Millisecond))
	}
}

// String prints an instant as seconds since the clock's origin.
func (i Instant) String() string { return Duration(i).String() }
