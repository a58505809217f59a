package shell

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

const (
	// recordMax is the size in bytes at which a record file is put aside as
	// "<group>.jsonl.1", in place of the one put aside before.
	recordMax = 16 << 20
	// recordQueue bounds the lines that wait for the disk. What does not fit
	// is left out and counted in the next line.
	recordQueue = 4096
	// recordFlush is the longest time a line waits in memory.
	recordFlush = time.Second
)

// Recorded is one line of a record: what a mind was told, and when. A mind is
// a plain function, so the lines from the first Start on are enough to think
// every thought again (Replay).
type Recorded struct {
	At   warden.Instant `json:"at"`
	Kind string         `json:"kind"` // "start", "config" or the name of the event's type
	// Event is the event; Config and Register are there in "start", Config
	// alone in "config".
	Event    json.RawMessage  `json:"event,omitempty"`
	Config   *group.Config    `json:"config,omitempty"`
	Register *warden.Register `json:"register,omitempty"`
	// Missing lines before this one did not fit the queue: a replay ends here.
	Missing uint64 `json:"missing,omitempty"`
}

// recorder writes the record of one group. The nil recorder records nothing.
// Its methods are for the group's loop and never wait for the disk.
type recorder struct {
	path    string
	first   Recorded
	max     int64 // size in bytes at which the file is put aside
	log     *slog.Logger
	lines   chan []byte
	missing uint64
	ended   chan struct{}
}

// newRecorder is nil when nothing is to be recorded.
func newRecorder(o *env, c group.Config, reg warden.Register, now warden.Instant) *recorder {
	if o.RecordDir == "" {
		return nil
	}
	return &recorder{
		path: filepath.Join(o.RecordDir, string(c.Group)+".jsonl"), log: o.Logger, max: recordMax,
		first: Recorded{At: now, Kind: "start", Config: &c, Register: &reg},
		lines: make(chan []byte, recordQueue), ended: make(chan struct{}),
	}
}

// begin opens the record of a run. It has to be closed.
func (r *recorder) begin() {
	if r != nil {
		go r.write()
		r.put(r.first)
	}
}

// configured records a new configuration.
func (r *recorder) configured(c group.Config, now warden.Instant) {
	if r != nil {
		r.put(Recorded{At: now, Kind: "config", Config: &c})
	}
}

// event records an event that goes to the mind.
func (r *recorder) event(e group.Event, now warden.Instant) {
	if r == nil {
		return
	}
	body, err := json.Marshal(e)
	if err != nil {
		r.log.Error("record event", "kind", reflect.TypeOf(e).Name(), "error", err)
		r.missing++
		return
	}
	r.put(Recorded{At: now, Kind: reflect.TypeOf(e).Name(), Event: body})
}

func (r *recorder) put(line Recorded) {
	line.Missing = r.missing
	text, err := json.Marshal(line)
	if err != nil {
		r.missing++
		return
	}
	select {
	case r.lines <- append(text, '\n'):
		r.missing = 0
	default:
		r.missing++
	}
}

// close writes what is left and returns when the file is closed.
func (r *recorder) close() {
	if r != nil {
		close(r.lines)
		<-r.ended
	}
}

// write is the recorder's own goroutine. A record that cannot be written ends
// with one line in the log; the group goes on.
func (r *recorder) write() {
	defer close(r.ended)
	if err := r.copyLines(); err != nil {
		r.log.Error("record events: recording ends", "error", err)
		for range r.lines {
		}
	}
}

func (r *recorder) copyLines() error {
	flush := time.NewTicker(recordFlush)
	defer flush.Stop()
	for more := true; more; {
		f, size, err := openRecord(r.path)
		if err != nil {
			return err
		}
		more, err = r.fill(f, size, flush.C)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("write record %s: %w", r.path, err)
		}
		if more {
			if err := os.Rename(r.path, r.path+".1"); err != nil {
				return fmt.Errorf("put record aside: %w", err)
			}
		}
	}
	return nil
}

// fill writes lines until the file is full (more is true) or the recorder is
// closed.
func (r *recorder) fill(f *os.File, size int64, flush <-chan time.Time) (more bool, err error) {
	out := bufio.NewWriterSize(f, 64<<10)
	for {
		select {
		case <-flush:
			if err := out.Flush(); err != nil {
				return false, err
			}
		case line, ok := <-r.lines:
			if !ok {
				return false, out.Flush()
			}
			n, err := out.Write(line)
			if err != nil {
				return false, err
			}
			if size += int64(n); size >= r.max {
				return true, out.Flush()
			}
		}
	}
}

func openRecord(path string) (*os.File, int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, 0, fmt.Errorf("make record directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open record: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("read size of record: %w", err)
	}
	return f, info.Size(), nil
}
