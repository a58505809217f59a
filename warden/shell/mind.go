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
	Watch(c group.Config, now warden.Instant) []group.Watched
}

// groupMind is the real mind. The state sits behind an interface so that the
// tests of the loop can script what a mind wants.
type groupMind struct{ state *group.State }

// newGroupMind wakes a group's mind from what its Warden has on disk.
func newGroupMind(c group.Config, reg warden.Register, now warden.Instant) Mind {
	s := group.New(c, reg, now)
	return groupMind{&s}
}

func (m groupMind) Step(c group.Config, e group.Event, now warden.Instant) (Mind, group.Effects) {
	next := *m.state
	effects := group.Advance(&c, &next, e, now)
	return groupMind{&next}, effects
}

func (m groupMind) View(c group.Config, now warden.Instant) warden.GroupView {
	return group.View(c, *m.state, now)
}

func (m groupMind) Primary(c group.Config) warden.NodeID { return group.Primary(&c, m.state) }

func (m groupMind) Watch(c group.Config, now warden.Instant) []group.Watched {
	return group.Watch(&c, m.state, now)
}
