package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/gossip"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/shell"
	"github.com/spineldb/warden/warden/store"
)

const (
	// gossipOffset lies between the client port and the usual gossip port.
	gossipOffset = 1000
	// gossipPortFile in data_dir remembers a gossip port that nobody configured.
	gossipPortFile = "gossip-port"
)

// chooseGossipPort finds a port for a configuration that names none: the one
// of the last run, so that peers who remember it find it, else the usual one,
// else any. Between the choice and its use somebody else may take the port;
// then the start fails, and the next one chooses again.
func (d *daemon) chooseGossipPort(c config.Config) error {
	d.gossipPort = c.GossipPort
	if d.gossipPort != 0 {
		return nil
	}
	path := filepath.Join(c.DataDir, gossipPortFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read gossip port: %w: see that this user may read it", err)
	}
	last, _ := strconv.Atoi(strings.TrimSpace(string(text))) // a damaged file is as good as none
	base := c.Port
	if base == 0 {
		base = c.TLS.Port
	}
	candidates := []int{base + gossipOffset, 0}
	if last > 0 {
		candidates = append([]int{last}, candidates...)
	}
	for _, port := range candidates {
		if d.gossipPort, err = freeFor(c.Host, port); err == nil {
			break
		}
	}
	switch {
	case err != nil:
		return fmt.Errorf("find a gossip port: %w: bind an address of this machine", err)
	case d.gossipPort == last:
		return nil
	}
	return writeFile(path, []byte(strconv.Itoa(d.gossipPort)+"\n"))
}

// freeFor is the port if it can be had for TCP and UDP (0: any such port).
func freeFor(host string, port int) (got int, err error) {
	for range 10 {
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err != nil {
			return 0, err
		}
		got = l.Addr().(*net.TCPAddr).Port
		var u net.PacketConn
		u, err = net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(got)))
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return got, nil
		}
		if port != 0 {
			break
		}
	}
	return 0, err
}

func (d *daemon) startGossip(ctx context.Context, c config.Config, host string) (err error) {
	var join []string
	for _, j := range c.Join {
		join = append(join, string(j))
	}
	var known []gossip.Peer
	for _, p := range d.store.LoadPeers() {
		known = append(known, gossip.Peer{ID: p.ID, Gossip: p.Gossip, Client: p.Client})
		if p.Sentinel != "" {
			d.ids.learn(p.ID, p.Sentinel)
		}
	}
	for _, p := range known {
		d.peers[p.ID] = p
	}
	client := net.JoinHostPort(host, strconv.Itoa(c.AnnouncePort))
	d.gossip, err = gossip.Start(ctx, gossip.Options{
		Self: d.store.Identity(), BindAddr: c.Host, BindPort: d.gossipPort, Source: d.source, AdvertiseAddr: host, AdvertisePort: d.gossipPort,
		ClientAddr: client, Keys: rawKeys(c), Join: join, Known: known, Logger: d.log,
		OnMessage: d.shell.Deliver, OnPeer: d.met, OnConflict: d.conflict, OnNewerFormat: d.newerFormat,
	})
	if err != nil {
		return fmt.Errorf("open gossip port %d (key gossip_port): %w", d.gossipPort, err)
	}
	d.onStop("gossip", d.gossip.Close)
	d.tellPeers()
	return nil
}

// shownID is the id that Sentinel's clients and real Sentinels know us by.
func (d *daemon) shownID() string {
	if id := d.ids.of(d.store.Identity()); id != "" {
		return id
	}
	return string(d.store.Identity())
}

// introduce makes gossip dial a Warden whose hello was heard on a node.
func (d *daemon) introduce(h warden.Hello) {
	if h.ID == d.store.Identity() {
		return
	}
	d.neighbours.Warden(h)
	d.ids.learn(h.ID, h.Sentinel)
	if h.Gossip != "" {
		d.gossip.Introduce(gossip.Peer{ID: h.ID, Gossip: h.Gossip, Client: h.Client})
	}
}

// met keeps the address book, in memory and on disk.
func (d *daemon) met(p gossip.Peer) {
	d.mu.Lock()
	old, ok := d.peers[p.ID]
	d.peers[p.ID] = p
	same := ok && old.Gossip == p.Gossip && old.Client == p.Client
	d.mu.Unlock()
	if same {
		return
	}
	d.tellPeers()
	if old.Client != "" && p.Client != "" && old.Client != p.Client {
		d.movedEverywhere(p)
	}
	if err := d.store.SavePeers(d.book()); err != nil {
		d.log.Warn("save address book", "error", err)
	}
}

