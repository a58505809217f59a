package archive

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// ReportsDir is where the reports are, inside the data directory.
	ReportsDir = "reports"
	// groupBytes is the most that the reports of one group take, in bytes.
	groupBytes = 8 << 20
	// versions is how often a report is told, about: what it tells grows.
	versions = 4
)

// ReportsOptions say where reports are kept, and how many.
type ReportsOptions struct {
	// Dir is the data directory.
	Dir string
	// Most is how many of the newest reports are kept of each group. Default 100.
	Most   int
	Logger *slog.Logger
}

// Reports keeps reports. Its methods are safe for concurrent use.
type Reports struct {
	options ReportsOptions
	writer  *writer[warden.Report]
	// mu is held while files are written, read or change places. Only the writer and
	// readers wait for it. written counts what was written.
	mu      sync.Mutex
	written uint64
	// reading lets one reader at a time decode a file, which takes a processor for a
	// while; last is what was decoded last.
	reading sync.Mutex
	last    listed
	// mended are the groups whose files were looked at in this run.
	mended map[warden.GroupName]bool
}

// listed are the reports of a group as of a number of writes.
type listed struct {
	group   warden.GroupName
	written uint64
	reports []warden.Report
}

// OpenReports begins to keep reports. It always succeeds: where the files cannot be
// used it warns, and keeps nothing until they can. It must be closed.
func OpenReports(o ReportsOptions) *Reports {
	o.Most, o.Logger = cmp.Or(o.Most, 100), cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	r := &Reports{options: o, mended: map[warden.GroupName]bool{}}
	r.writer = startWriter(&writer[warden.Report]{log: o.Logger, what: "failover reports", where: filepath.Join(o.Dir, ReportsDir)}, r.write, func() error { return nil })
	return r
}

// Keep has a report written that was told just now, and fills in when it began. It
// never blocks.
func (r *Reports) Keep(report warden.Report) {
	report.UnixMS = time.Now().UnixMilli() - report.Took.Milliseconds()
	r.writer.put(report)
}

// Lost is how many reports did not reach the disk since the start.
func (r *Reports) Lost() int64 { return r.writer.lost.Load() }

// Close writes what is left, within ctx. Keep must not be called after it.
func (r *Reports) Close(ctx context.Context) error { return r.writer.close(ctx) }

// List returns the newest reports of a group, at most as many as are kept, the
// oldest first, each as it was told last. It reads a file, so it may wait for the
// disk.
func (r *Reports) List(group warden.GroupName) ([]warden.Report, error) {
	p, err := r.pair(group)
	if err != nil {
		return nil, err
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	r.mu.Lock()
	written := r.written
	if r.last.group == group && r.last.written == written {
		r.mu.Unlock()
		return slices.Clone(r.last.reports), nil
	}
	texts, err := p.read()
	r.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("read the reports of %s: %w", group, err)
	}
	all := newestOf(texts)
	all = all[max(0, len(all)-r.options.Most):]
	r.last = listed{group, written, all}
	return slices.Clone(all), nil
}

// newestOf are the reports in some lines, each as it was told last, in the order of
// their time.
func newestOf(texts [][]byte) []warden.Report {
	var all []warden.Report
	place := map[string]int{}
	for _, text := range texts {
		var report warden.Report
		if json.Unmarshal(text, &report) != nil || report.ID == "" {
			continue // it has its checksum, so it is of another version
		}
		if i, again := place[report.ID]; again {
			all[i] = report
			continue
		}
		place[report.ID] = len(all)
		all = append(all, report)
	}
	slices.SortStableFunc(all, func(a, b warden.Report) int { return cmp.Compare(a.UnixMS, b.UnixMS) })
	return all
}

// Get returns the report of that ID, as it was told last. It may wait for the disk.
func (r *Reports) Get(group warden.GroupName, id string) (report warden.Report, found bool, err error) {
	all, err := r.List(group)
	i := slices.IndexFunc(all, func(x warden.Report) bool { return x.ID == id })
	if err != nil || i < 0 {
		return warden.Report{}, false, err
	}
	return all[i], true, nil
}

// pair are the files of a group. The name of one is that of a file, and nothing else.
func (r *Reports) pair(group warden.GroupName) (*pair, error) {
	if _, err := warden.ParseGroupName(string(group)); err != nil {
		return nil, err
	}
	return &pair{path: filepath.Join(r.options.Dir, ReportsDir, string(group)+".log"), lines: versions * r.options.Most, bytes: groupBytes / 2}, nil
}

// write writes some reports, of any groups.
func (r *Reports) write(batch []warden.Report) error {
	lines := map[warden.GroupName][][]byte{}
	for _, report := range batch {
		line, err := appendLine(nil, report)
		if err != nil {
			return err
		}
		lines[report.Group] = append(lines[report.Group], line)
	}
	var first error
	for group, all := range lines {
		first = firstError(first, r.writeGroup(group, all))
	}
	return first
}

func (r *Reports) writeGroup(group warden.GroupName, lines [][]byte) error {
	p, err := r.pair(group)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written++
	if !r.mended[group] {
		_, aside, err := p.mend()
		for _, name := range aside {
			r.options.Logger.Warn("the reports of a group were damaged: what can be read of them is kept, and the rest is gone", "group", string(group), "set_aside", name)
		}
		if err != nil {
			return err
		}
		r.mended[group] = true
	}
	for _, line := range lines {
		if err = p.add(line, 1); err != nil {
			break
		}
	}
	return firstError(err, p.close()) // reports are rare: no file is kept open for each group
}
