//go:build !unix

package postgres

import "net"

// pending cannot be told here; the caller finds out by a short read.
func pending(net.Conn) bool { return true }
