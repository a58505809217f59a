package resp

import "github.com/spineldb/warden/warden"

// matchGlob reports whether s matches a Redis pattern.
func matchGlob(pattern, s string) bool { return warden.MatchGlob(pattern, s) }
