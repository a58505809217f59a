package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/chaos/network"
	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/warden"
)

// report is what a fault did. Without evidence it was not done.
type report struct {
	fault
	target   string
	evidence string
	problem  string
}

func (x report) done() bool { return x.evidence != "" }

func (x report) String() string {
	s := x.fault.String() + ": "
	if x.target != "" {
		s += x.target + ": "
	}
	if !x.done() {
		return s + "NOT DONE: " + x.problem
	}
	return s + x.evidence
}

// storm plays the plan and returns when all faults have ended.
func (r *round) storm(ctx context.Context) []report {
	p := plan(r.seed, r.options.engine, r.options.storm)
	out := make([]report, len(p))
	var all sync.WaitGroup
	for i, f := range p {
		out[i].fault = f
		all.Go(func() {
			if duration.Pause(ctx, f.At) == nil {
				r.play(ctx, &out[i])
			}
		})
	}
	all.Wait()
	return out
}

func (r *round) play(ctx context.Context, x *report) {
	switch x.Kind {
	case kindCut, kindLoss, kindDelay, kindReorder, kindDuplicate:
		r.playNetwork(ctx, x)
	case kindKill, kindWipe, kindStop:
		r.playProcess(ctx, x)
	case kindDisk, kindSync, kindClock:
		r.playWarden(ctx, x)
	case kindCrash:
		r.playCrash(ctx, x)
	case kindJoin:
		r.playJoin(ctx, x)
	case kindSwitchover, kindPause:
		r.playOrder(ctx, x)
	}
}

// resolve finds the hosts that are meant.
func (r *round) resolve(who []string) []string {
	primary := r.record.primary()
	var out []string
	for _, w := range who {
		switch w {
		case actorPrimary:
			w = primary
		case actorReplica:
			i := slices.IndexFunc(r.servers, func(s server) bool { return s.Name() != primary && s.Running() })
			if i < 0 {
				continue
			}
			w = r.servers[i].Name()
		}
		out = append(out, w)
	}
	return out
}

func (r *round) playNetwork(ctx context.Context, x *report) {
	here := r.resolve(x.Who)
	x.target = strings.Join(here, "+")
	var there []string
	for name := range r.hosts {
		if !slices.Contains(here, name) {
			there = append(there, name)
		}
	}
	f := network.Fault{From: here, To: there, BothWays: x.Way == "both"}
	if x.Way == "in" {
		f.From, f.To = there, here
	}
	switch x.Kind {
	case kindCut:
		f.Cut = true
	case kindLoss:
		f.Loss = x.Chance
	case kindDelay:
		f.Delay = x.Time
	case kindReorder:
		f.Jitter = x.Time
	case kindDuplicate:
		f.Duplicate = x.Chance
	}
	end := r.record.touch(here...)
	active := r.network.Inject(f)
	_ = duration.Pause(ctx, x.For) // it is lifted in any case
	tally := active.Lift()
	end()
	counted := map[kind]int64{kindCut: tally.Dropped, kindLoss: tally.Dropped, kindDelay: tally.Delayed, kindReorder: tally.Overtook, kindDuplicate: tally.Doubled}[x.Kind]
	if x.problem = "no packet came that way"; counted > 0 {
		x.evidence = fmt.Sprintf("%d packets %s", counted, map[kind]string{kindCut: "dropped", kindLoss: "dropped", kindDelay: "delayed", kindReorder: "overtook others", kindDuplicate: "doubled"}[x.Kind])
	}
}

// program is what a process can suffer: servers and Wardens alike.
type program interface {
	Running() bool
	Start() error
	Kill() string
	Wipe() string
	Pause() string
	Resume()
}

// program finds one by its name and keeps other faults of processes off it until
// release. nil: there is none, or another fault is at it.
func (r *round) program(name string) (p program, release func()) {
	lock := r.busy[name]
	if lock == nil || !lock.TryLock() {
		return nil, nil
	}
	if s := r.server(name); s != nil {
		return s, lock.Unlock
	}
	for _, w := range r.everyWarden() {
		if w.name == name {
			return w, lock.Unlock
		}
	}
	lock.Unlock()
	return nil, nil
}

