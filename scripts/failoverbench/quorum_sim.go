package main

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// The simulated part of the benchmark quorum: the minds themselves, on virtual
// time, with a perfect network and disk. What it shows is what the protocol
// costs: how many messages and bytes, and how many round trips an agreement
// takes. What it does not show is the processor time, of which nothing passes.
const (
	simDelay     = 500 * warden.Microsecond // of a message, or of a look
	simDisk      = warden.Millisecond       // of a register
	simTick      = 240 * warden.Millisecond
	simWarm      = 15 * warden.Second // until calm is counted
	simCalm      = 10 * warden.Second // that are counted
	simDownAfter = warden.Second
	simLimit     = 30 * warden.Second // for the failover
)

// parliament is one group watched by many Wardens, in a simulation.
type parliament struct {
	now     warden.Instant
	queue   moments
	count   uint64
	members []*member
	nodes   map[warden.NodeID]*simNode
	dead    warden.NodeID

	messages, bytes int
	odown           warden.Instant // the first verdict
	failed          error
}

// member is one Warden.
type member struct {
	config group.Config
	state  group.State
	wake   warden.Instant
	looked map[warden.NodeID]warden.Instant
}

// simNode is a database without data.
type simNode struct {
	primary  warden.NodeID // whom it follows; empty: a primary itself
	lineage  string
	before   string
	position int64
}

// moment is something that happens to a member.
type moment struct {
	at     warden.Instant
	number uint64 // keeps the order of what happens at the same time
	member int
	event  group.Event
}

type moments []moment

func (m moments) Len() int { return len(m) }
func (m moments) Less(i, j int) bool {
	return m[i].at < m[j].at || m[i].at == m[j].at && m[i].number < m[j].number
}
func (m moments) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)   { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}

// agreement is what a size of quorum costs.
type agreement struct {
	wardens         int
	messages, bytes float64       // per second in calm, of all together
	change          int           // messages of one failover
	first, last     time.Duration // from +odown until the first and the last Warden serve the new primary
}

// newParliament makes count Wardens and three nodes.
func newParliament(count int) *parliament {
	p := &parliament{nodes: map[warden.NodeID]*simNode{}, now: warden.Instant(warden.Minute)}
	names := []warden.NodeID{"a:1", "b:1", "c:1"}
	for i, name := range names {
		n := &simNode{lineage: "L1", position: 1000}
		if i > 0 {
			n.primary = names[0]
		}
		p.nodes[name] = n
	}
	var ids []warden.WardenID
	for i := range count {
		ids = append(ids, warden.WardenID(fmt.Sprintf("%040x", (i+1)*7919)))
	}
	for i := range count {
		c := group.Config{Group: "g", Self: ids[i], Run: 1, NewBirth: warden.Birth(fmt.Sprintf("birth%d", i)), Primary: names[0],
			Quorum: count/2 + 1, Wardens: count, DownAfter: simDownAfter, CrashAfter: simDownAfter, FailoverTimeout: 10 * warden.Second,
			HelloInterval: 2 * warden.Second, ParallelSyncs: 1, ReplicaWitness: true}
		m := &member{config: c, state: group.New(c, warden.Register{}, p.now), looked: map[warden.NodeID]warden.Instant{}}
		p.members = append(p.members, m)
		// They start one after the other, as people start them.
		start := p.now.Add(warden.Duration(i) * 13 * warden.Millisecond)
		p.push(start, i, group.PeersKnown{IDs: append(append([]warden.WardenID(nil), ids[:i]...), ids[i+1:]...)})
	}
	return p
}

func (p *parliament) push(at warden.Instant, member int, e group.Event) {
	p.count++
	heap.Push(&p.queue, moment{at, p.count, member, e})
}

// run lets time pass until the instant, or until done.
func (p *parliament) run(until warden.Instant, done func() bool) {
	for len(p.queue) > 0 && p.queue[0].at <= until && (done == nil || !done()) {
		m := heap.Pop(&p.queue).(moment)
		p.now = m.at
		p.step(m.member, m.event)
	}
	if done == nil {
		p.now = until
	}
}

