package e2e

import "syscall"

// dieWithParent makes a child end with the test, also when the test is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
