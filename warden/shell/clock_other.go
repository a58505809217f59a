//go:build !linux

package shell

import "github.com/spineldb/warden/warden"

// Clock reads Go's monotonic clock; on these systems there is no portable one
// that counts suspended time. A suspended Warden notices it late, by TILT.
func Clock() warden.Instant { return runtimeClock() }
