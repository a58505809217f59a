//go:build !unix

package main

import "syscall"

func demoProcess() *syscall.SysProcAttr { return nil }
