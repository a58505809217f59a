package script

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// grace is how long a command has between the request to end and its death.
	grace = 500 * time.Millisecond
	// dying is how long a killed process may take to be gone, and lastWords how
	// long is waited for the rest of the output of a command that is over.
	dying     = 200 * time.Millisecond
	lastWords = 250 * time.Millisecond
	// maxOutput is how much of a command's output is kept, the end of it, and
	// maxQuoted how much of that is told, both in bytes.
	maxOutput = 8 << 10
	maxQuoted = 200
	// usualPath is where programs are when our own environment does not say.
	usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// CommandOptions configure Commands.
type CommandOptions struct {
	// Fence, Rejoin and PrePromote are programs with their arguments; empty: there
	// is none.
	Fence, Rejoin, PrePromote []string
	// Logger gets what the commands write, once they are over. Default: none.
	Logger *slog.Logger
}

// Commands runs an operator's commands; see the package comment. It implements
// warden.Commands.
type Commands struct {
	options CommandOptions
	log     *slog.Logger
}

var _ warden.Commands = (*Commands)(nil)

// NewCommands makes Commands. It starts nothing.
func NewCommands(o CommandOptions) *Commands {
	return &Commands{options: o, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler))}
}

// Fence runs the fence command. See warden.Commands.
func (c *Commands) Fence(ctx context.Context, call warden.Call) warden.Result {
	return c.run(ctx, Errand{Name: "fence_command", Words: c.options.Fence, Env: environment(call), Patience: "command_timeout"}, call)
}

// Rejoin runs the rejoin command. See warden.Commands.
func (c *Commands) Rejoin(ctx context.Context, call warden.Call) warden.Result {
	return c.run(ctx, Errand{Name: "rejoin_command", Words: c.options.Rejoin, Env: environment(call), Patience: "command_timeout"}, call)
}

// PrePromote asks the pre_promote command. See warden.Commands.
func (c *Commands) PrePromote(ctx context.Context, call warden.Call) warden.Result {
	env := append(environment(call), "WARDEN_OLD_PRIMARY="+string(call.Old), "WARDEN_REASON="+string(call.Reason))
	return c.run(ctx, Errand{Name: "pre_promote", Words: c.options.PrePromote, Env: env, Patience: "pre_promote_timeout"}, call)
}

func (c *Commands) run(ctx context.Context, e Errand, call warden.Call) warden.Result {
	return e.Run(ctx, c.log.With("group", string(call.Group), "node", string(call.Node), "epoch", uint64(call.Epoch)))
}

// environment is what a command is told.
func environment(call warden.Call) []string {
	return []string{"WARDEN_GROUP=" + string(call.Group), "WARDEN_NODE=" + string(call.Node),
		"WARDEN_NEW_PRIMARY=" + string(call.Primary), "WARDEN_EPOCH=" + strconv.FormatUint(uint64(call.Epoch), 10)}
}

// maxInput is how much an Errand may be given to read, in bytes: what any pipe
// takes in at once, so that nobody has to wait until it is read.
const maxInput = 4 << 10

// Errand is one run of a program of an operator.
type Errand struct {
	// Name is what messages call it, and Patience is the key of the configuration
	// that says how long it may take.
	Name, Patience string
	// Words are the program and its arguments.
	Words []string
	// Env is what it is told beside PATH and HOME, as NAME=value.
	Env []string
	// Input is what it may read, at most 4 KiB; empty: nothing.
	Input []byte
}

// whole is all of the environment that it gets.
func (e *Errand) whole() []string {
	env := []string{"PATH=" + cmp.Or(os.Getenv("PATH"), usualPath)}
	if home, ok := os.LookupEnv("HOME"); ok {
		env = append(env, "HOME="+home)
	}
	return append(env, e.Env...)
}

// Run carries it out, once, and returns within the deadline of ctx. Nothing that
// it leaves in its process group outlives it. How it went is logged.
func (e Errand) Run(ctx context.Context, log *slog.Logger) warden.Result {
	name, words := e.Name, e.Words
	refused := func(format string, args ...any) warden.Result {
		return warden.Result{Outcome: warden.Refused, Why: name + ": " + fmt.Sprintf(format, args...)}
	}
	if len(words) == 0 {
		return refused("there is none: set it in warden.toml")
	}
	if ctx.Err() != nil {
		return refused("no time is left to run it")
	}
	began := time.Now()
	p, err := startCommand(&e)
	if err != nil {
		log.Warn("cannot execute command", "command", name, "path", words[0], "error", err)
		return refused("cannot execute %s: %v", words[0], err)
	}
	killed := p.await(ctx)
	text, dropped := p.output(killed)
	result := p.result(ctx, &e, killed, text)
	log.Info("command is over", "command", name, "outcome", string(result.Outcome), "why", result.Why, "took", time.Since(began),
		"output", text, "output_left_out", dropped)
	return result
}

