//go:build !linux

package spineldb

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
