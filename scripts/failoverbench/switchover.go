package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	writeBefore = time.Second // of writing before the order, and after the end
	orderLimit  = 15 * time.Second
	orderAgain  = 500 * time.Millisecond
	roleEvery   = 2 * time.Millisecond
)

// change is what a planned change of the primary cost.
type change struct {
	// gaps and lost are of the writer that stays with its connection, and of
	// the one that is told to move.
	gaps [2]time.Duration
	lost [2]int
	// overlap is how long the old primary went on acknowledging writes after a
	// replica had become a primary.
	overlap time.Duration
	refused int           // orders before the one that was taken
	total   time.Duration // from the order until the old primary follows
}

// handOver orders a change under writing and checks what became of it.
func (r *rig) handOver(ctx context.Context) (change, error) {
	ctx, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	old := r.nodes[0].addr
	var moved atomic.Pointer[string]
	writers := []*writer{{name: "stays"}, {name: "told", moved: &moved}}
	var promoted atomic.Pointer[time.Time]
	writing, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for _, w := range writers {
		all.Go(func() { w.run(writing, r.monitorAddrs()) })
	}
	all.Go(func() { watch(writing, r.monitorAddrs(), old, &moved) })
	for _, n := range r.nodes[1:] {
		all.Go(func() { watchRole(writing, n.addr, &promoted) })
	}
	if err := pause(ctx, writeBefore); err != nil {
		return change{}, err
	}
	at, refused, err := r.order(ctx)
	if err != nil {
		return change{}, err
	}
	var primary string
	err = r.until(ctx, func() (err error) {
		primary, err = r.settled(old)
		return err
	})
	if err != nil {
		return change{}, fmt.Errorf("wait for the end of the change: %w", err)
	}
	c := change{total: time.Since(at), refused: refused}
	if err := pause(ctx, writeBefore); err != nil {
		return change{}, err
	}
	stop()
	all.Wait()
	if promoted.Load() == nil {
		return change{}, errors.New("nobody was seen to become primary")
	}
	for i, w := range writers {
		c.gaps[i] = w.gap(at)
		c.overlap = max(c.overlap, w.last(old).Sub(*promoted.Load()))
		if w.last(primary).IsZero() {
			return change{}, fmt.Errorf("writer %q never wrote to the new primary", w.name)
		}
		if c.lost[i], err = w.lost(primary); err != nil {
			return change{}, err
		}
	}
	return c, nil
}

// watchRole notes when one of the replicas first says that it is a primary.
func watchRole(ctx context.Context, addr string, promoted *atomic.Pointer[time.Time]) {
	var w *wire
	defer func() { w.close() }()
	for pause(ctx, roleEvery) == nil {
		if w == nil {
			w, _ = dial(addr, seekDialLimit) // the next round tries again
		}
		if w == nil {
			continue
		}
		word, _, _, err := w.role(askLimit)
		if err != nil {
			w.close()
			w = nil
			continue
		}
		if word == "master" {
			now := time.Now()
			promoted.CompareAndSwap(nil, &now)
			return
		}
	}
}

// order orders a planned change, of whatever kind the system has, and says
// when the order that was taken was given. Both systems may refuse one; an
// operator would give it again, so it is given again, and counted.
func (r *rig) order(ctx context.Context) (at time.Time, refused int, err error) {
	for {
		at = time.Now()
		why, err := r.orderOnce()
		if err != nil {
			return at, refused, fmt.Errorf("order the change: %w", err)
		}
		if why == "" {
			return at, refused, nil
		}
		refused++
		r.b.say("    (%s refused the order: %s)\n", r.system, why)
		if err := pause(ctx, orderAgain); err != nil {
			return at, refused, fmt.Errorf("order the change: %w", err)
		}
	}
}

