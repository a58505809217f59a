package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

const (
	crashCode   = 99 // of a Warden at its crash point
	leaderTries = 4  // trials for one in which the expected leader led
	restartRest = 2 * time.Second
	deathLimit  = 2 * time.Second
)

// leader measures what it costs more when the leader dies half-way.
func (b *bench) leader(ctx context.Context) error {
	b.say("\nleader: kill -9 of the primary, and of the leading Warden in a stage of the failover; down_after %s\n", b.downAfter)
	values := map[string][]float64{}
	for range b.runs {
		for _, stage := range append([]string{""}, b.stages...) {
			o, err := b.leaderless(ctx, stage)
			if err != nil {
				return err
			}
			values[stage] = append(values[stage], ms(o.write))
			b.say("    %-10s written after %.1f ms (load %s)\n", word(stage), ms(o.write), load())
		}
	}
	var series []Series
	for _, stage := range append([]string{""}, b.stages...) {
		series = append(series, Series{Chapter: "leader", Kind: word(stage), System: ours, Unit: "ms", Values: values[stage]})
	}
	b.say("\nfrom the kill of the primary to the first acknowledged write, all of it\n")
	b.note(series)
	base := b.report.find("leader", word(""), ours).Median
	for _, stage := range b.stages {
		s := b.report.find("leader", stage, ours)
		b.judge(below("leader dies at "+stage+": median beyond that of no death, in ms", s.Median-base, 2000))
	}
	return nil
}

func word(stage string) string {
	if stage == "" {
		return "no death"
	}
	return stage
}

// leaderless makes one trial in which the leader dies in a stage; no stage:
// nobody dies. Only one of the Wardens is told to die, or they would all die
// one after the other, so a trial in which another one led is made anew.
func (b *bench) leaderless(ctx context.Context, stage string) (outage, error) {
	for range leaderTries {
		var o outage
		died := false
		err := b.trial(ctx, ours, 0, func(ctx context.Context, r *rig) error {
			victim, err := r.doom(ctx, stage)
			if err != nil {
				return err
			}
			if o, err = r.strike(ctx, "kill"); err != nil {
				return err
			}
			if stage == "" {
				died = true
				return nil
			}
			// A write may succeed before the leader comes to its end: clients
			// are told the candidate as soon as it is decided on.
			r.monitors[victim].await(deathLimit)
			code, ok := r.monitors[victim].ended()
			if ok && code != crashCode {
				return fmt.Errorf("%s ended with %d", r.monitors[victim].name, code)
			}
			died = ok
			return nil
		})
		if err != nil || died {
			return o, err
		}
		b.say("    (another Warden led: once more)\n")
	}
	return outage{}, fmt.Errorf("the leader was none of those expected, %d times", leaderTries)
}

// doom starts the Warden that will stand first anew, with the order to die in
// a stage. Turns go round by epoch and group: see the package election.
func (r *rig) doom(ctx context.Context, stage string) (int, error) {
	if stage == "" {
		return 0, nil
	}
	ids := make([]warden.WardenID, len(r.monitors))
	var list []warden.WardenID
	var newest warden.Epoch
	for i, m := range r.monitors {
		id, v, err := status(m)
		if err != nil {
			return 0, err
		}
		ids[i], list = id, v.Topology.Wardens
		newest = max(newest, v.Promise, v.Topology.Epoch)
	}
	victim := slices.Index(ids, list[int((uint64(newest)+1+group.TurnOf(groupName))%uint64(len(list)))])
	if victim < 0 {
		return 0, fmt.Errorf("the Wardens %v are not those listed, %v", ids, list)
	}
	m := r.monitors[victim]
	stopChild(m.child, 5*time.Second)
	anew, err := r.startMonitor(victim, m.port, "WARDEN_CRASH_POINT="+stage)
	if err != nil {
		return 0, err
	}
	r.monitors[victim] = anew
	wait, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	if err := r.until(wait, r.monitorsReady); err != nil {
		return 0, fmt.Errorf("wait for the Warden that was started anew: %w", err)
	}
	return victim, pause(ctx, restartRest)
}
