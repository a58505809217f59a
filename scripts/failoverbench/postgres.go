package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// What stands beside our two kinds of durability.
const (
	oursQuorum     = "quorum"
	oursAsync      = "async"
	patroniDefault = "patroni"
	patroniTuned   = "patroni/5s"
)

const (
	// pgPatience is how long a client waits for the answer to a write, and for
	// a connection: a client that was sent to a stopped server loses that long
	// before it asks again, with every system.
	pgPatience = 50 * time.Millisecond
	pgPace     = 2 * time.Millisecond
	pgLimit    = 2 * time.Minute // of one trial
	// lateSpan is how long a session of before writes to the old primary after
	// that has woken up.
	lateSpan  = time.Second
	lateEvery = 5 * time.Millisecond
	// settleSpan is how long writes go on after the first one.
	settleSpan = time.Second
	waitEvery  = time.Millisecond
)

// pgRig is what one trial of PostgreSQL runs on: servers[0] is the primary.
type pgRig interface {
	setUp(ctx context.Context) error
	// where tells a client the address to write to.
	where() func(context.Context) (warden.NodeID, error)
	servers() []*postgreslab.Server
	// strike kills or stops everything of the primary's node.
	strike(kind string) error
	// wake ends a stop.
	wake()
	takeDown(failed bool) error
}

// pgRigOf makes the rig of a system.
func (b *bench) pgRigOf(system string, crash time.Duration) pgRig {
	if strings.HasPrefix(system, patroniDefault) {
		return &patroniRig{b: b, tuned: system == patroniTuned}
	}
	return &pgWardens{rig: rig{b: b, system: ours, crash: crash}, durable: system == oursQuorum}
}

// pgTrial sets up a rig, runs do on it and takes it down.
func (b *bench) pgTrial(ctx context.Context, system string, crash time.Duration, do func(context.Context, pgRig) error) error {
	var errs []error
	for range setupTries {
		r := b.pgRigOf(system, crash)
		limit, cancel := context.WithTimeout(ctx, pgLimit)
		err := r.setUp(limit)
		if err == nil {
			err = pause(limit, calm+time.Duration(b.dice.Int64N(int64(calmSpread))))
		}
		if err == nil {
			err = do(limit, r)
			cancel()
			return errors.Join(err, r.takeDown(err != nil))
		}
		cancel()
		errs = append(errs, err, r.takeDown(true))
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("set up %s: %w", system, errors.Join(errs...))
}

// pgOutage is what one fault cost.
type pgOutage struct {
	write time.Duration // from the fault to the first acknowledged write
	lost  int           // acknowledged writes that the new primary does not have
	acked int
	// late are writes that the old primary acknowledged after it had woken up.
	late int
}

// pgStrike makes a fault under a writing client and measures what it costs.
func pgStrike(ctx context.Context, r pgRig, kind string) (o pgOutage, err error) {
	old := r.servers()[0]
	w := postgreslab.Write(postgreslab.WriterOptions{Where: r.where(), Pace: pgPace, Patience: pgPatience, Role: postgreslab.Client})
	defer w.Stop()
	if err := pgUntil(ctx, "the client writes", func() bool { return len(w.Acks()) > 100 }); err != nil {
		return o, err
	}
	var kept []*postgreslab.Session
	for range 2 {
		s, err := postgreslab.Connect(ctx, old.Addr, postgreslab.Client, "kept")
		if err != nil {
			return o, err
		}
		defer s.Close()
		kept = append(kept, s)
	}
	at := time.Now()
	if err := r.strike(kind); err != nil {
		return o, err
	}
	harmed := time.Now()
	err = pgUntil(ctx, "a write after the fault", func() bool {
		acks := w.Acks()
		for i := len(acks) - 1; i >= 0 && acks[i].Sent.After(harmed); i-- {
			o.write = acks[i].At.Sub(at)
		}
		return o.write != 0
	})
	if err != nil {
		return o, err
	}
	if kind == "stop" {
		r.wake()
		o.late = insist(ctx, kept)
	}
	if err := pause(ctx, settleSpan); err != nil {
		return o, err
	}
	o.acked, o.lost, err = pgLost(ctx, r, w.Stop())
	return o, err
}

// insist writes over the sessions for a while and counts what is acknowledged.
func insist(ctx context.Context, sessions []*postgreslab.Session) (acked int) {
	counts := make(chan int)
	for i, s := range sessions {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, lateSpan)
			defer cancel()
			n := 0
			for pause(ctx, lateEvery) == nil {
				if _, err := s.Query(ctx, fmt.Sprintf("INSERT INTO records VALUES (%d)", -1000*(i+1)-n)); err != nil {
					break
				}
				n++
			}
			counts <- n
		}()
	}
	for range sessions {
		acked += <-counts
	}
	return acked
}

// pgLost looks every acknowledged write up on the server that clients are sent
// to. That may be none for a while, after the old primary has woken up.
func pgLost(ctx context.Context, r pgRig, acks []postgreslab.Ack) (acked, lost int, err error) {
	where := r.where()
	err = pgUntil(ctx, "the writes can be looked up", func() bool {
		addr, err := where(ctx)
		if err != nil {
			return false
		}
		gone, err := postgreslab.Lost(ctx, nil, acks, addr)
		lost = len(gone)
		if err != nil {
			_ = pause(ctx, pollEvery)
		}
		return err == nil
	})
	return len(acks), lost, err
}

