package main

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// pair is two Wardens that watch two groups of which no node is there.
type pair struct {
	changed, hearing *daemon

	mu     sync.Mutex
	events []string // as the second one tells them
}

func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{}
	p.changed = startForGroups(t, nil)
	p.hearing = startForGroups(t, []warden.NodeID{warden.NodeID(p.changed.gossip.Addr())}, func(e warden.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, e.Name+" "+e.Payload)
	})
	p.await(t, "the two to know each other", func() bool {
		return p.hearing.listed("m", p.changed) != "" && p.hearing.listed("n", p.changed) != ""
	})
	return p
}

func startForGroups(t *testing.T, join []warden.NodeID, hears ...func(warden.Event)) *daemon {
	t.Helper()
	port := freeTCP(t)
	c := config.Config{Host: "127.0.0.1", Port: port, AnnouncePort: port, DataDir: t.TempDir(), MaxClients: 10, Join: join}
	for i, name := range []warden.GroupName{"m", "n"} {
		m := newMaster(name, warden.MakeNode("127.0.0.1", i+1), 2, nil)
		m.HelloInterval = warden.Second
		c.Masters = append(c.Masters, m)
	}
	log := slog.New(slog.DiscardHandler)
	d, err := startDaemon(t.Context(), opening{
		setup: setup{Config: c}, keeper: listening{newChangesKeeper(c.DataDir, log), hears}, ids: &identities{}, log: log, level: &slog.LevelVar{}, quit: func() {},
		doors: doors{bind: []string{"127.0.0.1"}},
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

// listed is where clients of d are told that another Warden of a group is.
func (d *daemon) listed(group warden.GroupName, other *daemon) string {
	v, _ := directory{d.shell, d}.Group(group)
	for _, p := range v.Peers {
		if p.ID == other.store.Identity() {
			return p.Client
		}
	}
	return ""
}

func (p *pair) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Fatalf("waited in vain for %s; announced: %s", what, strings.Join(p.events, "\n"))
		}
	}
}

func (p *pair) told(event string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.events, event)
}

// Goal: announce-ip and announce-port are told to others at once, who announce
// it in Sentinel's words, once for all groups; and taken back they are as before.
func TestAddressesAreToldAtOnce(t *testing.T) {
	p := startPair(t)
	id, was := string(p.changed.store.Identity()), p.changed.shell.Self().Client
	set := func(ip string, port int) {
		t.Helper()
		err := p.changed.steward.SetParameters(t.Context(), []resp.Setting{setting("announce-ip", ip), setting("announce-port", strconv.Itoa(port))})
		if err != nil {
			t.Fatal(err)
		}
	}
	set("127.0.0.2", 12345)
	// What is told in hellos is what is shown of this Warden itself.
	if self := p.changed.shell.Self(); self.Client != "127.0.0.2:12345" || self.Gossip != "127.0.0.2:"+strconv.Itoa(p.changed.gossipPort) ||
		p.changed.gossip.Addr() != self.Gossip {
		t.Errorf("it tells %+v, and %s by gossip", self, p.changed.gossip.Addr())
	}
	for _, event := range []string{
		"+sentinel-address-switch master m 127.0.0.1 1 ip 127.0.0.2 port 12345 for " + id,
		"+sentinel-address-update sentinel " + id + " 127.0.0.2 12345 @ m 127.0.0.1 1 1 additional matching instances",
	} {
		p.await(t, event, func() bool { return p.told(event) })
	}
	for _, group := range []warden.GroupName{"m", "n"} {
		p.await(t, "the new address in "+string(group), func() bool { return p.hearing.listed(group, p.changed) == "127.0.0.2:12345" })
	}
	set("", 0)
	if now := p.changed.shell.Self().Client; now != was {
		t.Errorf("taken back, it tells %s, and %s before", now, was)
	}
	p.await(t, "the old address again", func() bool { return p.hearing.listed("m", p.changed) == was })
}
