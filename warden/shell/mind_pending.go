package shell

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Watched stands in for the type of package group until it is there.
type Watched struct {
	Node     warden.NodeID
	Every    warden.Duration
	Deadline warden.Duration
}

func newGroupMind(c group.Config, reg warden.Register, now warden.Instant) Mind {
	panic("no mind yet")
}
