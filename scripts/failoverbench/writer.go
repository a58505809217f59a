package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	writeEvery = time.Millisecond
	// stickyLimit is the patience of a continuous writer with one write. A
	// server that holds writes back lets it run out at worst.
	stickyLimit = 500 * time.Millisecond
	watchEvery  = 5 * time.Millisecond
	checkLimit  = 10 * time.Second
	checkAtOnce = 500
)

// ack is one acknowledged write.
type ack struct {
	key  string
	at   time.Time
	node string
}

// writer writes one new key after the other, and never the same again. It
// knows only the monitors, and asks them whenever it has no connection.
type writer struct {
	name string
	// moved is the address a watcher saw named; nil for a writer that stays
	// with a connection as long as it works, as connection pools do.
	moved *atomic.Pointer[string]
	acks  []ack
}

// run writes until ctx ends. Then acks may be read.
func (wr *writer) run(ctx context.Context, monitors []string) {
	s := newSeeker(monitors)
	defer s.close()
	var w *wire
	defer func() { w.close() }()
	beat := time.NewTicker(writeEvery)
	defer beat.Stop()
	for n := 0; ; n++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		if wr.moved != nil && w != nil {
			if to := wr.moved.Load(); to != nil && *to != w.addr {
				w.close()
				w = nil
			}
		}
		if w == nil {
			w = wr.connect(s)
		}
		if w == nil {
			continue
		}
		key := wr.name + ":" + strconv.Itoa(n)
		if _, err := w.call(stickyLimit, "SET", key, "x"); err != nil {
			w.close()
			w = nil
			continue
		}
		wr.acks = append(wr.acks, ack{key, time.Now(), w.addr})
	}
}

// connect goes where a monitor, or the watcher, says the primary is.
func (wr *writer) connect(s *seeker) *wire {
	addr, err := s.ask()
	if wr.moved != nil {
		if to := wr.moved.Load(); to != nil {
			addr, err = *to, nil
		}
	}
	if err != nil {
		return nil
	}
	w, err := dial(addr, seekDialLimit)
	if err != nil {
		return nil
	}
	return w
}

// watch notes the first other address than old that any monitor names.
func watch(ctx context.Context, monitors []string, old string, moved *atomic.Pointer[string]) {
	s := newSeeker(monitors)
	defer s.close()
	for pause(ctx, watchEvery) == nil {
		if addr, err := s.ask(); err == nil && addr != old {
			moved.Store(&addr)
			return
		}
	}
}

// gap is the longest time between two acknowledged writes that ended after
// from.
func (wr *writer) gap(from time.Time) time.Duration {
	var longest time.Duration
	for i := 1; i < len(wr.acks); i++ {
		if wr.acks[i].at.After(from) {
			longest = max(longest, wr.acks[i].at.Sub(wr.acks[i-1].at))
		}
	}
	return longest
}

// last is when a node acknowledged for the last time.
func (wr *writer) last(node string) time.Time {
	var at time.Time
	for _, a := range wr.acks {
		if a.node == node {
			at = a.at
		}
	}
	return at
}

// lost counts the acknowledged writes that a node does not have.
func (wr *writer) lost(node string) (int, error) {
	w, err := dial(node, askLimit)
	if err != nil {
		return 0, err
	}
	defer w.close()
	missing := 0
	for rest := wr.acks; len(rest) > 0; {
		some := rest[:min(len(rest), checkAtOnce)]
		rest = rest[len(some):]
		commands := make([][]string, len(some))
		for i, a := range some {
			commands[i] = []string{"EXISTS", a.key}
		}
		if err := w.send(checkLimit, commands...); err != nil {
			return 0, err
		}
		for range some {
			answer, err := w.read()
			if err != nil {
				return 0, err
			}
			switch answer {
			case int64(0):
				missing++
			case int64(1):
			default:
				return 0, fmt.Errorf("check writes: EXISTS answered %v", answer)
			}
		}
	}
	return missing, nil
}
