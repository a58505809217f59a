//go:build unix

package script

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: which events call a notification script.
func TestNotifies(t *testing.T) {
	for _, tt := range []struct {
		e    warden.Event
		want bool
	}{
		{alarm("x"), true},
		{warden.Event{Group: "g", Name: "+new-epoch", Level: warden.LevelWarning, Payload: "4"}, true},
		{warden.Event{Group: "g", Name: "+slave", Level: warden.LevelNotice}, false},
		{warden.Event{Group: "g", Name: "-role-change", Level: warden.LevelVerbose}, false},
		{warden.Event{Group: "g", Name: "+tilt", Level: warden.LevelWarning}, false},
		{warden.Event{Group: "g", Name: "-tilt", Level: warden.LevelWarning}, false},
		{warden.Event{Group: "g", Name: "-script-error", Level: warden.LevelWarning}, false},
		{warden.Event{Group: "g", Name: "-script-timeout", Level: warden.LevelWarning}, false},
		{warden.Event{Name: "-newer-format", Level: warden.LevelWarning}, false},
	} {
		if got := Notifies(tt.e); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.e, got, tt.want)
		}
	}
}

// Goal: both scripts get Sentinel's arguments, in the order of the events, and
// no script where none is configured or the event calls none.
func TestArguments(t *testing.T) {
	b := newBench(t, Options{})
	path := b.script("tell", `{ printf '[%s]' "$0" "$@"; echo; } >>out`)
	b.Notify(path, alarm("master mymaster 10.0.0.1 6379 #quorum 2/2"))
	b.waitEmpty()
	b.Reconfigure(path, "mymaster", Observer, "10.0.0.1:6379", "[fd00::2]:6380")
	b.Reconfigure("", "mymaster", Leader, "10.0.0.1:6379", "10.0.0.2:6379")
	b.Notify("", alarm("x"))
	b.Notify(path, warden.Event{Group: "mymaster", Name: "+slave", Level: warden.LevelNotice})
	b.waitEmpty()
	want := "[" + path + "][+odown][master mymaster 10.0.0.1 6379 #quorum 2/2]\n" +
		"[" + path + "][mymaster][observer][start][10.0.0.1][6379][fd00::2][6380]\n"
	if got := b.read("out"); got != want {
		t.Errorf("the scripts were given\n%swant\n%s", got, want)
	}
	if errs := b.reported("-script-error"); len(errs) > 0 {
		t.Errorf("reported %q", errs)
	}
	if got := b.reported("debug "); len(got) != 4 || !strings.HasPrefix(got[0], "debug +script-child ") ||
		!strings.HasPrefix(got[1], "debug -script-child ") || !strings.HasSuffix(got[1], " 0 0") {
		t.Errorf("reported %q", got)
	}
}

// Goal: a script inherits the environment, leads a process group, reads
// nothing, and has no descriptor of ours but the three on the null device.
func TestSurroundings(t *testing.T) {
	t.Setenv("WARDEN_SCRIPT_TEST", "inherited")
	b := newBench(t, Options{})
	open, err := os.Create(b.dir + "/open")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	path := b.script("look", `cat >out; echo "$WARDEN_SCRIPT_TEST $$ $(ps -o pgid= -p $$)" >>out
for f in 0 1 2; do [ /dev/fd/$f -ef /dev/null ] && echo null >>out; done
for f in 3 4 5 6 7 8 9; do [ /dev/fd/$f -ef open ] && echo leaked >>out; done; exit 0`)
	b.Notify(path, alarm("x"))
	b.waitEmpty()
	words := strings.Fields(b.read("out"))
	if len(words) != 6 || words[0] != "inherited" || words[1] != words[2] || !slices.Equal(words[3:], []string{"null", "null", "null"}) {
		t.Errorf("the script saw %q, want the variable, one id twice, null three times", words)
	}
}

// Goal: exit 1 and death by signal are retried, ten runs in all with doubling
// delays; exit 2 and what cannot be executed are not.
func TestRetries(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		runs int
		want string // -script-error without the path
	}{
		"asks again": {"exit 1", maxRuns, "0 1"},
		"killed":     {"kill -9 $$", maxRuns, "9 0"},
		"final":      {"exit 2", 1, "0 2"},
		"third time": {`[ "$(wc -l <runs)" -ge 3 ] || exit 1`, 3, ""},
		"succeeds":   {"exit 0", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{RetryDelay: time.Millisecond})
			path := b.script("fail", "echo run >>runs\n"+tt.text)
			began := time.Now()
			b.Notify(path, alarm("x"))
			b.waitEmpty()
			if got := strings.Count(b.read("runs"), "run"); got != tt.runs {
				t.Errorf("it ran %d times, want %d", got, tt.runs)
			}
			want := []string{}
			if tt.want != "" {
				want = append(want, "warning -script-error "+path+" "+tt.want)
			}
			if got := b.reported("-script-error"); !slices.Equal(got, want) {
				t.Errorf("reported %q, want %q", got, want)
			}
			if all := time.Duration(1<<(tt.runs-1)-1) * time.Millisecond; time.Since(began) < all {
				t.Errorf("%d runs took %v, want at least %v", tt.runs, time.Since(began), all)
			}
		})
	}
}

