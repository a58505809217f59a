package shell

import (
	"context"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

const (
	// CommandDeadline ends the wait for an answer when the caller's context
	// has no deadline of its own.
	CommandDeadline = 10 * time.Minute
	// maxCommands bounds the commands of one group that wait for an answer.
	maxCommands = 64
)

var _ warden.Directory = (*Shell)(nil)

// Now is this Warden's clock.
func (s *Shell) Now() warden.Instant { return s.env.Clock() }

// Self describes this Warden. TILT is that of the group that is longest in it;
// it looks at every group, so it costs some microseconds for each.
func (s *Shell) Self() warden.SelfView {
	local := ""
	if ip := s.env.local.Load(); ip != nil {
		local = *ip
	}
	r := s.roster.Load()
	v := warden.SelfView{
		ID: s.env.ID, Sentinel: s.env.Sentinel, RunID: s.env.RunID, Version: s.env.Version,
		Started: s.started, Groups: len(r.names),
	}
	v.Client, v.Gossip = s.env.addresses(local)
	for _, l := range r.loops {
		if g := l.view(); g.Tilt {
			v.Tilt, v.TiltFor = true, max(v.TiltFor, g.TiltFor)
		}
	}
	return v
}

// Groups are the names of all groups, sorted.
func (s *Shell) Groups() []warden.GroupName {
	return append([]warden.GroupName(nil), s.roster.Load().names...)
}

// Primary is the address a group serves to clients.
func (s *Shell) Primary(name warden.GroupName) (node warden.NodeID, known bool) {
	l := s.roster.Load().loops[name]
	if l == nil {
		return "", false
	}
	return l.shown.Load().primary, true
}

// Group is everything there is to show of a group.
func (s *Shell) Group(name warden.GroupName) (warden.GroupView, bool) {
	l := s.roster.Load().loops[name]
	if l == nil {
		return warden.GroupView{}, false
	}
	return l.view(), true
}

// view is built from the newest state as of now.
func (l *loop) view() warden.GroupView {
	shown := l.shown.Load()
	return shown.mind.View(shown.config, l.options.Clock())
}

// Command brings an operator's wish to its group and waits for the answer
// until ctx ends. After that nobody knows: the command may still be obeyed.
func (s *Shell) Command(ctx context.Context, c warden.Command) warden.Answer {
	l := s.roster.Load().loops[c.Group]
	if l == nil {
		return warden.Answer{
			Verdict: warden.VerdictRefused, Code: "unknown-group",
			Text: "this Warden watches no group \"" + string(c.Group) + "\": look at the names in its configuration",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, CommandDeadline)
	defer cancel()
	id := s.commands.Add(1)
	answer, refusal := l.desk.open(id)
	if answer == nil {
		return refusal
	}
	defer l.desk.forget(id)
	l.inbox.put(group.Commanded{ID: id, Command: c})
	select {
	case a := <-answer:
		return a
	case <-ctx.Done():
		return warden.Answer{
			Verdict: warden.VerdictUnknown, Code: "timeout",
			Text: "no answer in time, it may still happen: look at the group's state before asking again",
		}
	}
}

// desk holds the commands of one group that wait for their answers. Safe for
// concurrent use; the zero value is ready.
type desk struct {
	mu      sync.Mutex
	waiting map[uint64]chan warden.Answer
	closed  bool
}

// open notes a command. The channel is nil when it cannot be taken; the
// refusal says why.
func (d *desk) open(id uint64) (<-chan warden.Answer, warden.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, stopping(warden.VerdictRefused)
	case len(d.waiting) >= maxCommands:
		return nil, warden.Answer{
			Verdict: warden.VerdictRefused, Code: "in-progress",
			Text: "too many commands for this group wait for an answer: try again when they have one",
		}
	}
	if d.waiting == nil {
		d.waiting = map[uint64]chan warden.Answer{}
	}
	answer := make(chan warden.Answer, 1)
	d.waiting[id] = answer
	return answer, warden.Answer{}
}

// forget ends the wait for an answer.
func (d *desk) forget(id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, id)
}

// answer gives a command its answer; one that nobody waits for is dropped.
func (d *desk) answer(id uint64, a warden.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.waiting[id]; ok {
		c <- a
		delete(d.waiting, id)
	}
}

// closeAll answers everything that waits, at the end of the group's loop. Any
// of it may have been obeyed.
func (d *desk) closeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for id, c := range d.waiting {
		c <- stopping(warden.VerdictUnknown)
		delete(d.waiting, id)
	}
}

// stopping answers commands to a group that is going away.
func stopping(v warden.Verdict) warden.Answer {
	return warden.Answer{Verdict: v, Code: "stopping", Text: "this Warden stops watching the group: ask another one"}
}