// step gives an event to a Warden and does what it wants.
func (p *parliament) step(i int, e group.Event) {
	m := p.members[i]
	if _, tick := e.(group.Tick); tick && p.now < m.wake {
		return // another event came in between
	}
	f := group.Advance(&m.config, &m.state, e, p.now)
	at := p.now
	if f.Persist != nil {
		at = at.Add(simDisk)
	}
	for _, s := range f.Send {
		text, err := json.Marshal(s.Message)
		if err != nil {
			p.failed = err
		}
		p.messages++
		p.bytes += len(text)
		for to, other := range p.members {
			if other.config.Self == s.To {
				p.push(at.Add(simDelay), to, group.Heard{Message: s.Message})
			}
		}
	}
	for _, a := range f.Act {
		p.act(at, i, a)
	}
	for _, a := range f.Announce {
		if a.Name == "+odown" && p.odown == 0 {
			p.odown = p.now
		}
	}
	for _, w := range group.Watch(&m.config, &m.state, p.now) {
		if last, seen := m.looked[w.Node]; !seen || p.now.Sub(last) >= w.Every {
			m.looked[w.Node] = p.now
			o := p.observe(w.Node)
			p.push(p.now.Add(simDelay), i, group.Looked{Node: w.Node, Asked: p.now, Observation: &o})
		}
	}
	m.wake = p.now.Add(50 * warden.Millisecond) // looks are paced by steps here
	if f.Wake != 0 && f.Wake < m.wake {
		m.wake = max(f.Wake, p.now.Add(warden.Millisecond))
	}
	p.push(m.wake, i, group.Tick{})
}

func (p *parliament) observe(id warden.NodeID) warden.Observation {
	if id == p.dead {
		return warden.Observation{Health: warden.HealthRefused, Detail: "connection refused", Priority: 100}
	}
	n := p.nodes[id]
	o := warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Lineage: n.lineage, LineageBefore: n.before, RunID: string(id),
		Position: n.position, Priority: 100, Server: "simulated"}
	if n.primary != "" {
		o.Role, o.Upstream, o.LinkUp = warden.RoleReplica, n.primary, n.primary != p.dead
		return o
	}
	for _, other := range []warden.NodeID{"a:1", "b:1", "c:1"} {
		if r := p.nodes[other]; r.primary == id && other != p.dead {
			o.Replicas = append(o.Replicas, warden.Replica{Node: other, Online: true, Position: r.position})
		}
	}
	return o
}

// act carries out an action; two delays later its end is known.
func (p *parliament) act(at warden.Instant, i int, a group.Action) {
	if a.Kind == group.ActMark || a.Kind == group.ActDrop {
		return
	}
	done := group.ActionDone{ID: a.ID, Node: a.Node, Asked: at, Result: warden.Result{Outcome: warden.Done}}
	n := p.nodes[a.Node]
	switch {
	case a.Node == p.dead || n == nil:
		done.Result = warden.Result{Outcome: warden.Refused, Why: "connection refused"}
	case a.Kind == group.ActPromote && n.primary != "":
		n.before, n.lineage, n.primary = n.lineage, "L2"+string(a.Node), ""
	case a.Kind == group.ActFollow:
		n.primary = a.Target
		if t := p.nodes[a.Target]; t != nil {
			n.lineage, n.before, n.position = t.lineage, t.before, t.position
		}
	}
	if a.Kind == group.ActLook || a.Kind == group.ActClaim || a.Kind == group.ActPromote {
		done.Observation = p.observe(a.Node)
	}
	p.push(at.Add(2*simDelay), i, done)
}

// serving is how many Wardens serve a primary that is not the dead one.
func (p *parliament) serving() (count int) {
	for _, m := range p.members {
		if at := group.Primary(&m.config, &m.state); at != "" && at != p.dead {
			count++
		}
	}
	return count
}

// measure lets the parliament find itself, counts a while of calm, and lets the
// primary die.
func (p *parliament) measure() (agreement, error) {
	a := agreement{wardens: len(p.members)}
	p.run(p.now.Add(simWarm), nil)
	for _, m := range p.members {
		if v := group.View(m.config, m.state, p.now); !v.Agreed || v.Provisional || v.Leader != "" {
			return a, fmt.Errorf("%d Wardens: no agreement after %s: %s", a.wardens, simWarm, strings.Join(v.Explain, "; "))
		}
	}
	p.messages, p.bytes = 0, 0
	p.run(p.now.Add(simCalm), nil)
	seconds := float64(simCalm) / float64(warden.Second)
	a.messages, a.bytes = float64(p.messages)/seconds, float64(p.bytes)/seconds
	p.messages, p.dead = 0, "a:1"
	for i := range p.members {
		p.push(p.now, i, group.LinkEnded{Node: p.dead, Why: "reset"})
	}
	end := p.now.Add(simLimit)
	p.run(end, func() bool { return p.odown != 0 })
	p.messages = 0
	p.run(end, func() bool { return p.serving() > 0 })
	a.first = time.Duration(p.now.Sub(p.odown))
	p.run(end, func() bool { return p.serving() == len(p.members) })
	a.last, a.change = time.Duration(p.now.Sub(p.odown)), p.messages
	if p.odown == 0 || p.serving() != len(p.members) {
		return a, fmt.Errorf("%d Wardens: %d of them serve another primary after %s", a.wardens, p.serving(), simLimit)
	}
	return a, p.failed
}
