//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockFile takes the same lock that bbolt takes, but before the file is read:
// a file that is in use must be called that, and not damaged because it was
// looked at while its owner wrote.
func lockFile(f *os.File, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("lock file: %w", err)
		case time.Now().After(end):
			return ErrInUse
		}
	}
}

// unlockFile gives the lock back. Closing the file is not enough after a fault:
// the library's mapping, which nobody can undo then, keeps the file open.
func unlockFile(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
