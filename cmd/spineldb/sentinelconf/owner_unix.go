//go:build unix

package sentinelconf

import (
	"os"
	"syscall"
)

// keepOwner gives a file the owner of another one, as far as that is permitted.
func keepOwner(file *os.File, like os.FileInfo) {
	if s, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(s.Uid), int(s.Gid))
	}
}
