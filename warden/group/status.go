package group

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// statusEvery is the pace of repeated status messages: every hello interval,
// and faster while the primary is down.
func (p *step) statusEvery() warden.Duration {
	every := p.c.HelloInterval
	if !p.s.el.Born() {
		every = min(every, statusDown)
	}
	if p.s.mon.SaysDown(p.monitorConfig()) {
		every = min(every, statusDown)
	}
	return every
}

// status tells every known Warden what this one sees, at once when it changed
// and again at its pace. greet are Wardens to tell in any case.
func (p *step) status(greet []warden.WardenID) {
	s := &p.s
	st := warden.Status{Chosen: s.el.Reg.Chosen.Version, Tilt: s.mon.Tilt, Mute: s.el.Mute, Left: s.el.Reg.Left, Client: p.c.Client,
		Primary: p.primary(), Opinions: monitor.Opinions(p.monitorConfig(), s.mon)}
	to := greet
	if !sameStatus(st, s.told) || s.statusAt < 0 || p.now.Sub(s.statusAt) >= p.statusEvery() {
		to = p.everybody()
		s.told, s.statusAt = st, p.now
	}
	if len(to) == 0 {
		return
	}
	st.Hears = s.el.Hears(p.electionConfig(), p.now)
	for _, id := range to {
		p.f.Send = append(p.f.Send, Envelope{To: id, Message: warden.Message{Group: p.c.Group, From: p.c.Self, Run: p.c.Run,
			Birth: s.el.Reg.Chosen.Birth, Status: &st}})
	}
}

func sameStatus(a, b warden.Status) bool {
	return a.Chosen == b.Chosen && a.Tilt == b.Tilt && a.Mute == b.Mute && a.Left == b.Left && a.Client == b.Client && a.Primary == b.Primary &&
		slices.EqualFunc(a.Opinions, b.Opinions, func(x, y warden.Opinion) bool { return x == y })
}

// everybody are all Wardens worth telling, sorted, without this one.
func (p *step) everybody() []warden.WardenID {
	out := slices.Clone(p.s.peers)
	out = append(out, p.s.el.Reg.Newest().Wardens...)
	for _, q := range p.s.el.Peers {
		out = append(out, q.ID)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(id warden.WardenID) bool { return id == p.c.Self })
}

// greeting are the Wardens in ids of which no address was known before.
func (p *step) greeting(ids []warden.WardenID) []warden.WardenID {
	return slices.DeleteFunc(slices.Clone(ids), func(id warden.WardenID) bool {
		return id == p.c.Self || slices.Contains(p.s.peers, id)
	})
}
