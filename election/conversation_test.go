package election

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
	onTheWay   = warden.Millisecond       // every message takes this long
	heartbeat  = 10 * warden.Millisecond  // between two ticks of a Warden
	helloEvery = 500 * warden.Millisecond // between two statuses
)

// TestConversations plays testdata/*.txt with a few Wardens that have only
// this mind. The verbs:
//
//	wardens w1,w2  they start, without a register; quorum=, configured=
//	born           all of them hold T1.1: primary=, list=, birth=, phase=,
//	               paused
//	sees w1        what w1 sees from now on: down, odown, tilt, adopt=,
//	               says= (who it hears say primary), primary= (provisional),
//	               mute-primary, uninformed
//	want w1        what w1 would do: a reason, about=, list=, lost=, warden=;
//	               or nothing
//	propose w1     the leader's next step: phase, primary=, previous=, list=,
//	               birth=, replaces=, paused
//	release w1     the leader ends its lead
//	restart w1     a new run from what is on its disk
//	leave, mute, works, conflict w1
//	cut, heal w1 w2; silence w1, hear w1
//	hold accept    keeps messages of that kind back: from=, to=; free: no more
//	deliver 1      lets a held message go, again 1 also keeps it, drop 1
//	ask, offer     a message written by hand: from=, to=, run=, birth=, ...
//	pass 100ms     time goes by
//	show           what everybody holds
//
// Statuses, renewals, repetitions and messages that were cut off are not shown.
func TestConversations(t *testing.T) {
	transcript.Play(t, func() transcript.Listener {
		p := &parliament{now: warden.Instant(warden.Minute), quorum: 2}
		return p.listen
	})
}

type member struct {
	id     warden.WardenID
	run    warden.Run
	state  State
	sight  Sight
	want   Want
	tickAt warden.Instant
	helloA warden.Instant
	quiet  bool
}

type letter struct {
	at      warden.Instant
	to      warden.WardenID
	message warden.Message
}

type rule struct {
	kind     string
	from, to warden.WardenID
}

type parliament struct {
	now        warden.Instant
	quorum     int
	configured int
	members    []*member
	post       []letter
	holding    []rule
	held       []letter
	cuts       [][2]warden.WardenID
	out        []string
	shown      []string // what need not be shown again
}

