//go:build unix

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// marker names the process that started a background process, which knows
	// itself by it.
	marker = "WARDEN_BACKGROUND_OF"
	// pipeNumber is the descriptor behind the three that every process has.
	pipeNumber = 3
	// readyLimit is how long a start may take.
	readyLimit = time.Minute
	// maxReport bounds what a background process says of its failure, in bytes.
	maxReport = 64 << 10

	readyWord  = "ready"
	failedWord = "failed "
)

// Background is the side of the background process. Safe for concurrent use.
type Background struct {
	mu   sync.Mutex
	pipe *os.File // nil after the report
}

// Detach goes to the background. It is called early: before the directory is
// changed, a port opened or a goroutine started that matters.
//
// In the process that the operator started it starts the same program with the
// same arguments once more, in a session of its own with nothing on its
// standard descriptors, waits until that one calls Ready or Fail or ends, and
// returns nil: with an error if it did not become ready. The process should
// end then, with exit code 0 or 1. If ctx ends first, or a minute passes, the
// background process is killed.
//
// In the background process it returns at once, with something to report by.
//
//	b, err := process.Detach(ctx)
//	if b == nil {
//		return err // the operator's process ends here
//	}
func Detach(ctx context.Context) (*Background, error) {
	if b := inBackground(); b != nil {
		return b, nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("go to the background: find our own program: %w", err)
	}
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("go to the background: %w", err)
	}
	defer ours.Close()
	cmd := &exec.Cmd{
		Path: program, Args: os.Args, ExtraFiles: []*os.File{theirs},
		Env:         append(os.Environ(), marker+"="+strconv.Itoa(os.Getpid())),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = cmd.Start()
	_ = theirs.Close() // so that the end of the child is the end of the pipe
	if err != nil {
		return nil, fmt.Errorf("go to the background: start %s again: %w", program, err)
	}
	return nil, await(ctx, cmd, ours)
}

// await reads the report of the background process.
func await(ctx context.Context, cmd *exec.Cmd, pipe *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = pipe.SetReadDeadline(time.Now()) })
	defer stop()
	text, err := io.ReadAll(io.LimitReader(pipe, maxReport))
	why, failed := strings.CutPrefix(string(text), failedWord)
	switch {
	case string(text) == readyWord:
		return cmd.Process.Release()
	case ctx.Err() != nil:
		err = fmt.Errorf("start in the background: it was not ready in time: %w", ctx.Err())
	case failed:
		err = errors.New(why)
	case err != nil:
		err = fmt.Errorf("start in the background: hear from it: %w", err)
	}
	if failed && ctx.Err() == nil {
		// It ends by itself, and has things to tidy up.
		giveUp := time.AfterFunc(readyLimit, func() { _ = cmd.Process.Kill() })
		defer giveUp.Stop()
	} else if err != nil {
		_ = cmd.Process.Kill()
	}
	ended := cmd.Wait()
	if err == nil {
		err = fmt.Errorf("start in the background: it ended before it was ready (%v): the log may say why, and without daemonize yes it says so here", ended)
	}
	return err
}

// inBackground finds out whether this process was started by Detach. What told
// it is not passed on to our own children.
func inBackground() *Background {
	parent := os.Getenv(marker)
	_ = os.Unsetenv(marker)
	if parent == "" || parent != strconv.Itoa(os.Getppid()) {
		return nil
	}
	syscall.CloseOnExec(pipeNumber)
	return &Background{pipe: os.NewFile(pipeNumber, "report to the starting process")}
}

// Ready lets the starting process end with 0. Only the first call of Ready or
// Fail counts. A nil Background is one that nobody waits for.
func (b *Background) Ready() { b.say(readyWord) }

// Fail has the starting process show the error and end with 1. This one should
// end too.
func (b *Background) Fail(err error) { b.say(failedWord + err.Error()) }

func (b *Background) say(report string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pipe == nil {
		return
	}
	// Who waited may be gone, which is no concern of ours.
	_, _ = b.pipe.WriteString(report[:min(len(report), maxReport)])
	_ = b.pipe.Close()
	b.pipe = nil
}
