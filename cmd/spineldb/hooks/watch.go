package hooks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// group is what is remembered of one group.
type group struct {
	// change is the newest change of the primary whose hooks are not over.
	change *change
	// seen is false until the agreement was seen: what there is then is no news.
	seen  bool
	nodes map[warden.NodeID]*node
}

// change is a change of the primary.
type change struct {
	topology warden.Topology
	old      warden.NodeID
	// reason and epoch are those of the decision, also where it was learned of by a
	// later step.
	reason  warden.Reason
	epoch   warden.Epoch
	at      time.Time
	running bool
	left    int // hooks that are not over
}

type node struct {
	// away: it was down, or could not follow, and has not followed since.
	away bool
	// gone marks those that a look did not find.
	gone bool
}

// aboutChanges reports whether hooks are told of a change of the primary.
func aboutChanges(h config.Hooks) bool {
	return h.Commands[config.HookRoleChange] != nil || h.Commands[config.HookFailover] != nil || h.Commands[config.HookSwitchover] != nil
}

func aboutNodes(h config.Hooks) bool {
	return h.Commands[config.HookJoin] != nil || h.Commands[config.HookRemove] != nil || h.Commands[config.HookRejoin] != nil
}

// Hear is told of every event. It does not wait.
func (h *Hooks) Hear(e warden.Event) {
	switch {
	case e.Name == "+switch-master":
		h.heardOfChange(e)
	case (e.Name == "+sdown" || e.Name == "+needs-rejoin") && e.Node != "":
		h.heardAway(e)
	}
}

// heardAway notes that a node is away, also when it is back before the next look.
func (h *Hooks) heardAway(e warden.Event) {
	if hooks, known := h.options.Hooks(e.Group); !known || !aboutNodes(hooks) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.of(e.Group).nodes[e.Node]; n != nil {
		n.away = true
	}
}

func (h *Hooks) heardOfChange(e warden.Event) {
	hooks, known := h.options.Hooks(e.Group)
	if !known || !aboutChanges(hooks) {
		return
	}
	if v, ok := h.options.Directory.Group(e.Group); ok && v.Topology.Phase == warden.PhaseDone {
		h.changed(hooks, &v, v.Topology.Previous)
	}
}

// changed begins to look after a change. The leader runs the hooks at once.
func (h *Hooks) changed(hooks config.Hooks, v *warden.GroupView, old warden.NodeID) {
	t := &v.Topology
	c := &change{topology: t.Clone(), old: old, at: time.Now(), reason: t.Reason, epoch: t.Epoch}
	if v.MovedAgo >= 0 && v.MovedFor != "" {
		c.reason, c.epoch = v.MovedFor, v.MovedIn
	}
	c.running = t.Leader == h.options.Self
	h.mu.Lock()
	g := h.of(t.Group)
	if have := g.change; have != nil && have.epoch == c.epoch && have.topology.Primary == t.Primary {
		h.mu.Unlock() // found by a look and told by the event
		return
	}
	g.change = c
	h.mu.Unlock()
	if t.Leader == h.options.Self {
		h.tell(hooks, c)
	}
}

// of is what is remembered of a group. The lock is held.
func (h *Hooks) of(name warden.GroupName) *group {
	g := h.groups[name]
	if g == nil {
		g = &group{nodes: map[warden.NodeID]*node{}}
		h.groups[name] = g
	}
	return g
}

// tell runs the hooks about a change: first of the new primary, then of the old one,
// then of the change.
func (h *Hooks) tell(hooks config.Hooks, c *change) {
	t := &c.topology
	o := occasion{Group: t.Group, Old: c.old, New: t.Primary, Reason: c.reason, Epoch: c.epoch}
	made := config.HookFailover
	if c.reason == warden.ReasonSwitchover {
		made = config.HookSwitchover
	}
	all := []occasion{o, o, o}
	all[0].Hook, all[0].Node, all[0].Role = config.HookRoleChange, t.Primary, warden.RolePrimary
	all[1].Hook, all[1].Node, all[1].Role = config.HookRoleChange, c.old, warden.RoleReplica
	all[2].Hook, all[2].Node, all[2].Role = made, t.Primary, warden.RolePrimary
	h.mu.Lock()
	c.left = len(all)
	h.mu.Unlock()
	for _, o := range all {
		o.ID = fmt.Sprintf("%s-%.8s-%d-%s-%s", t.Group, t.Birth, c.epoch, o.Hook, o.Role)
		if o.Node == "" || !h.run(hooks, o, func() { h.ended(c) }) {
			h.ended(c)
		}
	}
}

// ended counts the hooks of a change that are over.
func (h *Hooks) ended(c *change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.left--; c.left == 0 {
		h.settle(c)
	}
}

// settle notes that nothing is left to do for a change, unless there is a newer one.
// The lock is held.
func (h *Hooks) settle(c *change) {
	g := h.of(c.topology.Group)
	if g.change == c {
		g.change = nil
		h.notes.set(c.topology.Group, c.topology.Primary)
	}
}

