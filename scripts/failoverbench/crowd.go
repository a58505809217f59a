package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/discovery/resp"
)

// crowd is clients of the monitors that nothing is measured at: idle ones, and
// subscribers to all events.
type crowd struct {
	idle      []*wire
	listeners []*wire
	heard     atomic.Int64 // listeners that were told of the new primary
	all       sync.WaitGroup
}

// gather connects idle and listening clients to each monitor. What was
// connected before an error is in the crowd too.
func gather(monitors []string, idle, listeners int) (*crowd, error) {
	c := &crowd{}
	for _, addr := range monitors {
		for range idle {
			if _, err := c.join(&c.idle, addr, "PING"); err != nil {
				return c, err
			}
		}
		for range listeners {
			w, err := c.join(&c.listeners, addr, "PSUBSCRIBE", "*")
			if err != nil {
				return c, err
			}
			if err := w.conn.SetDeadline(time.Now().Add(2 * trialLimit)); err != nil {
				return c, fmt.Errorf("set deadline: %w", err)
			}
			c.all.Go(func() { c.listen(w) })
		}
	}
	return c, nil
}

// join connects one client, and makes sure that it is served.
func (c *crowd) join(to *[]*wire, addr string, words ...string) (*wire, error) {
	w, err := dial(addr, askLimit)
	if err != nil {
		return nil, fmt.Errorf("connect client %d: %w", len(c.idle)+len(c.listeners)+1, err)
	}
	*to = append(*to, w)
	if _, err := w.call(askLimit, words...); err != nil {
		return nil, fmt.Errorf("ask as client %d: %w", len(c.idle)+len(c.listeners), err)
	}
	return w, nil
}

// listen reads events until the connection ends.
func (c *crowd) listen(w *wire) {
	told := false
	for {
		answer, err := w.read()
		if err != nil {
			return
		}
		if event, _ := answer.([]any); !told && len(event) == 4 && event[2] == "+switch-master" {
			told = true
			c.heard.Add(1)
		}
	}
}

// told waits until every listener has heard of the new primary.
func (c *crowd) told(ctx context.Context) error {
	for int(c.heard.Load()) < len(c.listeners) {
		if err := pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("%d of %d subscribers were told of the new primary: %w", c.heard.Load(), len(c.listeners), err)
		}
	}
	return nil
}

func (c *crowd) leave() {
	for _, w := range slices.Concat(c.idle, c.listeners) {
		w.close()
	}
	c.all.Wait()
}

// clients measures failovers of our system with many other clients beside
// failovers without.
func (b *bench) clients(ctx context.Context) error {
	b.say("\nclients: kill -9, down_after %s, %d idle clients and %d subscribers to everything on each of %d Wardens, and none\n",
		b.downAfter, b.idle, b.subscribers, monitorCount)
	alone, crowded, err := b.inTurns(ctx, "clients", "crowd", b.crowded)
	if err != nil {
		return err
	}
	b.judge(clientsBar(alone, crowded))
	return nil
}

// inTurns makes trials without company and with it in turns, who goes first
// alternating, and returns the times from +odown on.
func (b *bench) inTurns(ctx context.Context, chapter, company string, trial func(ctx context.Context, with bool) (outage, error)) (alone, beside Series, err error) {
	kinds := []string{"alone", company}
	values, work := map[string][]float64{}, map[string][]float64{}
	for i := range b.runs {
		turn := slices.Clone(kinds)
		if i%2 == 1 {
			slices.Reverse(turn)
		}
		for _, kind := range turn {
			o, err := trial(ctx, kind == company)
			if err != nil {
				return alone, beside, err
			}
			b.say("    %-8s written after %.1f ms, named after %.1f ms, %.1f ms from +odown (load %s)\n", kind, ms(o.write), ms(o.named), ms(o.work), load())
			values[kind] = append(values[kind], ms(o.write))
			work[kind] = append(work[kind], ms(o.work))
		}
	}
	verdict := chapter + " after +odown"
	for _, part := range []struct {
		chapter, text string
		of            map[string][]float64
	}{
		{chapter, "from the kill to the first acknowledged write, all of it", values},
		{verdict, "of that, from the first +odown to the first acknowledged write", work},
	} {
		b.say("\n%s\n", part.text)
		var series []Series
		for _, kind := range kinds {
			series = append(series, Series{Chapter: part.chapter, Kind: kind, System: ours, Unit: "ms", Values: part.of[kind]})
		}
		b.note(series)
	}
	alone, beside = b.report.find(verdict, "alone", ours), b.report.find(verdict, company, ours)
	b.say("  ratio of the medians from +odown: %.2f\n", beside.Median/alone.Median)
	return alone, beside, nil
}

