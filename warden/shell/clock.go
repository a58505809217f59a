package shell

import (
	"time"

	"github.com/spineldb/warden/warden"
)

// origin makes Go's monotonic clock count from the start of the process. It
// lies one second back because the Instant zero means "never".
var origin = time.Now().Add(-time.Second)

// runtimeClock is Go's own monotonic clock as an Instant.
func runtimeClock() warden.Instant { return warden.Instant(time.Since(origin)) }
