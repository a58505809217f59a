package group

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

func (p *step) answer(id uint64, v warden.Verdict, code, text string) {
	p.f.Answers = append(p.f.Answers, CommandAnswer{ID: id, Answer: warden.Answer{Verdict: v, Code: code, Text: text}})
}

// commanded takes in an operator's command: refused at once, done at once, or
// kept until this Warden leads for it.
func (p *step) commanded(e Commanded) {
	s := p.s
	if e.Command.Wish == warden.WishReset {
		p.reset()
		p.answer(e.ID, warden.VerdictDone, "", "")
		return
	}
	if e.Command.Wish == warden.WishDrill {
		d := p.drill()
		p.f.Answers = append(p.f.Answers, CommandAnswer{ID: e.ID, Answer: warden.Answer{Verdict: warden.VerdictDone, Drill: &d}})
		return
	}
	if e.Command.Wish == warden.WishSettings {
		p.f.Answers = append(p.f.Answers, CommandAnswer{ID: e.ID, Answer: warden.Answer{Verdict: warden.VerdictDone, Settings: p.settings()}})
		return
	}
	want, code, text := p.commandWish(e.Command)
	switch {
	case code == "done" && (s.mon.Tilt || !p.majorityHeard()): // guard: S5
		// What this Warden knows may be long out of date (simulator seed 32381):
		// after a pause it also hears what was said long ago.
		p.answer(e.ID, warden.VerdictRefused, "not-agreed", "this Warden was cut off or paused and does not know what is agreed now: ask again or another one")
	case code == "done":
		p.answer(e.ID, warden.VerdictDone, "", text)
	case code != "":
		p.answer(e.ID, warden.VerdictRefused, code, text)
		p.refusedOrder(&e.Command, code, text)
	case len(s.commands) >= maxCommands:
		p.answer(e.ID, warden.VerdictRefused, "in-progress", "too many commands are waiting")
	default:
		s.commands = append(s.commands, command{id: e.ID, at: p.now, command: e.Command, want: want})
	}
}

// commandWish turns a command into a want, or says why not. Code "done" means
// that there is nothing left to do.
func (p *step) commandWish(cmd warden.Command) (w election.Want, code, text string) {
	s, t := p.s, p.s.el.Reg.Chosen
	if q := s.el.Quiet(); q != "" {
		return w, "abstains", "this Warden abstains: " + q
	}
	if t.IsZero() {
		return w, "not-agreed", "the Wardens have not agreed on this group yet"
	}
	switch cmd.Wish {
	case warden.WishPause, warden.WishResume:
		pause := cmd.Wish == warden.WishPause
		if t.Settings.Paused == pause {
			return w, "done", "it was so already"
		}
		if pause {
			return election.Want{Reason: warden.ReasonPause}, "", ""
		}
		return election.Want{Reason: warden.ReasonUnpause}, "", ""
	case warden.WishConfigure:
		return p.settingsWish(cmd, &t)
	case warden.WishForget:
		return p.forgetWish(cmd, t)
	case warden.WishRecover:
		return p.recoverWish(cmd, t)
	case warden.WishFailover, warden.WishSwitchover:
		return p.moveWish(cmd, t)
	}
	return w, "unknown-command", fmt.Sprintf("there is no command %q", cmd.Wish)
}

func (p *step) forgetWish(cmd warden.Command, t warden.Topology) (w election.Want, code, text string) {
	if len(cmd.Wardens) != 1 {
		return w, "usage", "name one Warden to forget"
	}
	id := cmd.Wardens[0]
	switch {
	case !t.Lists(id):
		return w, "unknown-warden", fmt.Sprintf("Warden %s is not in the list of this group", id)
	case id == p.c.Self:
		return w, "unknown-warden", "a Warden does not forget itself: ask another one"
	case len(t.Wardens) <= max(p.c.Quorum, 1): // guard: S5
		return w, "quorum", fmt.Sprintf("%s would be left and quorum is %d, so nothing could be agreed any more: lower quorum first", plural(len(t.Wardens)-1, "Warden"), p.c.Quorum)
	}
	return election.Want{Reason: warden.ReasonForget, Warden: id}, "", ""
}

