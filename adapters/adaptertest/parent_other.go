//go:build unix && !linux

package adaptertest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