// Goal: a script that cannot be executed is reported as Sentinel does, once.
func TestNotExecutable(t *testing.T) {
	b := newBench(t, Options{RetryDelay: time.Millisecond})
	if err := os.WriteFile(b.dir+"/text", []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{b.dir + "/nowhere", b.dir, b.dir + "/text", "true"} {
		b.Notify(path, alarm("x"))
		b.waitEmpty()
		if got, want := b.reported(" "+path+" 0 2"), []string{"warning -script-error " + path + " 0 2"}; !slices.Equal(got, want) {
			t.Errorf("%s: reported %q, want %q", path, got, want)
		}
	}
	if got := len(b.reported("")); got != 4 {
		t.Errorf("%d reports: %q", got, b.reported(""))
	}
}

// Goal: a script that runs for too long is killed with what it started, is
// reported, and is run again.
func TestTimeLimit(t *testing.T) {
	b := newBench(t, Options{RetryDelay: time.Hour})
	path := b.script("hang", `sleep 1000 & echo $! >>children; wait`)
	b.Notify(path, alarm("x"))
	b.wait("the script to have a child", func() bool { return strings.HasSuffix(b.read("children"), "\n") })
	pid := b.Pending()[0].PID
	b.SetTimers(50*time.Millisecond, 0)
	b.wait("it to wait for its next run", func() bool { p := b.Pending(); return len(p) == 1 && !p[0].Running })
	if got, want := b.reported("-script-timeout"), []string{fmt.Sprintf("warning -script-timeout %s %d", path, pid)}; !slices.Equal(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
	if got := b.reported("-script-child"); len(got) != 1 || !strings.HasSuffix(got[0], fmt.Sprintf(" %d 0 9", pid)) {
		t.Errorf("reported %q, want the death of %d by signal 9", got, pid)
	}
	if p := b.Pending()[0]; p.PID != 0 || p.Retries != 1 || p.RunDelay < 59*time.Minute || !slices.Equal(p.Args, []string{path, "+odown", "x"}) {
		t.Errorf("pending is %+v", p)
	}
	child, err := strconv.Atoi(strings.TrimSpace(b.read("children")))
	if err != nil {
		t.Fatal(err)
	}
	b.wait("the script's child to be dead", func() bool { return dead(child) })
	if longest, delay := b.Timers(); longest != 50*time.Millisecond || delay != time.Hour {
		t.Errorf("timers are %v and %v", longest, delay)
	}
}

// dead reports whether a process is gone, or a zombie that is not ours: in a
// container nobody may reap orphans.
func dead(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// Goal: 16 run at a time, 256 are kept, and the oldest one that waits is
// dropped for a new one; those that run stay.
func TestQueue(t *testing.T) {
	b := newBench(t, Options{})
	path := b.script("hold", `while ! [ -e go ]; do sleep 0.05; done; echo "$2" >>out`)
	for i := range maxQueue + 10 {
		b.Notify(path, alarm(strconv.Itoa(i)))
		if i == maxRunning {
			b.wait("16 to run", func() bool {
				p := b.Pending()
				return p[maxRunning-1].Running && p[maxRunning-1].PID != 0
			})
		}
	}
	pending := b.Pending()
	if len(pending) != maxQueue {
		t.Fatalf("%d are kept, want %d", len(pending), maxQueue)
	}
	for i, p := range pending {
		want := i
		if i >= maxRunning {
			want = i + 10
		}
		if p.Running != (i < maxRunning) || p.Args[2] != strconv.Itoa(want) {
			t.Errorf("place %d has %+v, want number %d", i, p, want)
		}
	}
	b.write("go")
	b.wait("another 16 to have ended", func() bool { return strings.Count(b.read("out"), "\n") >= 2*maxRunning })
}

// Goal: Close kills what runs, reports nothing of it, and no zombie is left;
// afterwards nothing is taken in.
func TestClose(t *testing.T) {
	b := newBench(t, Options{})
	path := b.script("hang", `trap '' TERM; echo $$ >>pids; exec sleep 1000`)
	for range maxRunning + 5 {
		b.Notify(path, alarm("x"))
	}
	b.wait("16 to run", func() bool { return strings.Count(b.read("pids"), "\n") == maxRunning })
	b.end()
	for _, word := range strings.Fields(b.read("pids")) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		// A zombie would still take the signal.
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
	b.Notify(path, alarm("x"))
	if p := b.Pending(); len(p) > 0 {
		t.Errorf("a closed Runner keeps %+v", p)
	}
	if got := b.reported("-script"); len(got) > 0 {
		t.Errorf("reported %q", got)
	}
	if strings.Count(b.read("pids"), "\n") != maxRunning {
		t.Error("a script was started while closing")
	}
}
