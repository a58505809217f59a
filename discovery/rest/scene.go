package rest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// sceneLife is how long a view of a group answers checks. Making one costs as
	// much as several answers.
	sceneLife = 20 * time.Millisecond
	// listLife is the same for what is about all groups, of which there may be
	// hundreds.
	listLife = time.Second
)

// scene is a group as it was seen at one moment. It never changes, but for the
// answers that were made from it already.
type scene struct {
	view warden.GroupView
	made time.Time
	// sinceBegan is how long this server had been there.
	sinceBegan warden.Duration
	answers    sync.Map // question -> *answer
}

// question is what is asked most: a check without conditions. There are few,
// because a node that is not in the group has none.
type question struct {
	check string
	node  warden.NodeID
}

// stage holds the newest scene of a group.
type stage struct {
	mu  sync.Mutex // for whoever makes one
	now atomic.Pointer[scene]
}

// scene is a group as it is now, or false where there is none.
func (s *Server) scene(group warden.GroupName) (*scene, bool) { return s.sceneWithin(group, sceneLife) }

// sceneWithin is a group as it was at most so long ago.
func (s *Server) sceneWithin(group warden.GroupName, life time.Duration) (*scene, bool) {
	primary, known := s.dir.Primary(group)
	if !known {
		s.scenes.Delete(group)
		return nil, false
	}
	at, ok := s.scenes.Load(group)
	if !ok {
		at, _ = s.scenes.LoadOrStore(group, &stage{})
	}
	st := at.(*stage)
	if have := st.now.Load(); have.fits(primary, life) {
		return have, true
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if have := st.now.Load(); have.fits(primary, life) {
		return have, true // somebody else made it meanwhile
	}
	made := time.Now()
	v, known := s.dir.Group(group)
	if !known {
		return nil, false
	}
	next := &scene{view: v, made: made, sinceBegan: s.dir.Now().Sub(s.began)}
	st.now.Store(next)
	return next, true
}

// fits reports whether a scene still answers. One of another primary does not,
// however young it is.
func (c *scene) fits(primary warden.NodeID, life time.Duration) bool {
	return c != nil && c.view.Primary == primary && time.Since(c.made) < life
}

// node finds a node of the group.
func (c *scene) node(id warden.NodeID) (warden.NodeView, bool) {
	for _, n := range c.view.Nodes {
		if n.Node == id {
			return n, true
		}
	}
	return warden.NodeView{}, false
}
