//go:build unix

package script

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// command is a script as a process: the path as it is, not looked for
// elsewhere, with input and output on the null device.
func command(args []string) *exec.Cmd {
	return &exec.Cmd{Path: args[0], Args: args, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
}

// end kills the process group that the script leads.
func end(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// ask asks the process group that the script leads to end.
func ask(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }

// outcome is the exit code of a process, and the signal that killed it or 0.
func outcome(state *os.ProcessState) (code, signal int) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return notExecuted, 0
	}
	if status.Signaled() {
		return 0, int(status.Signal())
	}
	return status.ExitStatus(), 0
}

// isShortage reports whether there was no room for a process.
func isShortage(err error) bool {
	return slices.ContainsFunc([]error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE},
		func(shortage error) bool { return errors.Is(err, shortage) })
}
