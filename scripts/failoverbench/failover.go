package main

import (
	"context"
	"fmt"
	"time"
)

// trialLimit bounds the wait for a write after a fault.
const trialLimit = time.Minute

// outage is what one fault cost.
type outage struct {
	write time.Duration // from the fault to the first acknowledged write
	named time.Duration // from the fault to the first word of the new primary
	// work is from the first +odown to the first acknowledged write.
	work time.Duration
	// wrote is when that write was acknowledged.
	wrote time.Time
}

// strike makes a fault and waits for the first write. The client starts with
// the fault.
func (r *rig) strike(ctx context.Context, kind string) (outage, error) {
	ctx, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	s := newSeeker(r.monitorAddrs())
	defer s.close()
	v, err := listen(r.monitorAddrs())
	if err != nil {
		return outage{}, err
	}
	defer v.close()
	at, err := r.fault(kind)
	if err != nil {
		return outage{}, err
	}
	f, err := s.seek(ctx, r.nodes[0].addr)
	if err != nil {
		return outage{}, fmt.Errorf("no write within %s of the fault: %w", trialLimit, err)
	}
	down, err := v.when()
	if err != nil {
		return outage{}, err
	}
	return outage{write: f.wrote.Sub(at), named: f.named.Sub(at), work: f.wrote.Sub(down), wrote: f.wrote}, nil
}

// outage makes one trial: a new rig and one fault.
func (b *bench) outage(ctx context.Context, system, kind string, crash time.Duration) (outage, error) {
	var o outage
	err := b.trial(ctx, system, crash, func(ctx context.Context, r *rig) (err error) {
		o, err = r.strike(ctx, kind)
		return err
	})
	if err == nil {
		b.say("    %-8s %s: written after %.1f ms, named after %.1f ms, %.1f ms from +odown (load %s)\n", system, kind, ms(o.write), ms(o.named), ms(o.work), load())
	}
	return o, err
}

// order is the systems in the order of round i: whoever goes first, alternates.
func order(i int) []string {
	if i%2 == 0 {
		return []string{ours, sentinel}
	}
	return []string{sentinel, ours}
}

// failover measures what is lost beyond down_after, both systems in turns.
func (b *bench) failover(ctx context.Context) error {
	b.say("\nfailover: down_after %s, quorum 2 of 3 monitors, a primary and two replicas\n", b.downAfter)
	values, work := map[string][]float64{}, map[string][]float64{}
	for i := range b.runs {
		for _, kind := range b.faults {
			for _, system := range order(i) {
				o, err := b.outage(ctx, system, kind, 0)
				if err != nil {
					return err
				}
				key := kind + " " + system
				values[key] = append(values[key], ms(o.write-b.downAfter))
				work[key] = append(work[key], ms(o.work))
			}
		}
	}
	b.say("\nfrom the fault to the first acknowledged write, beyond down_after\n")
	b.note(b.beside("failover", values))
	b.say("\nof that, from the first +odown to the first acknowledged write\n")
	b.note(b.beside("failover after +odown", work))
	for _, chapter := range []string{"failover", "failover after +odown"} {
		what := "beyond down_after"
		if chapter != "failover" {
			what = "after +odown"
		}
		for _, kind := range b.faults {
			we, they := b.report.find(chapter, kind, ours).Median, b.report.find(chapter, kind, sentinel).Median
			b.judge(
				below(kind+" "+what+": median of ours, in ms", we, 100),
				below(kind+" "+what+": median of ours in % of Sentinel's", percent(we, they), 10))
		}
	}
	return nil
}

// beside makes series of the values of both systems, by fault.
func (b *bench) beside(chapter string, values map[string][]float64) []Series {
	var series []Series
	for _, kind := range b.faults {
		for _, system := range order(0) {
			series = append(series, Series{Chapter: chapter, Kind: kind, System: system, Unit: "ms", Values: values[kind+" "+system]})
		}
	}
	return series
}

// crash measures a killed primary with the short limit for hard evidence.
func (b *bench) crash(ctx context.Context) error {
	b.say("\ncrash: kill -9, crash_after %s, down_after %s\n", b.crashAfter, b.downAfter)
	var values []float64
	for range b.runs {
		o, err := b.outage(ctx, ours, "kill", b.crashAfter)
		if err != nil {
			return err
		}
		values = append(values, ms(o.write))
	}
	b.say("\nfrom the kill to the first acknowledged write, all of it\n")
	b.note([]Series{{Chapter: "crash", Kind: "kill", System: ours, Unit: "ms", Values: values}})
	b.judge(below("median, in ms", b.report.find("crash", "kill", ours).Median, 300))
	return nil
}
