package gossip

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/spineldb/warden/warden"
)

// delegate is the side of a Gossip that memberlist calls. Most calls come with
// memberlist's own lock held, so nothing here may call it back.
type delegate Gossip

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
)

// NodeMeta tells peers our addresses.
func (d *delegate) NodeMeta(limit int) []byte {
	for _, c := range []card{*d.told.Load(), {Client: d.told.Load().Client}} {
		if raw, err := json.Marshal(c); err == nil && len(raw) <= limit {
			return raw
		}
	}
	return nil
}

// NotifyMsg takes an envelope. Decoding copies all that is kept of raw.
func (d *delegate) NotifyMsg(raw []byte) { (*Gossip)(d).receive(raw) }

// GetBroadcasts: we broadcast nothing of our own.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState tells whom we heard in the last minutes.
func (d *delegate) LocalState(bool) []byte {
	return encodeCards(d.book.heardSince(time.Now().Add(-5 * time.Minute)))
}

// MergeRemoteState greets the Wardens that another one has heard and we have not.
func (d *delegate) MergeRemoteState(raw []byte, _ bool) {
	g := (*Gossip)(d)
	for _, c := range decodeCards(raw) {
		if c.ID != g.opts.Self {
			g.Introduce(Peer{ID: c.ID, Gossip: c.Gossip, Client: c.Client})
		}
	}
}

// NotifyAlive refuses nodes that cannot be Wardens, and more of them than the
// book holds.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	id := warden.WardenID(n.Name)
	if !validID(id) {
		return errors.New("its name is not 40 hexadecimal digits")
	}
	if id != d.opts.Self && !d.book.admits(id, time.Now()) {
		return fmt.Errorf("the address book holds %d Wardens already", maxPeers)
	}
	return nil
}

// NotifyJoin learns the addresses of a node.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.met(n) }

// NotifyUpdate learns the new addresses of a node.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.met(n) }

func (d *delegate) met(n *memberlist.Node) {
	g := (*Gossip)(d)
	if p := peerOf(n); p.ID != g.opts.Self && validID(p.ID) {
		g.learn(p)
		g.book.setMember(p.ID, true)
	}
}

// NotifyLeave passes SWIM's verdict on, as the hint that it is.
func (d *delegate) NotifyLeave(n *memberlist.Node) {
	g := (*Gossip)(d)
	if p, known := g.book.setMember(warden.WardenID(n.Name), false); known && g.opts.OnPeerGone != nil {
		g.note(func() { g.opts.OnPeerGone(p) })
	}
}

// NotifyConflict hears that an id is at two addresses. One of them may well be
// out of date, so both are asked; two that answer are a conflict.
func (d *delegate) NotifyConflict(existing, other *memberlist.Node) {
	g := (*Gossip)(d)
	for _, n := range []*memberlist.Node{existing, other} {
		g.call(call{address: peerOf(n).Gossip, ask: true})
	}
}

// peerOf reads what a node says of itself.
func peerOf(n *memberlist.Node) Peer {
	p := Peer{ID: warden.WardenID(n.Name), Gossip: string(warden.MakeNode(n.Addr.String(), int(n.Port)))}
	var c card
	if json.Unmarshal(n.Meta, &c) != nil {
		return p
	}
	if validAddress(c.Client) {
		p.Client = c.Client
	}
	if validAddress(c.Gossip) {
		p.Gossip = c.Gossip
	}
	return p
}
