package group

import (
	"fmt"
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
)

// Explain says in sentences what is going on in the group as this Warden sees
// it, and why nothing more is. It also tells the story of the last attempt
// this Warden led.
func Explain(c Config, s State, now warden.Instant) []string {
	s.unshare()
	p := step{file: &c, c: Effective(&c, &s), s: &s, now: now}
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	t := s.el.Reg.Chosen
	if q := s.el.Quiet(); q != "" {
		say("This Warden abstains: %s.", q)
	}
	if s.mon.Tilt {
		say("This Warden is in TILT since %s: it distrusts its clock and has no opinions until it has looked at every node.", max(now.Sub(s.mon.TiltAt), 0))
	}
	if p.besideSentinels() {
		say("Beside the Wardens %s about this group, until the last one is gone.", p.sentinelsDecide())
	}
	if t.IsZero() {
		p.explainBirth(say)
		return out
	}
	say("Topology %s (%s, %s): %s is the primary; %s listed.", t.Version, t.Reason, t.Phase, t.Primary, plural(len(t.Wardens), "Warden"))
	if !p.majorityHeard() {
		say("A majority of the listed Wardens is not heard: nothing can be changed from here.")
	}
	if agreed := t.Settings.Since(&warden.Settings{}); agreed != "" {
		say("Agreed at run time: %s.", agreed)
	}
	p.explainPrimary(say, t)
	for _, n := range s.mon.Nodes {
		if n.ID != t.Primary && n.Down {
			say("%s is subjectively down: %s.", n.ID, p.why(n))
		}
		if n.Health == warden.HealthDenied {
			say("%s refuses our credentials: correct auth_user and auth_password (%s).", n.ID, n.Detail)
		}
	}
	for _, id := range s.foreign {
		say("%s holds data of another lineage and is left alone: empty it, or name it in nodes.", id)
	}
	for _, n := range s.mon.Nodes {
		// Who leads runs the command before it comes to say that it is needed.
		if slices.Contains(s.stranded, n.ID) || n.Down && s.fo.Rejoined(n.ID) != nil {
			say("%s needs a rejoin: no order can bring it behind %s (%s).", n.ID, t.Primary, p.rejoining(n.ID))
		}
	}
	switch {
	case len(t.Sync) == 2:
		say("Acknowledged writes are kept by %s; that is being changed to %s.", t.Sync[0], t.Sync[1])
	case t.Promises():
		say("Acknowledged writes are kept by %s.", t.Sync[0])
	case p.c.Durable:
		say("Acknowledged writes are kept by nobody but the primary: too few replicas stream from it.")
	}
	p.explainWant(say, t)
	for _, line := range s.fo.Report {
		say("now: %s", line)
	}
	if !slices.Equal(s.fo.Moved, s.fo.Last) {
		for _, line := range s.fo.Moved {
			say("last change of the primary: %s", line)
		}
	}
	for _, line := range s.fo.Last {
		say("last: %s", line)
	}
	return out
}

// rejoining says what becomes of a node that needs a rejoin.
func (p *step) rejoining(id warden.NodeID) string {
	x := p.s.fo.Rejoined(id)
	n := p.s.mon.Find(id)
	switch {
	case !p.c.RejoinCommand:
		return "pg_rewind or pg_basebackup, or a rejoin_command"
	case x == nil:
		return "the rejoin_command is run by the leader"
	}
	next := "now"
	if wait := x.At.Sub(p.now); wait > 0 {
		next = fmt.Sprintf("in %s, and at once after a SIGHUP", (wait+warden.Second-1)/warden.Second*warden.Second)
	}
	if n != nil && n.Down && !p.s.fo.Halfway(id) {
		next = "when it is up again, or after a SIGHUP"
	}
	return fmt.Sprintf("the rejoin_command failed, here %s by now: %s; it is tried again %s", plural(max(x.Failures, 1), "time"), x.Why, next)
}

func (p *step) explainBirth(say func(string, ...any)) {
	primary, says := provisional(p.c, p.s)
	if why := p.uninformed(); why != "" {
		say("No first agreement yet: this Warden abstains: %s.", why)
		return
	}
	if !says {
		say("No first agreement yet: %s does not say that it is a primary.", primary)
		return
	}
	heard := len(p.s.el.Hears(p.electionConfig(), p.now)) + 1
	say("No first agreement yet: %s is served provisionally; %s known, quorum %d.", primary, plural(heard, "Warden"), p.c.Quorum)
	for _, d := range p.s.el.Denials {
		say("Last attempt: %s.", d)
	}
}

func (p *step) explainPrimary(say func(string, ...any), t warden.Topology) {
	s := p.s
	n := s.mon.Find(t.Primary)
	switch {
	case n == nil:
	case s.mon.Odown:
		say("%s is objectively down: %s; %d of %d agree.", t.Primary, p.why(n), s.mon.Agreeing, p.c.Quorum)
	case n.Down && s.mon.Veto:
		say("%s is %s, but a replica still receives its writes: not counted as down.", t.Primary, p.why(n))
	case n.Down:
		say("%s is subjectively down: %s; %d of %d needed agree.", t.Primary, p.why(n), s.mon.Agreeing, p.c.Quorum)
	case n.SeenAt == 0:
		say("%s has not been seen since this Warden started.", t.Primary)
	default:
		say("%s is up, last good answer %s ago.", t.Primary, age(p.now, n.GoodAt))
	}
}

func (p *step) explainWant(say func(string, ...any), t warden.Topology) {
	s := p.s
	if l := s.el.Lead; l != nil {
		say("This Warden leads epoch %d for %s, at stage %q.", l.Epoch, l.Want.Reason, stageName(s.fo.Stage))
		return
	}
	if id := s.el.Leader(p.electionConfig(), p.now); id != "" {
		say("Warden %s leads epoch %d.", id.Short(), s.el.Reg.Promise)
	}
	w, waits := p.want(), p.waitsFor("")
	switch {
	case t.Settings.Paused:
		say("The group is paused: everything is watched, nothing is done.")
	case w.Reason != "":
		say("This Warden would stand for %s.", w.Reason)
		for _, d := range s.el.Denials {
			say("Denied last time by %s.", d)
		}
	case s.mon.Odown && p.heldBack(warden.ReasonFailover):
		say("The last attempt found nobody to promote; it is tried again within %s, and at once when a node answers again.", retryMost)
	case waits != "":
		say("This Warden tries no failover: %s.", p.waitsText(waits))
	default:
		say("There is nothing to do.")
	}
}

func stageName(st failover.Stage) string {
	if st == failover.Idle {
		return "idle"
	}
	return string(st)
}
