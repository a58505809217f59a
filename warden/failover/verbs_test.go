package failover

import (
	"fmt"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// listen performs one line of a conversation.
func (s *stageplay) listen(w *transcript.Words) ([]string, error) {
	s.out = nil
	var err error
	switch w.Verb {
	case "group":
		err = s.group(w)
	case "node":
		err = s.node(w)
	case "postgres":
		s.postgres(w)
	case "lead":
		s.lead(w)
	case "answer":
		s.answer(w)
	case "choosing":
		if s.slow = w.Next() == "slow"; !s.slow {
			s.later(answerTime, s.choose)
		}
	case "pre-promote":
		s.c.PrePromote, s.c.PrePromoteTimeout = true, 5*warden.Second
	case "lose":
		s.scene.Leading, s.scene.Proposing, s.proposal = false, false, nil
		s.think(Tick{})
	case "downs":
		transcript.Number(w, "now", &s.scene.Downs)
		transcript.Number(w, "answered", &s.scene.Answered)
	case "pass":
		var d warden.Duration
		d, err = w.NextTime()
		s.pass(d)
	case "report":
		story := s.state.Report
		if len(story) == 0 {
			story = s.state.Last
		}
		s.out = append(s.out, story...)
	case "nodes":
		s.nodes()
	default:
		err = fmt.Errorf("no such verb")
	}
	return s.out, err
}

func (s *stageplay) group(w *transcript.Words) error {
	s.c = Config{Self: "w1", NewBirth: "B2", Quorum: 2, DownAfter: 2 * warden.Second, FailoverTimeout: 30 * warden.Second, ParallelSyncs: 1}
	transcript.Number(w, "quorum", &s.c.Quorum)
	transcript.Number(w, "parallel", &s.c.ParallelSyncs)
	w.Time("timeout", &s.c.FailoverTimeout)
	transcript.List(w, "named", &s.c.Named)
	t := warden.Topology{Group: "g", Birth: "B1", Phase: warden.PhaseDone, Wardens: []warden.WardenID{"w1", "w2", "w3"},
		Lineage: []string{"L1"}, Version: warden.Version{Epoch: 1, Step: 1}, Leader: "w1", LeaderRun: 1, Reason: warden.ReasonBirth}
	transcript.Word(w, "primary", &t.Primary)
	transcript.Word(w, "phase", &t.Phase)
	transcript.Word(w, "previous", &t.Previous)
	transcript.List(w, "wardens", &t.Wardens)
	transcript.List(w, "lineage", &t.Lineage)
	if t.Phase == warden.PhasePromoting {
		t.Reason = warden.ReasonFailover
	}
	var replicas []warden.NodeID
	transcript.List(w, "replicas", &replicas)
	serving := t.Primary
	if t.Previous != "" {
		serving = t.Previous
	}
	if w.Has("unborn") {
		t = warden.Topology{}
	}
	s.scene = Scene{Base: t, Lineage: t.Lineage, DownFor: 2 * warden.Second, Voters: t.Wardens}
	s.pg = false
	s.state, s.dues, s.scripts, s.proposal, s.slow, s.claimed = New(), nil, nil, nil, false, ""
	s.servers = []*server{{id: serving, o: warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Lineage: "L1", Position: 1000, Priority: 100}}}
	for _, id := range replicas {
		s.servers = append(s.servers, &server{id: id, o: warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: serving,
			LinkUp: true, Lineage: "L1", Position: 1000, Priority: 100, Server: "redis 7.0.15"}})
	}
	s.monitor()
	return nil
}

func (s *stageplay) node(w *transcript.Words) error {
	id := warden.NodeID(w.Next())
	n := s.server(id)
	if n == nil {
		if !w.Has("new") {
			return fmt.Errorf("no node is called %q", id)
		}
		n = &server{id: id, o: warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Priority: 100}}
		s.servers = append(s.servers, n)
	}
	o := &n.o
	for _, h := range []warden.Health{warden.HealthGood, warden.HealthSilent, warden.HealthRefused, warden.HealthLoading, warden.HealthDenied} {
		if w.Has(string(h)) {
			o.Health = h
		}
	}
	transcript.Word(w, "role", &o.Role)
	if o.Role == warden.RolePrimary {
		o.Upstream, o.LinkUp = "", false
	}
	transcript.Word(w, "of", &o.Upstream)
	if o.Upstream != "" {
		o.LinkUp = true
	}
	if w.Has("no-link") {
		o.LinkUp = false
	}
	w.Time("link-down", &o.LinkDown)
	transcript.Number(w, "at", &o.Position)
	transcript.Number(w, "priority", &o.Priority)
	transcript.Word(w, "lineage", &o.Lineage)
	transcript.Word(w, "before", &o.LineageBefore)
	transcript.Number(w, "gains", &n.gains)
	s.pgNode(w, n)
	o.Empty, o.Syncing, o.NoFollow, n.slow = w.Has("empty"), w.Has("syncing"), w.Has("no-follow"), w.Has("slow")
	s.monitor()
	return nil
}

func (s *stageplay) lead(w *transcript.Words) {
	sc := &s.scene
	sc.Leading, sc.Epoch, s.step = true, max(sc.Epoch, sc.Base.Epoch)+1, 0
	sc.Want = Want{Reason: warden.Reason(w.Next()), Primary: sc.Base.Primary}
	transcript.Word(w, "about", &sc.Want.Primary)
	transcript.Word(w, "to", &sc.Want.To)
	transcript.List(w, "list", &sc.Want.List)
	transcript.List(w, "lost", &sc.Want.Lost)
	transcript.Word(w, "warden", &sc.Want.Warden)
	if sc.Want.Reason == warden.ReasonSettings {
		sc.Want.Settings = &warden.Settings{}
		transcript.Number(w, "revision", &sc.Want.Settings.Revision)
		transcript.Number(w, "quorum", &sc.Want.Settings.Quorum)
	}
	sc.Downs, sc.Answered = len(sc.Base.Wardens), len(sc.Base.Wardens)
	transcript.Number(w, "downs", &sc.Downs)
	transcript.Number(w, "answered", &sc.Answered)
	s.think(Tick{})
}

func (s *stageplay) answer(w *transcript.Words) {
	x := script{kind: warden.ActionKind(w.Next()), node: warden.NodeID(w.Next())}
	x.happened = w.Has("happened")
	w.Time("after", &x.after)
	switch how := w.Next(); how {
	case "superseded":
		x.result = warden.Result{Outcome: warden.Refused, Superseded: true, Why: "epoch 9 has claimed it"}
	default:
		x.result = warden.Result{Outcome: warden.Outcome(how), Why: "as scripted"}
	}
	s.scripts = append(s.scripts, x)
}

func (s *stageplay) nodes() {
	for _, n := range s.servers {
		text := string(n.o.Role)
		if n.o.Upstream != "" {
			text += " of " + string(n.o.Upstream)
		}
		if !n.o.Health.Alive() {
			text += ", " + string(n.o.Health)
		}
		if n.held {
			text += ", writes are held"
		}
		text += marks(n.o)
		s.out = append(s.out, fmt.Sprintf("%s: %s at %d of %s", n.id, text, n.o.Position, n.o.Lineage))
	}
}
