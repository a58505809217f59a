package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func atNoon() time.Time { return time.Date(2026, 11, 2, 12, 0, 1, 23_456_789, time.Local) }

// head is what stands before the level mark of a line that was written at noon.
func head() string { return fmt.Sprintf("%d:X 02 Nov 2026 12:00:01.023 ", os.Getpid()) }

// Goal: each record becomes the line that Sentinel would have written.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	j, err := Open(Options{Output: &out, Level: Debug, now: atNoon})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(j)
	for want, write := range map[string]func(){
		"# +odown master mymaster 10.0.0.1 6379 #quorum 2/2": func() {
			log.With("group", "mymaster").Warn("+odown", "payload", "master mymaster 10.0.0.1 6379 #quorum 2/2", "node", "10.0.0.1:6379", "epoch", 3)
		},
		"* +slave slave 10.0.0.2:6379": func() { log.Info("+slave", "payload", "slave 10.0.0.2:6379") },
		"- +role-change x": func() {
			log.Log(context.Background(), Verbose, "+role-change", "payload", "x")
		},
		". +script-child 77":             func() { log.Debug("+script-child", "payload", "77") },
		"# +tilt":                        func() { log.Warn("+tilt", "payload", "") },
		"* Sentinel ID is 12":            func() { log.Info("Sentinel ID is 12") },
		"# -x payload is no event's a=1": func() { log.Warn("-x payload is no event's", "a", 1) },
		`# save file="a b" error=failed`: func() { log.Error("save", "file", "a b", "error", errors.New("failed")) },
		`* two lines  [2J key=""`:        func() { log.Info("two lines\n\x1b[2J", "key", "") },
		"* in g.a=1 g.h.b=2s g.h.payload": func() {
			log.WithGroup("g").With("a", 1).Info("in", slog.Group("h", "b", 2*time.Second, "payload", "p"))
		},
	} {
		out.Reset()
		write()
		if got := out.String(); !strings.HasPrefix(got, head()+want) || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
			t.Errorf("got  %q\nwant %q", got, head()+want)
		}
	}
}

// Goal: the real clock gives the shape that log readers parse.
func TestShape(t *testing.T) {
	var out bytes.Buffer
	j, err := Open(Options{Output: &out})
	if err != nil {
		t.Fatal(err)
	}
	slog.New(j).Info("x")
	if !regexp.MustCompile(`^\d+:X \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d\.\d{3} \* x\n$`).Match(out.Bytes()) {
		t.Errorf("got %q", out.String())
	}
}

// Goal: loglevel decides what is written, may change at any time, and its words
// and levels belong together.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	j, err := Open(Options{Output: &out, Level: &level})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(j)
	for word, want := range map[string]string{"debug": ".-*##", "Verbose": "-*##", "notice": "*##", "warning": "##", "nothing": ""} {
		l, err := ParseLevel(word)
		if err != nil {
			t.Fatal(err)
		}
		level.Set(l)
		if got := LevelWord(l); !strings.EqualFold(got, word) {
			t.Errorf("the word for %v is %s, want %s", l, got, word)
		}
		out.Reset()
		for _, l := range []slog.Level{Debug, Verbose, Notice, Warning, slog.LevelError} {
			log.Log(context.Background(), l, "m")
		}
		got := ""
		for line := range strings.Lines(out.String()) {
			got += strings.Fields(line)[5]
		}
		if got != want {
			t.Errorf("%s wrote %q, want %q", word, got, want)
		}
	}
	if _, err := ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("loud is %v", err)
	}
	for level, want := range map[slog.Level]string{slog.LevelError: "warning", slog.LevelInfo + 1: "notice", slog.LevelDebug - 1: "debug", 100: "nothing"} {
		if got := LevelWord(level); got != want {
			t.Errorf("the word for %v is %s, want %s", level, got, want)
		}
	}
}

// Goal: a file that is renamed is followed by a new one at the next line, what
// is there is appended to, and no line is lost or torn by many writers.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sentinel.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(Options{File: path, now: atNoon})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(j)
	log.Info("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				log.Info("two")
			}
		})
	}
	all.Wait()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := read(path+".1"), "before\n"+head()+"* one\n"; got != want {
		t.Errorf("the old file has %q, want %q", got, want)
	}
	if got, want := read(path), strings.Repeat(head()+"* two\n", 400); got != want {
		t.Errorf("the new file has %d bytes, want %d", len(got), len(want))
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := j.Handle(t.Context(), slog.Record{Message: "lost"}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a lost line is %v", err)
	}
}

// Goal: a log that cannot be written is found at the start.
func TestFileThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "sentinel.log")
	if _, err := Open(Options{File: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(Options{Syslog: true, SyslogFacility: "local9"}); err == nil || !strings.Contains(err.Error(), "local9") {
		t.Errorf("got %v", err)
	}
}
