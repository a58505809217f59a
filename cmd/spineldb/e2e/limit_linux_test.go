package e2e

import (
	"testing"

	"golang.org/x/sys/unix"
)

// noLimit lifts a limit on the size of files.
const noLimit = unix.RLIM_INFINITY

// limitFileSize makes every write of a process beyond size bytes of a file
// fail, as on a full disk, without needing one. Its log stops growing, too.
func limitFileSize(t *testing.T, p *process, size uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: size, Max: noLimit}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatalf("limit the files of %s: %v", p.name, err)
	}
}
