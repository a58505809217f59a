package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	quorumDownAfter = 2 * time.Second
	quorumSettle    = 90 * time.Second
	quorumPoll      = 10 * time.Millisecond
)

// quorum measures what more Wardens cost, and what they take to agree: first the
// minds alone, then as many processes on this machine.
func (b *bench) quorum(ctx context.Context) error {
	b.say("\nquorum, simulated: %s for a message, %s for the disk, one group of three nodes\n", simDelay, simDisk)
	b.say("  %8s %12s %12s %14s %14s %14s\n", "Wardens", "messages/s", "kB/s", "a failover", "first serves", "last serves")
	for _, n := range b.sizes {
		began := time.Now()
		a, err := newParliament(n).measure()
		if err != nil {
			return err
		}
		b.say("  %8d %12.1f %12.1f %8d msgs %11.1f ms %11.1f ms   (%.1f s to simulate)\n", n, a.messages, a.bytes/1000, a.change, ms(a.first), ms(a.last),
			time.Since(began).Seconds())
		for _, v := range []struct {
			kind, unit string
			value      float64
		}{{"messages", "per s", a.messages}, {"bytes", "per s", a.bytes}, {"failover", "messages", float64(a.change)}, {"last serves", "ms", ms(a.last)}} {
			b.report.Series = append(b.report.Series, Series{Chapter: "quorum simulated", Kind: fmt.Sprintf("%s, %d Wardens", v.kind, n), System: ours,
				Unit: v.unit, Values: []float64{v.value}}.summed())
		}
	}
	b.say("\nquorum, on loopback: as many processes, down_after %s, in calm for %s, then the primary is killed (bytes are all that a process writes, looks and hellos among them)\n",
		quorumDownAfter, b.calmFor)
	b.say("  %8s %12s %12s %14s %16s %16s\n", "Wardens", "CPU s/min", "kB/s each", "MB each", "first, from kill", "last, from kill")
	for _, n := range b.processes {
		if err := b.quorumOf(ctx, n); err != nil {
			return fmt.Errorf("%d Wardens: %w", n, err)
		}
	}
	return nil
}

// quorumOf measures n Wardens.
func (b *bench) quorumOf(ctx context.Context, n int) (err error) {
	h, err := b.newHerd(ctx, 1, 0, 2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	posts, err := h.post(ours, n, 1, quorumDownAfter)
	if err != nil {
		return err
	}
	defer relieve(posts)
	soon, cancel := context.WithTimeout(ctx, quorumSettle)
	defer cancel()
	if err := h.settled(soon, posts, 1); err != nil {
		return fmt.Errorf("wait for the Wardens: %w", err)
	}
	if err := until(soon, posts, func() error { _, err := topologies(posts); return err }); err != nil {
		return fmt.Errorf("wait for the agreement: %w", err)
	}
	if err := pause(ctx, calm); err != nil {
		return err
	}
	cpu, bytes, memory, err := totals(posts)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, b.calmFor); err != nil {
		return err
	}
	cpuAfter, bytesAfter, memory, err := totals(posts)
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	first, last, err := h.deposed(ctx, posts)
	if err != nil {
		return err
	}
	b.say("  %8d %12.2f %12.1f %14.1f %13.1f ms %13.1f ms   (load %s)\n", n, (cpuAfter-cpu)/took*60, (bytesAfter-bytes)/took/1000/float64(n), memory/float64(n),
		ms(first), ms(last), load())
	for _, v := range []struct {
		kind, unit string
		value      float64
	}{{"CPU", "s/min of all", (cpuAfter - cpu) / took * 60}, {"bytes", "per s and Warden", (bytesAfter - bytes) / took / float64(n)}, {"last", "ms", ms(last)}} {
		b.report.Series = append(b.report.Series, Series{Chapter: "quorum", Kind: fmt.Sprintf("%s, %d Wardens", v.kind, n), System: ours,
			Unit: v.unit, Values: []float64{v.value}}.summed())
	}
	return nil
}

// totals are the processor time in seconds, the bytes written and the MB held by
// all monitors together.
func totals(posts []*post) (cpu, bytes, memory float64, err error) {
	for _, p := range posts {
		pid := p.cmd.Process.Pid
		used, err := cpuTime(pid)
		if err != nil {
			return 0, 0, 0, err
		}
		wrote, err := writtenBytes(pid)
		if err != nil {
			return 0, 0, 0, err
		}
		u, err := resources(pid)
		if err != nil {
			return 0, 0, 0, err
		}
		cpu, bytes, memory = cpu+used.Seconds(), bytes+wrote, memory+u.memory
	}
	return cpu, bytes, memory, nil
}

// deposed kills the primary and returns when the first and when the last monitor
// names another one.
func (h *herd) deposed(ctx context.Context, posts []*post) (first, last time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, massLimit)
	defer cancel()
	p := h.groups[0]
	times := make([]time.Duration, len(posts))
	at := time.Now()
	if err := h.order("STOP", p.ports[0]); err != nil {
		return 0, 0, err
	}
	var all sync.WaitGroup
	for i, w := range posts {
		all.Go(func() {
			for ctx.Err() == nil {
				if port, err := named(w, p.name); err == nil && p.has(port) && port != p.ports[0] {
					times[i] = time.Since(at)
					return
				}
				_ = pause(ctx, quorumPoll) // the loop looks at ctx
			}
		})
	}
	all.Wait()
	var late []string
	for i, t := range times {
		if t == 0 {
			late = append(late, posts[i].name)
			continue
		}
		if first == 0 || t < first {
			first = t
		}
		last = max(last, t)
	}
	if len(late) > 0 {
		return 0, 0, fmt.Errorf("%s name no new primary: %w", strings.Join(late, ", "), ctx.Err())
	}
	return first, last, nil
}
