package adaptertest

import "syscall"

// dieWithParent makes a child end with the test, also when the test panics.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
