//go:build !unix

package resp

// cpuSeconds is not known here without more dependencies than it is worth.
func cpuSeconds() (system, user float64) { return 0, 0 }
