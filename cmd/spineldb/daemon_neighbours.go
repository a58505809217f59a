package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/warden"
)

const (
	// peersEvery is how often the book of Sentinels is told who is a Warden.
	peersEvery = time.Second
	// peerLife is for how long after its last message a peer counts as one.
	peerLife = 10 * time.Second
	// servedEvery is how often it is looked whether a switch has become visible.
	servedEvery = 20 * time.Millisecond
)

// remembered is what is known of real Sentinels from an earlier run.
type remembered map[warden.GroupName]neighbour.Memory

// startNeighbours opens the book of real Sentinels and fills it with what is
// remembered. The shell and the steward have been made.
func (d *daemon) startNeighbours(o opening) error {
	dir := directory{d.shell, d}
	ctx, cancel := context.WithCancel(context.Background())
	lines := d.linesToSentinels()
	d.neighbours = neighbour.New(neighbour.Options{
		ID: d.shownID(), Judge: neighbour.Judging(dir), Clock: d.shell.Now,
		Primary: func(name warden.GroupName) warden.NodeID {
			at, _ := d.shell.Primary(name)
			return at
		},
		Save:     func(ctx context.Context, _ warden.GroupName, _ uint64) error { return o.keeper.Vote(ctx) },
		Risen:    func(warden.GroupName) { o.keeper.Mark() },
		Announce: d.sayOfSentinels, Changed: d.shell.SentinelsWatch, Ask: lines.Ask,
		Here: d.spelling, Shown: d.names.show,
		Switched: func(name warden.GroupName, to warden.NodeID, _ uint64) { d.switched(ctx, name, to) },
	})
	d.sentinels = o.sentinels
	d.watched = map[warden.GroupName]bool{}
	d.tellWardens()
	var wg sync.WaitGroup
	wg.Go(func() { d.neighbours.Run(ctx) })
	d.onStop("neighbours", func(context.Context) error {
		cancel()
		lines.Close() // which ends the questions that are under way
		wg.Wait()
		d.switching.Wait()
		return nil
	})
	return nil
}

// linesToSentinels log in as Sentinels do to each other, with what is configured
// at that moment.
func (d *daemon) linesToSentinels() *neighbour.Lines {
	o := neighbour.LinesOptions{ID: d.shownID(), Source: d.source, Credentials: func() (user, password string) {
		s := d.steward.current()
		if s.Password == "" {
			return "", string(s.RequirePass)
		}
		return s.User, string(s.Password)
	}}
	if d.nodesByTLS {
		o.TLS = d.certificates.Client()
	}
	return neighbour.NewLines(o)
}

// followWardens keeps the book told of who is a Warden. Gossip runs already.
func (d *daemon) followWardens() error {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(peersEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				d.tellWardens()
			}
		}
	})
	d.onStop("list of Wardens", func(context.Context) error {
		cancel()
		wg.Wait()
		return nil
	})
	return nil
}

// sayOfSentinels announces an event of the book. An epoch that this Warden has
// promised already is none to it.
func (d *daemon) sayOfSentinels(e warden.Event) {
	if e.Name == "+new-epoch" {
		epoch, err := strconv.ParseUint(e.Payload, 10, 64)
		if v, ok := d.shell.Group(e.Group); ok && err == nil && uint64(v.Promise) >= epoch {
			return
		}
	}
	d.say(e)
}

// tellWardens names those who are Wardens and no Sentinels: the peers that are
// heard, and right after the start those of the last run.
func (d *daemon) tellWardens() {
	var ids []string
	add := func(id warden.WardenID) {
		shown := d.ids.of(id)
		if shown == "" {
			shown = string(id)
		}
		ids = append(ids, shown)
	}
	if d.gossip == nil {
		for _, p := range d.store.LoadPeers() {
			add(p.ID)
		}
	} else {
		early := time.Since(d.began) < peerLife
		for _, p := range d.gossip.Peers() {
			if early || time.Since(p.LastHeard) < peerLife {
				add(p.ID)
			}
		}
	}
	d.neighbours.SetWardens(ids)
}

// watchNeighbours makes the book know the groups of a setup and no others.
func (d *daemon) watchNeighbours(s setup) {
	d.neighbours.SetAskPeriod(span(d.steward.given(), timerAsk))
	for _, m := range s.Masters {
		memory := d.sentinels[m.Name]
		memory.DownAfter = m.DownAfter
		if memory.Primary == "" {
			memory.Primary = m.Primary
		}
		d.neighbours.Watch(m.Name, memory)
		d.watched[m.Name] = true
	}
	for name := range d.watched {
		if s.master(name) < 0 {
			d.neighbours.Forget(name)
			delete(d.sentinels, name)
			delete(d.watched, name)
		}
	}
}

// switched follows Sentinels that have moved the primary before Wardens have
// agreed for the first time; later the group's mind sees for itself. It does not
// wait; what it begins ends with ctx.
func (d *daemon) switched(ctx context.Context, name warden.GroupName, primary warden.NodeID) {
	v, ok := d.shell.Group(name)
	if !ok || !v.Topology.IsZero() {
		return
	}
	d.switching.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, changeLimit)
		defer cancel()
		var old warden.NodeID
		err := d.steward.change(ctx, func(next *setup) error {
			at := next.master(name)
			if at < 0 {
				return fmt.Errorf("group %q is watched no more", name)
			}
			old = next.Masters[at].Primary
			next.Masters[at].Primary = primary
			if !slices.Contains(next.Masters[at].Known, old) {
				next.Masters[at].Known = append(slices.Clone(next.Masters[at].Known), old)
			}
			return nil
		})
		if err != nil {
			d.log.Warn("follow the Sentinels to another primary", "group", name, "primary", primary, "error", err)
			return
		}
		if old != primary && d.serves(ctx, name, primary) {
			d.say(warden.Event{Group: name, Name: "+switch-master", Level: warden.LevelWarning, Node: primary,
				Payload: fmt.Sprintf("%s %s %s %s %s", name, old.Host(), old.Port(), primary.Host(), primary.Port())})
		}
	})
}

// serves waits until clients are given an address for a group: they ask again
// as soon as they hear of a switch, so the answer has to come first.
func (d *daemon) serves(ctx context.Context, name warden.GroupName, primary warden.NodeID) bool {
	look := time.NewTicker(servedEvery)
	defer look.Stop()
	for {
		if at, _ := d.shell.Primary(name); at == primary {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
}

// neighboursFile in data_dir remembers real Sentinels where no sentinel.conf does.
const neighboursFile = "neighbours.json"

// neighboursIn reads what a data directory remembers of real Sentinels.
func neighboursIn(dataDir string) (remembered, error) {
	path := filepath.Join(dataDir, neighboursFile)
	data, _, err := config.ReadSmallFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return remembered{}, nil
	}
	out := remembered{}
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: mend it, or remove it if no Redis Sentinel watches the same groups", path, err)
	}
	return out, nil
}
