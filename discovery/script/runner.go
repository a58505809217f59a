package script

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	maxQueue   = 256
	maxRunning = 16
	maxRuns    = 10 // of one script, the first one included

	defaultMaxRuntime = 60 * time.Second
	defaultRetryDelay = 30 * time.Second

	// What -script-error shows as the signal when no process could be made.
	noProcess = 99
	// The exit code of a process that could not execute the script.
	notExecuted = 2
)

// Options configure a Runner. A zero stands for the default.
type Options struct {
	// Report is told what happens to scripts. It is called from goroutines of
	// the Runner, several at a time, and must not wait for the Runner: Close
	// waits for its calls to return. Default: nobody.
	Report func(warden.Event)
	// Logger gets one line for each script that cannot be executed, because the
	// event has no room for the reason. Default: none.
	Logger *slog.Logger
	// MaxRuntime is how long a script may run before it is killed. Default 60 s.
	MaxRuntime time.Duration
	// RetryDelay is how long after its first failure a script is run again; the
	// time doubles with each failure. Default 30 s.
	RetryDelay time.Duration
}

// Runner runs scripts. It starts nothing before the first one. All its methods
// are safe for concurrent use.
type Runner struct {
	report func(warden.Event)
	log    *slog.Logger
	// wg counts the goroutines: one that starts scripts while some are due, and
	// one for each script that runs.
	wg sync.WaitGroup

	mu         sync.Mutex
	maxRuntime time.Duration
	retryDelay time.Duration
	queue      []*job // the oldest first, those that run included
	running    int
	starting   bool
	closed     bool
	alarm      *time.Timer // for the next script that is to be run again
}

// job is one script in the queue. All of it is guarded by the Runner's lock.
type job struct {
	args []string
	// runs is how many runs have begun.
	runs    int
	running bool
	// since is when the present run began; of a job that waits, when it is due.
	since time.Time
	// cmd is nil until there is a process, and again when it is reaped: from
	// then on its process id may be somebody else's.
	cmd *exec.Cmd
	// limit kills it when it runs for too long; nil when it did.
	limit *time.Timer
}

// New makes a Runner. Close it.
func New(o Options) *Runner {
	r := &Runner{
		report: o.Report, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		maxRuntime: cmp.Or(o.MaxRuntime, defaultMaxRuntime), retryDelay: cmp.Or(o.RetryDelay, defaultRetryDelay),
	}
	if r.report == nil {
		r.report = func(warden.Event) {}
	}
	r.alarm = time.AfterFunc(time.Hour, r.wake)
	r.alarm.Stop()
	return r
}

// SetTimers changes both times, also for scripts that run now; a zero leaves
// the time as it is. When a failed script is run again was decided when it
// failed.
func (r *Runner) SetTimers(maxRuntime, retryDelay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxRuntime = cmp.Or(maxRuntime, r.maxRuntime)
	r.retryDelay = cmp.Or(retryDelay, r.retryDelay)
	for _, j := range r.queue {
		if j.limit != nil {
			j.limit.Reset(time.Until(j.since.Add(r.maxRuntime)))
		}
	}
}

// Timers returns what SetTimers changes.
func (r *Runner) Timers() (maxRuntime, retryDelay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.maxRuntime, r.retryDelay
}

// Close kills what runs, forgets what waits, and returns when no child and no
// goroutine is left, or when ctx ends. What it kills is not reported.
func (r *Runner) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.alarm.Stop()
	for _, j := range r.queue {
		j.kill()
	}
	r.queue = slices.DeleteFunc(r.queue, func(j *job) bool { return !j.running })
	r.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end scripts: some did not die when they were killed: %w", ctx.Err())
	}
}

// add puts a script into the queue.
func (r *Runner) add(args ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.queue = append(r.queue, &job{args: args, since: time.Now()})
	if len(r.queue) > maxQueue {
		// At most 16 run, so one that waits is always found.
		oldest := slices.IndexFunc(r.queue, func(j *job) bool { return !j.running })
		r.queue = slices.Delete(r.queue, oldest, oldest+1)
	}
	r.arrange()
}

func (r *Runner) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrange()
}

// arrange has scripts started that are due, and sets the alarm for the next
// one that is not. The lock is held.
func (r *Runner) arrange() {
	if r.closed || r.starting || r.running >= maxRunning {
		return // whoever ends one of these states arranges again
	}
	now := time.Now()
	next := r.next()
	switch {
	case next == nil:
	case next.since.After(now):
		r.alarm.Reset(next.since.Sub(now))
	default:
		// One goroutine starts them all, one after the other: an operator who
		// sees +sdown and then +odown expects the scripts in that order too.
		r.starting = true
		r.wg.Go(r.start)
	}
}

