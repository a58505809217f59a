package sim

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// command is an operator's command that was given.
type command struct {
	id     uint64
	p      *process
	wish   warden.Wish
	at     warden.Instant
	answer warden.Verdict
}

// give gives an operator's command to one Warden.
func (w *World) give(p *process, c warden.Command) uint64 {
	c.Group, c.Wait = groupName, true
	id := w.id()
	w.commands = append(w.commands, command{id: id, p: p, wish: c.Wish, at: w.now})
	if w.trace != nil {
		w.note("*", "%s is told: %s to=%s %v", p.name, c.Wish, c.To, c.Wardens)
	}
	w.afterFor(p, 0, func() { p.step(group.Commanded{ID: id, Command: c}) })
	return id
}

// commandEnded is the answer.
func (w *World) commandEnded(p *process, id uint64, a warden.Answer) {
	if w.tell != nil || w.trace != nil {
		text := string(a.Verdict)
		if a.Code != "" {
			text += " (" + a.Code + ")"
		}
		w.say(p.name, "answers the operator: %s %s", text, a.Text)
	}
	for i := range w.commands {
		if c := &w.commands[i]; c.id == id && c.answer == "" {
			c.answer = a.Verdict
			w.check.answered(c)
		}
	}
	if w.answered != nil {
		w.answered(p, id, a)
	}
}

// orderSomething is an operator who does not wait for good weather.
func (w *World) orderSomething(k faultKind) bool {
	p, s := w.anyProcess(), w.anyServer()
	if !p.up {
		return false
	}
	c := warden.Command{}
	switch k {
	case commandFailover:
		c.Wish = warden.WishFailover
	case commandSwitchover:
		c.Wish = warden.WishSwitchover
	case commandPause:
		c.Wish = warden.WishPause
		w.after(w.lasting(), func() { w.give(w.anyProcess(), warden.Command{Wish: warden.WishResume}) })
	case commandForget:
		c.Wish, c.Wardens = warden.WishForget, []warden.WardenID{w.anyProcess().id}
	case commandReset:
		c.Wish = warden.WishReset
	}
	if (k == commandFailover || k == commandSwitchover) && w.rng.IntN(2) == 0 {
		c.To = s.id
	}
	w.give(p, c)
	return true
}
