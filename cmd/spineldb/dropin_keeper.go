package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
	"github.com/spineldb/warden/warden"
)

// fileKeeper keeps a drop-in's setup and what Sentinel remembers in
// sentinel.conf. Safe for concurrent use. What must not be lost is in the
// store; the file follows within moments, in the background, so that a slow
// disk holds nothing up.
type fileKeeper struct {
	file *sentinelconf.File
	log  *slog.Logger
	scribe
	// users: those of the access list are no longer those of the file.
	users atomic.Bool

	mu    sync.Mutex
	d     *daemon            // nil until it runs
	first setup              // what the file said at the start
	setup setup              // as saved last
	last  sentinelconf.State // as written last
}

func newFileKeeper(file *sentinelconf.File, log *slog.Logger) *fileKeeper {
	return &fileKeeper{file: file, log: log, last: file.State.Clone(), scribe: newScribe()}
}

// Begin writes the file for the first time, so that a Warden whose file cannot
// be written does not start, and keeps it up to date until the daemon stops.
func (k *fileKeeper) Begin(d *daemon) error {
	k.mu.Lock()
	k.d, k.first = d, d.steward.current().clone()
	k.mu.Unlock()
	if err := k.Save(d.steward.current()); err != nil {
		return err
	}
	d.heard = append(d.heard, func(warden.Event) { k.Mark() })
	d.onStop("configuration file", k.follow(k.refresh, func(err error) {
		k.log.Warn("WARNING: Sentinel was not able to save the new configuration on disk!!!: " + err.Error())
	}))
	return nil
}

// Vote returns when the newest epochs are in the file.
func (k *fileKeeper) Vote(context.Context) error { return k.refresh() }

// UsersChanged has the users of the access list written from now on, unless
// they have a file of their own: with both, no start would be possible.
func (k *fileKeeper) UsersChanged() {
	if k.file.Server.ACLFile != "" {
		return
	}
	k.users.Store(true)
	k.Mark()
}

// Save writes the file for a setup.
func (k *fileKeeper) Save(s setup) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.write(s, true); err != nil {
		return err
	}
	k.setup = s
	return nil
}

// refresh writes the file if what it says is no longer so.
func (k *fileKeeper) refresh() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.write(k.setup, false)
}

// write writes the file, if what it is to say has changed or always. What an
// operator edited meanwhile in lines that are not ours stays. It is called with
// the lock held.
func (k *fileKeeper) write(s setup, always bool) error {
	state := k.state(s)
	if !always && reflect.DeepEqual(state, k.last) {
		return nil
	}
	// The store first: after a crash in between it knows more than the file, and
	// only one that knows less is from an earlier day.
	if err := k.d.store.NoteOutside(warden.Epoch(state.Noted)); err != nil {
		return err
	}
	written, err := k.file.Rewrite(state, always)
	if err != nil {
		return fmt.Errorf("write %s: %w", k.file.Path, err)
	}
	k.last = state
	if written {
		k.log.Info("Sentinel new configuration saved on disk")
	}
	return nil
}

// state is what the file is to say: what it said at the start, with what was
// changed since and what the groups know now. What was not changed is left in
// the operator's words, also where it counts as something else here.
func (k *fileKeeper) state(s setup) sentinelconf.State {
	st, first := k.file.State.Clone(), k.first
	st.MyID, st.CurrentEpoch = k.d.shownID(), k.last.CurrentEpoch
	if s.AnnounceIP != first.AnnounceIP {
		st.AnnounceIP = s.AnnounceIP
	}
	if s.AnnouncePort != first.AnnouncePort {
		st.AnnouncePort = 0
		if s.AnnouncePort != s.ownPort() {
			st.AnnouncePort = s.AnnouncePort
		}
	}
	st.ResolveHostnames, st.AnnounceHostnames = s.ResolveNames, s.AnnounceNames
	st.SentinelUser, st.SentinelPass = s.User, s.Password
	st.LogLevel = s.Loglevel
	if k.users.Load() {
		st.Users = k.d.userLines()
	}
	st.Groups = make([]sentinelconf.Group, 0, len(s.Masters))
	noted := max(uint64(k.d.store.Outside()), st.CurrentEpoch)
	for _, m := range s.Masters {
		g := k.settingsOf(m)
		if old := k.last.Group(g.Name); old != nil {
			g.Host, g.Port, g.Replicas, g.Sentinels = old.Host, old.Port, old.Replicas, old.Sentinels
			g.ConfigEpoch, g.LeaderEpoch = old.ConfigEpoch, old.LeaderEpoch
		}
		k.remember(&g, m)
		st.CurrentEpoch = max(st.CurrentEpoch, g.ConfigEpoch, g.LeaderEpoch, k.d.neighbours.Epochs(m.Name).Current)
		noted = max(noted, st.CurrentEpoch)
		st.Groups = append(st.Groups, g)
	}
	st.Noted = noted
	return st
}

