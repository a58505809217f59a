package main

import (
	"slices"
	"strconv"

	"github.com/spineldb/warden/discovery/gossip"
	"github.com/spineldb/warden/warden"
)

// movedEverywhere announces, in Sentinel's words, that a Warden is listed under
// a new address in more than one group. The groups themselves tell of the switch.
func (d *daemon) movedEverywhere(p gossip.Peer) {
	var in []warden.GroupView
	for _, name := range d.shell.Groups() {
		v, ok := d.shell.Group(name)
		if ok && slices.ContainsFunc(v.Peers, func(q warden.PeerView) bool { return q.ID == p.ID }) {
			in = append(in, v)
		}
	}
	if len(in) < 2 {
		return
	}
	first, primary, at := in[0].Name, in[0].Primary, warden.NodeID(p.Client)
	if primary == "" { // none is served yet, and the event needs an address
		primary = d.neighbours.Epochs(first).Primary
	}
	d.say(warden.Event{Group: first, Name: "+sentinel-address-update", Level: warden.LevelNotice,
		Payload: "sentinel " + string(p.ID) + " " + at.Host() + " " + at.Port() +
			" @ " + string(first) + " " + primary.Host() + " " + primary.Port() +
			" " + strconv.Itoa(len(in)-1) + " additional matching instances"})
}