func (p *parliament) member(id warden.WardenID) *member {
	for _, m := range p.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (p *parliament) config(m *member) Config {
	return Config{Group: "g", Self: m.id, Run: m.run, Quorum: p.quorum,
		Wardens: p.configured, HelloInterval: helloEvery}
}

// pass lets time go by in milliseconds.
func (p *parliament) pass(d warden.Duration) {
	for end := p.now.Add(d); p.now < end; {
		p.now = p.now.Add(onTheWay)
		for len(p.post) > 0 && p.post[0].at <= p.now {
			l := p.post[0]
			p.post = p.post[1:]
			p.receive(l)
		}
		for _, m := range p.members {
			if m.quiet {
				continue
			}
			if p.now >= m.helloA {
				m.helloA = p.now.Add(helloEvery)
				p.greet(m)
			}
			if p.now >= m.tickAt {
				m.tickAt = p.now.Add(heartbeat)
				p.step(m, Tick{})
			}
		}
	}
}

// greet sends the status of one member to all others.
func (p *parliament) greet(m *member) {
	st := warden.Status{Chosen: m.state.Reg.Chosen.Version, Tilt: m.sight.Tilt, Mute: m.state.Mute, Left: m.state.Reg.Left,
		Primary: m.sight.Provisional, Hears: m.state.Hears(p.config(m), p.now)}
	for _, o := range p.members {
		if o != m {
			p.send(Envelope{o.id, warden.Message{Group: "g", From: m.id, Run: m.run, Birth: m.state.Reg.Chosen.Birth, Status: &st}})
		}
	}
}

func (p *parliament) receive(l letter) {
	m := p.member(l.to)
	if m == nil || m.quiet {
		return
	}
	p.step(m, Heard{l.message})
}

// step is one Step of a member; the register it leaves is on its disk at once.
func (p *parliament) step(m *member, e Event) {
	had := m.state.Reg.Chosen
	var f Effects
	m.state, f = Step(p.config(m), m.state, e, m.want, m.sight, p.now)
	p.effects(m, had, f)
}

func (p *parliament) effects(m *member, had warden.Topology, f Effects) {
	for _, n := range f.Notes {
		p.say(string(m.id), strings.TrimRight(n.Name+"  "+n.Text, " "))
	}
	if f.Elected {
		p.say(string(m.id), "leads epoch "+fmt.Sprint(m.state.Lead.Epoch)+", base "+brief(m.state.Lead.Base))
	}
	switch t := m.state.Reg.Chosen; {
	case f.Chosen:
		p.say(string(m.id), brief(t)+" is chosen")
	case f.Learned && !t.Equal(had):
		p.say(string(m.id), "learns "+brief(t))
	}
	for _, e := range f.Send {
		p.send(e)
	}
}

// send shows a message and puts it on its way, or keeps it back.
func (p *parliament) send(e Envelope) {
	m := e.Message
	if slices.Contains(p.cuts, [2]warden.WardenID{m.From, e.To}) || p.member(e.To) == nil && m.Status != nil {
		return
	}
	text, shown := letterText(m)
	way := fmt.Sprintf("%s > %s", m.From, e.To)
	l := letter{at: p.now.Add(onTheWay), to: e.To, message: m}
	for _, r := range p.holding {
		if r.kind == m.Kind() && (r.from == "" || r.from == m.From) && (r.to == "" || r.to == e.To) {
			p.held = append(p.held, l)
			p.say(way, fmt.Sprintf("%s   (held back, number %d)", text, len(p.held)))
			return
		}
	}
	again := slices.Contains(p.shown, way+text)
	if shown && !again && (m.Learn == nil || p.news(e)) {
		p.say(way, text)
		p.shown = append(p.shown, way+text)
	}
	p.post = append(p.post, l)
}

// news reports whether a Learn tells its addressee something.
func (p *parliament) news(e Envelope) bool {
	m := p.member(e.To)
	t := e.Message.Learn.Topology
	return m == nil || m.state.Reg.Chosen.Birth != t.Birth || t.Version.Newer(m.state.Reg.Chosen.Version)
}

// letterText is a message in words, and whether it is worth showing.
func letterText(m warden.Message) (string, bool) {
	switch {
	case m.Ask != nil:
		text := fmt.Sprintf("asks for a vote in epoch %d: %s", m.Ask.Epoch, m.Ask.Reason)
		if m.Ask.Primary != "" {
			text += " of " + string(m.Ask.Primary)
		}
		return text, true
	case m.Vote != nil && m.Vote.Granted:
		return fmt.Sprintf("grants epoch %d, newest %s", m.Vote.Epoch, brief(m.Vote.Newest)), true
	case m.Vote != nil:
		return fmt.Sprintf("denies epoch %d: %s", m.Vote.Epoch, m.Vote.Why), true
	case m.Propose != nil:
		return "proposes " + brief(m.Propose.Topology), true
	case m.Accept != nil && m.Accept.OK:
		text := fmt.Sprintf("accepts %s", m.Accept.Version)
		if m.Accept.Down {
			text += ", finds the old primary down"
		}
		return text, true
	case m.Accept != nil:
		return fmt.Sprintf("refuses %s: %s", m.Accept.Version, m.Accept.Why), true
	case m.Learn != nil:
		return "tells that " + brief(m.Learn.Topology) + " is chosen", true
	case m.Renew != nil && m.Renew.Release:
		return fmt.Sprintf("gives epoch %d back", m.Renew.Epoch), true
	case m.Renew != nil:
		return fmt.Sprintf("renews epoch %d", m.Renew.Epoch), false
	case m.Renewed != nil:
		return fmt.Sprintf("does not renew epoch %d", m.Renewed.Epoch), !m.Renewed.OK
	}
	return m.Kind(), false
}

// brief is a topology in a few words.
func brief(t warden.Topology) string {
	if t.IsZero() {
		return "none"
	}
	text := fmt.Sprintf("T%s %s %s", t.Version, t.Phase, t.Primary)
	if t.Settings.Paused {
		text += " paused"
	}
	if t.Birth != "B1" {
		text += " of birth " + string(t.Birth)
	}
	if t.Reason == warden.ReasonJoin || t.Reason == warden.ReasonForget || t.Reason == warden.ReasonRecover {
		text += fmt.Sprintf(" with %s", names(t.Wardens))
	}
	return text
}

func names[T ~string](ids []T) string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id))
	}
	return strings.Join(out, ",")
}

func (p *parliament) say(who, text string) {
	since := int64(p.now) - int64(warden.Minute)
	p.out = append(p.out, fmt.Sprintf("%6.3fs  %-7s  %s", float64(since)/float64(warden.Second), who, text))
}

func (p *parliament) show() {
	for _, m := range p.members {
		r := m.state.Reg
		text := fmt.Sprintf("promise %d", r.Promise)
		if r.Grantee != "" {
			text += fmt.Sprintf(" to %s run %d", r.Grantee, r.GranteeRun)
		}
		text += fmt.Sprintf(", accepted %s, chosen %s", brief(r.Accepted), brief(r.Chosen))
		if m.state.Lead != nil {
			text += fmt.Sprintf(", leads %d", m.state.Lead.Epoch)
		}
		if q := m.state.Quiet(); q != "" {
			text += ", abstains: " + q
		}
		p.say(string(m.id), text)
	}
}
