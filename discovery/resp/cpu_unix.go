//go:build unix

package resp

import (
	"syscall"
	"time"
)

// cpuSeconds is the CPU time this process has used, in seconds.
func cpuSeconds() (system, user float64) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Stime.Nano()).Seconds(), time.Duration(u.Utime.Nano()).Seconds()
}
