package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/certificate"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/hooks"
	"github.com/spineldb/warden/cmd/spineldb/journal"
	"github.com/spineldb/warden/discovery/acl"
	"github.com/spineldb/warden/discovery/gossip"
	"github.com/spineldb/warden/discovery/metrics"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/discovery/rest"
	"github.com/spineldb/warden/discovery/script"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/archive"
	"github.com/spineldb/warden/warden/shell"
	"github.com/spineldb/warden/warden/store"
)

// stopLimit bounds a clean shutdown as a whole.
const stopLimit = 3 * time.Second

// daemonMain runs one Warden until ctx ends. SIGHUP re-reads the file.
func daemonMain(ctx context.Context, c config.Config) error {
	level := &slog.LevelVar{}
	level.Set(c.LogLevel)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	s, err := tomlSetup(c)
	if err != nil {
		return err
	}
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	known, err := neighboursIn(c.DataDir)
	if err != nil {
		return err
	}
	d, err := startDaemon(ctx, opening{
		setup: s, keeper: newChangesKeeper(c.DataDir, log), ids: &identities{}, log: log, level: level, quit: quit,
		doors: doors{bind: []string{c.Host}}, sentinels: known,
	})
	if err != nil {
		return err
	}
	return d.serve(ctx, d.reload)
}

// tomlSetup is a warden.toml with what was changed at run time.
func tomlSetup(c config.Config) (setup, error) {
	made, err := changesIn(c.DataDir)
	if err != nil {
		return setup{}, err
	}
	return made.over(setup{Config: c, DenyScripts: true, Loglevel: journal.LevelWord(c.LogLevel), ResolveNames: true, AnnounceNames: true})
}

// opening is what a daemon is started with.
type opening struct {
	setup  setup
	keeper keeper
	log    *slog.Logger
	level  *slog.LevelVar
	// quit begins to end the process.
	quit  func()
	doors doors
	ids   *identities
	// usersChanged is told of changes of the users at run time; nil: nobody.
	usersChanged func()
	// accessLog is how many refusals are kept for ACL LOG; 0: the default.
	accessLog int
	// sentinels is what is known of real Sentinels from an earlier run.
	sentinels remembered
	// renames are the commands that clients know under other names.
	renames []resp.Rename
	// allChannels: users that are made may listen to every channel.
	allChannels bool
	// source is the address that connections to nodes and Wardens come from;
	// nil: what the system chooses.
	source net.IP
	// noted is the highest epoch that the store had noted when the configuration
	// file was written, where that says so.
	noted warden.Epoch
}

// daemon is one running Warden: the store, the edges and the shell between.
type daemon struct {
	log    *slog.Logger
	began  time.Time
	loads  uint64 // how often the groups were made from a configuration
	store  *store.Store
	events *archive.Events
	// reports are of failovers.
	reports *archive.Reports
	gossip  *gossip.Gossip
	server  *resp.Server
	// rest holds nil where there is no HTTP, webCertificates is nil where it is in
	// the clear.
	rest            atomic.Pointer[rest.Server]
	webCertificates *certificate.Keeper
	// metrics is nil where there is no HTTP; set before the groups run.
	metrics *metrics.Metrics
	// commits are the last ones of the store.
	commits commitTimes
	// listeners are the open client ports.
	listeners []net.Listener
	shell     *shell.Shell
	steward   *steward
	users     *acl.List
	ids       *identities
	names     *hostNames
	scripts   *script.Runner
	// hooks and webhooks are set before the groups run.
	hooks    *hooks.Hooks
	webhooks *hooks.Webhooks
	adapters map[warden.GroupName]dressed
	// certificates is nil while nobody speaks TLS.
	certificates *certificate.Keeper
	nodesByTLS   bool
	// gossipPort is the one that is bound, which need not be the configured one.
	gossipPort int
	source     net.IP

	neighbours *neighbour.Book
	// sentinels is what the book is told of a group it begins to know, watched
	// the groups it knows. They are used at the start and then under the
	// steward's lock.
	sentinels remembered
	watched   map[warden.GroupName]bool
	// switching counts changes that Sentinels have caused.
	switching sync.WaitGroup

	// heard are told of every event after the subscribers were. They must not
	// block, and none is added once the groups run.
	heard []func(warden.Event)
	// cleanups end what was started, the last first.
	cleanups []cleanup

	mu    sync.Mutex
	peers map[warden.WardenID]gossip.Peer
	// led are the nodes this Warden has promoted, until clients were told.
	led map[warden.GroupName]warden.NodeID
}

