//go:build unix

package script

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

const patience = 30 * time.Second

// bench is a Runner under test, what it reported, and a directory for scripts.
type bench struct {
	*Runner
	t   *testing.T
	dir string

	mu     sync.Mutex
	events []string
}

func newBench(t *testing.T, o Options) *bench {
	b := &bench{t: t, dir: t.TempDir()}
	o.Report = func(e warden.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, fmt.Sprintf("%s %s %s", e.Level, e.Name, e.Payload))
	}
	b.Runner = New(o)
	t.Cleanup(func() { b.end() })
	return b
}

// end closes the Runner and fails if it leaves a goroutine.
func (b *bench) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		b.t.Error(err)
	}
	b.wait("the Runner's goroutines to end", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !strings.Contains(string(stacks), "script.(*Runner).")
	})
}

// script writes an executable file. No process may be made meanwhile: it would
// hold the file open for writing, and the kernel executes no such file.
func (b *bench) script(name, text string) string {
	b.t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncd "+b.dir+"\n"+text+"\n"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// read is the text of a file in the directory, "" when there is none.
func (b *bench) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.dir, name))
	return string(text)
}

func (b *bench) write(name string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), nil, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wait(what string, until func() bool) {
	b.t.Helper()
	for limit := time.Now().Add(patience); !until(); {
		if time.Now().After(limit) {
			b.t.Fatalf("waited in vain for %s; reported: %q; pending: %+v", what, b.reported(""), b.Pending())
		}
		<-time.After(2 * time.Millisecond)
	}
}

func (b *bench) waitEmpty() {
	b.t.Helper()
	b.wait("the queue to be empty", func() bool { return len(b.Pending()) == 0 })
}

// reported are the reports that contain a word.
func (b *bench) reported(word string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.events), func(e string) bool { return !strings.Contains(e, word) })
}

func alarm(payload string) warden.Event {
	return warden.Event{Group: "mymaster", Name: "+odown", Level: warden.LevelWarning, Payload: payload}
}
