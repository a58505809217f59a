package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

const (
	massGroups    = 300
	massDownAfter = 5 * time.Second
	// massBeyond is how long after down_after all have to be written to.
	massBeyond = 3 * time.Second
	massLimit  = time.Minute
	massAsk    = 50 * time.Millisecond // between two questions of the client
)

// mass kills the primaries of all groups at once and measures when each can be
// written to again, as a client that asks the Wardens finds out.
func (b *bench) mass(ctx context.Context) error {
	b.say("\nmass: three Wardens, %d simulated groups of a primary and a replica, all primaries killed at once, down_after %s\n", massGroups, massDownAfter)
	h, err := b.newHerd(ctx, massGroups, 0, 1)
	if err != nil {
		return err
	}
	posts, err := h.post(ours, monitorCount, massGroups, massDownAfter)
	if err != nil {
		return errors.Join(err, h.close())
	}
	err = h.mass(ctx, posts)
	if err != nil {
		for _, p := range posts {
			b.say("--- %s\n%s\n", p.log, p.tail())
		}
	}
	relieve(posts)
	return errors.Join(err, h.close())
}

func (h *herd) mass(ctx context.Context, posts []*post) error {
	soon, cancel := context.WithTimeout(ctx, 2*setupLimit)
	defer cancel()
	if err := h.settled(soon, posts, massGroups); err != nil {
		return fmt.Errorf("wait for the Wardens: %w", err)
	}
	if err := until(soon, posts, func() error { _, err := topologies(posts); return err }); err != nil {
		return fmt.Errorf("wait for the first agreements: %w", err)
	}
	if err := pause(ctx, 2*calm); err != nil {
		return err
	}
	before, err := topologies(posts)
	if err != nil {
		return err
	}
	ctx, cancelAll := context.WithTimeout(ctx, massLimit)
	defer cancelAll()
	at := time.Now()
	if err := h.order("STOP", primaryPorts(h.groups)...); err != nil {
		return err
	}
	times, err := h.rewritten(ctx, posts, at)
	if err != nil {
		return err
	}
	b := h.b
	b.say("\nfrom the kill to the first acknowledged write of each group, all of it (load %s)\n", load())
	b.note([]Series{{Chapter: "mass", Kind: "kill", System: ours, Unit: "ms", Values: times}})
	b.judge(atMost("the last group is written to, in ms", slices.Max(times), ms(massDownAfter+massBeyond)))
	if err := h.order("START", primaryPorts(h.groups)...); err != nil {
		return err
	}
	var after []map[warden.GroupName]warden.Topology
	err = until(ctx, posts, func() (err error) {
		if after, err = topologies(posts); err != nil {
			return err
		}
		return h.single(after)
	})
	if err != nil {
		return fmt.Errorf("wait until every old primary is a replica: %w", err)
	}
	b.say("  every group has one primary, which all Wardens agree on, and its old one as a replica\n")
	b.judge(massBars(before[0], after[0])...)
	return nil
}

// massBars: the primary of each group has changed, and the epoch by no more than
// the failover and the repair, by which the old one was made a replica, need.
func massBars(before, after map[warden.GroupName]warden.Topology) []Bar {
	unchanged, more := 0, 0
	for name, t := range after {
		if before[name].Primary == t.Primary {
			unchanged++
		}
		if t.Epoch > before[name].Epoch+2 {
			more++
		}
	}
	return []Bar{
		none("groups with the primary of before", float64(unchanged)),
		none("groups that needed more than two epochs", float64(more)),
	}
}

// rewritten asks the Wardens until every group was written to, and returns the
// milliseconds since at.
func (h *herd) rewritten(ctx context.Context, posts []*post, at time.Time) ([]float64, error) {
	times := make([]float64, len(h.groups))
	var all sync.WaitGroup
	for i, w := range posts { // each client has its share of the groups
		all.Go(func() {
			for ctx.Err() == nil {
				rest := 0
				for k := i; k < len(h.groups); k += len(posts) {
					if times[k] != 0 {
						continue
					}
					p := h.groups[k]
					if port, err := named(w, p.name); err == nil && port != p.ports[0] && written(port) == nil {
						times[k] = ms(time.Since(at))
						continue
					}
					rest++
				}
				if rest == 0 || pause(ctx, massAsk) != nil {
					return
				}
			}
		})
	}
	all.Wait()
	if missing := slices.Index(times, 0); missing >= 0 {
		return nil, fmt.Errorf("%s was never written to: %w", h.groups[missing].name, ctx.Err())
	}
	return times, nil
}

// topologies are those of all groups that each Warden knows to be agreed.
func topologies(posts []*post) ([]map[warden.GroupName]warden.Topology, error) {
	var all []map[warden.GroupName]warden.Topology
	for _, w := range posts {
		c, err := dial(w.addr, askLimit)
		if err != nil {
			return nil, err
		}
		answer, err := c.call(10*time.Second, "WARDEN", "STATUS")
		c.close()
		if err != nil {
			return nil, err
		}
		text, _ := answer.(string)
		var s resp.Status
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return nil, fmt.Errorf("read status: %w", err)
		}
		known := map[warden.GroupName]warden.Topology{}
		for _, g := range s.Groups {
			if g.Provisional || g.Topology.Phase != warden.PhaseDone || len(g.Topology.Wardens) != len(posts) {
				return nil, fmt.Errorf("%s: %s is not agreed by %d Wardens", w.name, g.Name, len(posts))
			}
			known[g.Name] = g.Topology
		}
		all = append(all, known)
	}
	return all, nil
}

// single: all Wardens know the same primary of each group, which says itself
// that it is one, and every other node follows it.
func (h *herd) single(known []map[warden.GroupName]warden.Topology) error {
	for _, p := range h.groups {
		t := known[0][warden.GroupName(p.name)]
		for _, other := range known[1:] {
			if o := other[warden.GroupName(p.name)]; o.Primary != t.Primary || o.Version != t.Version {
				return fmt.Errorf("%s: %s (%s) and %s (%s)", p.name, t.Primary, t.Version, o.Primary, o.Version)
			}
		}
		for _, port := range p.ports {
			word, of, _, err := role(address(port))
			switch {
			case err != nil:
				return err
			case (word == "master") != (strconv.Itoa(port) == t.Primary.Port()):
				return fmt.Errorf("%s: %d says %s, the primary is %s", p.name, port, word, t.Primary)
			case word != "master" && of != string(t.Primary):
				return fmt.Errorf("%s: %d follows %s, the primary is %s", p.name, port, of, t.Primary)
			}
		}
	}
	return nil
}