type cleanup struct {
	name string
	do   func(context.Context) error
}

// startDaemon starts everything or nothing: what was started before a failure
// is ended again.
func startDaemon(ctx context.Context, o opening) (d *daemon, err error) {
	d = &daemon{log: o.log, ids: o.ids, source: o.source, began: time.Now(), adapters: map[warden.GroupName]dressed{}, peers: map[warden.WardenID]gossip.Peer{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
			d = nil
		}
	}()
	c := o.setup.Config
	if err = d.openStore(c.DataDir, o.noted); err != nil {
		return d, err
	}
	d.openArchive(c.DataDir, c.Past)
	d.startScripts()
	d.makeSteward(o)
	d.names = newNames(func() bool { return d.steward.now.Load().AnnounceNames })
	d.ids.names.Store(d.names)
	for _, step := range []func() error{
		func() error { return d.openCertificates(c) },
		func() error { return d.openUsers(o) },
		func() error { return d.chooseGossipPort(c) },
		func() error { return d.makeShell(o.setup) },
		func() error { return d.startHooks(o.setup) },
		func() error { return d.startNames(o) },
		func() error { return d.startNeighbours(o) },
		func() error { return d.openServer(ctx, o) },
		func() error { return d.startGossip(ctx, c, c.AnnounceHost()) },
		d.followWardens,
		func() error { return o.keeper.Begin(d) },
		func() error { return d.openMetrics(c.HTTP) },
		d.startShell,
		d.serveClients,
		func() error { return d.serveHTTP(ctx, c.HTTP) },
	} {
		if err = step(); err != nil {
			return d, err
		}
	}
	d.hooks.Started()
	d.watchNeighbours(o.setup)
	d.log.Info("Sentinel ID is " + d.shownID())
	for _, m := range c.Masters {
		d.steward.tell("+monitor", m.Name, m.Primary, "quorum "+strconv.Itoa(m.Quorum))
	}
	d.log.Info("warden started", "id", d.store.Identity(), "run", uint64(d.store.Run()), "clients", d.server.Addr(), "gossip", d.gossip.Addr(),
		"groups", len(c.Masters), "data_dir", c.DataDir, "version", currentVersion().Version)
	return d, nil
}

func (d *daemon) onStop(name string, do func(context.Context) error) {
	d.cleanups = append(d.cleanups, cleanup{name, do})
}

// settledAfter is when a Warden of hundreds of groups has connected to all nodes
// and agreed with the others. What that took is given back to the system then.
const settledAfter = 25 * time.Second

// serve waits until ctx ends and stops the daemon then. SIGHUP calls hangup.
func (d *daemon) serve(ctx context.Context, hangup func(context.Context)) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	started := time.AfterFunc(settledAfter, debug.FreeOSMemory)
	defer started.Stop()
	for {
		select {
		case <-hup:
			hangup(ctx)
		case <-ctx.Done():
			d.hooks.Stopping()
			return d.stop()
		}
	}
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

