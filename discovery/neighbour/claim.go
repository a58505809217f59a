package neighbour

import "github.com/spineldb/warden/warden"

// claim is what goes into our hello beside the primary's address: which version
// of it we say it is. Sentinels follow the highest version.
type claim struct {
	// agreed is the newest version known to Sentinels, or that was made here
	// after Wardens moved the primary, and at is its address.
	agreed uint64
	at     warden.NodeID
	// highest is the highest version ever heard of, whoever told it.
	highest uint64
	// newer is the highest version that another Warden has published, of the
	// address there. Wardens that move together should say one number.
	newer uint64
	there warden.NodeID
	// served is the address we published last. moved: it changed, and no
	// Sentinel has told that address, or a later one, since.
	served warden.NodeID
	moved  bool
}

// sentinelSays takes in a Sentinel's version, and reports whether it is a new
// one, and of another address than the one known so far. Versions that are equal and differ in their address stand side by side
// for ever among Sentinels, so here the first one stays.
func (c *claim) sentinelSays(h hello) (newer, elsewhere bool) {
	c.highest = max(c.highest, h.config)
	if h.config <= c.agreed {
		return false, false
	}
	elsewhere = c.at != h.primary
	c.agreed, c.at, c.moved = h.config, h.primary, false
	return true, elsewhere
}

// wardenSays takes in another Warden's version.
func (c *claim) wardenSays(h hello) {
	c.highest = max(c.highest, h.config)
	if h.config > c.newer {
		c.newer, c.there = h.config, h.primary
	}
}

// version is the one to publish with the address that is served now, of that
// epoch of ours. made: a new one was made, to be remembered. alone: no Sentinel
// is alive.
func (c *claim) version(served warden.NodeID, ours uint64, alone bool) (version uint64, made bool) {
	if served != c.served {
		c.served, c.moved = served, true
	}
	if served == c.there && c.newer > c.agreed {
		// Another Warden of our agreement has said so already.
		c.agreed, c.at, c.moved = c.newer, c.there, false
		return c.agreed, true
	}
	if served == c.at {
		c.moved = false
		return c.agreed, false
	}
	if !c.moved || !alone {
		return 0, false
	}
	// Wardens have moved the primary, and no Sentinel is there to object. One
	// that comes back has to follow.
	c.agreed, c.at, c.moved = max(c.highest, ours)+1, served, false
	c.highest = c.agreed
	return c.agreed, true
}

// Own is our hello of a group in the words of Sentinel, from the one that goes
// to other Wardens; empty when there is nothing to say: the group is unknown
// here, or has no address to serve, or ours is not known yet. It never blocks.
func (b *Book) Own(h warden.Hello) string {
	client, err := warden.ParseNode(h.Client)
	if err != nil || h.Primary == "" {
		return ""
	}
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	g := b.groups[h.Group]
	if g == nil {
		return ""
	}
	now := b.o.Clock()
	// What is dead and had our address was replaced by us.
	b.drop(func(n *neighbour) bool { return n.Client == client && !n.alive(now) })
	// A Warden that has just begun to listen does not know whether it is alone.
	alone := now.Sub(g.since) >= Life && len(g.alive(now)) == 0
	version, made := g.claim.version(h.Primary, min(uint64(h.Epoch), maxEpoch), alone)
	if made {
		b.raise(g, version)
		b.say(func() { b.o.Risen(h.Group) })
	}
	return hello{client: client, id: b.o.ID, current: b.current, group: h.Group, primary: b.o.Shown(h.Primary), config: version}.String()
}
