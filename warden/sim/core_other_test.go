//go:build !unix

package sim

import (
	"runtime"
	"time"
)

var begun = time.Now()

// coreTime is what all cores together could have done so far: this system does
// not say it better.
func coreTime() time.Duration { return time.Since(begun) * time.Duration(runtime.GOMAXPROCS(0)) }
