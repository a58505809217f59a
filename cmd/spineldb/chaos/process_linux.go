package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is for what takes milliseconds on a machine with time.
const patience = 30 * time.Second

// process is a program that is started again and again, with its output added
// to one file. Safe for concurrent use.
type process struct {
	log string

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts the program; one that runs already is an error.
func (p *process) start(env []string, argv ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		return fmt.Errorf("start %s: it runs already", argv[0])
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(plainEnvironment(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	p.cmd, p.ended = cmd, ended
	return nil
}

// plainEnvironment is ours without what would configure a Warden.
func plainEnvironment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WARDEN_") && !strings.HasPrefix(v, "CHAOS_") {
			out = append(out, v)
		}
	}
	return out
}

func (p *process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Running reports whether the program runs, if only standing still.
func (p *process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs()
}

// pid is the program's, 0 if it does not run.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return 0
	}
	return p.cmd.Process.Pid
}

// exitCode is how a program that has ended by itself ended.
func (p *process) exitCode() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.runs() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Kill ends the program without a farewell and says how it ended, or nothing if
// it did not run.
func (p *process) Kill() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return ""
	}
	_ = p.cmd.Process.Kill() // it may have ended by itself, which is seen below
	<-p.ended
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "ended by " + status.Signal().String()
	}
	return ""
}

// Pause makes the program stand still and says so once /proc does, or nothing.
func (p *process) Pause() string {
	pid := p.pid()
	if pid == 0 || syscall.Kill(pid, syscall.SIGSTOP) != nil {
		return ""
	}
	return awaitStopped(pid)
}

// Resume lets it go on.
func (p *process) Resume() {
	if pid := p.pid(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
	}
}

// awaitStopped waits until a process is in state T.
func awaitStopped(pid int) string {
	if pid == 0 || poll(5*time.Second, func() bool { return state(pid) == "T" }) != nil {
		return ""
	}
	return fmt.Sprintf("process %d in state T", pid)
}

// state is a process's letter in /proc, "" if there is none.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	rest := text[bytes.LastIndexByte(text, ')')+1:]
	return string(bytes.TrimSpace(rest)[:1])
}

// mark is the present end of the log, for since.
func (p *process) mark() int64 {
	info, err := os.Stat(p.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// since counts the lines with a text that came after a mark.
func (p *process) since(mark int64, text string) int {
	data, err := os.ReadFile(p.log)
	if err != nil || int64(len(data)) < mark {
		return 0
	}
	return bytes.Count(data[mark:], []byte(text))
}

var errPatience = errors.New("still not so")

// poll asks every 20 ms whether something is so, until it is.
func poll(limit time.Duration, is func() bool) error {
	beat := time.NewTicker(20 * time.Millisecond)
	defer beat.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !is() {
		select {
		case <-beat.C:
		case <-end.C:
			return fmt.Errorf("%w after %s", errPatience, limit)
		}
	}
	return nil
}