func (d *daemon) makeSteward(o opening) {
	d.steward = &steward{
		keeper: o.keeper, log: d.log, level: o.level, announce: d.say, scripts: jobs{d.scripts}, quit: o.quit,
		primary: func(name warden.GroupName) (warden.NodeID, bool) { return d.shell.Primary(name) },
		agreed: func(name warden.GroupName) warden.Settings {
			v, _ := d.shell.Group(name)
			return v.Topology.Settings
		},
		reconfigure: d.reconfigure,
	}
	d.steward.now.Store(&o.setup)
	if o.setup.Sentinel != "" {
		d.ids.learn(d.store.Identity(), o.setup.Sentinel)
	}
}

// reconfigure makes a setup's groups the ones that run.
func (d *daemon) reconfigure(ctx context.Context, s setup) error {
	if err := d.shell.Reconfigure(ctx, d.groups(s)); err != nil {
		return err
	}
	d.watchNeighbours(s)
	d.readdress(s)
	return nil
}

// openUsers makes the list of who may do what on the client port.
func (d *daemon) openUsers(o opening) (err error) {
	c := o.setup.Config
	d.users, err = acl.New(acl.Options{
		RequirePass: string(c.RequirePass), Users: c.Users, File: c.ACLFile, AllChannels: o.allChannels, LogLength: o.accessLog, Changed: o.usersChanged, Logger: d.log,
	})
	return err
}

// userLines are all users as a configuration has them.
func (d *daemon) userLines() []string {
	lines := d.users.Lines()
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "user ")
	}
	return lines
}

func (d *daemon) makeShell(s setup) (err error) {
	c := s.Config
	d.shell, err = shell.New(shell.Options{
		ID: d.store.Identity(), Sentinel: d.ids.of(d.store.Identity()), Run: d.store.Run(), RunID: randomID(), Version: currentVersion().Version,
		AnnounceHost: announcedHost(c), ClientPort: c.AnnouncePort, GossipPort: d.gossipPort,
		Groups: d.groups(s), Store: d.store, Courier: courier{d}, Announce: d.announce, Report: d.reports.Keep, Introduce: d.introduce, Logger: d.log,
		Neighbour: func(h warden.Hello) string { return d.neighbours.Own(h) },
		Overhear:  func(payload string) { d.neighbours.Hello(payload) },
		Looked:    d.looked,
		RecordDir: os.Getenv("WARDEN_RECORD_DIR"),
	})
	return err
}

func (d *daemon) startShell() error {
	if err := d.shell.Start(); err != nil {
		return err
	}
	d.onStop("groups", d.shell.Stop)
	return nil
}

// courier hands messages to gossip, which starts after the shell was made.
type courier struct{ d *daemon }

func (c courier) Send(to warden.WardenID, m warden.Message) { c.d.gossip.Send(to, m) }

// announce tells subscribers, who know Wardens by the ids of Sentinel.
func (d *daemon) announce(e warden.Event) {
	e.Payload, e.Node = d.names.text(d.ids.translate(e.Payload)), d.names.show(e.Node)
	if d.server != nil {
		seq := d.server.Publish(e)
		d.notifyWeb()
		d.webhooks.Tell(seq, e)
	}
	for _, tell := range d.heard {
		tell(e)
	}
}

// openCertificates reads what is needed to speak TLS, if anything is.
func (d *daemon) openCertificates(c config.Config) (err error) {
	if c.TLS.Port == 0 && !c.TLS.Nodes {
		return nil
	}
	d.nodesByTLS = c.TLS.Nodes
	d.certificates, err = certificate.Open(c.TLS, d.certificatesChanged)
	return err
}

// certificatesChanged tells what came of a change of the files.
func (d *daemon) certificatesChanged(err error) {
	if err != nil {
		d.log.Warn("the certificates on disk are not taken, the old ones stay in use", "error", err)
		return
	}
	d.log.Info("certificates renewed")
}

// renewCertificates reads them again at once, changed or not.
func (d *daemon) renewCertificates() {
	for _, k := range []*certificate.Keeper{d.certificates, d.webCertificates} {
		if k == nil {
			continue
		}
		if err := k.Reload(); err != nil {
			d.log.Warn("the certificates on disk are not taken, the old ones stay in use", "error", err)
		}
	}
}

