//go:build unix && !linux

package main

import "syscall"

// demoProcess keeps a terminal's Ctrl-C from the children, because the demo
// ends them in order.
func demoProcess() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
