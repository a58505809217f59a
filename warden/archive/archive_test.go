package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// journal is a log to look into.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func record(seq int64) warden.EventRecord {
	return warden.EventRecord{Seq: seq, UnixMS: 1000 + seq, Event: "+e", Level: warden.LevelWarning, Group: "g", Payload: fmt.Sprint("event ", seq)}
}

// life opens the log, keeps some events and closes it, as a run of a Warden does.
func life(t *testing.T, o EventsOptions, first, last int64) *Events {
	t.Helper()
	e := OpenEvents(o)
	for n := first; n <= last; n++ {
		e.Keep(record(n))
	}
	end(t, e)
	return e
}

func end(t *testing.T, e interface{ Close(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// wantPast checks that exactly these events are known from earlier runs.
func wantPast(t *testing.T, e *Events, first, last int64) {
	t.Helper()
	past := e.Past()
	if int64(len(past)) != last-first+1 {
		t.Fatalf("%d events are known, want %d to %d", len(past), first, last)
	}
	for i, r := range past {
		if want := record(first + int64(i)); r != want {
			t.Fatalf("got %+v, want %+v", r, want)
		}
	}
}

// Goal: what was kept is there in the next run, in order and bounded by number.
func TestEventsSurviveARestart(t *testing.T) {
	o := EventsOptions{Dir: t.TempDir(), Run: 1, Most: 200}
	e := life(t, o, 1, 150)
	wantPast(t, e, 1, 0)
	o.Run = 2
	wantPast(t, life(t, o, 151, 430), 1, 150)
	o.Run = 3
	wantPast(t, life(t, o, 431, 430), 231, 430)
}

// Goal: the files stay within their bytes, whatever is written.
func TestEventsAreBoundedInBytes(t *testing.T) {
	o := EventsOptions{Dir: t.TempDir(), Run: 1, Most: 1 << 20, Bytes: 512 << 10}
	e := OpenEvents(o)
	const many = 6000
	for n := int64(1); n <= many; n++ {
		r := record(n)
		r.Payload = strings.Repeat("p", 900)
		e.Keep(r)
		if n%1000 == 0 {
			await(t, "the queue is empty", func() bool { return len(e.writer.queue) == 0 })
		}
	}
	end(t, e)
	var size int64
	for _, name := range []string{EventsFile, EventsFile + ".1"} {
		info, err := os.Stat(filepath.Join(o.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > o.Bytes || size < o.Bytes/3 {
		t.Errorf("%d bytes are used, want at most %d", size, o.Bytes)
	}
	past := life(t, o, 1, 0).Past()
	if n := len(past); n < 200 || past[n-1].Seq != many {
		t.Errorf("%d events are left", n)
	}
}

// Goal: who had the last event of an earlier run goes on after it, also where
// events were told that never reached the disk and whose numbers are others' now.
func TestResume(t *testing.T) {
	o := EventsOptions{Dir: t.TempDir(), Run: 4}
	life(t, o, 1, 10)
	o.Run = 5
	life(t, o, 11, 20)
	o.Run = 7
	e := life(t, o, 21, 30)
	for _, tt := range []struct {
		run       warden.Run
		seq, want int64
	}{{4, 3, 3}, {4, 10, 10}, {4, 14, 10}, {5, 15, 15}, {5, 99, 20}, {7, 25, 25}, {7, 99, 99}, {6, 22, 0}, {3, 5, 0}, {8, 5, 0}} {
		if got := e.Resume(tt.run, tt.seq); got != tt.want {
			t.Errorf("after %d of run %d: %d, want %d", tt.seq, tt.run, got, tt.want)
		}
	}
}

// Goal: a line that was cut off is dropped without a word, and the next run appends
// to what is whole.
func TestCutOffLine(t *testing.T) {
	o := EventsOptions{Dir: t.TempDir(), Run: 1}
	life(t, o, 1, 10)
	path := filepath.Join(o.Dir, EventsFile)
	for i, tail := range []string{"1234", "00000000 {\"seq\":11}", "\x00\x00\x00\x00\n\x00\n"} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, tail)
		f.Close()
		j := &journal{}
		o.Logger = j.logger()
		n := int64(10 + i)
		wantPast(t, life(t, o, n+1, n+1), 1, n)
		if j.String() != "" {
			t.Errorf("it says %s", j)
		}
	}
	wantPast(t, life(t, o, 14, 13), 1, 13)
}

// Goal: a damaged file is set aside with a warning, and what is whole of it is kept;
// the numbers go on, and events that were lost with it are no reason to tell others
// out of order.
func TestDamage(t *testing.T) {
	o := EventsOptions{Dir: t.TempDir(), Run: 1}
	life(t, o, 1, 100)
	path := filepath.Join(o.Dir, EventsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte("event 40"))
	text[at] = 'E'
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	j := &journal{}
	o.Logger, o.Run = j.logger(), 2
	wantPast(t, life(t, o, 101, 110), 41, 100)
	if !strings.Contains(j.String(), "damaged") || strings.Count(j.String(), "WARN") != 1 {
		t.Errorf("it says %s", j)
	}
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %q %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, text) {
		t.Errorf("what was set aside is not what was there: %v", err)
	}
	o.Logger = nil
	wantPast(t, life(t, o, 111, 110), 41, 110)
}

// Goal: a disk that takes nothing loses events with one warning, holds nobody up,
// and leaves a file that can be read; when it works again events are kept again.
func TestFullDisk(t *testing.T) {
	j := &journal{}
	o := EventsOptions{Dir: t.TempDir(), Run: 1, Logger: j.logger()}
	var full atomic.Bool
	full.Store(true)
	e := openEvents(o, &pair{write: func(f *os.File, text []byte) (int, error) {
		if !full.Load() {
			return f.Write(text)
		}
		n, _ := f.Write(text[:len(text)/2])
		return n, errors.New("no space left on device")
	}})
	e.Keep(record(1))
	await(t, "a warning comes", func() bool { return strings.Contains(j.String(), "no space left") })
	began := time.Now()
	for n := int64(2); n <= 3*queueLength; n++ {
		e.Keep(record(n))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to keep events on a full disk", took)
	}
	await(t, "the queue is empty", func() bool { return len(e.writer.queue) == 0 })
	full.Store(false)
	const next = 3*queueLength + 1
	e.Keep(record(next))
	await(t, "events are kept again", func() bool { return strings.Contains(j.String(), "on disk again") })
	end(t, e)
	// What was taken from the queue when the disk worked again is kept.
	if lost := e.Lost(); lost < queueLength || lost >= next {
		t.Errorf("%d of %d events are counted as lost", lost, next)
	}
	if got := strings.Count(j.String(), "WARN"); got != 1 {
		t.Errorf("%d warnings: %s", got, j)
	}
	o.Run, o.Logger = 2, nil
	past := life(t, o, 1, 0).Past()
	if n := len(past); n == 0 || past[n-1].Seq != next {
		t.Errorf("the last one that is known: %+v", past)
	}
}

// Goal: a directory that cannot be used is a warning, and no reason not to start.
func TestUnusableDirectory(t *testing.T) {
	j := &journal{}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := OpenEvents(EventsOptions{Dir: file, Run: 1, Logger: j.logger()})
	e.Keep(record(1))
	end(t, e)
	if !strings.Contains(j.String(), "not kept on disk") {
		t.Errorf("it says %s", j)
	}
}

// Goal: no content of a file makes the reading of it fail, and what is read was
// written.
func FuzzScan(f *testing.F) {
	line, err := appendLine(nil, entry{1, record(1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(append([]byte("x\n"), line...), "12345678 {}"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := scan(data)
		if c.whole > int64(len(data)) || c.whole > 0 && data[c.whole-1] != '\n' {
			t.Fatalf("%d of %d bytes are whole", c.whole, len(data))
		}
		again := scan(data[:c.whole])
		if len(again.texts) != len(c.texts) || again.damaged != c.damaged {
			t.Fatal("what is whole reads differently without the rest")
		}
		var good []byte
		for _, text := range c.texts {
			good = appendText(good, text)
		}
		if mended := scan(good); mended.damaged || len(mended.texts) != len(c.texts) {
			t.Fatal("what was mended is damaged")
		}
	})
}
