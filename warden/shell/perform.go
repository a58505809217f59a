package shell

import (
	"context"
	"log/slog"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// crashPrefix begins the name of an announcement that asks the shell to end
// the process: "crash:" and the name of the step (group.Config.CrashPoint).
const crashPrefix = "crash:"

// CrashCode is the exit status at a crash point, as Redis Sentinel has it.
const CrashCode = 99

// step lets the mind think about one event and performs what it wants.
func (l *loop) step(e group.Event) {
	now := l.options.Clock()
	l.stepped = now
	l.record.event(e, now)
	next, effects := l.mind.Step(l.config, e, now)
	if effects.Persist != nil {
		if err := l.options.Store.SaveRegister(l.name, *effects.Persist); err != nil {
			l.unwritten(e, err)
			return
		}
	}
	l.perform(next, effects)
}

// perform does what follows once the register is on disk, in the order of the
// fields of Effects. Nothing in here waits.
func (l *loop) perform(next Mind, effects group.Effects) {
	for _, envelope := range effects.Send {
		l.options.Courier.Send(envelope.To, envelope.Message)
	}
	// An action may be about a node that this very step made known.
	l.watch.sync(next.Watch(l.config, l.stepped))
	for _, a := range effects.Act {
		l.act(a)
	}
	l.publish(next)
	for _, e := range effects.Announce {
		l.announce(e)
	}
	for i := range effects.Reports {
		l.options.Report(effects.Reports[i])
	}
	for _, a := range effects.Answers {
		l.desk.answer(a.ID, a.Answer)
	}
	l.wake = effects.Wake
	if effects.HelloEvery > 0 {
		l.watch.helloEvery.Store(int64(effects.HelloEvery))
	}
}

// act begins one action.
func (l *loop) act(a group.Action) {
	if a.Kind == group.ActMark {
		l.watch.mark(a.Node, warden.Claim{Group: l.name, Epoch: a.Epoch, Warden: l.options.ID})
		return
	}
	l.orders.begin(a)
}

// unwritten is the other end of a step: the register did not reach the disk,
// so the step has not happened. An operator's command is answered here,
// because the mind that would have answered it is gone.
func (l *loop) unwritten(e group.Event, err error) {
	l.log.Error("store does not take the register: no vote and no order until it does", "error", err)
	if c, ok := e.(group.Commanded); ok {
		l.desk.answer(c.ID, warden.Answer{
			Verdict: warden.VerdictRefused, Code: "store",
			Text: "the register cannot be written, nothing was changed: look at the disk of data_dir",
		})
	}
	failed := group.StoreFailed{Why: err.Error()}
	l.unwriting(failed)
	// What was seen or heard is not lost with the step that wanted to act on it:
	// a good answer of the primary still speaks against its death.
	if _, command := e.(group.Commanded); !command && !l.unwriting(e) {
		l.unwriting(failed)
	}
	l.mended.await(l)
}

// unwriting is a step while the disk fails. It must not depend on the disk: a
// mind that wants to write now has that step thrown away as well, and false is
// returned.
func (l *loop) unwriting(e group.Event) bool {
	now := l.options.Clock()
	l.record.event(e, now)
	next, effects := l.mind.Step(l.config, e, now)
	if effects.Persist != nil {
		return false
	}
	l.perform(next, effects)
	return true
}

// announce logs an event and hands it to the subscribers. A crash point ends
// the process here: what stands before it in the same Effects was performed
// (the register is on disk, messages are with the courier, actions are begun
// and may or may not have reached their nodes), what stands after it was not.
func (l *loop) announce(e warden.Event) {
	if point, ok := strings.CutPrefix(e.Name, crashPrefix); ok {
		l.log.Warn("exit at crash point", "point", point)
		l.options.Exit(CrashCode)
		return
	}
	l.log.Log(context.Background(), level(e.Level), e.Name,
		"payload", e.Payload, "node", string(e.Node), "epoch", uint64(e.Epoch))
	l.options.Announce(e)
}

// level maps an event's level to one of the log's. Verbose events are those a
// log at its default setting leaves out.
func level(of warden.Level) slog.Level {
	switch of {
	case warden.LevelWarning:
		return slog.LevelWarn
	case warden.LevelVerbose:
		return slog.LevelDebug + 2 // between debug and info, as Sentinel has it
	case warden.LevelNotice:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}