func (d *daemon) book() []store.Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]store.Peer, 0, len(d.peers))
	for _, p := range d.peers {
		out = append(out, store.Peer{ID: p.ID, Gossip: p.Gossip, Client: p.Client, Sentinel: d.ids.of(p.ID)})
	}
	return out
}

func (d *daemon) tellPeers() {
	d.mu.Lock()
	ids := make([]warden.WardenID, 0, len(d.peers))
	for id := range d.peers {
		ids = append(ids, id)
	}
	d.mu.Unlock()
	d.shell.PeersKnown(ids)
}

func (d *daemon) conflict(id warden.WardenID, where string) {
	if id == d.store.Identity() {
		d.shell.Conflict(where)
		return
	}
	d.log.Warn("two live processes use one Warden id", "id", id, "at", where)
}

func (d *daemon) newerFormat(p gossip.Peer, major int) {
	d.announce(warden.Event{Name: "-newer-format", Level: warden.LevelWarning,
		Payload: fmt.Sprintf("sentinel %s speaks message format %d, this Warden %d: upgrade this one", p.ID, major, warden.FormatMajor)})
	d.log.Warn("a Warden speaks a newer message format", "id", p.ID, "major", major, "ours", warden.FormatMajor)
}

// directory is the shell's, with what only the wiring knows: addresses, the
// ids that clients are shown, and what was set at run time.
type directory struct {
	*shell.Shell
	d *daemon
}

// Group adds to the shell's view.
func (dir directory) Group(name warden.GroupName) (warden.GroupView, bool) {
	v, ok := dir.Shell.Group(name)
	if !ok {
		return v, false
	}
	v.SetAtRunTime = dir.d.steward.now.Load().Changes.Groups[name].names()
	real := dir.d.neighbours.Entries(name)
	dir.d.mu.Lock()
	defer dir.d.mu.Unlock()
	for i := range v.Peers {
		p := &v.Peers[i]
		if at, ok := dir.d.peers[p.ID]; ok {
			p.Client, p.Gossip = at.Client, at.Gossip
		}
		p.Sentinel = dir.d.ids.of(p.ID)
	}
	v.Peers = withoutFormerLives(v.Peers, dir.d.ids.of(dir.d.store.Identity()))
	v.Peers = append(withoutReplaced(v.Peers, real), real...)
	slices.SortFunc(v.Peers, func(a, b warden.PeerView) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return v, true
}

// Command brings an operator's order to its group. A RESET forgets the real
// Sentinels of the group too. A RELEASE is what one Warden does without them.
func (dir directory) Command(ctx context.Context, c warden.Command) warden.Answer {
	if c.Wish == warden.WishRelease {
		return dir.d.release(ctx, c)
	}
	a := dir.Shell.Command(ctx, c)
	if a.Settings != nil {
		now := dir.d.steward.now.Load()
		if at := now.master(c.Group); at >= 0 {
			nameSources(a.Settings, now.Masters[at], now.Changes.Groups[c.Group])
		}
	}
	if c.Wish == warden.WishReset && a.Verdict != warden.VerdictRefused {
		dir.d.neighbours.Reset(c.Group)
	}
	return a
}

// withoutFormerLives leaves out Wardens that came back under another identity:
// one that lost its store has a new one, and clients know both by the one id
// of its sentinel.conf. Of two the one heard last is shown.
func withoutFormerLives(peers []warden.PeerView, own string) []warden.PeerView {
	return slices.DeleteFunc(peers, func(p warden.PeerView) bool {
		if p.Sentinel == "" {
			return false
		}
		if p.Sentinel == own {
			return true
		}
		return slices.ContainsFunc(peers, func(q warden.PeerView) bool {
			return q.ID != p.ID && q.Sentinel == p.Sentinel && q.HeardAgo >= 0 &&
				(p.HeardAgo < 0 || q.HeardAgo < p.HeardAgo || q.HeardAgo == p.HeardAgo && q.ID < p.ID)
		})
	})
}

// withoutReplaced leaves out Wardens in whose place a real Sentinel runs again,
// with the id that it found in the file. Who is heard as a Warden is none.
func withoutReplaced(peers, real []warden.PeerView) []warden.PeerView {
	return slices.DeleteFunc(peers, func(p warden.PeerView) bool {
		id := warden.WardenID(cmp.Or(p.Sentinel, string(p.ID)))
		return slices.ContainsFunc(real, func(r warden.PeerView) bool { return r.ID == id })
	})
}

var _ warden.Directory = directory{}
