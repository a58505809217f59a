package election

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// listen performs one line of a conversation.
func (p *parliament) listen(w *transcript.Words) ([]string, error) {
	p.out = nil
	world := map[string]func(*transcript.Words) error{
		"wardens": p.start, "born": p.born, "cut": p.cut, "heal": p.heal, "hold": p.hold,
		"deliver": p.letGo, "again": p.letGo, "drop": p.letGo, "ask": p.ask, "offer": p.offer,
		"free": func(*transcript.Words) error { p.holding = nil; return nil },
		"show": func(*transcript.Words) error { p.show(); return nil },
		"pass": func(w *transcript.Words) error {
			d, err := w.NextTime()
			p.pass(d)
			return err
		},
	}
	if do := world[w.Verb]; do != nil {
		err := do(w)
		return p.out, err
	}
	verbs := map[string]func(*member, *transcript.Words) error{
		"sees": p.sees, "want": p.want, "propose": p.propose, "release": p.release, "restart": p.restart,
		"silence":  func(m *member, _ *transcript.Words) error { m.quiet = true; return nil },
		"hear":     func(m *member, _ *transcript.Words) error { m.quiet = false; return nil },
		"leave":    func(m *member, _ *transcript.Words) error { m.state.Reg.Left = true; return nil },
		"mute":     func(m *member, _ *transcript.Words) error { p.step(m, Store{false}); return nil },
		"works":    func(m *member, _ *transcript.Words) error { p.step(m, Store{true}); return nil },
		"conflict": func(m *member, _ *transcript.Words) error { p.step(m, ConflictHeard{"10.0.0.9:7946"}); return nil },
	}
	do := verbs[w.Verb]
	if do == nil {
		return nil, fmt.Errorf("no such verb")
	}
	m := p.member(warden.WardenID(w.Next()))
	if m == nil {
		return nil, fmt.Errorf("no such Warden")
	}
	err := do(m, w)
	return p.out, err
}

func (p *parliament) start(w *transcript.Words) error {
	transcript.Number(w, "quorum", &p.quorum)
	transcript.Number(w, "configured", &p.configured)
	for _, id := range strings.Split(w.Next(), ",") {
		m := &member{id: warden.WardenID(id), run: 1, state: New(warden.Register{}, p.now), tickAt: p.now, helloA: p.now}
		m.sight.Provisional, m.sight.ProvisionalSays = "a", true
		p.members = append(p.members, m)
	}
	return nil
}

// born gives everybody named in only (or all) a chosen first topology, agreed
// long ago.
func (p *parliament) born(w *transcript.Words) error {
	t := warden.Topology{Group: "g", Birth: "B1", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone,
		Primary: "a", Reason: warden.ReasonBirth}
	for _, m := range p.members {
		t.Wardens = append(t.Wardens, m.id)
	}
	transcript.List(w, "list", &t.Wardens)
	transcript.Word(w, "primary", &t.Primary)
	transcript.Word(w, "birth", &t.Birth)
	transcript.Word(w, "phase", &t.Phase)
	t.Leader, t.LeaderRun = t.Wardens[0], 1
	t.Settings.Paused = w.Has("paused")
	only := t.Wardens
	transcript.List(w, "only", &only)
	for _, m := range p.members {
		if slices.Contains(only, m.id) {
			m.state = New(warden.Register{Promise: 1, Grantee: t.Leader, GranteeRun: 1, Accepted: t, Chosen: t}, p.now.Add(-voterHold))
		}
	}
	return nil
}

func (p *parliament) sees(m *member, w *transcript.Words) error {
	m.sight = Sight{Provisional: "a", ProvisionalSays: true}
	m.sight.PrimaryDown = w.Has("down") || w.Has("odown-too")
	m.sight.Odown = w.Has("odown") || w.Has("odown-too")
	m.sight.Tilt = w.Has("tilt")
	transcript.Word(w, "adopt", &m.sight.Adoptable)
	transcript.Word(w, "primary", &m.sight.Provisional)
	m.sight.ProvisionalSays = !w.Has("mute-primary")
	if w.Has("uninformed") {
		m.sight.Uninformed = "it lost its register"
	}
	return nil
}

func (p *parliament) want(m *member, w *transcript.Words) error {
	m.want = Want{Reason: warden.Reason(w.Next())}
	if m.want.Reason == "nothing" {
		m.want = Want{}
	}
	transcript.Word(w, "about", &m.want.Primary)
	transcript.List(w, "list", &m.want.List)
	transcript.List(w, "lost", &m.want.Lost)
	transcript.Word(w, "warden", &m.want.Warden)
	return nil
}

