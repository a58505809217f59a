package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/chaos/network"
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
	// judge compares what was seen with what the primary has.
	judge(ctx context.Context, r *round, primary server) (judgement, error)
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

// settleLimit is what a loaded machine may take for what settleBar promises.
const settleLimit = 60 * time.Second

func newRound(e engine, o options, seed uint64, dir string) *round {
	return &round{engine: e, options: o, seed: seed, dir: dir, hosts: map[string]*network.Host{}, busy: map[string]*sync.Mutex{}}
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
	if wait(ctx, time.Second) != nil {
		return o, ctx.Err()
	}
	stop()
	<-done
	if primary == nil {
		o.stuck = append(o.stuck, "so the histories were not judged")
		return o, nil
	}
	o.judgement, err = r.engine.judge(ctx, r, primary)
	if err != nil && o.stuck != nil {
		o.stuck, err = append(o.stuck, "so the histories were not judged: "+err.Error()), nil
	}
	return o, err
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

// wait is a pause that ends early with the context.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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

// heal ends what the faults themselves have not ended, and returns what does not
// start. The faults have all returned.
func (r *round) heal() error {
	var errs []error
	for _, s := range r.servers {
		s.Resume()
		if !s.Running() {
			if err := s.Start(); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.Name(), err))
			}
		}
	}
	for _, w := range r.everyWarden() {
		if w.name == spareWarden {
			continue
		}
		w.Resume()
		if !w.Running() {
			errs = append(errs, w.Start())
		}
	}
	return errors.Join(errs...)
}

// settle waits until the group is whole, meanwhile starting what has ended,
// forgetting Wardens that are gone and taking back a pause, as an operator would.
// It returns the primary.
func (r *round) settle(ctx context.Context) (server, error) {
	var primary server
	why, unhealed := errors.New("nothing was seen yet"), r.heal()
	beat := time.NewTicker(50 * time.Millisecond)
	defer beat.Stop()
	end := time.NewTimer(settleLimit)
	defer end.Stop()
	for n := 0; why != nil; n++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return nil, fmt.Errorf("not after %s: %w", settleLimit, errors.Join(why, unhealed))
		case <-beat.C:
		}
		if n%10 == 9 {
			unhealed = r.heal()
			r.tidy(ctx)
		}
		if n == 400 { // after 20 s there is no more waiting for a Warden to do it
			r.mend(ctx)
		}
		primary, why = r.whole(ctx)
	}
	return primary, nil
}

// tidy is what an operator does after a storm.
func (r *round) tidy(ctx context.Context) {
	var gone []warden.WardenID
	for _, w := range r.everyWarden() {
		id, lost := w.known()
		gone = append(gone, lost...)
		if w.name == spareWarden && id != "" {
			gone = append(gone, id)
		}
	}
	for _, w := range r.living() {
		v, err := w.view(ctx)
		if err != nil {
			continue
		}
		if v.Paused {
			_, _ = r.order(ctx, w, "RESUME", groupName) // tried again until it is so
		}
		for _, id := range gone {
			if slices.Contains(v.Topology.Wardens, id) {
				_, _ = r.order(ctx, w, "FORGET", groupName, string(id)) // the same
			}
		}
		return
	}
}

// mend does by hand what Wardens should have done, and notes it: it forgets nodes
// that are none, and ends what an engine knows to be left half-way.
func (r *round) mend(ctx context.Context) {
	primary := r.named(ctx)
	if primary == nil {
		return
	}
	for _, w := range r.living() {
		if v, err := w.view(ctx); err == nil && len(v.Nodes) > len(r.servers) {
			var nodes []string
			for _, n := range v.Nodes {
				nodes = append(nodes, string(n.Node))
			}
			_ = w.ask(ctx, &json.RawMessage{}, "WARDEN", "RESET", groupName) // what it did is seen in the end
			r.byHand = append(r.byHand, fmt.Sprintf("RESET on %s, which lists %v", w.name, nodes))
		}
	}
	for _, s := range r.servers {
		if !s.Running() {
			r.byHand = append(r.byHand, s.Name()+": "+r.engine.mend(ctx, s, primary))
		}
	}
}

func (r *round) order(ctx context.Context, w *ward, args ...any) (warden.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return w.order(ctx, args...)
}

// whole returns the primary, or what is amiss.
func (r *round) whole(ctx context.Context) (server, error) {
	var first warden.GroupView
	var ids []warden.WardenID
	living := r.living()
	if len(living) != len(wardenActors) {
		return nil, fmt.Errorf("%d Wardens run", len(living))
	}
	for i, w := range living {
		v, err := w.view(ctx)
		if err != nil {
			return nil, err
		}
		id, _ := w.known()
		ids = append(ids, id)
		if v.Provisional || !v.Agreed || v.Leading || v.Paused || v.Topology.Phase != warden.PhaseDone || !r.engine.whole(v) {
			return nil, fmt.Errorf("%s: provisional %v, agreed %v, leading %v, paused %v, phase %s, sync %v", w.name, v.Provisional, v.Agreed, v.Leading, v.Paused, v.Topology.Phase, v.Topology.Sync)
		}
		if i == 0 {
			first = v
		}
		if v.Topology.Version != first.Topology.Version || v.Primary != first.Primary {
			return nil, fmt.Errorf("%s and %s do not publish the same", living[0].name, w.name)
		}
		if err := r.inPlace(w, v); err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	if !slices.Equal(ids, first.Topology.Wardens) {
		return nil, fmt.Errorf("the list has %v, there are %v", first.Topology.Wardens, ids)
	}
	if s := r.at(first.Primary); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("nobody is %s", first.Primary)
}

// inPlace reports a node that a Warden does not see where it should be.
func (r *round) inPlace(w *ward, v warden.GroupView) error {
	if len(v.Nodes) != len(r.servers) {
		return fmt.Errorf("%s sees %d nodes", w.name, len(v.Nodes))
	}
	for _, n := range v.Nodes {
		o := n.Observation
		right := o.Role == warden.RoleReplica && o.LinkUp && o.Upstream == v.Primary
		if n.Node == v.Primary {
			right = o.Role == warden.RolePrimary && !o.ReadOnly
		}
		if n.Down || o.Health != warden.HealthGood || !right {
			return fmt.Errorf("%s sees %s as %s %s, upstream %q, link up %v, needs rejoin %v %s", w.name, n.Node, o.Health, o.Role, o.Upstream, o.LinkUp, n.Stranded, o.Detail)
		}
	}
	return nil
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
			fmt.Fprintf(&b, "%v %v\n", w.Outcome, w)
		}
	}
	return os.WriteFile(filepath.Join(r.dir, "story"), []byte(b.String()), 0o600)
}