func (r *round) playProcess(ctx context.Context, x *report) {
	who := r.resolve(x.Who)
	if len(who) == 0 {
		x.problem = "no such process runs"
		return
	}
	x.target = who[0]
	p, release := r.program(who[0])
	if p == nil {
		x.problem = "another fault is at it"
		return
	}
	defer release()
	defer r.record.touch(who...)()
	if x.Kind == kindStop {
		if x.evidence, x.problem = p.Pause(), "it did not stop"; x.done() {
			_ = duration.Pause(ctx, x.For) // it goes on in any case
		}
		p.Resume()
		return
	}
	if x.evidence = p.Kill(); !x.done() {
		x.problem = "it did not run"
		return
	}
	if x.Kind == kindWipe {
		took := p.Wipe()
		if took == "" {
			x.evidence, x.problem = "", "there was no data"
		} else {
			x.evidence += ", " + took
		}
	}
	if duration.Pause(ctx, x.For) == nil && !p.Running() {
		if x.Kind == kindWipe {
			r.awaitReplaced(ctx, who[0])
		}
		if err := p.Start(); err != nil {
			x.evidence += ", and not started again: " + err.Error()
		}
	}
}

// awaitReplaced waits until no server that was emptied is named as the primary.
// An empty primary of Redis that is started is copied over its replicas within
// milliseconds: who does that loses all there is, and no promise says otherwise.
func (r *round) awaitReplaced(ctx context.Context, name string) {
	_ = poll(patience, func() bool { // started in any case
		n := r.named(ctx)
		return ctx.Err() != nil || n != nil && n.Name() != name
	})
}

// playWarden plays what is done to a Warden by starting it under other conditions.
func (r *round) playWarden(ctx context.Context, x *report) {
	x.target = x.Who[0]
	p, release := r.program(x.target)
	w, ok := p.(*ward)
	if !ok {
		x.problem = "another fault is at it"
		return
	}
	defer release()
	defer r.record.touch(x.target)()
	if x.problem = "it did not run"; w.Kill() == "" {
		return
	}
	var err error
	switch x.Kind {
	case kindDisk:
		x.evidence, err = r.fullDisk(ctx, w, x.For)
	case kindSync:
		x.evidence, err = slowSync(ctx, w, x.Time, x.For)
	case kindClock:
		x.evidence, err = otherClock(w, x.Time)
	}
	if x.problem = "nothing was seen of it"; err != nil {
		x.problem = err.Error()
	}
}

// playCrash starts the Wardens anew with a stage in which they die, and those that
// have died some moments later without.
func (r *round) playCrash(ctx context.Context, x *report) {
	x.target = strings.Join(x.Who, "+")
	var died atomic.Int64
	var all sync.WaitGroup
	for _, name := range x.Who {
		all.Go(func() {
			if r.crashes(ctx, name, x.fault) {
				died.Add(1)
			}
		})
	}
	all.Wait()
	if x.problem = "nobody entered it"; died.Load() > 0 {
		x.evidence = fmt.Sprintf("%d died there", died.Load())
	}
}

// crashes starts one Warden anew with a stage in which it dies, and reports
// whether it did. Other faults may be at it meanwhile, and then start it without.
func (r *round) crashes(ctx context.Context, name string, f fault) (died bool) {
	p, release := r.program(name)
	w, ok := p.(*ward)
	if !ok {
		return false
	}
	restart := func(c conditions) {
		defer release()
		defer r.record.touch(name)()
		w.Kill()
		w.conditions(c)
		_ = w.Start() // heal tries again
		w.conditions(conditions{})
	}
	restart(conditions{crash: f.Stage})
	ctx, cancel := context.WithTimeout(ctx, f.For)
	defer cancel()
	for pid := w.pid(); w.pid() == pid; {
		if duration.Pause(ctx, 20*time.Millisecond) != nil {
			break
		}
	}
	if died = w.exitCode() == crashCode; died {
		_ = duration.Pause(ctx, time.Second) // it starts again in any case
	}
	if p, release = r.program(name); p != nil {
		restart(conditions{})
	}
	return died
}

