package shell

import (
	"golang.org/x/sys/unix"

	"github.com/spineldb/warden/warden"
)

// Clock reads CLOCK_BOOTTIME. Go's own monotonic clock stands still while the
// machine is suspended, so a leader that slept through its lease would believe
// it still had it (promise S6).
func Clock() warden.Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// Kernels before 2.6.39 only. Two clocks must never be mixed, so this
		// branch is taken always or never.
		return runtimeClock()
	}
	return warden.Instant(ts.Nano())
}