// process is a command that runs.
type process struct {
	cmd  *exec.Cmd
	pipe *os.File // where its output arrives
	tail tail
	over chan struct{} // closed when it was reaped
	said chan struct{} // closed when nothing more arrives
}

// startCommand starts a command in a process group of its own, with both its
// outputs in one pipe.
func startCommand(e *Errand) (*process, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	p := &process{cmd: command(e.Words), pipe: read, over: make(chan struct{}), said: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = e.whole(), write, write
	if len(e.Input) > 0 {
		input, err := inPipe(e.Input)
		if err != nil {
			read.Close()
			return nil, err
		}
		defer input.Close()
		p.cmd.Stdin = input
	}
	if err := p.cmd.Start(); err != nil {
		read.Close()
		return nil, err
	}
	go func() {
		defer close(p.said)
		p.tail.fill(read)
	}()
	go func() {
		defer close(p.over)
		_ = p.cmd.Wait() // how it ended is in the state
	}()
	return p, nil
}

// inPipe is a pipe from which a text can be read, and then its end.
func inPipe(text []byte) (*os.File, error) {
	if len(text) > maxInput {
		return nil, fmt.Errorf("write input: %d bytes are more than %d", len(text), maxInput)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = write.Write(text)
	if err = errors.Join(err, write.Close()); err != nil {
		read.Close()
		return nil, err
	}
	return read, nil
}

// await waits for the end of the command, which it brings about a little before
// the deadline of ctx, or when ctx is cancelled. It reports whether it did.
// What the command left behind in its process group dies with it.
func (p *process) await(ctx context.Context) (killed bool) {
	limit, last := grace, dying
	var late <-chan time.Time
	if due, ok := ctx.Deadline(); ok {
		// A short command leaves less time to say good-bye.
		left := time.Until(due)
		limit, last = min(limit, left/4), min(last, left/8)
		timer := time.NewTimer(left - limit - last)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-p.over:
	case <-late:
		killed = true
	case <-ctx.Done():
		killed = true
	}
	if killed {
		ask(p.cmd)
		select {
		case <-p.over:
		case <-time.After(limit):
		}
	}
	// If the process is reaped and nothing is left of its group, the id could be
	// another's by now in theory; see job.kill.
	end(p.cmd)
	if killed {
		select { // it ends at once, unless it hangs in the kernel
		case <-p.over:
		case <-time.After(last):
		}
	}
	return killed
}

// output is the end of what the command wrote, made safe to show, and how many
// bytes before it were left out. Nobody hears what comes later: what was
// started to stay should not have its output here.
func (p *process) output(killed bool) (text string, dropped int64) {
	patience := lastWords
	if killed { // nobody is left who could say more
		patience /= 5
	}
	select {
	case <-p.said:
	case <-time.After(patience):
	}
	_ = p.pipe.Close() // ends the reading
	<-p.said
	return p.tail.text()
}

// result says how a command ended.
func (p *process) result(ctx context.Context, e *Errand, killed bool, text string) warden.Result {
	name, last := e.Name, ""
	if text != "" {
		lines := strings.Split(text, "\n")
		last = lines[len(lines)-1]
		if len(last) > maxQuoted {
			last = strings.ToValidUTF8(last[:maxQuoted], "") + "..."
		}
		last = ": " + last
	}
	select {
	case <-p.over:
	default:
		return warden.Result{Outcome: warden.Unknown, Why: name + " does not die although it was killed: look for process " + strconv.Itoa(p.cmd.Process.Pid) + last}
	}
	code, signal := outcome(p.cmd.ProcessState)
	switch {
	case !killed && signal == 0 && code == 0:
		return warden.Result{Outcome: warden.Done}
	case !killed && signal == 0:
		return warden.Result{Outcome: warden.Refused, Why: fmt.Sprintf("%s ended with exit code %d%s", name, code, last)}
	case !killed:
		return warden.Result{Outcome: warden.Unknown, Why: fmt.Sprintf("%s died of signal %d%s", name, signal, last)}
	case ctx.Err() == context.Canceled:
		return warden.Result{Outcome: warden.Unknown, Why: name + " was ended with this Warden or its group" + last}
	}
	return warden.Result{Outcome: warden.Unknown, Why: name + " took too long and was killed: raise " + e.Patience + " if it needs more time" + last}
}

// tail keeps the end of what it is filled with.
type tail struct {
	mu      sync.Mutex
	kept    []byte
	dropped int64
}

// fill reads until nothing more comes.
func (t *tail) fill(from *os.File) {
	part := make([]byte, 4<<10)
	for {
		n, err := from.Read(part)
		t.add(part[:n])
		if err != nil {
			return
		}
	}
}

func (t *tail) add(part []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, part...)
	if over := len(t.kept) - maxOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
		t.dropped += int64(over)
	}
}

// text is what was kept, without what terminals and logs would take for orders.
func (t *tail) text() (string, int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	shown := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || strconv.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(t.kept), "?"))
	return strings.TrimSpace(shown), t.dropped
}