// openServer opens the client port. Nobody is served before the groups run:
// who asked in between would be told that there are none.
func (d *daemon) openServer(ctx context.Context, o opening) (err error) {
	c := o.setup.Config
	d.server, err = resp.New(resp.Options{
		Access: d.users, Directory: shown{directory{d.shell, d}}, Steward: d.steward, Neighbours: d.neighbours, Renames: o.renames,
		History: c.Past.Events, Past: d.events.Past(), Keep: d.events.Keep, Reports: d.reports.List,
		Facts: d.facts, Logger: d.log, Version: currentVersion().Version, ConfigFile: c.File, MaxClients: c.MaxClients, IdleTimeout: o.doors.idle,
	})
	if err != nil {
		return err
	}
	var secure *tls.Config
	if d.certificates != nil {
		secure = d.certificates.Server()
	}
	d.listeners, err = o.doors.listen(ctx, c.Port, c.TLS.Port, secure, d.users.Open)
	if err != nil {
		return err
	}
	d.onStop("clients", func(ctx context.Context) error {
		err := d.server.Shutdown(ctx)
		for _, l := range d.listeners {
			_ = l.Close() // those that were not served yet; the others are closed twice
		}
		return err
	})
	return nil
}

func (d *daemon) serveClients() error {
	for _, l := range d.listeners {
		if err := d.server.Serve(l); err != nil {
			return err
		}
	}
	return nil
}

// hangup is what every kind of Warden does at SIGHUP: it reads certificates and
// the file of users again.
func (d *daemon) hangup(context.Context) {
	d.renewCertificates()
	switch err := d.users.Load(); {
	case errors.Is(err, acl.ErrNoFile):
	case err != nil:
		d.log.Warn("the file of users is not taken, the users stay what they were", "error", err)
	default:
		d.server.AccessChanged()
	}
}

// reload re-reads the file: groups are added, changed and removed, all of them
// or none. What belongs to the process (ports, data_dir) needs a restart.
func (d *daemon) reload(ctx context.Context) {
	d.hangup(ctx)
	have := d.steward.current()
	c, err := config.Load(have.File)
	if err != nil {
		d.log.Error("reload: nothing was changed", "error", err)
		return
	}
	for _, w := range c.Warnings {
		d.log.Warn(w)
	}
	next, err := have.Changes.over(setup{Config: c, DenyScripts: true, Loglevel: have.Loglevel, ResolveNames: true, AnnounceNames: true})
	if err == nil {
		err = d.steward.replace(ctx, next)
	}
	if err != nil {
		d.log.Error("reload: nothing was changed", "error", err)
		return
	}
	if !reflect.DeepEqual(c.Webhooks, have.Webhooks) {
		if err := d.webhooks.Use(c.Webhooks); err != nil {
			d.log.Warn("reload: webhooks were not changed", "error", err)
		}
	}
	if !slices.Equal(c.GossipKeys, have.GossipKeys) {
		if err := d.gossip.SetKeys(rawKeys(c)); err != nil {
			d.log.Warn("reload: gossip_secret_key was not changed", "error", err)
		}
	}
	if !slices.Equal(c.Users, have.Users) {
		if err := d.users.Replace(c.Users); err != nil {
			d.log.Warn("reload: users were not changed", "error", err)
		} else {
			d.server.AccessChanged()
		}
	}
	if keys := needRestart(have.Config, c); len(keys) > 0 {
		d.log.Warn("reload: these change with a restart only", "keys", strings.Join(keys, " "))
	}
	d.log.Info("reloaded", "file", c.File, "groups", len(c.Masters))
}

func rawKeys(c config.Config) [][]byte {
	keys := make([][]byte, len(c.GossipKeys))
	for i, k := range c.GossipKeys {
		keys[i] = []byte(k)
	}
	return keys
}

func randomID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
