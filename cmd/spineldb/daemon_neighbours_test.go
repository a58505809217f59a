package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/warden"
)

// startTestDaemon starts a Warden with one group, whose primary nobody is, so
// that there is no agreement.
func startTestDaemon(t *testing.T, known remembered, hears ...func(warden.Event)) *daemon {
	t.Helper()
	return startTestDaemonIn(t, t.TempDir(), known, hears...)
}

func startTestDaemonIn(t *testing.T, dir string, known remembered, hears ...func(warden.Event)) *daemon {
	t.Helper()
	port := freeTCP(t)
	c := config.Config{
		Host: "127.0.0.1", Port: port, AnnouncePort: port, DataDir: dir, MaxClients: 10,
		Masters: []config.Master{{
			Name: "m", Primary: "127.0.0.1:1", Quorum: 2, Wardens: 3, DownAfter: warden.Second, CrashAfter: warden.Second,
			FailoverTimeout: 20 * warden.Second, HelloInterval: warden.Second, ParallelSyncs: 1, Adapter: "spineldb",
		}},
	}
	log := slog.New(slog.DiscardHandler)
	d, err := startDaemon(t.Context(), opening{
		setup: setup{Config: c}, keeper: listening{newChangesKeeper(dir, log), hears}, ids: &identities{}, log: log, level: &slog.LevelVar{}, quit: func() {},
		doors: doors{bind: []string{"127.0.0.1"}}, sentinels: known,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// listening is a keeper that has others told of all events.
type listening struct {
	*changesKeeper
	hears []func(warden.Event)
}

func (k listening) Begin(d *daemon) error {
	d.heard = append(d.heard, k.hears...)
	return k.changesKeeper.Begin(d)
}

// aSentinel is what is remembered of one real Sentinel.
func aSentinel() remembered {
	return remembered{"m": {
		Epochs: neighbour.Epochs{Current: 7, Config: 6, Primary: "127.0.0.1:1"},
		Known:  []neighbour.Sentinel{{ID: idB, Client: "127.0.0.1:2"}},
	}}
}

// Goal: what is remembered of real Sentinels is read again, a missing file is
// nothing remembered, and a broken one an error that names it and the remedy.
func TestNeighboursIn(t *testing.T) {
	dir := t.TempDir()
	if got, err := neighboursIn(dir); err != nil || len(got) != 0 {
		t.Errorf("without a file: %v, %v", got, err)
	}
	d := startTestDaemon(t, aSentinel())
	k := newChangesKeeper(dir, d.log)
	k.d = d
	if err := k.refresh(); err != nil {
		t.Fatal(err)
	}
	got, err := neighboursIn(dir)
	if err != nil || !reflect.DeepEqual(got["m"].Known, aSentinel()["m"].Known) || got["m"].Current < 7 || got["m"].Config != 6 {
		t.Errorf("read again: %+v, %v", got, err)
	}
	path := filepath.Join(dir, neighboursFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := neighboursIn(dir); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "mend it") {
		t.Errorf("a broken file: %v", err)
	}
}

// Goal: the book knows the groups that run and no others, and what is
// remembered of a removed group is not there when it comes back.
func TestWatchNeighbours(t *testing.T) {
	d := startTestDaemon(t, aSentinel())
	if got := d.neighbours.Known("m"); len(got) != 1 || got[0].ID != idB {
		t.Errorf("at the start it knows %v", got)
	}
	now := d.steward.current()
	none := now.clone()
	none.Masters = nil
	d.watchNeighbours(none)
	if got := d.neighbours.Known("m"); len(got) != 0 || d.watched["m"] {
		t.Errorf("of a removed group it knows %v", got)
	}
	d.watchNeighbours(now)
	if got := d.neighbours.Known("m"); len(got) != 0 || !d.watched["m"] || d.neighbours.Epochs("m").Primary != "127.0.0.1:1" {
		t.Errorf("of a group that came back it knows %v and %+v", got, d.neighbours.Epochs("m"))
	}
}

// Goal: a switch that Sentinels made before there is an agreement changes the
// configuration, on disk too, and the old primary stays known. What it waits
// for ends with the daemon. A group that nobody watches is not switched.
func TestSwitchedBySentinels(t *testing.T) {
	d := startTestDaemon(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.switched(ctx, "other", "127.0.0.1:3")
	d.switched(ctx, "m", "127.0.0.1:3")
	eventually(t, "the primary is the new one", func() bool { return d.steward.current().Masters[0].Primary == "127.0.0.1:3" })
	if got := d.steward.current().Masters[0].Known; !reflect.DeepEqual(got, []warden.NodeID{"127.0.0.1:1"}) {
		t.Errorf("besides it knows %v", got)
	}
	cancel()
	d.switching.Wait()
	if len(d.steward.current().Masters) != 1 {
		t.Errorf("groups: %+v", d.steward.current().Masters)
	}
}

// Goal: an epoch of the Sentinels is told as new unless it was promised here
// already; any other event is told as it is.
func TestSayOfSentinels(t *testing.T) {
	var mu sync.Mutex
	var told []string
	d := startTestDaemon(t, nil, func(e warden.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Payload == "0" || e.Payload == "900" || e.Payload == "x" {
			told = append(told, e.Name+" "+e.Payload)
		}
	})
	for _, e := range []warden.Event{
		{Group: "m", Name: "+new-epoch", Payload: "0", Level: warden.LevelWarning}, {Group: "m", Name: "+new-epoch", Payload: "900", Level: warden.LevelWarning},
		{Group: "m", Name: "+sentinel", Payload: "x", Level: warden.LevelNotice},
	} {
		d.sayOfSentinels(e)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"+new-epoch 900", "+sentinel x"}; !reflect.DeepEqual(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
