//go:build !unix

package script

import (
	"os"
	"os/exec"
)

// command is a script as a process.
func command(args []string) *exec.Cmd { return &exec.Cmd{Path: args[0], Args: args} }

// end kills the script. What it started goes on: there are no process groups.
func end(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

// ask can only do what end does.
func ask(cmd *exec.Cmd) { end(cmd) }

// outcome is the exit code of a process. No signal kills one here.
func outcome(state *os.ProcessState) (code, signal int) { return state.ExitCode(), 0 }

func isShortage(error) bool { return false }
