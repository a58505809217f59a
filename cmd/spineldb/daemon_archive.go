package main

import (
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/archive"
)

// openArchive opens what is kept of the past. It is closed after all that tell it
// something.
func (d *daemon) openArchive(dir string, p config.Past) {
	d.events = archive.OpenEvents(archive.EventsOptions{Dir: dir, Run: d.store.Run(), Most: p.Events, Bytes: p.EventBytes, Logger: d.log})
	d.onStop("events", d.events.Close)
	d.reports = archive.OpenReports(archive.ReportsOptions{Dir: dir, Most: p.Reports, Logger: d.log})
	d.onStop("reports", d.reports.Close)
}

// processName tells the numbers of this run's events from those of another: an
// event that was told and did not reach the disk has had a number that another one
// has now.
func (d *daemon) processName() string {
	return d.shortName() + strconv.FormatUint(uint64(d.store.Run()), 10)
}

func (d *daemon) shortName() string { return string(d.store.Identity()[:8]) + "r" }

// resumeEvents is the number after which a reader goes on whose last event had the
// number seq in the process of that name.
func (d *daemon) resumeEvents(process string, seq int64) int64 {
	text, ours := strings.CutPrefix(process, d.shortName())
	run, err := strconv.ParseUint(text, 10, 64)
	if !ours || err != nil {
		return 0
	}
	return d.events.Resume(warden.Run(run), seq)
}

// kept are the events that are remembered.
func (d *daemon) kept(since int64, limit int) (events []warden.EventRecord, first, last int64) {
	log := d.server.Kept(since, limit)
	return log.Events, log.First, log.Last
}
