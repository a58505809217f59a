package main

import (
	"context"
	"slices"
	"sync"

	"github.com/spineldb/warden/warden"
)

// startNames begins to look up the host names of a setup. What is known by them
// is written down anew when they mean other addresses.
func (d *daemon) startNames(o opening) error {
	d.names.changed = o.keeper.Mark
	for _, m := range o.setup.Masters {
		for _, node := range append(append([]warden.NodeID{m.Primary}, m.Nodes...), m.Known...) {
			d.names.want(node)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.names.run(ctx) })
	d.onStop("host names", func(context.Context) error {
		cancel()
		wg.Wait()
		return nil
	})
	return nil
}

// spelling is how this Warden spells an address in a group, where others may
// spell it with or without a name.
func (d *daemon) spelling(group warden.GroupName, at warden.NodeID) warden.NodeID {
	if at == "" || !d.names.met.Load() {
		return at // addresses have one spelling
	}
	v, _ := d.shell.Group(group)
	nodes := []warden.NodeID{v.Primary}
	for _, n := range v.Nodes {
		nodes = append(nodes, n.Node)
	}
	s := d.steward.current()
	if i := s.master(group); i >= 0 {
		nodes = append(append(nodes, s.Masters[i].Primary), s.Masters[i].Known...)
	}
	return d.names.spelling(at, nodes)
}

// shown is the directory as clients are shown it: with names or with addresses.
type shown struct{ directory }

var _ warden.Directory = shown{}

// Primary is the served address of a group.
func (s shown) Primary(name warden.GroupName) (warden.NodeID, bool) {
	at, known := s.directory.Primary(name)
	return s.d.names.show(at), known
}

// Group shows a node once, also where it is known by a name and by an address.
func (s shown) Group(name warden.GroupName) (warden.GroupView, bool) {
	v, ok := s.directory.Group(name)
	if !ok || s.d.names.announce() {
		return v, ok
	}
	show := s.d.names.show
	v.Primary, v.Topology.Primary, v.Topology.Previous = show(v.Primary), show(v.Topology.Primary), show(v.Topology.Previous)
	seen := map[warden.NodeID]bool{}
	nodes := slices.Clone(v.Nodes)
	for i := range nodes {
		nodes[i].Node = show(nodes[i].Node)
	}
	v.Nodes = slices.DeleteFunc(nodes, func(n warden.NodeView) bool {
		again := seen[n.Node]
		seen[n.Node] = true
		return again
	})
	for i := range v.Peers {
		v.Peers[i].Client = string(show(warden.NodeID(v.Peers[i].Client)))
		v.Peers[i].Serves = show(v.Peers[i].Serves)
	}
	return v, ok
}

// Command takes a node in any spelling.
func (s shown) Command(ctx context.Context, c warden.Command) warden.Answer {
	c.To = s.d.spelling(c.Group, c.To)
	return s.directory.Command(ctx, c)
}