// settingsOf is a group's configuration in the words of sentinel.conf: those of
// the file for what has not changed since the start.
func (k *fileKeeper) settingsOf(m config.Master) sentinelconf.Group {
	host, port := split(m.Primary)
	g := sentinelconf.NewGroup(string(m.Name), host, port, m.Quorum)
	var first config.Master
	if at := k.first.master(m.Name); at >= 0 {
		if said := k.file.State.Group(g.Name); said != nil {
			// What it remembers is added by others, also after a REMOVE and a MONITOR.
			first, g = k.first.Masters[at], *said
			g.Host, g.Port, g.ConfigEpoch, g.LeaderEpoch, g.Replicas, g.Sentinels = host, port, 0, 0, nil, nil
		}
	}
	g.Quorum = m.Quorum
	if m.DownAfter != first.DownAfter {
		g.DownAfter = m.DownAfter
	}
	if m.FailoverTimeout != first.FailoverTimeout {
		g.FailoverTimeout = m.FailoverTimeout
	}
	if m.ParallelSyncs != first.ParallelSyncs {
		g.ParallelSyncs = m.ParallelSyncs
	}
	if m.NotificationScript != first.NotificationScript {
		g.NotificationScript = m.NotificationScript
	}
	if m.ReconfigScript != first.ReconfigScript {
		g.ReconfigScript = m.ReconfigScript
	}
	g.RebootDownAfter, g.AuthUser, g.AuthPass = m.RebootDownAfter, m.AuthUser, m.AuthPassword
	if !maps.Equal(m.Renames, first.Renames) {
		g.Renames = nil
		for _, from := range slices.Sorted(maps.Keys(m.Renames)) {
			g.Renames = append(g.Renames, sentinelconf.Rename{From: from, To: m.Renames[from]})
		}
	}
	return g
}

// remember adds what the Warden knows of a group by now. Until the Wardens
// have agreed for the first time, what an earlier life left in the file stays
// there beside it: how many there were is needed to agree safely.
func (k *fileKeeper) remember(g *sentinelconf.Group, m config.Master) {
	v, ok := directory{k.d.shell, k.d}.Group(m.Name)
	if !ok {
		return
	}
	e := k.d.neighbours.Epochs(m.Name)
	if v.Provisional || v.Topology.IsZero() {
		g.Replicas, g.Sentinels = slices.Clone(g.Replicas), slices.Clone(g.Sentinels)
		if e.Primary != "" {
			g.Host, g.Port = split(e.Primary) // Sentinels may have moved it
		}
	} else {
		g.Host, g.Port = split(v.Primary)
		g.Replicas, g.Sentinels = nil, nil
	}
	// The configuration epoch is the one that real Sentinels are told, of this
	// address and no other; the rest counts as promised after a loss of the store.
	if host, port := split(e.Primary); host == g.Host && port == g.Port {
		g.ConfigEpoch = max(g.ConfigEpoch, e.Config)
	}
	g.LeaderEpoch = max(g.LeaderEpoch, e.Leader, uint64(v.Promise))
	k.addReplicas(g, v.Nodes)
	for _, p := range v.Peers {
		host, port := split(warden.NodeID(p.Client))
		id := p.Sentinel
		if id == "" {
			id = string(p.ID)
		}
		if port == 0 || slices.ContainsFunc(g.Sentinels, func(n sentinelconf.Neighbour) bool { return n.ID == id }) {
			continue
		}
		g.Sentinels = append(g.Sentinels, sentinelconf.Neighbour{Address: sentinelconf.Address{Host: host, Port: port}, ID: id})
	}
}

// addReplicas adds nodes to those that the file names. One that is there in
// another spelling, with or without a name, is left out: a Sentinel that finds
// a node twice does not start.
func (k *fileKeeper) addReplicas(g *sentinelconf.Group, nodes []warden.NodeView) {
	there := []warden.NodeID{warden.MakeNode(g.Host, g.Port)}
	for _, r := range g.Replicas {
		there = append(there, warden.MakeNode(r.Host, r.Port))
	}
	for _, n := range nodes {
		if slices.Contains(there, k.d.names.spelling(n.Node, there)) {
			continue
		}
		host, port := split(n.Node)
		g.Replicas = append(g.Replicas, sentinelconf.Address{Host: host, Port: port})
		there = append(there, n.Node)
	}
}

// split is an address in the words of sentinel.conf, whose IPv6 addresses have
// no brackets. The port is 0 for no address.
func split(n warden.NodeID) (host string, port int) {
	port, _ = strconv.Atoi(n.Port())
	return n.Host(), port
}
