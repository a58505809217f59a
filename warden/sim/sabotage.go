package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Sabotage breaks a mechanism on purpose, from outside the mind: it alters
// what goes in and what comes out, the disk, the network or the databases.
// The zero value breaks nothing.
type Sabotage struct {
	// Restart replaces what happens to a disk when its process starts.
	Restart func(d *disk, now warden.Instant)
	// Event alters an event before the mind thinks about it.
	Event func(p *process, e group.Event) group.Event
	// Effects alters what the mind wants before it is performed.
	Effects func(p *process, e group.Event, f *group.Effects)
	// Message alters a message on its way; false loses it.
	Message func(from, to *process, m *warden.Message) bool
	// Observe alters what a server says of itself.
	Observe func(s *server, o *warden.Observation)
	// Clock alters what a process reads from its clock.
	Clock func(p *process, now warden.Instant) warden.Instant
	// DeafToClaims: servers take orders of any session, claimed or killed.
	DeafToClaims bool
	// HoldNothing: a hold is answered and not done. HoldForEver: it never ends.
	HoldNothing, HoldForEver bool
	// Ended alters what a process is told of the end of an order.
	Ended func(o *order, r *warden.Result, seen *warden.Observation)
	// EarlyPositions: sealed standbys say where they were when the seal was
	// ordered.
	EarlyPositions bool
	// TrustSettings: a seal is done when the setting is empty, whatever the
	// receiver does.
	TrustSettings bool
	// TrustShow: a primary waits by a rule as soon as all of it has read that.
	TrustShow bool
}
