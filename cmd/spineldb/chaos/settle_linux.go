package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// settleLimit is what a loaded machine may take for what settleBar promises.
	settleLimit = 60 * time.Second
	// mendAfter is when there is no more waiting for a Warden to do something.
	mendAfter = 20 * time.Second
)

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
	began, mended := time.Now(), false
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
		if !mended && time.Since(began) > mendAfter {
			mended = true
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

// mend does by hand what Wardens should have done, and notes it: it ends what an
// engine knows to be left half-way.
func (r *round) mend(ctx context.Context) {
	primary := r.named(ctx)
	if primary == nil {
		return
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

// inPlace reports a node that a Warden does not see where it should be. Nodes that
// are none of ours are noted.
func (r *round) inPlace(w *ward, v warden.GroupView) error {
	seen := 0
	for _, n := range v.Nodes {
		if r.at(n.Node) == nil {
			r.strangers[n.Node] = true
			continue
		}
		seen++
		o := n.Observation
		right := o.Role == warden.RoleReplica && o.LinkUp && o.Upstream == v.Primary
		if n.Node == v.Primary {
			right = o.Role == warden.RolePrimary && !o.ReadOnly
		}
		if n.Down || o.Health != warden.HealthGood || !right {
			return fmt.Errorf("%s sees %s as %s %s, upstream %q, link up %v, needs rejoin %v %s", w.name, n.Node, o.Health, o.Role, o.Upstream, o.LinkUp, n.Stranded, o.Detail)
		}
	}
	if seen != len(r.servers) {
		return fmt.Errorf("%s sees %d of the nodes", w.name, seen)
	}
	return nil
}