// pgUntil waits until something is so.
func pgUntil(ctx context.Context, what string, is func() bool) error {
	for !is() {
		if err := pause(ctx, waitEvery); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
	return nil
}

// pgWardens are three Wardens, a primary and two standbys.
type pgWardens struct {
	rig
	durable bool
	all     []*postgreslab.Server
}

func (r *pgWardens) servers() []*postgreslab.Server { return r.all }

func (r *pgWardens) setUp(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	if r.dir, err = r.b.directory("warden"); err != nil {
		return err
	}
	ports, err := freePorts(nodeCount + 3*monitorCount)
	if err != nil {
		return err
	}
	if r.all, err = r.b.startServers(ctx, ports[:nodeCount]); err != nil {
		return err
	}
	r.gossip, r.web = ports[nodeCount+monitorCount:nodeCount+2*monitorCount], ports[nodeCount+2*monitorCount:]
	for i, port := range ports[nodeCount : nodeCount+monitorCount] {
		if err := r.write(i, r.pgConfig(i, port)); err != nil {
			return err
		}
		m, err := r.startMonitor(i, port)
		if err != nil {
			return err
		}
		r.monitors = append(r.monitors, m)
	}
	if err := r.until(ctx, r.pgReady); err != nil {
		return fmt.Errorf("wait for the monitors: %w", err)
	}
	return nil
}

// startServers starts a primary and its standbys, and waits until they stream.
func (b *bench) startServers(ctx context.Context, ports []int) (all []*postgreslab.Server, err error) {
	for i, port := range ports {
		upstream := warden.NodeID("")
		if i > 0 {
			upstream = all[0].Addr
		}
		b.made++
		s, err := b.postgres.Server(ctx, fmt.Sprintf("server%d", b.made), warden.MakeNode("127.0.0.1", port), upstream, "warden")
		if err != nil {
			return all, err
		}
		all = append(all, s)
		if err := s.Start(); err != nil {
			return all, err
		}
		if i == 0 {
			err = pgUntil(ctx, "the primary answers", func() bool { _, err := s.Query(ctx, "SELECT 1"); return err == nil })
		}
		if err != nil {
			return all, err
		}
	}
	return all, pgUntil(ctx, "the standbys stream", func() bool {
		rows, err := all[0].Query(ctx, "SELECT pid FROM pg_stat_replication WHERE state = 'streaming'")
		return err == nil && len(rows) == len(ports)-1
	})
}

// pgConfig is the configuration of Warden i.
func (r *pgWardens) pgConfig(i, port int) string {
	primary := r.all[0].Addr
	text := r.wardenConfig(i, port, primary.Port())
	text += "adapter = \"postgres\"\nauth_user = \"warden\"\nreplication_user = \"warden\"\nsslmode = \"disable\"\nnodes = ["
	for _, s := range r.all[1:] {
		text += fmt.Sprintf("%q, ", s.Addr)
	}
	text += "]\n"
	if r.durable {
		text += "durability = \"quorum\"\n"
	}
	return text
}

// pgReady: the Wardens agree, see both standbys stream, and the sync set, if
// there is to be one, is in force.
func (r *pgWardens) pgReady() error {
	for _, m := range r.monitors {
		_, v, err := status(m)
		if err != nil {
			return err
		}
		if v.Provisional || !v.Agreed || len(v.Topology.Wardens) != monitorCount || v.Leader != "" || v.Topology.Phase != warden.PhaseDone {
			return fmt.Errorf("%s: agreed %v, %d Wardens, leader %q", m.name, v.Agreed, len(v.Topology.Wardens), v.Leader)
		}
		up := 0
		for _, n := range v.Nodes {
			if n.Observation.LinkUp && n.Observation.Upstream == r.all[0].Addr {
				up++
			}
		}
		if up != nodeCount-1 {
			return fmt.Errorf("%s sees %d standbys stream", m.name, up)
		}
		if r.durable && (len(v.Topology.Sync) != 1 || len(v.Topology.Sync[0].Members) != nodeCount-1) {
			return fmt.Errorf("%s: sync sets %v", m.name, v.Topology.Sync)
		}
	}
	if r.durable {
		ctx, cancel := context.WithTimeout(context.Background(), askLimit)
		defer cancel()
		if rows, err := r.all[0].Query(ctx, "SHOW synchronous_standby_names"); err != nil || len(rows) != 1 || rows[0] == "" {
			return fmt.Errorf("the primary waits for %v: %w", rows, err)
		}
	}
	return nil
}

func (r *pgWardens) where() func(context.Context) (warden.NodeID, error) {
	s := newSeeker(r.monitorAddrs())
	return func(context.Context) (warden.NodeID, error) {
		addr, err := s.ask()
		return warden.NodeID(addr), err
	}
}

func (r *pgWardens) strike(kind string) error {
	if kind == "kill" {
		return r.all[0].Kill()
	}
	r.all[0].Pause()
	return nil
}

func (r *pgWardens) wake() { r.all[0].Resume() }

func (r *pgWardens) takeDown(failed bool) error {
	var errs []error
	for _, s := range r.all {
		if failed {
			r.b.say("--- %s\n%s\n", s.Log, s.Tail(8))
		}
		errs = append(errs, s.Kill(), s.Remove())
	}
	return errors.Join(append(errs, r.rig.takeDown(failed))...)
}

// pgSystems are those that are measured, beside Patroni where it is installed.
func (b *bench) pgSystems() []string {
	systems := []string{oursQuorum, oursAsync}
	if b.patroniRuns > 0 && patroniInstalled() == nil {
		systems = append(systems, patroniDefault, patroniTuned)
	}
	return slices.DeleteFunc(systems, func(s string) bool {
		return len(b.systems) > 0 && !slices.Contains(b.systems, s)
	})
}

// pgOurs are the systems that are ours.
func (b *bench) pgOurs() []string {
	return slices.DeleteFunc(b.pgSystems(), func(s string) bool { return strings.HasPrefix(s, patroniDefault) })
}
