package failover

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// Times of the conversations.
const (
	answerTime = warden.Millisecond       // of a proposal and of an order
	tickEvery  = 10 * warden.Millisecond  // between two ticks
	lookEvery  = 100 * warden.Millisecond // between two looks of the monitor
)

// TestConversations plays testdata/*.txt with the mind of one leader, w1, and
// with nodes that do what they are told. The verbs:
//
//	group     primary= replicas= wardens= quorum= parallel= timeout= named=
//	          lineage= and the base: base=1.1, phase=, previous=
//	node b    what b looks like from now on: good, silent, refused, loading;
//	          role=, of=, no-link, link-down=, syncing, at=, priority=,
//	          lineage=, before=, empty, no-follow, slow (a look takes 2 s),
//	          gains= (bytes per ms while it follows a node that has more);
//	          of PostgreSQL: member=, no-sync, from=, fenced, forked=, no-slot,
//	          no-slot-ever, unsealed (its seal is taken off, and none holds)
//	lead      the reason it was elected for, about=, to=, epoch=, list=, warden=,
//	          lost=; downs= of answered= answers say down with each accept
//	downs     the answers change: now=, answered=
//	answer    how the next order of that kind on that node ends: refused,
//	          unknown, superseded; happened: it was done all the same; after=: it
//	          takes so long
//	pre-promote  the operator gave such a command, which lets everybody be promoted
//	          unless an answer is scripted for ask
//	choosing  slow: proposals are not chosen until choosing fast
//	lose      the lead is lost
//	postgres  the nodes behave as PostgreSQL does: a primary is fenced instead of
//	          demoted, replicas whose data left the primary's line never stream.
//	          rejoin, fence, fence-required: the operator gave such commands;
//	          max-lag=, withdraw (only who takes writes is named). durable: quorum durability, k=, size=, lax, gone-after=,
//	          and the sets in force as sync=b,c (two of them: sync=b;b,c),
//	          with floor= (a position of L1)
//	pass 1s   time goes by
//	report    the story of the attempt, or of the last one
//	nodes     what the nodes are
//
// Looks are not shown, claims only when they fail, and that once.
func TestConversations(t *testing.T) {
	transcript.Play(t, func() transcript.Listener {
		s := &stageplay{now: warden.Instant(warden.Minute), state: New()}
		return s.listen
	})
}

// server is a node of the play.
type server struct {
	id     warden.NodeID
	o      warden.Observation
	slow   bool
	gains  int64
	noSlot bool // it gets none
	leaky  bool // a seal does not hold
	held   bool
	seen   warden.Observation // by the monitor
	seenAt warden.Instant
}

// script is how one order ends.
type script struct {
	kind     warden.ActionKind
	node     warden.NodeID
	result   warden.Result
	happened bool
	after    warden.Duration // it takes so long; 0: answerTime
}

type due struct {
	at warden.Instant
	do func()
}

type stageplay struct {
	pg       bool
	c        Config
	state    State
	scene    Scene
	now      warden.Instant
	servers  []*server
	scripts  []script
	dues     []due
	slow     bool
	step     uint64
	proposal *warden.Topology
	out      []string
	claimed  string // how the last claim ended: said once
}

func (s *stageplay) server(id warden.NodeID) *server {
	for _, n := range s.servers {
		if n.id == id {
			return n
		}
	}
	return nil
}

func (s *stageplay) say(format string, args ...any) {
	since := int64(s.now) - int64(warden.Minute)
	s.out = append(s.out, strings.TrimRight(fmt.Sprintf("%6.3fs  ", float64(since)/float64(warden.Second))+fmt.Sprintf(format, args...), " "))
}

// later does something when its time has come.
func (s *stageplay) later(d warden.Duration, do func()) {
	s.dues = append(s.dues, due{s.now.Add(d), do})
}

