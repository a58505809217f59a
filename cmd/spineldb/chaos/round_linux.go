package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/chaos/network"
	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/warden"
)

// server is one node of the group under test. Safe for concurrent use.
type server interface {
	Name() string
	Addr() warden.NodeID
	Running() bool
	// Start starts it on the data that it has, and does not wait.
	Start() error
	// Kill, Wipe and Pause say what they saw happen, or nothing. Wipe takes the
	// data of a server that does not run.
	Kill() string
	Wipe() string
	Pause() string
	Resume()
	// remove takes what lies outside of the directory of the round.
	remove() error
}

// engine is the kind of database under test.
type engine interface {
	// open starts a primary and two replicas on the hosts.
	open(ctx context.Context, dir string, hosts []*network.Host) ([]server, error)
	// block is the group in warden.toml.
	block(servers []server) string
	// whole reports whether the group is as it should be, beyond what is so for
	// every engine.
	whole(v warden.GroupView) bool
	// clients run until the context ends. Those on the given client host ask
	// the Wardens; and on each server's host there is a prober.
	clients(ctx context.Context, r *round)
	// contents are the tokens that a server has, and its tenure.
	contents(ctx context.Context, r *round, s server) (there map[string]bool, tenure string, err error)
	// judge compares what was seen with what the primary has.
	judge(ctx context.Context, r *round, primary server, there map[string]bool, tenure string) (judgement, error)
	// mend brings back a server that does not start, and says how.
	mend(ctx context.Context, s, primary server) string
	// close is called once, after the last round.
	close() error
}

// round is one group, one storm, and what came of it.
type round struct {
	engine  engine
	options options
	seed    uint64
	dir     string
	network *network.Network
	hosts   map[string]*network.Host
	servers []server
	record  *record
	busy    map[string]*sync.Mutex // by actor: one fault of a process at a time

	byHand []string // see outcome
	// strangers are nodes that a Warden lists and that are none.
	strangers map[warden.NodeID]bool

	mu      sync.Mutex
	wardens []*ward
}

// outcome is a round's result.
type outcome struct {
	reports []report
	// settled is how long after the storm all was well.
	settled time.Duration
	// stuck says why it never was, by hand what an operator had to do that
	// Wardens should have.
	stuck, byHand []string
	judgement
}

func newRound(e engine, o options, seed uint64, dir string) *round {
	return &round{engine: e, options: o, seed: seed, dir: dir, hosts: map[string]*network.Host{}, busy: map[string]*sync.Mutex{}, strangers: map[warden.NodeID]bool{}}
}

// run plays the round. The error is of the machinery, not of what is tested.
func (r *round) run(ctx context.Context) (o outcome, err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(ctx); err != nil {
		return o, err
	}
	r.record = newRecord()
	playing, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); r.engine.clients(playing, r) }()
	defer func() { stop(); <-done }()
	if err := poll(settleLimit, func() bool { return r.record.primary() != "" }); err != nil {
		return o, fmt.Errorf("wait for the first write: %w", err)
	}
	o.reports = r.storm(ctx)
	healed := time.Now()
	primary, err := r.settle(ctx)
	o.settled = time.Since(healed)
	if ctx.Err() != nil {
		return o, ctx.Err()
	}
	if err != nil {
		o.stuck = append([]string{err.Error()}, r.explain(ctx)...)
		primary = r.named(ctx)
	}
	o.byHand = r.byHand
	r.record.settle()
	// Some more, so that the new order is seen to work.
	if duration.Pause(ctx, time.Second) != nil {
		return o, ctx.Err()
	}
	stop()
	<-done
	if primary == nil {
		o.stuck = append(o.stuck, "so the histories were not judged")
		return o, nil
	}
	if err = r.judgeAll(ctx, primary, &o); err != nil && o.stuck != nil {
		o.stuck, err = append(o.stuck, "so the histories were not judged: "+err.Error()), nil
	}
	return o, err
}

