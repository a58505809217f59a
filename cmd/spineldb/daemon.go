package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	redis "github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/gossip"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
	"github.com/spineldb/warden/warden/shell"
	"github.com/spineldb/warden/warden/store"
)

// stopLimit bounds a clean shutdown as a whole.
const stopLimit = 3 * time.Second

// daemonMain runs one Warden until ctx ends. SIGHUP re-reads the file.
func daemonMain(ctx context.Context, c config.Config) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	d, err := startDaemon(ctx, c, log)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			d.reload(ctx)
		case <-ctx.Done():
			return d.stop()
		}
	}
}

// daemon is one running Warden: the store, the edges and the shell between.
type daemon struct {
	config   config.Config
	log      *slog.Logger
	store    *store.Store
	gossip   *gossip.Gossip
	server   *resp.Server
	shell    *shell.Shell
	adapters map[warden.GroupName]dressed
	// cleanups end what was started, the last first.
	cleanups []cleanup

	mu    sync.Mutex
	peers map[warden.WardenID]gossip.Peer
}

type cleanup struct {
	name string
	do   func(context.Context) error
}

// dressed is an adapter with the credentials it was made for, so that a reload
// keeps it while they stay the same.
type dressed struct {
	adapter  *redis.Adapter
	user     string
	password config.Secret
}

// startDaemon starts everything or nothing: what was started before a failure
// is ended again.
func startDaemon(ctx context.Context, c config.Config, log *slog.Logger) (d *daemon, err error) {
	d = &daemon{config: c, log: log, adapters: map[warden.GroupName]dressed{}, peers: map[warden.WardenID]gossip.Peer{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
			d = nil
		}
	}()
	if d.store, err = store.Open(c.DataDir); err != nil {
		return d, fmt.Errorf("open data_dir: %w", err)
	}
	d.onStop("store", func(context.Context) error { return d.store.Close() })
	host := c.AnnounceHost()
	if err = d.makeShell(); err != nil {
		return d, err
	}
	if err = d.startServer(ctx); err != nil {
		return d, err
	}
	if err = d.startGossip(ctx, host); err != nil {
		return d, err
	}
	if err = d.shell.Start(); err != nil {
		return d, err
	}
	d.onStop("groups", d.shell.Stop)
	log.Info("warden started", "id", d.store.Identity(), "run", uint64(d.store.Run()), "clients", d.server.Addr(), "gossip", d.gossip.Addr(),
		"groups", len(c.Masters), "data_dir", c.DataDir, "version", currentVersion().Version)
	return d, nil
}

func (d *daemon) onStop(name string, do func(context.Context) error) {
	d.cleanups = append(d.cleanups, cleanup{name, do})
}

// stop ends everything in reverse order, within stopLimit.
func (d *daemon) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	var errs []error
	for i := len(d.cleanups) - 1; i >= 0; i-- {
		if err := d.cleanups[i].do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", d.cleanups[i].name, err))
		}
	}
	d.cleanups = nil
	return errors.Join(errs...)
}

func (d *daemon) makeShell() (err error) {
	c := d.config
	announce := c.AnnounceIP
	if ip := net.ParseIP(c.Host); announce == "" && (ip == nil || !ip.IsUnspecified()) {
		announce = c.Host
	}
	d.shell, err = shell.New(shell.Options{
		ID: d.store.Identity(), Run: d.store.Run(), RunID: randomID(), Version: currentVersion().Version,
		AnnounceHost: announce, ClientPort: c.AnnouncePort, GossipPort: c.GossipPort,
		Groups: d.groups(c), Store: d.store, Courier: courier{d}, Announce: d.announce, Introduce: d.introduce, Logger: d.log,
		RecordDir: os.Getenv("WARDEN_RECORD_DIR"),
	})
	return err
}

// courier hands messages to gossip, which starts after the shell was made.
type courier struct{ d *daemon }

func (c courier) Send(to warden.WardenID, m warden.Message) { c.d.gossip.Send(to, m) }

func (d *daemon) announce(e warden.Event) {
	if d.server != nil {
		d.server.Publish(e)
	}
}

// introduce makes gossip dial a Warden whose hello was heard on a node.
func (d *daemon) introduce(h warden.Hello) {
	if h.ID != d.store.Identity() && h.Gossip != "" {
		d.gossip.Introduce(gossip.Peer{ID: h.ID, Gossip: h.Gossip, Client: h.Client})
	}
}

func (d *daemon) groups(c config.Config) []shell.GroupOptions {
	out := make([]shell.GroupOptions, 0, len(c.Masters))
	client := net.JoinHostPort(c.AnnounceHost(), strconv.Itoa(c.AnnouncePort))
	for _, m := range c.Masters {
		g := group.Config{
			Group: m.Name, Client: client, Primary: m.Primary, Nodes: m.Nodes, Quorum: m.Quorum, Wardens: m.Wardens,
			Alone:     m.Quorum == 1 && len(c.Join) == 0 && m.Wardens <= 1,
			DownAfter: m.DownAfter, CrashAfter: m.CrashAfter, FailoverTimeout: m.FailoverTimeout, HelloInterval: m.HelloInterval,
			FailoverCooldown: m.FailoverCooldown, ParallelSyncs: m.ParallelSyncs, ReplicaWitness: m.ReplicaWitness,
			CrashPoint: os.Getenv("WARDEN_CRASH_POINT"),
		}
		out = append(out, shell.GroupOptions{Config: g, Adapter: d.adapter(m)})
	}
	return out
}

