//go:build unix

package script

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

var someCall = warden.Call{Group: "orders", Node: "10.0.0.1:5432", Primary: "[2001:db8::2]:5432", Epoch: 7}

// errand is one command under test.
type errand struct {
	*bench
	log  *logText
	path string
}

// logText is a log that may be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newErrand(t *testing.T, text string) *errand {
	e := &errand{bench: newBench(t, Options{}), log: &logText{}}
	e.path = e.script("errand", text)
	t.Cleanup(func() {
		e.wait("the goroutines of commands to end", func() bool {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			return !strings.Contains(string(stacks), "script.startCommand")
		})
	})
	return e
}

// run runs it as a rejoin command within a limit.
func (e *errand) run(ctx context.Context, limit time.Duration, args ...string) warden.Result {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := NewCommands(CommandOptions{Rejoin: append([]string{e.path}, args...), Logger: slog.New(slog.NewTextHandler(e.log, nil))})
	return c.Rejoin(ctx, someCall)
}

func expect(t *testing.T, got warden.Result, outcome warden.Outcome, why ...string) {
	t.Helper()
	if got.Outcome != outcome || (outcome == warden.Done) != (got.Why == "") {
		t.Errorf("result %+v, want %s", got, outcome)
	}
	for _, w := range why {
		if !strings.Contains(got.Why, w) {
			t.Errorf("why: %q, want it to contain %q", got.Why, w)
		}
	}
}

// gone waits until a process whose id a script has written to a file is gone.
func (e *errand) gone(file string) {
	e.t.Helper()
	var pid int
	e.wait("the id of a process in "+file, func() bool {
		pid, _ = strconv.Atoi(strings.TrimSpace(e.read(file)))
		return pid != 0
	})
	e.wait("process "+strconv.Itoa(pid)+" to be gone", func() bool {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		// Nobody may be there to reap it, as in a container without an init.
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err == nil && strings.Contains(string(stat), ") Z ")
	})
}

// Goal: a command is told what it has to know, and nothing else of ours.
func TestCommandEnvironment(t *testing.T) {
	t.Setenv("WARDEN_PASSWORD", "secret")
	t.Setenv("HOME", "/srv/of-warden")
	e := newErrand(t, `/usr/bin/env >env; echo "$#:$1:$2" >args; test -t 0 || cat >input; echo all is well`)
	expect(t, e.run(t.Context(), patience, "a b", "$HOME;c"), warden.Done)
	// What shells add by themselves is not ours.
	env := slices.DeleteFunc(strings.Fields(e.read("env")), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return name == "PWD" || name == "OLDPWD" || name == "SHLVL" || name == "_"
	})
	slices.Sort(env)
	want := []string{"HOME=/srv/of-warden", "PATH=" + os.Getenv("PATH"), "WARDEN_EPOCH=7", "WARDEN_GROUP=orders",
		"WARDEN_NEW_PRIMARY=[2001:db8::2]:5432", "WARDEN_NODE=10.0.0.1:5432"}
	if !slices.Equal(env, want) {
		t.Errorf("environment\n got %q\nwant %q", env, want)
	}
	if got := e.read("args"); got != "2:a b:$HOME;c\n" {
		t.Errorf("arguments %q: no shell may touch them", got)
	}
	if e.read("input") != "" || !strings.Contains(e.log.String(), "all is well") {
		t.Errorf("input %q, log %s", e.read("input"), e.log)
	}
}

// Goal: the question before a promotion is told who is to replace whom, and why.
func TestPrePromote(t *testing.T) {
	e := newErrand(t, `/usr/bin/env >env; test "$WARDEN_NODE" != 10.0.0.1:5432`)
	c := NewCommands(CommandOptions{PrePromote: []string{e.path}, Logger: slog.New(slog.NewTextHandler(e.log, nil))})
	call := warden.Call{Group: "orders", Node: "10.0.0.2:5432", Primary: "10.0.0.2:5432", Old: "10.0.0.3:5432", Reason: warden.ReasonSwitchover, Epoch: 7}
	expect(t, c.PrePromote(t.Context(), call), warden.Done)
	for _, want := range []string{"WARDEN_GROUP=orders", "WARDEN_NODE=10.0.0.2:5432", "WARDEN_NEW_PRIMARY=10.0.0.2:5432", "WARDEN_OLD_PRIMARY=10.0.0.3:5432",
		"WARDEN_REASON=switchover", "WARDEN_EPOCH=7"} {
		if !slices.Contains(strings.Fields(e.read("env")), want) {
			t.Errorf("environment %q lacks %s", e.read("env"), want)
		}
	}
	call.Node = "10.0.0.1:5432"
	expect(t, c.PrePromote(t.Context(), call), warden.Refused, "pre_promote ended with exit code 1")
	expect(t, NewCommands(CommandOptions{}).PrePromote(t.Context(), call), warden.Refused, "there is none")
	e = newErrand(t, "sleep 600")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	expect(t, NewCommands(CommandOptions{PrePromote: []string{e.path}}).PrePromote(ctx, call), warden.Unknown, "took too long", "pre_promote_timeout")
}

