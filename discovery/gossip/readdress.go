package gossip

import (
	"fmt"
	"time"
)

// updateLimit bounds how long it is waited until one peer knows new addresses
// from SWIM. The others hear them from there, and all with our next message.
const updateLimit = time.Second

// Readdress changes what peers are told from now on: the host:port of this
// gossip, and that of our client port. The sockets stay what they are. An error
// means that nothing has changed. It returns at once.
func (g *Gossip) Readdress(gossip, client string) error {
	if !validAddress(gossip) {
		return fmt.Errorf("change gossip address: %q is not host:port", gossip)
	}
	if !validAddress(client) {
		return fmt.Errorf("change gossip address: client address %q is not host:port", client)
	}
	fresh := card{Gossip: gossip, Client: client}
	g.mu.Lock()
	defer g.mu.Unlock()
	if *g.told.Load() == fresh || g.ctx.Err() != nil {
		return nil
	}
	g.told.Store(&fresh)
	g.own[gossip] = true
	g.tasks.Go(func() {
		if err := g.list.UpdateNode(updateLimit); err != nil && g.ctx.Err() == nil {
			g.log.Debug("gossip: nobody has taken the new addresses yet", "error", err)
		}
	})
	return nil
}
