package demo

import "syscall"

// ChildAttributes keeps a terminal's Ctrl-C from the children, because the demo
// ends them in order, and has the kernel end them if the demo cannot.
func ChildAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
