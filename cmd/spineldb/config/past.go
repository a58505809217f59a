package config

// Past says how much of what happened is kept in the data directory.
type Past struct {
	// Events is how many of the last events are kept, if they take no more than
	// EventBytes on disk.
	Events     int
	EventBytes int64
	// Reports is how many of the last failover reports are kept of each group.
	Reports int
}

// DefaultPast is what is kept where nothing else is asked for.
func DefaultPast() Past { return Past{Events: 4096, EventBytes: 4 << 20, Reports: 100} }

// past reads how much is kept.
func (s *section) past() Past {
	d := DefaultPast()
	const remedy = "leave it out for the default"
	return Past{
		Events:     s.whole("events_kept", d.Events, 100, 100_000, remedy),
		Reports:    s.whole("reports_kept", d.Reports, 1, 10_000, remedy),
		EventBytes: int64(s.whole("events_kept_bytes", int(d.EventBytes), 256<<10, 1<<30, remedy)),
	}
}
