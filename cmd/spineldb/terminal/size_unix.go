//go:build unix

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Size is the size of the terminal behind f, in character cells; not ok when
// there is none.
func Size(f *os.File) (width, height int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 { // a serial line that never told
		return 80, 24, true
	}
	return int(size.Col), int(size.Row), true
}
