package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/spineldb/warden/warden"
)

// batchBytes is about how much is written at once.
const batchBytes = 64 << 10

// EventsFile is where the newest events are, inside the data directory.
const EventsFile = "events.log"

// EventsOptions say where events are kept, and how many.
type EventsOptions struct {
	// Dir is the data directory, Run the number of this run of the Warden.
	Dir string
	Run warden.Run
	// Most is how many of the newest events are kept, if they take no more than
	// Bytes on disk. Default 4,096 and 4 MiB.
	Most   int
	Bytes  int64
	Logger *slog.Logger
}

// entry is an event as it is written.
type entry struct {
	Run warden.Run `json:"run"`
	warden.EventRecord
}

// last is the number of the last event of a run that was written.
type last struct {
	run warden.Run
	seq int64
}

// Events keeps events. Its methods are safe for concurrent use.
type Events struct {
	run    warden.Run
	past   []warden.EventRecord
	runs   []last
	writer *writer[warden.EventRecord]
	pair   *pair // the writer's
}

// OpenEvents reads what was kept and begins to keep more. It always succeeds: where
// the files cannot be used it warns, and keeps nothing until they can. It must be
// closed.
func OpenEvents(o EventsOptions) *Events {
	return openEvents(o, &pair{})
}

func openEvents(o EventsOptions, p *pair) *Events {
	o.Most, o.Bytes, o.Logger = cmp.Or(o.Most, 4096), cmp.Or(o.Bytes, 4<<20), cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	p.path, p.lines, p.bytes = filepath.Join(o.Dir, EventsFile), o.Most, o.Bytes/2
	e := &Events{run: o.Run, pair: p}
	texts, aside, err := p.mend()
	for _, name := range aside {
		o.Logger.Warn("the log of events was damaged: what can be read of it is kept, and the rest is gone", "set_aside", name)
	}
	if err != nil {
		o.Logger.Warn("the events of earlier runs cannot be read: look at the file and its rights", "file", p.path, "error", err)
	}
	e.remember(texts, o.Most)
	e.writer = startWriter(&writer[warden.EventRecord]{log: o.Logger, what: "events", where: p.path}, e.write, func() error {
		return firstError(p.sync(), p.close())
	})
	return e
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// remember takes in what was on disk: the newest events up to most, back to the
// first one whose predecessor was lost.
func (e *Events) remember(texts [][]byte, most int) {
	for _, text := range texts {
		var x entry
		if json.Unmarshal(text, &x) != nil || x.Seq < 1 {
			continue // it has its checksum, so it is of another version
		}
		if n := len(e.past); n > 0 && x.Seq != e.past[n-1].Seq+1 {
			e.past = nil
		}
		e.past = append(e.past, x.EventRecord)
		if n := len(e.runs); n > 0 && e.runs[n-1].run == x.Run {
			e.runs[n-1].seq = x.Seq
		} else {
			e.runs = append(e.runs, last{x.Run, x.Seq})
		}
	}
	e.past = slices.Clone(e.past[max(0, len(e.past)-most):])
}

// Past are the events of earlier runs, numbered without gaps, the oldest first.
func (e *Events) Past() []warden.EventRecord { return e.past }

// Resume is the number after which a reader goes on whose last event had the
// number seq in the given run. Events that were told in an earlier run and did not
// reach the disk have had numbers that others have now. A run of which nothing is
// kept gives 0: the reader gets all there are.
func (e *Events) Resume(run warden.Run, seq int64) int64 {
	if run == e.run {
		return seq
	}
	for _, r := range e.runs {
		if r.run == run {
			return min(seq, r.seq)
		}
	}
	return 0
}

// Keep has an event written. It never blocks.
func (e *Events) Keep(r warden.EventRecord) { e.writer.put(r) }

// Lost is how many events did not reach the disk since the start.
func (e *Events) Lost() int64 { return e.writer.lost.Load() }

// Close writes what is left, within ctx. Keep must not be called after it.
func (e *Events) Close(ctx context.Context) error { return e.writer.close(ctx) }

// write writes some events, in pieces that are small beside a file.
func (e *Events) write(batch []warden.EventRecord) error {
	var text []byte
	lines := 0
	for i, r := range batch {
		var err error
		if text, err = appendLine(text, entry{e.run, r}); err != nil {
			return err
		}
		lines++
		if len(text) >= batchBytes || lines >= e.pair.lines || i == len(batch)-1 {
			if err := e.pair.add(text, lines); err != nil {
				return err
			}
			text, lines = text[:0], 0
		}
	}
	return nil
}