// clientsBar: a delay could be measured if the crowd's median were beyond what
// failovers without it take anyhow.
func clientsBar(alone, crowd Series) Bar {
	return atMost("from +odown with the crowd: median, in ms, against the longest without", crowd.Median, alone.Max)
}

// company is who else uses the Wardens during a trial. content says after the
// failover whether all of them were served, before ctx ends.
type company interface {
	content(ctx context.Context) error
	leave()
}

// content: every subscriber was told, and the idle ones are served still.
func (c *crowd) content(ctx context.Context) error { return errors.Join(c.told(ctx), c.untouched()) }

// crowded makes one trial, with or without other clients.
func (b *bench) crowded(ctx context.Context, with bool) (outage, error) {
	return b.accompanied(ctx, with, func(_ context.Context, r *rig) (company, error) {
		return gather(r.monitorAddrs(), b.idle, b.subscribers)
	})
}

// accompanied makes one trial, with or without company, which come has.
func (b *bench) accompanied(ctx context.Context, with bool, come func(context.Context, *rig) (company, error)) (outage, error) {
	var o outage
	err := b.trial(ctx, ours, 0, func(ctx context.Context, r *rig) (err error) {
		var c company
		if with {
			c, err = come(ctx, r)
			defer c.leave()
			if err != nil {
				return err
			}
			if err := pause(ctx, calm); err != nil {
				return err
			}
		}
		if o, err = r.strike(ctx, "kill"); err != nil {
			return err
		}
		if o.work, err = r.sinceVerdict(o); err != nil || !with {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		return c.content(ctx)
	})
	return o, err
}

// sinceVerdict is the time from the first +odown to the first write, by the
// Wardens' own records, which have the time to the millisecond: a crowd is told
// of events later than they happen.
func (r *rig) sinceVerdict(o outage) (time.Duration, error) {
	fault := o.wrote.Add(-o.write).UnixMilli()
	var first int64
	for _, m := range r.monitors {
		w, err := dial(m.addr, askLimit)
		if err != nil {
			return 0, err
		}
		answer, err := w.call(askLimit, "WARDEN", "EVENTS", "1000")
		w.close()
		if err != nil {
			return 0, err
		}
		when, err := verdictIn(answer, fault)
		if err != nil {
			return 0, fmt.Errorf("events of %s: %w", m.name, err)
		}
		if when > 0 && (first == 0 || when < first) {
			first = when
		}
	}
	if first == 0 {
		return 0, errors.New("there is a new primary, but no +odown on record")
	}
	return o.wrote.Sub(time.UnixMilli(first)), nil
}

// verdictIn is when the first +odown since then happened, by an answer to WARDEN
// EVENTS, in Unix milliseconds; 0: there is none.
func verdictIn(answer any, since int64) (int64, error) {
	text, _ := answer.(string)
	var log resp.EventLog
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	for _, e := range log.Events {
		if e.Event == "+odown" && e.UnixMS >= since {
			return e.UnixMS, nil
		}
	}
	return 0, nil
}

// untouched: the idle clients are served still.
func (c *crowd) untouched() error {
	for i, w := range c.idle {
		if _, err := w.call(askLimit, "PING"); err != nil {
			return fmt.Errorf("idle client %d after the failover: %w", i+1, err)
		}
	}
	return nil
}
