//go:build unix && !linux

package demo

import "syscall"

// ChildAttributes keeps a terminal's Ctrl-C from the children, because the demo
// ends them in order.
func ChildAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