func (p *step) recoverWish(cmd warden.Command, t warden.Topology) (w election.Want, code, text string) {
	for _, id := range cmd.Wardens {
		if !t.Lists(id) {
			return w, "unknown-warden", fmt.Sprintf("Warden %s is not in the list of this group", id)
		}
		if id == p.c.Self {
			return w, "unknown-warden", "the Warden you ask is not lost"
		}
	}
	if len(cmd.Wardens) == 0 || len(cmd.Wardens) >= len(t.Wardens) {
		return w, "usage", "name the Wardens that are lost for ever, but not all"
	}
	return election.Want{Reason: warden.ReasonRecover, Lost: slices.Clone(cmd.Wardens)}, "", ""
}

// moveWish is a switchover of a primary that can be reached, or a failover of
// one that cannot.
func (p *step) moveWish(cmd warden.Command, t warden.Topology) (w election.Want, code, text string) {
	s := p.s
	switch {
	case t.Settings.Paused:
		return w, "paused", "the group is paused: resume it first"
	case p.besideSentinels():
		return w, "sentinels", p.sentinelsDecide() + " about this group: ask one of them, or stop the last one first"
	case t.Phase != warden.PhaseDone, p.moving():
		return w, "in-progress", "another change of this group is in progress"
	case cmd.To == t.Primary:
		return w, "done", string(cmd.To) + " is the primary already"
	case cmd.To != "" && s.mon.Find(cmd.To) == nil:
		return w, "no-good-replica", fmt.Sprintf("%s is not a node of this group", cmd.To)
	}
	some := slices.ContainsFunc(s.mon.Nodes, func(n *monitor.Node) bool {
		return n.ID != t.Primary && !n.Down && n.SeenAt != 0 && n.Seen.Role == warden.RoleReplica && (cmd.To == "" || n.ID == cmd.To)
	})
	if !some {
		return w, "no-good-replica", "no replica can be promoted"
	}
	w = election.Want{Reason: warden.ReasonSwitchover, Primary: t.Primary, To: cmd.To}
	if n := s.mon.Find(t.Primary); n == nil || n.Down || n.Health != warden.HealthGood {
		if cmd.Wish == warden.WishSwitchover {
			return w, "no-primary", fmt.Sprintf("%s cannot be reached, so a switchover could lose writes: use failover", t.Primary)
		}
		w.Reason = warden.ReasonForced
	}
	return w, "", ""
}

// moving reports whether a change of the primary is under way, here or, as far
// as this Warden's vote tells, elsewhere.
func (p *step) moving() bool {
	if len(p.s.commands) > 0 {
		return true
	}
	return p.s.fo.Stage != failover.Idle && p.s.fo.Stage != failover.Repointing && p.s.fo.Stage != failover.Affirming
}

// reset forgets the nodes that cannot be reached, unless the primary does not
// serve: then one of them may hold the only copy of the data. Promises,
// topology and list are not touched; listed nodes of the topology stay.
func (p *step) reset() {
	s := p.s
	p.announce("+reset-master", warden.LevelWarning, "", "")
	t := s.el.Reg.Chosen
	primary := s.mon.Find(t.Primary)
	serves := primary != nil && primary.Health == warden.HealthGood && primary.Seen.Role == warden.RolePrimary && primary.Lost == "" && !primary.Down
	s.el.Reg.Nodes = slices.DeleteFunc(slices.Clone(s.el.Reg.Nodes), func(id warden.NodeID) bool {
		n := s.mon.Find(id)
		return serves && id != t.Primary && (n == nil || n.Down || n.Health != warden.HealthGood)
	})
	s.foreign, s.backoff = nil, nil
	p.stale()
}

