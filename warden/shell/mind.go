package shell

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Mind is one group's whole mind in one state. It is an immutable value: Step
// returns the next one and leaves the receiver as it was, which is why the
// shell can throw a step away when the disk refuses it, and why queries may
// read the published one at any time from any goroutine.
type Mind interface {
	Step(c group.Config, e group.Event, now warden.Instant) (Mind, group.Effects)
	View(c group.Config, now warden.Instant) warden.GroupView
	// Primary is the address served to clients, without building a view.
	Primary(c group.Config) warden.NodeID
	// Watch lists the nodes to keep links to, sorted.
	Watch(c group.Config, now warden.Instant) []Watched
}