func (s *stageplay) pass(d warden.Duration) {
	for end := s.now.Add(d); s.now < end; {
		s.now = s.now.Add(warden.Millisecond)
		s.replicate()
		var ready, rest []due
		for _, x := range s.dues {
			if x.at <= s.now {
				ready = append(ready, x)
			} else {
				rest = append(rest, x)
			}
		}
		s.dues = rest
		for _, x := range ready {
			x.do()
		}
		if s.now%warden.Instant(lookEvery) == 0 {
			s.monitor()
		}
		if s.now%warden.Instant(tickEvery) == 0 {
			s.think(Tick{})
		}
	}
}

// replicate lets replicas gain on the node they follow.
func (s *stageplay) replicate() {
	for _, n := range s.servers {
		if up := s.server(n.o.Upstream); up != nil && n.o.Role == warden.RoleReplica && n.o.LinkUp && n.gains > 0 {
			n.o.Position = max(n.o.Position, min(n.o.Position+n.gains, up.o.Position))
		}
	}
}

// monitor is what the other mind saw of the nodes by now.
func (s *stageplay) monitor() {
	s.stream()
	for _, n := range s.servers {
		if n.o.Health == warden.HealthGood {
			n.seen, n.seenAt = n.o, s.now
		}
	}
}

func (s *stageplay) sightings() []Sighting {
	var out []Sighting
	for _, n := range s.servers {
		gone, seen := !n.o.Health.Alive(), n.seen
		out = append(out, Sighting{ID: n.id, Seen: &seen, SeenAt: n.seenAt, Good: n.o.Health == warden.HealthGood, Down: gone,
			Refusing: n.o.Health == warden.HealthRefused, Belongs: s.belongs(n.seen), Halfway: s.state.Halfway(n.id),
			NoSlot: s.state.WantsSlot(&s.c, &s.scene.Base, n.id, &seen, s.now)})
	}
	slices.SortFunc(out, func(a, b Sighting) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out
}

func (s *stageplay) belongs(o warden.Observation) bool {
	return slices.Contains(s.scene.Lineage, o.Lineage) || slices.Contains(s.scene.Lineage, o.LineageBefore)
}

// think is one Step of the mind, with all that follows from it.
func (s *stageplay) think(e Event) {
	s.scene.Nodes = s.sightings()
	s.scene.LeaseUntil = s.now.Add(warden.Second)
	var f Effects
	s.state, f = Step(s.c, s.state, s.scene, e, s.now)
	s.scene.Chosen = false
	s.stream()
	for _, n := range f.Notes {
		s.say("%s  %s %s", n.Name, n.Node, n.Text)
	}
	if f.Propose != nil {
		s.propose(*f.Propose)
	}
	for _, a := range f.Act {
		s.act(a)
	}
	if f.Finish != nil {
		s.finish(*f.Finish)
	}
}

func (s *stageplay) finish(f Finish) {
	text := "finishes: " + string(f.Verdict)
	if f.Code != "" {
		text += " (" + f.Code + ") " + f.Text
	}
	s.say("%s", text)
	s.scene.Leading, s.scene.Proposing, s.proposal = false, false, nil
	s.state, _ = Step(s.c, s.state, s.scene, Tick{}, s.now)
}

// propose is the other Wardens' part: they accept.
func (s *stageplay) propose(t warden.Topology) {
	s.step++
	t.Epoch, t.Step = s.scene.Epoch, s.step
	s.say("proposes %s", brief(t))
	s.proposal, s.scene.Proposing = &t, true
	if !s.slow {
		s.later(answerTime, s.choose)
	}
}

func (s *stageplay) choose() {
	if s.proposal == nil {
		return
	}
	s.scene.Base, s.scene.Proposing, s.scene.Chosen = *s.proposal, false, true
	s.scene.Lineage = s.scene.Base.Lineage
	s.say("T%s is chosen", s.proposal.Version)
	s.proposal = nil
	s.think(Tick{})
}

func brief(t warden.Topology) string {
	text := fmt.Sprintf("T%s %s %s", t.Version, t.Phase, t.Primary)
	if t.Previous != "" {
		text += " instead of " + string(t.Previous)
	}
	text += " (" + string(t.Reason) + ")"
	switch t.Reason {
	case warden.ReasonJoin, warden.ReasonForget, warden.ReasonBirth, warden.ReasonRecover:
		text += fmt.Sprintf(", birth %s, Wardens %s", t.Birth, names(t.Wardens))
	case warden.ReasonPause, warden.ReasonUnpause:
		text += fmt.Sprintf(", paused %v", t.Settings.Paused)
	case warden.ReasonSettings:
		text += fmt.Sprintf(", settings %d, quorum %d", t.Settings.Revision, t.Settings.Quorum)
	}
	text += sets(t)
	return text
}

func names[T ~string](ids []T) string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id))
	}
	return strings.Join(out, ",")
}