// commandWant is the want of the oldest waiting command.
func (p *step) commandWant() (election.Want, bool) {
	if len(p.s.commands) == 0 {
		return election.Want{}, false
	}
	return p.s.commands[0].want, true
}

// startOnly reports whether the operator wants to know only that the change has
// begun. A change of the list or of a setting takes milliseconds: its end is
// always waited for.
func (c command) startOnly() bool {
	return !c.command.Wait && (c.want.Reason == warden.ReasonSwitchover || c.want.Reason == warden.ReasonForced)
}

// electedCommand notes that we lead for a command, and answers those who only
// wanted it started.
func (p *step) electedCommand() {
	s := p.s
	for i := range s.commands {
		if c := &s.commands[i]; s.el.Lead.Want.Is(c.want) {
			c.elected = true
			if c.startOnly() {
				p.answer(c.id, warden.VerdictStarted, "", "")
			}
			return
		}
	}
}

// answerLed answers the command we led for.
func (p *step) answerLed(fin failover.Finish) {
	if l := p.s.el.Lead; l != nil && l.Want.Reason == warden.ReasonSettings && fin.Verdict == warden.VerdictDone {
		fin.Text = p.settingsNote()
	}
	p.takeLed(func(c command) {
		if !c.startOnly() {
			p.answer(c.id, fin.Verdict, fin.Code, fin.Text)
		}
	})
}

func (p *step) lostCommand(why string) {
	p.takeLed(func(c command) {
		if !c.startOnly() {
			p.answer(c.id, warden.VerdictUnknown, "leader-lost", "this Warden lost the lead: "+why+"; another one goes on")
		}
	})
}

func (p *step) takeLed(do func(command)) {
	p.s.commands = slices.DeleteFunc(p.s.commands, func(c command) bool {
		if c.elected {
			do(c)
		}
		return c.elected
	})
}

// commandLimit is how long a command waits for somebody to be elected.
func (p *step) commandLimit() warden.Duration {
	if p.c.ElectionTimeout > 0 {
		return p.c.ElectionTimeout
	}
	return commandLimit
}

// commandTimes refuses commands for which nobody could be elected in time, and
// answers those that somebody else has fulfilled.
func (p *step) commandTimes() {
	s, t := p.s, p.s.el.Reg.Chosen
	s.commands = slices.DeleteFunc(s.commands, func(c command) bool {
		if c.elected {
			return false
		}
		moved := (c.want.Reason == warden.ReasonSwitchover || c.want.Reason == warden.ReasonForced) && t.Primary != c.want.Primary && t.Phase == warden.PhaseDone
		switch {
		case moved && c.command.Wish == warden.WishSwitchover:
			p.answer(c.id, warden.VerdictRefused, "changed", fmt.Sprintf("%s became the primary meanwhile, by a failover", t.Primary))
		case moved:
			p.answer(c.id, warden.VerdictDone, "", fmt.Sprintf("%s became the primary meanwhile", t.Primary))
		case c.want.Reason == warden.ReasonPause && t.Settings.Paused, c.want.Reason == warden.ReasonUnpause && !t.Settings.Paused,
			c.want.Reason == warden.ReasonForget && !t.Lists(c.want.Warden), c.want.Settings != nil && t.Settings.Equal(c.want.Settings):
			p.answer(c.id, warden.VerdictDone, "", "")
		case c.want.Settings != nil && t.Settings.Revision >= c.want.Settings.Revision:
			p.answer(c.id, warden.VerdictRefused, "changed", fmt.Sprintf("the settings are of revision %d by now: read them again", t.Settings.Revision))
		case p.now.Sub(c.at) > p.commandLimit():
			text := "no majority of the Wardens agreed in time"
			for _, d := range s.el.Denials {
				text += "; " + d
			}
			p.answer(c.id, warden.VerdictRefused, "not-elected", text)
			p.refusedOrder(&c.command, "not-elected", text)
		default:
			return false
		}
		return true
	})
}
