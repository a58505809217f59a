//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// faultSignals are the faults that every system can make.
var faultSignals = map[string]syscall.Signal{"kill": syscall.SIGKILL}

// dieWithParent asks for nothing: here children end with this process only if
// it ends in order.
func dieWithParent() *syscall.SysProcAttr { return nil }

// cpuTime is not known here.
func cpuTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

// resources are not known here.
func resources(int) (usage, error) { return usage{}, errors.ErrUnsupported }

// writtenBytes are not known here.
func writtenBytes(int) (float64, error) { return 0, errors.ErrUnsupported }