// act is a node's part: it does what it is told, or what the script says.
func (s *stageplay) act(a warden.Action) {
	n := s.server(a.Node)
	switch a.Kind {
	case warden.ActLook, warden.ActClaim:
	case warden.ActFollow:
		s.say("orders %s to follow %s%s", a.Node, a.Target, as(a.Name))
	default:
		s.say("orders %s: %s", a.Node, a.Kind)
	}
	asked, takes := s.now, answerTime
	if n != nil && n.slow {
		takes = 2 * warden.Second
	}
	x := s.outcome(a, n)
	result, happens := x.result, x.happened
	if x.after > 0 {
		takes = x.after
	}
	if result.Outcome != warden.Done {
		text := fmt.Sprintf("  %s of %s ends %s", a.Kind, a.Node, result.Outcome)
		if a.Kind != warden.ActClaim || text != s.claimed {
			s.say("%s", text)
		}
		s.claimed = text
	}
	s.later(takes, func() {
		if x.after > 0 {
			s.say("  %s of %s has ended after %s", a.Kind, a.Node, x.after)
		}
		if happens {
			s.happen(a, n)
		}
		d := ActionDone{ID: a.ID, Result: result, Asked: asked, Observation: nothing}
		if n != nil && (a.Kind == warden.ActLook || a.Kind == warden.ActSeal || result.Outcome == warden.Done && (a.Kind == warden.ActClaim || a.Kind == warden.ActPromote)) {
			seen := n.o
			d.Observation = &seen
		}
		if a.Kind == warden.ActHold && n != nil {
			d.Result.Position = n.o.Position
		}
		s.think(d)
	})
}

// outcome is how an action ends: as scripted, or by the state of the node.
func (s *stageplay) outcome(a warden.Action, n *server) script {
	for i, x := range s.scripts {
		if x.kind == a.Kind && x.node == a.Node {
			s.scripts = slices.Delete(s.scripts, i, i+1)
			return x
		}
	}
	if a.Kind != warden.ActLook && (n == nil || !n.o.Health.Alive()) {
		return script{result: warden.Result{Outcome: warden.Refused, Why: "cannot be reached"}}
	}
	return script{result: warden.Result{Outcome: warden.Done}, happened: true}
}

func (s *stageplay) happen(a warden.Action, n *server) {
	if s.pg && s.happenPostgres(a, n) {
		return
	}
	switch a.Kind {
	case warden.ActPromote:
		if n.o.Role != warden.RolePrimary {
			n.o.LineageBefore, n.o.Lineage = n.o.Lineage, fmt.Sprintf("L%d", a.Epoch)
		}
		n.o.Role, n.o.Upstream, n.o.LinkUp = warden.RolePrimary, "", false
	case warden.ActFollow:
		n.o.Role, n.o.Upstream, n.o.LinkUp, n.held = warden.RoleReplica, a.Target, true, false
		if t := s.server(a.Target); t != nil && t.o.Role == warden.RolePrimary {
			n.o.Lineage, n.o.LineageBefore, n.o.Position = t.o.Lineage, t.o.LineageBefore, t.o.Position
		}
	case warden.ActHold:
		n.held = true
	case warden.ActRelease:
		n.held = false
	}
}
