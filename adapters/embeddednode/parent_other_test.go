//go:build !linux

package embeddednode

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