// adapter is the group's adapter, made anew only for new credentials.
func (d *daemon) adapter(m config.Master) warden.Adapter {
	have, ok := d.adapters[m.Name]
	if !ok || have.user != m.AuthUser || have.password != m.AuthPassword {
		have = dressed{redis.New(redis.Options{User: m.AuthUser, Password: string(m.AuthPassword), Logger: d.log}), m.AuthUser, m.AuthPassword}
		d.adapters[m.Name] = have
	}
	return have.adapter
}

func (d *daemon) startServer(ctx context.Context) (err error) {
	c := d.config
	d.server, err = resp.New(resp.Options{
		Addr: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), Password: string(c.RequirePass), Directory: directory{d.shell, d},
		Logger: d.log, Version: currentVersion().Version, ConfigFile: c.File, MaxClients: c.MaxClients,
	})
	if err != nil {
		return err
	}
	if err = d.server.Start(ctx); err != nil {
		return fmt.Errorf("open client port %d (key port): %w", c.Port, err)
	}
	d.onStop("clients", d.server.Shutdown)
	return nil
}

func (d *daemon) startGossip(ctx context.Context, host string) (err error) {
	c := d.config
	var join []string
	for _, j := range c.Join {
		join = append(join, string(j))
	}
	var known []gossip.Peer
	for _, p := range d.store.LoadPeers() {
		known = append(known, gossip.Peer{ID: p.ID, Gossip: p.Gossip, Client: p.Client})
	}
	for _, p := range known {
		d.peers[p.ID] = p
	}
	client := net.JoinHostPort(host, strconv.Itoa(c.AnnouncePort))
	d.gossip, err = gossip.Start(ctx, gossip.Options{
		Self: d.store.Identity(), BindAddr: c.Host, BindPort: c.GossipPort, AdvertiseAddr: host, AdvertisePort: c.GossipPort,
		ClientAddr: client, Keys: rawKeys(c), Join: join, Known: known, Logger: d.log,
		OnMessage: d.shell.Deliver, OnPeer: d.met, OnConflict: d.conflict, OnNewerFormat: d.newerFormat,
	})
	if err != nil {
		return fmt.Errorf("open gossip port %d (key gossip_port): %w", c.GossipPort, err)
	}
	d.onStop("gossip", d.gossip.Close)
	d.tellPeers()
	return nil
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
	if err := d.store.SavePeers(d.book()); err != nil {
		d.log.Warn("save address book", "error", err)
	}
}

func (d *daemon) book() []store.Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]store.Peer, 0, len(d.peers))
	for _, p := range d.peers {
		out = append(out, store.Peer{ID: p.ID, Gossip: p.Gossip, Client: p.Client})
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

// reload re-reads the file: groups are added, changed and removed, all of them
// or none. What belongs to the process (ports, data_dir) needs a restart.
func (d *daemon) reload(ctx context.Context) {
	c, err := config.Load(d.config.File)
	if err != nil {
		d.log.Error("reload: nothing was changed", "error", err)
		return
	}
	for _, w := range c.Warnings {
		d.log.Warn(w)
	}
	if err := d.shell.Reconfigure(ctx, d.groups(c)); err != nil {
		d.log.Error("reload: nothing was changed", "error", err)
		return
	}
	if !slices.Equal(c.GossipKeys, d.config.GossipKeys) {
		if err := d.gossip.SetKeys(rawKeys(c)); err != nil {
			d.log.Warn("reload: gossip_secret_key was not changed", "error", err)
		} else {
			d.config.GossipKeys = c.GossipKeys
		}
	}
	if keys := needRestart(d.config, c); len(keys) > 0 {
		d.log.Warn("reload: these change with a restart only", "keys", strings.Join(keys, " "))
	}
	d.log.Info("reloaded", "file", c.File, "groups", len(c.Masters))
}

// needRestart names the keys that differ and that a running process keeps.
func needRestart(have, want config.Config) (keys []string) {
	add := func(key string, same bool) {
		if !same {
			keys = append(keys, key)
		}
	}
	add("host", have.Host == want.Host)
	add("port", have.Port == want.Port)
	add("announce_ip", have.AnnounceIP == want.AnnounceIP)
	add("announce_port", have.AnnouncePort == want.AnnouncePort)
	add("data_dir", have.DataDir == want.DataDir)
	add("gossip_port", have.GossipPort == want.GossipPort)
	add("join", slices.Equal(have.Join, want.Join))
	add("requirepass", have.RequirePass == want.RequirePass)
	add("maxclients", have.MaxClients == want.MaxClients)
	add("log_level", have.LogLevel == want.LogLevel)
	return keys
}

func rawKeys(c config.Config) [][]byte {
	keys := make([][]byte, len(c.GossipKeys))
	for i, k := range c.GossipKeys {
		keys[i] = []byte(k)
	}
	return keys
}

// directory is the shell's, with the addresses that only gossip knows.
type directory struct {
	*shell.Shell
	d *daemon
}

// Group adds the peers' addresses to the shell's view.
func (dir directory) Group(name warden.GroupName) (warden.GroupView, bool) {
	v, ok := dir.Shell.Group(name)
	if !ok {
		return v, false
	}
	dir.d.mu.Lock()
	defer dir.d.mu.Unlock()
	for i := range v.Peers {
		if p, ok := dir.d.peers[v.Peers[i].ID]; ok {
			v.Peers[i].Client, v.Peers[i].Gossip = p.Client, p.Gossip
		}
	}
	return v, true
}

func randomID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