// orderOnce returns why the order was refused, or nothing. A Warden answers
// when the change is finished, a Sentinel when it is begun.
func (r *rig) orderOnce() (why string, err error) {
	words := []string{"SENTINEL", "FAILOVER", groupName}
	if r.system == ours {
		words = []string{"WARDEN", "SWITCHOVER", groupName}
	}
	w, err := dial(r.monitors[0].addr, askLimit)
	if err != nil {
		return "", err
	}
	defer w.close()
	reply, err := w.call(orderLimit, words...)
	var no refusal
	switch {
	case errors.As(err, &no):
		return string(no), nil
	case err != nil || r.system != ours:
		return "", err
	}
	var answer warden.Answer
	text, _ := reply.(string)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	if answer.Verdict == warden.VerdictRefused {
		return fmt.Sprintf("%s: %s", answer.Code, answer.Text), nil
	}
	return "", nil
}

// settled is the new primary, when all monitors name it and the old one
// follows it.
func (r *rig) settled(old string) (string, error) {
	named := ""
	for _, m := range r.monitors {
		s := newSeeker([]string{m.addr})
		addr, err := s.ask()
		s.close()
		switch {
		case err != nil:
			return "", err
		case addr == old || named != "" && addr != named:
			return "", fmt.Errorf("%s names %s", m.name, addr)
		}
		named = addr
	}
	_, primary, link, err := role(old)
	if err != nil || primary != named || link != "connected" {
		return "", fmt.Errorf("the old primary follows %q, link %q: %w", primary, link, err)
	}
	return named, nil
}

// switchover measures planned changes, both systems in turns.
func (b *bench) switchover(ctx context.Context) error {
	b.say("\nswitchover: two writers, a write each ms, WARDEN SWITCHOVER and SENTINEL FAILOVER\n")
	values := map[string][]float64{}
	for i := range b.runs {
		for _, system := range order(i) {
			var c change
			err := b.trial(ctx, system, 0, func(ctx context.Context, r *rig) (err error) {
				c, err = r.handOver(ctx)
				return err
			})
			if err != nil {
				return err
			}
			for _, v := range c.figures() {
				values[v.kind+" "+system] = append(values[v.kind+" "+system], v.value)
			}
			b.say("    %-8s gaps %.1f and %.1f ms, lost %d and %d, old primary went on %.1f ms, %.1f ms in all (load %s)\n",
				system, ms(c.gaps[0]), ms(c.gaps[1]), c.lost[0], c.lost[1], ms(c.overlap), ms(c.total), load())
		}
	}
	var series []Series
	for _, f := range (change{}).figures() {
		for _, system := range order(0) {
			series = append(series, Series{Chapter: "switchover", Kind: f.kind, System: system, Unit: f.unit, Values: values[f.kind+" "+system]})
		}
	}
	b.say("\nlongest time without an acknowledged write; acknowledged writes that are missing afterwards;\n" +
		"how long the old primary acknowledged writes after the new one was primary; orders refused before\n" +
		"one was taken; from the order until the old primary follows\n")
	b.note(series)
	stays, told := b.report.find("switchover", "gap stays", ours), b.report.find("switchover", "gap told", ours)
	b.judge(
		below("longest gap, writer that stays: median of ours, in ms", stays.Median, 100),
		below("longest gap, writer that is told: median of ours, in ms", told.Median, 100),
		none("most writes lost by ours", max(b.report.find("switchover", "lost stays", ours).Max, b.report.find("switchover", "lost told", ours).Max)))
	return nil
}

type figure struct {
	kind, unit string
	value      float64
}

func (c change) figures() []figure {
	return []figure{
		{"gap stays", "ms", ms(c.gaps[0])},
		{"gap told", "ms", ms(c.gaps[1])},
		{"lost stays", "writes", float64(c.lost[0])},
		{"lost told", "writes", float64(c.lost[1])},
		{"overlap", "ms", ms(max(0, c.overlap))},
		{"refused", "orders", float64(c.refused)},
		{"total", "ms", ms(c.total)},
	}
}
