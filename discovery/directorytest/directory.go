// Package directorytest has a warden.Directory for the tests of those that show
// one: it shows what a test sets, and notes what it is ordered.
package directorytest

import (
	"context"
	"slices"
	"sync"

	"github.com/spineldb/warden/warden"
)

// Directory shows its fields. While somebody else may ask it, they are changed
// by Set and Change, or under its lock.
type Directory struct {
	sync.Mutex
	Clock warden.Instant
	// Me is this Warden; the number of its groups is that of Views.
	Me    warden.SelfView
	Views []warden.GroupView
	// Answer is what a command is answered, by default that it is done.
	Answer func(context.Context, warden.Command) warden.Answer
	// Asked, if set, is called by Groups and Group, without the lock.
	Asked func()
	// Commands are those that came, and Looks is how often Group was asked.
	Commands []warden.Command
	Looks    int
}

// Now is Clock.
func (d *Directory) Now() warden.Instant {
	d.Lock()
	defer d.Unlock()
	return d.Clock
}

// Self is Me.
func (d *Directory) Self() warden.SelfView {
	d.Lock()
	defer d.Unlock()
	me := d.Me
	me.Groups = len(d.Views)
	return me
}

// Groups are the names of Views, in their order.
func (d *Directory) Groups() (names []warden.GroupName) {
	d.ask()
	d.Lock()
	defer d.Unlock()
	for _, v := range d.Views {
		names = append(names, v.Name)
	}
	return names
}

// Primary is that of a view.
func (d *Directory) Primary(name warden.GroupName) (warden.NodeID, bool) {
	v, ok := d.find(name)
	return v.Primary, ok
}

// Group is a view, whose nodes and Wardens are the caller's own.
func (d *Directory) Group(name warden.GroupName) (warden.GroupView, bool) {
	d.ask()
	d.Lock()
	d.Looks++
	d.Unlock()
	return d.find(name)
}

// Command notes a command and answers it.
func (d *Directory) Command(ctx context.Context, c warden.Command) warden.Answer {
	d.Lock()
	d.Commands = append(d.Commands, c)
	answer := d.Answer
	d.Unlock()
	if answer == nil {
		return warden.Answer{Verdict: warden.VerdictDone}
	}
	return answer(ctx, c)
}

// Set changes anything of it.
func (d *Directory) Set(change func(*Directory)) {
	d.Lock()
	defer d.Unlock()
	change(d)
}

// Change changes the first view.
func (d *Directory) Change(change func(*warden.GroupView)) {
	d.Set(func(d *Directory) { change(&d.Views[0]) })
}

// Ordered are the commands that came so far.
func (d *Directory) Ordered() []warden.Command {
	d.Lock()
	defer d.Unlock()
	return slices.Clone(d.Commands)
}

func (d *Directory) ask() {
	d.Lock()
	asked := d.Asked
	d.Unlock()
	if asked != nil {
		asked()
	}
}

func (d *Directory) find(name warden.GroupName) (warden.GroupView, bool) {
	d.Lock()
	defer d.Unlock()
	for _, v := range d.Views {
		if v.Name == name {
			v.Nodes, v.Peers = slices.Clone(v.Nodes), slices.Clone(v.Peers)
			return v, true
		}
	}
	return warden.GroupView{}, false
}