// next is the oldest job that is due, else the one that will be due first.
func (r *Runner) next() *job {
	now := time.Now()
	var next *job
	for _, j := range r.queue {
		switch {
		case j.running:
		case !j.since.After(now):
			return j
		case next == nil || j.since.Before(next.since):
			next = j
		}
	}
	return next
}

// start starts scripts while some are due.
func (r *Runner) start() {
	for {
		j := r.take()
		if j == nil {
			return
		}
		r.launch(j)
	}
}

func (r *Runner) take() *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.next()
	if r.closed || r.running >= maxRunning || j == nil || j.since.After(time.Now()) {
		r.starting = false
		r.arrange()
		return nil
	}
	j.running, j.since = true, time.Now()
	j.runs++
	r.running++
	return j
}

// launch makes the process, and a goroutine that waits for its end.
func (r *Runner) launch(j *job) {
	cmd := command(j.args)
	if err := cmd.Start(); err != nil {
		r.notLaunched(j, err)
		return
	}
	r.mu.Lock()
	j.cmd = cmd
	if r.closed {
		j.kill()
	} else {
		j.limit = time.AfterFunc(r.maxRuntime, func() { r.expire(j) })
	}
	closed := r.closed
	r.mu.Unlock()
	if !closed {
		r.tell("+script-child", warden.LevelDebug, "%d", cmd.Process.Pid)
	}
	r.wg.Go(func() { r.await(j, cmd) })
}

func (r *Runner) notLaunched(j *job, err error) {
	r.log.Warn("cannot execute script: it must be an executable file, and a text needs a first line such as #!/bin/sh",
		"path", j.args[0], "error", err)
	if isShortage(err) {
		// The machine is out of processes, memory or descriptors, which says
		// nothing about the script: it is run again later.
		r.tell("-script-error", warden.LevelWarning, "%s %d %d", j.args[0], noProcess, 0)
		r.finish(j, true)
		return
	}
	r.tell("-script-error", warden.LevelWarning, "%s %d %d", j.args[0], 0, notExecuted)
	r.finish(j, false)
}

// await reaps a script and decides whether it is run again.
func (r *Runner) await(j *job, cmd *exec.Cmd) {
	_ = cmd.Wait() // how it ended is in the state
	r.mu.Lock()
	j.cmd = nil
	if j.limit != nil {
		j.limit.Stop()
		j.limit = nil
	}
	closed := r.closed
	r.mu.Unlock()
	code, signal := outcome(cmd.ProcessState)
	again := (signal != 0 || code == 1) && j.runs < maxRuns
	if !closed {
		r.tell("-script-child", warden.LevelDebug, "%d %d %d", cmd.Process.Pid, code, signal)
		if !again && (signal != 0 || code != 0) {
			r.tell("-script-error", warden.LevelWarning, "%s %d %d", j.args[0], signal, code)
		}
	}
	r.finish(j, again)
}

// finish ends a run: the job waits for the next one, or leaves the queue.
func (r *Runner) finish(j *job, again bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	j.running = false
	if again && j.runs < maxRuns && !r.closed {
		j.since = time.Now().Add(r.retryDelay << (j.runs - 1))
	} else {
		r.queue = slices.DeleteFunc(r.queue, func(other *job) bool { return other == j })
	}
	r.arrange()
}

// expire kills a script that runs for too long. That it died of a signal is
// found by whoever waits for it.
func (r *Runner) expire(j *job) {
	r.mu.Lock()
	// The time may have been raised after this timer had fired.
	cmd := j.cmd
	late := !r.closed && cmd != nil && j.limit != nil && time.Since(j.since) >= r.maxRuntime
	if late {
		// Under the same lock as the kill, so that no call begins after Close.
		r.wg.Add(1)
		defer r.wg.Done()
		j.limit = nil
	}
	r.mu.Unlock()
	if !late {
		return
	}
	r.tell("-script-timeout", warden.LevelWarning, "%s %d", j.args[0], cmd.Process.Pid)
	r.mu.Lock()
	defer r.mu.Unlock()
	if j.cmd == cmd {
		j.kill()
	}
}

// kill ends a job's process and all that it started, if there is one. The lock
// is held. Between the death of a process and the lock that its waiter takes,
// its id could go to a new process in theory; the kernel hands ids out in turn,
// so that this would need a whole round of them in microseconds.
func (j *job) kill() {
	if j.cmd != nil {
		end(j.cmd)
	}
}

func (r *Runner) tell(name string, level warden.Level, format string, args ...any) {
	r.report(warden.Event{Name: name, Level: level, Payload: fmt.Sprintf(format, args...)})
}
