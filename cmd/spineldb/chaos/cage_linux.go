package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The program is three processes of itself. The first one makes the directory,
// waits, and removes it. The second one is the first process of a new process
// namespace: it takes in orphans, and when it ends, for whatever reason, the
// kernel kills everything else in there, what stands still included. The third
// one does the work. The namespace of mounts is new, too, so no mount is left.
const (
	stageVariable = "CHAOS_STAGE"
	stageFirst    = "first-process"
	stageWork     = "work"
	// dirVariable tells the worker its directory.
	dirVariable = "CHAOS_DIR"
)

// cage runs the program inside and returns its exit code.
func cage(keep bool) (code int, err error) {
	// A child is ended by the kernel when the thread that made it ends.
	runtime.LockOSThread()
	dir, err := os.MkdirTemp("", "warden-chaos-")
	if err != nil {
		return 0, fmt.Errorf("make a directory: %w", err)
	}
	defer func() {
		if keep {
			fmt.Println("everything is kept in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	// PostgreSQL's account has to pass through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return 0, fmt.Errorf("open the directory: %w", err)
	}
	cmd := again(stageFirst, dirVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("make namespaces: %w: run this as root, where namespaces may be made", err)
	}
	go func() {
		for range signals {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}()
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 0, fmt.Errorf("wait for the first process inside: %w", err)
	}
	if c := cmd.ProcessState.ExitCode(); c >= 0 {
		return c, nil
	}
	return 0, errors.New("the first process inside was killed")
}

// again is this program once more.
func again(stage string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(append(os.Environ(), stageVariable+"="+stage), env...)
	return cmd
}

// firstProcess is the life of the second process.
func firstProcess() (int, error) {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return 0, fmt.Errorf("mount /proc: %w", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	worker := again(stageWork)
	if err := worker.Start(); err != nil {
		return 0, fmt.Errorf("start the worker: %w", err)
	}
	go func() {
		for range signals {
			_ = worker.Process.Signal(syscall.SIGTERM) // it may have ended
		}
	}()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for processes: %w", err)
		case pid != worker.Process.Pid:
			// An orphan, taken in and gone.
		case status.Exited():
			return status.ExitStatus(), nil
		default:
			return 0, fmt.Errorf("the worker was ended by signal %s", status.Signal())
		}
	}
}
