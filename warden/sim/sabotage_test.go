package sim

import (
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// sabotaged is one mechanism broken on purpose.
type sabotaged struct {
	contract string
	what     string
	// within is the number of seeds after which the alarm must have rung.
	within  uint64
	noStorm bool
	// make makes the sabotage anew for every seed.
	make func() Sabotage
}

// forge delivers a message to a process as if another had sent it. The
// contracts know better: they do not count it as heard.
func forge(to, from *process, m warden.Message) {
	m.Group, m.From, m.Run = groupName, from.id, from.disk.runs
	to.world.afterFor(to, 5*warden.Millisecond, func() { to.step(group.Heard{Message: m}) })
}

// yesFor is the answer that a Warden would give if it agreed to everything.
func yesFor(m *warden.Message) (warden.Message, bool) {
	yes := warden.Message{Birth: m.Birth}
	switch {
	case m.Ask != nil:
		yes.Vote = &warden.Vote{Epoch: m.Ask.Epoch, Granted: true}
	case m.Propose != nil:
		yes.Accept = &warden.Accepted{Version: m.Propose.Topology.Version, OK: true, Down: true}
	case m.Renew != nil:
		yes.Renewed = &warden.Renewed{Epoch: m.Renew.Epoch, Round: m.Renew.Round, OK: true}
	default:
		return yes, false
	}
	return yes, true
}

// lateInCalm is after the primary was taken away for the last time.
func lateInCalm(w *World) bool { return w.now > origin.Add(stormTime+settled) }

var sabotages = []sabotaged{
	{"S1", "the disk forgets the vote at a restart", 300, false, func() Sabotage {
		return Sabotage{Restart: func(d *disk, _ warden.Instant) {
			d.runs++
			d.kept.Promise, d.kept.Grantee, d.kept.GranteeRun = d.kept.Accepted.Epoch, "", 0
		}}
	}},
	{"S1", "a vote is told and not written", 50, false, func() Sabotage {
		return Sabotage{Effects: func(_ *process, _ group.Event, f *group.Effects) {
			for i := range f.Send {
				if f.Send[i].Message.Vote != nil {
					f.Persist = nil
				}
			}
		}}
	}},
	{"S2", "a denied vote counts as granted", 100, false, func() Sabotage {
		return Sabotage{Message: func(_, _ *process, m *warden.Message) bool {
			if m.Vote != nil && !m.Vote.Granted {
				v := *m.Vote
				v.Granted = true
				m.Vote = &v
			}
			return true
		}}
	}},
	{"report", "a report names the old primary as the new one", 20, false, func() Sabotage {
		return Sabotage{Effects: func(_ *process, _ group.Event, f *group.Effects) {
			for i := range f.Reports {
				if r := &f.Reports[i]; r.Verdict == warden.VerdictDone {
					r.New = r.Old
				}
			}
		}}
	}},
	{"report", "an attempt in vain is reported as done", 50, false, func() Sabotage {
		return Sabotage{Effects: func(_ *process, _ group.Event, f *group.Effects) {
			for i := range f.Reports {
				if r := &f.Reports[i]; r.Verdict == warden.VerdictRefused && r.Epoch > 0 {
					r.Verdict, r.New, r.Code = warden.VerdictDone, "nobody:1", ""
				}
			}
		}}
	}},
	{"S3", "the accept round is skipped", 100, false, func() Sabotage {
		return Sabotage{Message: func(from, to *process, m *warden.Message) bool {
			if m.Propose != nil {
				yes, _ := yesFor(m)
				forge(from, to, yes)
				return false
			}
			return true
		}}
	}},
	{"S3", "servers obey sessions that a newer leader has shut out", 300, false, func() Sabotage {
		return Sabotage{DeafToClaims: true}
	}},
	{"S4", "votes come without the newest topology", 500, false, func() Sabotage {
		return Sabotage{Message: func(_, _ *process, m *warden.Message) bool {
			if m.Vote != nil && m.Vote.Granted {
				v := *m.Vote
				v.Newest = warden.Topology{}
				m.Vote = &v
			}
			return true
		}}
	}},
	{"S4", "the disk forgets what was accepted at a restart", 3000, false, func() Sabotage {
		return Sabotage{Restart: func(d *disk, _ warden.Instant) {
			d.runs++
			if !d.kept.Chosen.IsZero() {
				d.kept.Accepted = d.kept.Chosen
			}
		}, Message: func(_, _ *process, m *warden.Message) bool {
			// That may happen to any message; it lets the accepted matter more
			// often, because nobody else has heard what was chosen.
			return m.Learn == nil || m.Learn.Topology.Phase == warden.PhaseDone
		}}
	}},
	{"S5", "Wardens that cannot be reached count as saying yes", 200, false, func() Sabotage {
		return Sabotage{Message: func(from, to *process, m *warden.Message) bool {
			w := from.world
			if w.passes(from.index, to.index) && w.passes(to.index, from.index) && to.up {
				return true
			}
			if yes, ok := yesFor(m); ok {
				forge(from, to, yes)
			}
			return true
		}}
	}},
	{"S6", "good answers of the primary are taken for silence", 100, false, func() Sabotage {
		return Sabotage{Event: func(p *process, e group.Event) group.Event {
			// Only once there is an agreement: before it nothing can fail over.
			if l, ok := e.(group.Looked); ok && l.Observation.Role == warden.RolePrimary && !p.disk.kept.Chosen.IsZero() {
				l.Observation = silence
				return l
			}
			return e
		}}
	}},
	{"S6", "the clock hides that the process was paused", 300, false, hiddenPauses},
	{"S7", "foreign and empty nodes pass for the group's", 200, false, func() Sabotage {
		return Sabotage{Observe: func(s *server, o *warden.Observation) {
			if w := s.world; !w.ofLineage(s) || s.empty() {
				o.Lineage, o.Empty, o.Position = w.history.first, false, 1<<40
			}
		}}
	}},
	{"S8", "positions are read before the seal", 500, false, func() Sabotage { return Sabotage{EarlyPositions: true} }},
	{"S8", "an empty primary_conninfo passes for a seal", 500, false, func() Sabotage { return Sabotage{TrustSettings: true} }},
	{"S8", "the primary waits by another set before both are agreed", 500, false, func() Sabotage {
		return Sabotage{Effects: func(p *process, _ group.Event, f *group.Effects) {
			for i := range f.Send {
				if m := f.Send[i].Message.Propose; m != nil && len(m.Topology.Sync) == 2 && m.Topology.Phase == warden.PhaseDone {
					s := p.world.serverAt(m.Topology.Primary)
					s.obeyRule(*m.Topology.Sync[1].Rule(s.id))
				}
			}
		}}
	}},
	{"S8", "what the primary shows passes for what is waited for", 1000, false, func() Sabotage { return Sabotage{TrustShow: true} }},
	{"S8", "members that were not sealed count", 500, false, func() Sabotage {
		return Sabotage{Ended: func(o *order, r *warden.Result, seen *warden.Observation) {
			if o.a.Kind == group.ActSeal && r.Outcome != warden.Done {
				*seen = *o.p.world.observe(o.s)
				*r, seen.Sealed = done, true
			}
		}}
	}},
	{"S9", "a proposal is taken for chosen", 100, false, func() Sabotage {
		return Sabotage{Message: func(from, to *process, m *warden.Message) bool {
			if m.Propose != nil {
				forge(to, from, warden.Message{Birth: m.Birth, Learn: &warden.Learn{Topology: m.Propose.Topology}})
			}
			return true
		}}
	}},
	{"S10", "a hold never ends by itself", 500, false, func() Sabotage { return Sabotage{HoldForEver: true} }},
	{"veto", "a veto passes for a yes", 300, false, func() Sabotage {
		return Sabotage{Ended: func(o *order, r *warden.Result, _ *warden.Observation) {
			if o.a.Kind == group.ActAsk {
				*r = done
			}
		}}
	}},
	{"SW", "writes are not held during a switchover", 500, false, func() Sabotage { return Sabotage{HoldNothing: true} }},
	{"L1", "votes are lost after the primary died", 50, true, votesLost},
	{"L3", "votes are lost after the leader died", 50, true, votesLost},
	{"L2", "what is chosen never reaches one Warden", 50, true, func() Sabotage {
		return Sabotage{Message: func(_, to *process, m *warden.Message) bool {
			return to.index != 0 || m.Learn == nil && m.Propose == nil && m.Vote == nil
		}}
	}},
}

func votesLost() Sabotage {
	return Sabotage{Message: func(from, _ *process, m *warden.Message) bool {
		return m.Vote == nil || !lateInCalm(from.world)
	}}
}

// hiddenPauses is a clock that goes on by at most 100 ms between two readings.
func hiddenPauses() Sabotage {
	var read, shown [serverBase]warden.Instant
	return Sabotage{Clock: func(p *process, now warden.Instant) warden.Instant {
		i := p.index
		if read[i] == 0 {
			shown[i] = now
		} else if d := now.Sub(read[i]); d > 0 {
			shown[i] = shown[i].Add(min(d, tickOften))
		}
		read[i] = now
		return shown[i]
	}}
}

// TestSabotage breaks one mechanism at a time. The check of the promise that
// the mechanism keeps must turn red; an alarm never seen ringing is none.
func TestSabotage(t *testing.T) {
	covered := map[string]bool{}
	for _, s := range sabotages {
		covered[s.contract] = true
		t.Run(s.contract+" "+s.what, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= s.within; seed++ {
				kind := KindDrawn
				if s.contract == "S8" {
					kind = KindQuorum
				}
				r := RunSeed(Options{Seed: seed, Kind: kind, Sabotage: s.make(), Only: s.contract, NoStorm: s.noStorm})
				if r.Violation != nil && r.Violation.Contract == s.contract {
					t.Logf("seed %d: %v", seed, r.Violation)
					return
				}
			}
			t.Errorf("%s stayed green for %d seeds", s.contract, s.within)
		})
	}
	for _, c := range []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "veto", "SW", "L1", "L2", "L3"} {
		if !covered[c] {
			t.Errorf("no sabotage for %s", c)
		}
	}
}
