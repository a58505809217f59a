package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// faultSignals are the faults and the signals that make them.
var faultSignals = map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}

// dieWithParent makes a child end with this process, however it ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// tick is the unit in which Linux tells programs of CPU time, on all machines.
const tick = time.Second / 100

// cpuTime is what a process has used since its start, all its threads together.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	// The name before the last bracket may contain anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time of %d: %d fields", pid, len(fields))
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	if errUser != nil || errSystem != nil {
		return 0, fmt.Errorf("read CPU time of %d: %q and %q are no numbers", pid, fields[11], fields[12])
	}
	return time.Duration(user+system) * tick, nil
}

// resources is what a process holds now.
func resources(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return usage{}, fmt.Errorf("read memory: %w", err)
	}
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return usage{}, fmt.Errorf("count open files: %w", err)
	}
	u := usage{files: len(files)}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")) // other lines are no numbers
		switch name {
		case "VmRSS":
			u.memory = float64(n) / 1024
		case "VmHWM":
			u.peak = float64(n) / 1024
		case "Threads":
			u.threads = n
		}
	}
	return u, nil
}

// writtenBytes is what a process has written since its start, to sockets and
// files, but for datagrams.
func writtenBytes(pid int) (float64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
	if err != nil {
		return 0, fmt.Errorf("read bytes written: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "wchar:"); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("read bytes written of %d: there are none", pid)
}
