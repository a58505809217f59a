package main

import "syscall"

// faultSignals are the faults and the signals that make them.
var faultSignals = map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}

// dieWithParent makes a child end with this process, however it ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