// Goal: an errand may read what it was given, or not, and is not held up either way.
func TestErrandInput(t *testing.T) {
	input := []byte(strings.Repeat("x", maxInput-1) + "\n")
	run := func(text string, input []byte) (warden.Result, string) {
		e := newErrand(t, text)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		errand := Errand{Name: "on_x", Words: []string{e.path}, Env: []string{"A=b"}, Input: input}
		return errand.Run(ctx, slog.New(slog.NewTextHandler(e.log, nil))), e.read("read")
	}
	r, read := run(`cat >read; test "$A" = b`, input)
	expect(t, r, warden.Done)
	if read != string(input) {
		t.Errorf("%d bytes were read, want %d", len(read), len(input))
	}
	r, _ = run("exit 0", input)
	expect(t, r, warden.Done)
	r, _ = run("exit 0", append(input, 'x'))
	expect(t, r, warden.Refused, "4097 bytes are more than 4096")
}

// Goal: what the exit code says, and the last words.
func TestCommandOutcome(t *testing.T) {
	e := newErrand(t, "echo first; echo \"no such \033[31mdisk\" >&2; exit $1")
	expect(t, e.run(t.Context(), patience, "0"), warden.Done)
	expect(t, e.run(t.Context(), patience, "3"), warden.Refused, "rejoin_command ended with exit code 3: no such [31mdisk")
	e = newErrand(t, "kill -9 $$")
	expect(t, e.run(t.Context(), patience), warden.Unknown, "died of signal 9")

	c := NewCommands(CommandOptions{Fence: []string{filepath.Join(e.dir, "none")}})
	expect(t, c.Fence(t.Context(), someCall), warden.Refused, "fence_command: cannot execute", "no such file")
	expect(t, c.Rejoin(t.Context(), someCall), warden.Refused, "there is none")
	e.write("text")
	c = NewCommands(CommandOptions{Fence: []string{filepath.Join(e.dir, "text")}})
	expect(t, c.Fence(t.Context(), someCall), warden.Refused, "permission denied")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	expect(t, NewCommands(CommandOptions{Fence: []string{e.path}}).Fence(over, someCall), warden.Refused, "no time")
}

// Goal: a command that is late is asked to end, and has time to say good-bye.
func TestCommandTooLong(t *testing.T) {
	e := newErrand(t, "trap 'echo good-bye; exit 0' TERM; sleep 600 & echo $! >child; wait")
	for attempt := 1; ; attempt++ {
		began := time.Now()
		// Exit code 0 counts for nothing by then.
		got := e.run(t.Context(), 2*time.Second)
		expect(t, got, warden.Unknown, "rejoin_command took too long and was killed", "command_timeout")
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		e.gone("child")
		switch {
		case strings.HasSuffix(got.Why, ": good-bye"):
			return
		case attempt == 3: // half a second can be short on a busy machine
			t.Fatalf("why: %q, want the last words", got.Why)
		}
	}
}

// Goal: one that does not want to end is killed with all that it started.
func TestCommandIgnoresSignals(t *testing.T) {
	e := newErrand(t, "trap '' TERM INT HUP; (echo $$ >child; exec sleep 600) & echo $! >grandchild; while :; do sleep 600; done")
	began := time.Now()
	expect(t, e.run(t.Context(), 2*time.Second), warden.Unknown, "killed")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	e.gone("child")
	e.gone("grandchild")
}

// Goal: what a command leaves behind holds nobody up, and goes with it unless
// it leads a session of its own.
func TestCommandForksAndStays(t *testing.T) {
	e := newErrand(t, "sleep 600 & echo $! >child; echo done")
	began := time.Now()
	expect(t, e.run(t.Context(), patience), warden.Done)
	if took := time.Since(began); took > patience/3 {
		t.Errorf("it took %s: the child that holds the output was waited for", took)
	}
	e.gone("child")
	if !strings.Contains(e.log.String(), "done") {
		t.Errorf("log: %s", e.log)
	}

	e = newErrand(t, "setsid sh -c 'echo $$ >service; exec sleep 600' & while ! test -s service; do sleep 0.01; done")
	expect(t, e.run(t.Context(), patience), warden.Done)
	pid, err := strconv.Atoi(strings.TrimSpace(e.read("service")))
	if err != nil || syscall.Kill(pid, 0) != nil {
		t.Errorf("the service does not run: %v", err)
	}
	if err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Goal: only the end of a flood is kept, and nobody waits for the rest.
func TestCommandFloods(t *testing.T) {
	e := newErrand(t, "yes 'all work and no play' | head -c 20000000; echo; yes 'no line ends here' | tr -d '\\n' | head -c 5000; exit 4")
	got := e.run(t.Context(), patience)
	expect(t, got, warden.Refused, "exit code 4: no line ends here")
	if len(got.Why) > 2*maxQuoted {
		t.Errorf("%d bytes are told", len(got.Why))
	}
	if n := len(e.log.String()); n > 2*maxOutput || n < 5000 {
		t.Errorf("the log has %d bytes", n)
	}
	e = newErrand(t, "exec yes")
	began := time.Now()
	expect(t, e.run(t.Context(), time.Second), warden.Unknown, "killed")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Goal: the end of the group or of the Warden ends a command at once.
func TestCommandCancelled(t *testing.T) {
	e := newErrand(t, "trap '' TERM; sleep 600 & echo $! >child; wait; wait")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan warden.Result)
	go func() { result <- e.run(ctx, 10*time.Minute) }()
	e.wait("the child", func() bool { return e.read("child") != "" })
	cancel()
	began := time.Now()
	expect(t, <-result, warden.Unknown, "was ended with this Warden")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	e.gone("child")
}