// judgeAll judges the histories, and whether replicas that follow have the same data.
func (r *round) judgeAll(ctx context.Context, primary server, o *outcome) error {
	var there map[string]bool
	var tenure string
	if err := poll(patience, func() (ok bool) {
		var err error
		there, tenure, err = r.engine.contents(ctx, r, primary)
		return err == nil || ctx.Err() != nil
	}); err != nil || ctx.Err() != nil {
		return fmt.Errorf("read what the primary has: %w", errors.Join(err, ctx.Err()))
	}
	var err error
	defer func() {
		for _, n := range slices.Sorted(maps.Keys(r.strangers)) {
			o.notes = append(o.notes, fmt.Sprintf("%s is listed as a node, and is none", n))
		}
	}()
	if o.judgement, err = r.engine.judge(ctx, r, primary, there, tenure); err != nil || o.stuck != nil {
		return err
	}
	for _, s := range r.servers {
		if s == primary {
			continue
		}
		var more, less int
		if poll(settleBar, func() bool {
			a, _, errA := r.engine.contents(ctx, r, primary)
			b, _, errB := r.engine.contents(ctx, r, s)
			more, less = lacks(a, b), lacks(b, a)
			return errA == nil && errB == nil && more == 0 && less == 0 || ctx.Err() != nil
		}) != nil {
			o.wrong = append(o.wrong, fmt.Sprintf("%s follows %s and has other data: %d tokens more, %d less", s.Name(), primary.Name(), more, less))
		}
	}
	return nil
}

// lacks is how many of the tokens of b are not in a.
func lacks(a, b map[string]bool) (n int) {
	for token := range b {
		if !a[token] {
			n++
		}
	}
	return n
}

// named is the server that a Warden names as the primary, nil if none does.
func (r *round) named(ctx context.Context) server {
	for _, w := range r.living() {
		if v, err := w.view(ctx); err == nil {
			return r.at(v.Primary)
		}
	}
	return nil
}

func (r *round) at(addr warden.NodeID) server {
	i := slices.IndexFunc(r.servers, func(s server) bool { return s.Addr() == addr })
	if i < 0 {
		return nil
	}
	return r.servers[i]
}

// open starts everything and waits until it is agreed.
func (r *round) open(ctx context.Context) error {
	r.network = network.New()
	var nodes []*network.Host
	var join []string
	for i, name := range []string{"node-1", "node-2", "node-3", "warden-1", "warden-2", "warden-3", spareWarden, actorClient} {
		h, err := r.network.AddHost(name, netip.AddrFrom4([4]byte{10, 78, 0, byte(11 + i)}))
		if err != nil {
			return err
		}
		r.hosts[name], r.busy[name] = h, &sync.Mutex{}
		if strings.HasPrefix(name, "node-") {
			nodes = append(nodes, h)
		}
		if strings.HasPrefix(name, "warden-") {
			join = append(join, h.Addr.String())
		}
	}
	var err error
	if r.servers, err = r.engine.open(ctx, r.dir, nodes); err != nil {
		return err
	}
	for _, name := range wardenActors {
		if err := r.addWarden(name, join); err != nil {
			return err
		}
	}
	if _, err := r.settle(ctx); err != nil {
		return fmt.Errorf("wait for the first agreement: %w\n%s", err, strings.Join(r.explain(ctx), "\n"))
	}
	return nil
}

func (r *round) addWarden(name string, join []string) error {
	w, err := newWard(r.hosts[name], filepath.Join(r.dir, name), r.options.spineldb, r.engine.block(r.servers), join)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.wardens = append(r.wardens, w)
	r.mu.Unlock()
	return w.Start()
}

// living are the Wardens whose process runs.
func (r *round) living() []*ward {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.wardens), func(w *ward) bool { return !w.Running() })
}

// everyWarden are all that were ever made.
func (r *round) everyWarden() []*ward {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.wardens)
}

func (r *round) server(name string) server {
	i := slices.IndexFunc(r.servers, func(s server) bool { return s.Name() == name })
	if i < 0 {
		return nil
	}
	return r.servers[i]
}

// explain is what the Wardens say.
func (r *round) explain(ctx context.Context) []string {
	var out []string
	for _, w := range r.everyWarden() {
		v, err := w.view(ctx)
		if err != nil {
			out = append(out, w.name+": "+err.Error())
			continue
		}
		out = append(out, w.name+" explains: "+strings.Join(v.Explain, " "))
	}
	return out
}

// close ends all processes and takes the hosts away.
func (r *round) close() error {
	for _, w := range r.everyWarden() {
		w.close()
	}
	var err error
	for _, s := range r.servers {
		s.Resume()
		s.Kill()
		err = errors.Join(err, s.remove())
	}
	if r.network != nil {
		r.network.Close()
	}
	return err
}

// keep notes what is needed to understand a bad round, beside the logs.
func (r *round) keep(o outcome) error {
	var b strings.Builder
	for _, x := range o.reports {
		fmt.Fprintln(&b, x)
	}
	fmt.Fprintln(&b, strings.Join(slices.Concat(o.wrong, o.stuck, o.byHand), "\n"))
	if r.record != nil {
		writes, _ := r.record.all()
		for _, w := range writes {
			fmt.Fprintln(&b, w)
		}
	}
	return os.WriteFile(filepath.Join(r.dir, "story"), []byte(b.String()), 0o600)
}
