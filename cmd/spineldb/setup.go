package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// setup is what a Warden runs with now: its configuration together with what
// operators changed at run time. Values are not changed in place: derive one
// with clone.
type setup struct {
	config.Config
	// Sentinel is the id clients are shown; empty: the Warden's own.
	Sentinel string
	// ResolveNames: host names are taken in SENTINEL MONITOR. AnnounceNames: nodes
	// are shown by their names, else by the addresses behind them.
	ResolveNames, AnnounceNames bool
	// DenyScripts: no client may name a script to run.
	DenyScripts bool
	// User and Password are what Sentinels log in to one another with, and we to
	// them. Wardens have the gossip key for that; with a sentinel.conf it is made
	// from the Password at the start.
	User     string
	Password config.Secret
	// Loglevel is one of debug, verbose, notice, warning, nothing.
	Loglevel string
	// Changes are what was changed at run time, where that is kept apart from
	// the configuration file.
	Changes changes
}

// clone copies a setup so that its masters can be changed.
func (s setup) clone() setup {
	s.Masters = slices.Clone(s.Masters)
	for i := range s.Masters {
		s.Masters[i].Renames = maps.Clone(s.Masters[i].Renames)
	}
	s.Changes = s.Changes.clone()
	return s
}

// master finds a group's place in Masters, -1 when it is not there.
func (s *setup) master(name warden.GroupName) int {
	for i := range s.Masters { // not by value: a Master is large, and there may be hundreds
		if s.Masters[i].Name == name {
			return i
		}
	}
	return -1
}

// keeper makes a setup durable, and what is known of real Sentinels. Safe for
// concurrent use.
type keeper interface {
	// Begin is called once, when everything is open and no group runs yet. It
	// has the daemon end what it starts.
	Begin(d *daemon) error
	// Save returns when a setup is on disk, or with an error and then the old
	// one still is.
	Save(s setup) error
	// Vote returns when the epochs of the book of Sentinels are on disk.
	Vote(ctx context.Context) error
	// Mark says that something has changed that is to be written soon. It never
	// blocks.
	Mark()
}
