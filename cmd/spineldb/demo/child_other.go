//go:build !unix

package demo

import "syscall"

// ChildAttributes has nothing to ask for here.
func ChildAttributes() *syscall.SysProcAttr { return nil }