// watch looks at the groups again and again.
func (h *Hooks) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer h.notes.save()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		names := h.options.Directory.Groups()
		for _, name := range names {
			h.look(name)
		}
		h.mu.Lock()
		for name := range h.groups {
			if !slices.Contains(names, name) {
				delete(h.groups, name)
				h.notes.forget(name)
			}
		}
		h.mu.Unlock()
		h.notes.save()
	}
}

// look looks at one group.
func (h *Hooks) look(name warden.GroupName) {
	hooks, known := h.options.Hooks(name)
	if !known {
		return
	}
	changes, nodes := aboutChanges(hooks), aboutNodes(hooks)
	if !changes {
		h.notes.forget(name)
	}
	if !changes && !nodes {
		return
	}
	v, ok := h.options.Directory.Group(name)
	if !ok || v.Topology.IsZero() || v.Topology.Phase != warden.PhaseDone {
		return
	}
	if changes {
		h.lookForChange(hooks, &v)
	}
	if nodes {
		h.lookAtNodes(hooks, &v)
	}
}

// lookForChange makes up for a change that was missed, and sees that the hooks of
// one that another led are run.
func (h *Hooks) lookForChange(hooks config.Hooks, v *warden.GroupView) {
	t := &v.Topology
	h.mu.Lock()
	c := h.of(t.Group).change
	h.mu.Unlock()
	told, known := h.notes.get(t.Group)
	switch {
	case !known && c == nil:
		h.notes.set(t.Group, t.Primary) // from now on
	case c == nil && told != t.Primary:
		h.changed(hooks, v, told)
	case c == nil || c.running || c.topology.Primary != t.Primary:
	case time.Since(c.at) < time.Duration(h.turn(v, c)):
	case h.inGoodHands(v, c):
		h.mu.Lock()
		h.settle(c)
		h.mu.Unlock()
	default:
		h.mu.Lock()
		c.running = true
		h.mu.Unlock()
		h.options.Logger.Warn("the leader of a change is gone: this Warden runs its hooks", "group", string(t.Group), "leader", string(c.topology.Leader))
		h.tell(hooks, c)
	}
}

// before are the Wardens that run the hooks of a change rather than this one, the
// first first: its leader, then the listed ones by their ids.
func (h *Hooks) before(c *change) []warden.WardenID {
	out := []warden.WardenID{c.topology.Leader}
	for _, id := range c.topology.Wardens {
		if id != c.topology.Leader && (id < h.options.Self || !c.topology.Lists(h.options.Self)) {
			out = append(out, id)
		}
	}
	return out
}

// turn is how long after a change it is this Warden's turn to run the hooks.
func (h *Hooks) turn(v *warden.GroupView, c *change) warden.Duration {
	return warden.Duration(len(h.before(c))) * max(patience, v.StaleAfter+margin)
}

// inGoodHands reports whether a Warden that runs the hooks rather than this one is
// there: it has had its turn.
func (h *Hooks) inGoodHands(v *warden.GroupView, c *change) bool {
	before := h.before(c)
	return slices.ContainsFunc(v.Peers, func(p warden.PeerView) bool { return !p.Down && !p.Real && slices.Contains(before, p.ID) })
}

// lookAtNodes runs the hooks about nodes.
func (h *Hooks) lookAtNodes(hooks config.Hooks, v *warden.GroupView) {
	var all []occasion
	h.mu.Lock()
	g := h.of(v.Name)
	for _, n := range g.nodes {
		n.gone = true
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Foreign {
			continue
		}
		known := g.nodes[n.Node]
		if known == nil {
			known = &node{}
			g.nodes[n.Node] = known
			if g.seen {
				all = append(all, occasion{Hook: config.HookJoin, Node: n.Node, Role: n.Observation.Role})
			}
		}
		known.gone = false
		switch {
		case n.Down || n.Stranded:
			known.away = true
		case known.away && inPlace(n, v.Topology.Primary):
			known.away = false
			all = append(all, occasion{Hook: config.HookRejoin, Node: n.Node, Role: n.Observation.Role})
		}
	}
	for id, n := range g.nodes {
		if n.gone {
			delete(g.nodes, id)
			all = append(all, occasion{Hook: config.HookRemove, Node: id})
		}
	}
	g.seen = true
	h.mu.Unlock()
	for _, o := range all {
		o.Group, o.New, o.Epoch, o.ID = v.Name, v.Topology.Primary, v.Topology.Epoch, h.ownID(o.Hook)
		h.run(hooks, o, nil)
	}
}

// inPlace reports whether a node is what it should be: the primary, or a replica
// that follows it.
func inPlace(n *warden.NodeView, primary warden.NodeID) bool {
	o := &n.Observation
	if o.Health != warden.HealthGood {
		return false
	}
	if n.Node == primary {
		return o.Role == warden.RolePrimary
	}
	return o.Role == warden.RoleReplica && o.Upstream == primary && o.LinkUp
}
