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
	s := p.s
	to := greet
	if s.statusAt < 0 || p.now.Sub(s.statusAt) >= p.statusEvery() || !p.told() {
		to = p.everybody()
		s.statusAt = p.now
		s.told = warden.Status{Chosen: s.el.Reg.Chosen.Version, Tilt: s.mon.Tilt, Mute: s.el.Mute, Left: s.el.Reg.Left, Client: p.c.Client,
			Primary: p.primary(), Opinions: monitor.Opinions(p.monitorConfig(), &s.mon, nil), Stranded: slices.Clone(s.stranded)}
	}
	if len(to) == 0 {
		return
	}
	st := s.told
	st.Hears = s.el.Hears(p.electionConfig(), p.now)
	p.f.Send = slices.Grow(p.f.Send, len(to))
	for _, id := range to {
		p.f.Send = append(p.f.Send, Envelope{To: id, Message: warden.Message{Group: p.c.Group, From: p.c.Self, Run: p.c.Run,
			Birth: s.el.Reg.Chosen.Birth, Status: &st}})
	}
}

// told reports whether the others know all this from the last status.
func (p *step) told() bool {
	s, t := p.s, &p.s.told
	if t.Chosen != s.el.Reg.Chosen.Version || t.Tilt != s.mon.Tilt || t.Mute != s.el.Mute || t.Left != s.el.Reg.Left ||
		t.Client != p.c.Client || t.Primary != p.primary() || !slices.Equal(t.Stranded, s.stranded) {
		return false
	}
	var room [4]warden.Opinion // most Steps change no opinion
	return !p.judged || slices.Equal(t.Opinions, monitor.Opinions(p.monitorConfig(), &s.mon, room[:0]))
}

// everybody are all Wardens worth telling, sorted, without this one.
func (p *step) everybody() []warden.WardenID {
	wardens := p.s.el.Reg.Newest().Wardens
	out := append(make([]warden.WardenID, 0, len(p.s.peers)+len(wardens)+len(p.s.el.Peers)), p.s.peers...)
	out = append(out, wardens...)
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

// ticked takes in how late Ticks are: what is asked of others takes as long then.
// What was is forgotten within some tens of Ticks, and a standstill is no lag.
func (p *step) ticked(late warden.Duration) {
	p.s.lag = max(p.s.lag-p.s.lag/16, min(late, warden.Second))
}

// newPeer announces a Warden heard for the first time.
func (p *step) newPeer(id warden.WardenID, client string) {
	if p.s.el.Peer(id) == nil && id != p.c.Self {
		p.raw("+sentinel", warden.LevelNotice, "", p.sentinelDetails(id, client))
	}
}