// propose derives the leader's next step from its base.
func (p *parliament) propose(m *member, w *transcript.Words) error {
	if m.state.Lead == nil {
		return fmt.Errorf("%s does not lead", m.id)
	}
	t := m.state.Lead.Base.Clone()
	if t.IsZero() {
		t = warden.Topology{Birth: "B1", Wardens: m.want.List}
	}
	t.Reason = m.want.Reason
	if phase := w.Next(); phase != "" {
		t.Phase = warden.Phase(phase)
	}
	transcript.Word(w, "primary", &t.Primary)
	transcript.Word(w, "previous", &t.Previous)
	transcript.Word(w, "birth", &t.Birth)
	transcript.Word(w, "replaces", &t.Replaces)
	transcript.List(w, "list", &t.Wardens)
	had := m.state.Reg.Chosen
	state, f, ok := Propose(p.config(m), m.state, t, m.sight, p.now)
	m.state = state
	if !ok {
		p.say(string(m.id), "may not propose that now")
	}
	p.effects(m, had, f)
	return nil
}

func (p *parliament) release(m *member, _ *transcript.Words) error {
	had := m.state.Reg.Chosen
	state, f := Release(p.config(m), m.state, p.now)
	m.state = state
	p.effects(m, had, f)
	return nil
}

func (p *parliament) restart(m *member, _ *transcript.Words) error {
	m.run++
	m.state = New(m.state.Reg, p.now)
	return nil
}

func pair(w *transcript.Words) (a, b warden.WardenID) {
	return warden.WardenID(w.Next()), warden.WardenID(w.Next())
}

// cut parts two Wardens, or one from all.
func (p *parliament) cut(w *transcript.Words) error {
	a, b := pair(w)
	for _, m := range p.members {
		if b == "" || m.id == b {
			p.cuts = append(p.cuts, [2]warden.WardenID{a, m.id}, [2]warden.WardenID{m.id, a})
		}
	}
	return nil
}

func (p *parliament) heal(*transcript.Words) error {
	p.cuts = nil
	return nil
}

func (p *parliament) hold(w *transcript.Words) error {
	r := rule{kind: w.Next()}
	transcript.Word(w, "from", &r.from)
	transcript.Word(w, "to", &r.to)
	p.holding = append(p.holding, r)
	return nil
}

// letGo delivers, repeats or drops a held message, at once.
func (p *parliament) letGo(w *transcript.Words) error {
	n, err := strconv.Atoi(w.Next())
	if err != nil || n < 1 || n > len(p.held) {
		return fmt.Errorf("no message of that number is held back")
	}
	l := p.held[n-1]
	text, _ := letterText(l.message)
	p.say(fmt.Sprintf("%s > %s", l.message.From, l.to), text)
	if w.Verb != "drop" {
		p.receive(l)
	}
	return nil
}

// byHand is a message from anybody, to one Warden.
func (p *parliament) byHand(w *transcript.Words) (warden.Message, warden.WardenID) {
	m := warden.Message{Group: "g", Run: 1, Birth: "B1"}
	to := warden.WardenID("w1")
	transcript.Word(w, "from", &m.From)
	transcript.Word(w, "to", &to)
	transcript.Number(w, "run", &m.Run)
	transcript.Word(w, "birth", &m.Birth)
	return m, to
}

func (p *parliament) bring(m warden.Message, to warden.WardenID) error {
	text, _ := letterText(m)
	p.say(fmt.Sprintf("%s > %s", m.From, to), text)
	p.shown = nil
	p.receive(letter{to: to, message: m})
	return nil
}

func (p *parliament) ask(w *transcript.Words) error {
	m, to := p.byHand(w)
	r := warden.VoteRequest{Reason: warden.ReasonFailover, Primary: "a"}
	transcript.Number(w, "epoch", &r.Epoch)
	transcript.Word(w, "reason", &r.Reason)
	transcript.Word(w, "about", &r.Primary)
	transcript.List(w, "list", &r.List)
	transcript.List(w, "lost", &r.Lost)
	m.Ask = &r
	return p.bring(m, to)
}

func (p *parliament) offer(w *transcript.Words) error {
	m, to := p.byHand(w)
	t := warden.Topology{Group: "g", Birth: "B1", Phase: warden.PhasePromoting, Primary: "b", Previous: "a",
		Wardens: []warden.WardenID{"w1", "w2", "w3"}, Leader: m.From, LeaderRun: m.Run, Reason: warden.ReasonFailover}
	transcript.Word(w, "primary", &t.Primary)
	transcript.Word(w, "birth", &t.Birth)
	transcript.Word(w, "leader", &t.Leader)
	transcript.Number(w, "epoch", &t.Epoch)
	transcript.Number(w, "step", &t.Step)
	transcript.List(w, "list", &t.Wardens)
	m.Birth = t.Birth
	m.Propose = &warden.Proposal{Topology: t}
	return p.bring(m, to)
}