// fullDisk gives the Warden a new small disk, which has room for its start and
// for nothing afterwards.
func (r *round) fullDisk(ctx context.Context, w *ward, long time.Duration) (string, error) {
	mark := w.mark()
	if err := w.smallDisk(); err != nil {
		return "", err
	}
	if err := w.Start(); err != nil {
		return "", err
	}
	if err := poll(patience, func() bool { return w.since(mark, "warden started") > 0 || ctx.Err() != nil }); err != nil {
		return "", fmt.Errorf("wait for its start: %w", err)
	}
	if err := w.fill(); err != nil {
		return "", err
	}
	_ = duration.Pause(ctx, long+2*time.Second) // room is made in any case
	err := w.unfill()
	if n := w.since(mark, "no space left on device"); n > 0 {
		return fmt.Sprintf("said %d times that no space is left", n), err
	}
	return "", err
}

// slowSync starts the Warden with slow syncs, and after a while without.
func slowSync(ctx context.Context, w *ward, delay, long time.Duration) (string, error) {
	mark := w.mark()
	w.conditions(conditions{delay: delay})
	if err := w.Start(); err != nil {
		return "", err
	}
	_ = duration.Pause(ctx, long+2*time.Second) // it ends in any case
	w.Kill()
	w.conditions(conditions{})
	err := w.Start()
	if n := w.since(mark, "a sync is held back"); n > 0 {
		return fmt.Sprintf("%d syncs took %s longer", n, delay), err
	}
	return "", err
}

// otherClock starts the Warden in a time namespace of its own, for the rest of
// the round.
func otherClock(w *ward, offset time.Duration) (string, error) {
	w.conditions(conditions{offset: offset})
	defer w.conditions(conditions{})
	if err := w.Start(); err != nil {
		return "", err
	}
	want := []byte(fmt.Sprintf("monotonic %10d", int64(offset/time.Second)))
	here := func() bool {
		path := fmt.Sprintf("/proc/%d/", w.pid())
		line, errLine := os.ReadFile(path + "cmdline")
		offsets, errOffsets := os.ReadFile(path + "timens_offsets")
		return errLine == nil && errOffsets == nil && bytes.HasPrefix(line, []byte(w.binary)) && squeezed(offsets, want)
	}
	if err := poll(patience, here); err != nil {
		return "", fmt.Errorf("wait for its clock: %w", err)
	}
	return fmt.Sprintf("its monotonic clock is %s ahead", offset), nil
}

// squeezed looks for text without regard to the number of spaces.
func squeezed(text, want []byte) bool {
	squeeze := func(b []byte) []byte { return bytes.Join(bytes.Fields(b), []byte(" ")) }
	return bytes.Contains(squeeze(text), squeeze(want))
}

// playJoin adds a Warden, and kills it when it takes part. What is left to the
// calm is to forget it.
func (r *round) playJoin(ctx context.Context, x *report) {
	x.target = spareWarden
	var join []string
	for _, name := range append(slices.Clone(wardenActors), spareWarden) {
		join = append(join, r.hosts[name].Addr.String())
	}
	if err := r.addWarden(spareWarden, join); err != nil {
		x.problem = err.Error()
		return
	}
	_ = duration.Pause(ctx, x.For) // it ends in any case
	all := r.everyWarden()
	spare := all[len(all)-1]
	v, err := spare.view(ctx)
	if err != nil {
		x.problem = err.Error()
	}
	id, _ := spare.known()
	if x.problem = "it was not taken up"; slices.Contains(v.Topology.Wardens, id) {
		x.evidence = fmt.Sprintf("one of %d that decide", len(v.Topology.Wardens))
	}
	spare.Kill()
}

// playOrder gives an operator's order to the first Warden that takes it.
func (r *round) playOrder(ctx context.Context, x *report) {
	word := strings.ToUpper(string(x.Kind))
	for _, w := range r.living() {
		if awake, cancel := context.WithTimeout(ctx, time.Second); w.client.Ping(awake).Err() != nil {
			cancel()
			continue
		} else {
			cancel()
		}
		a, err := r.order(ctx, w, word, groupName)
		switch {
		case err != nil:
			x.problem = err.Error()
		case a.Verdict == warden.VerdictDone:
			x.evidence = w.name + " says that it is done"
		default:
			x.problem = fmt.Sprintf("%s says %s: %s", w.name, a.Verdict, a.Text)
		}
		break
	}
	if x.Kind != kindPause || !x.done() {
		return
	}
	_ = duration.Pause(ctx, x.For) // it is taken back in any case, at last by tidy
	for _, w := range r.living() {
		if a, err := r.order(ctx, w, "RESUME", groupName); err == nil && a.Verdict == warden.VerdictDone {
			return
		}
	}
}
