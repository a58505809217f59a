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
	// A configuration is never changed once a mind was shown it.
	Step(c *group.Config, e group.Event, now warden.Instant) (Mind, group.Effects)
	View(c *group.Config, now warden.Instant) warden.GroupView
	// Primary is the address served to clients, and Epoch that of the agreed
	// topology, without building a view.
	Primary(c *group.Config) warden.NodeID
	Epoch() warden.Epoch
	// Watch lists the nodes to keep links to, sorted. Nobody changes the list.
	Watch(c *group.Config, now warden.Instant) []group.Watched
}

// groupMind is the real mind. The state sits behind an interface so that the
// tests of the loop can script what a mind wants.
type groupMind struct{ *thought }

// thought is a state, and the nodes it wants watched: they seldom change, so
// the next state mostly takes them over.
type thought struct {
	state   group.State
	config  *group.Config // that watched is for
	gaze    group.Gaze
	watched []group.Watched
}

// newGroupMind wakes a group's mind from what its Warden has on disk.
func newGroupMind(c group.Config, reg warden.Register, now warden.Instant) Mind {
	return groupMind{&thought{state: group.New(c, reg, now)}}
}

func (m groupMind) Step(c *group.Config, e group.Event, now warden.Instant) (Mind, group.Effects) {
	next := *m.thought
	effects := group.Advance(c, &next.state, e, now)
	if gaze := group.GazeOf(c, &next.state, now); next.config != c || next.gaze != gaze {
		next.config, next.gaze, next.watched = c, gaze, group.Watch(c, &next.state, now)
	}
	return groupMind{&next}, effects
}

func (m groupMind) View(c *group.Config, now warden.Instant) warden.GroupView {
	return group.View(*c, m.state, now)
}

func (m groupMind) Primary(c *group.Config) warden.NodeID { return group.Primary(c, &m.state) }

func (m groupMind) Epoch() warden.Epoch { return group.Epoch(&m.state) }

func (m groupMind) Watch(c *group.Config, now warden.Instant) []group.Watched {
	if m.config == c {
		return m.watched // thought of a moment ago, with the state
	}
	return group.Watch(c, &m.state, now)
}
