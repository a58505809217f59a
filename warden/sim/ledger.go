package sim

import (
	"slices"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// ledger is the omniscient record of every register: who accepted what, what
// is therefore chosen, and what each topology was derived from.
type ledger struct {
	world   *World
	entries map[versionKey]*entry
	leaders map[epochKey]leader
	grants  map[grantKey]leader // as they stood on disks
	votes   map[grantKey]leader // as they were told
	chosen  []*entry            // oldest first
	// chosenAt is when the last of them was.
	chosenAt warden.Instant
	birth    warden.Birth
	// tuned: a quorum was proposed at run time, and majorities decide.
	tuned bool
}

type versionKey struct {
	birth   warden.Birth
	version warden.Version
}

type epochKey struct {
	birth warden.Birth
	epoch warden.Epoch
}

type grantKey struct {
	voter int
	birth warden.Birth
	epoch warden.Epoch
}

// leader is one run of one Warden.
type leader struct {
	id  warden.WardenID
	run warden.Run
}

// entry is one topology that somebody proposed or accepted.
type entry struct {
	topology   warden.Topology
	acceptedBy uint32
	chosen     bool
	// parent is what it was derived from, nil for a first agreement.
	parent   *entry
	proposed bool
}

func newLedger(w *World) ledger {
	return ledger{
		world: w, entries: map[versionKey]*entry{}, leaders: map[epochKey]leader{}, grants: map[grantKey]leader{}, votes: map[grantKey]leader{},
	}
}

// find is the entry of a topology; it checks S2: one leader run per epoch, one
// content per version.
func (l *ledger) find(t *warden.Topology) *entry {
	key := versionKey{t.Birth, t.Version}
	e := l.entries[key]
	if e == nil {
		e = &entry{topology: t.Clone()}
		l.entries[key] = e
		by := leader{t.Leader, t.LeaderRun}
		k := epochKey{t.Birth, t.Epoch}
		if have, ok := l.leaders[k]; ok && have != by {
			l.world.fail("S2", "epoch %d is led by run %d of %s and by run %d of %s", t.Epoch,
				have.run, l.world.nameOf(have.id), by.run, l.world.nameOf(by.id))
		}
		l.leaders[k] = by
		return e
	}
	if !e.topology.Equal(*t) {
		l.world.fail("S2", "two contents of %s: %s and %s", t.Version, l.world.topologyText(e.topology), l.world.topologyText(*t))
	}
	return e
}

// granted checks S1: one grantee per Warden, Birth and epoch, for ever. Only
// accepting the topology of an epoch's leader moves the vote there (rule A2);
// a vote that was told to somebody else by then is caught by told.
func (l *ledger) granted(p *process, r *warden.Register) {
	if r.Grantee == "" {
		return
	}
	key := grantKey{p.index, r.Accepted.Birth, r.Promise}
	now := leader{r.Grantee, r.GranteeRun}
	spent := r.Accepted.Epoch == r.Promise && now == leader{r.Accepted.Leader, r.Accepted.LeaderRun}
	if have, ok := l.grants[key]; ok && have != now && !spent {
		l.doubleVote(p, r.Promise, have, now)
	}
	l.grants[key] = now
}

// told checks S1 where it counts: at the votes that leave a Warden.
func (l *ledger) told(p *process, e *group.Envelope, run warden.Run) {
	key := grantKey{p.index, e.Message.Birth, e.Message.Vote.Epoch}
	now := leader{e.To, run}
	if have, ok := l.votes[key]; ok && have != now {
		l.doubleVote(p, key.epoch, have, now)
	}
	l.votes[key] = now
}

func (l *ledger) doubleVote(p *process, e warden.Epoch, a, b leader) {
	l.world.fail("S1", "%s voted in epoch %d for run %d of %s and for run %d of %s", p.name, e,
		a.run, l.world.nameOf(a.id), b.run, l.world.nameOf(b.id))
}

// proposed notes what a topology was derived from: the leader's own step
// before, or else the newest topology among its grants (rule V4).
func (l *ledger) proposed(p *process, t *warden.Topology, base warden.Topology) {
	e := l.find(t)
	if e.proposed {
		return
	}
	e.proposed = true
	if last := l.lastStep(t); last != nil {
		e.parent = last
		if !last.chosen {
			l.world.fail("S2", "%s proposes %s while its %s is not chosen (rule A1)", p.name, t.Version, last.topology.Version)
		}
	} else if !base.IsZero() && (base.Birth == t.Birth || base.Birth == t.Replaces) {
		e.parent = l.find(&base)
	}
	l.checkList(p, e)
	l.world.check.letsBe(p, e)
	l.checkSettings(p, e)
}

// lastStep is the newest earlier proposal of the same epoch.
func (l *ledger) lastStep(t *warden.Topology) *entry {
	for s := t.Step - 1; s > 0 && s < t.Step; s-- {
		if e := l.entries[versionKey{t.Birth, warden.Version{Epoch: t.Epoch, Step: s}}]; e != nil && e.proposed {
			return e
		}
	}
	return nil
}

// checkList checks R1 and R2: the list changes by one Warden per step, and
// not in the first step of an epoch.
func (l *ledger) checkList(p *process, e *entry) {
	if e.parent == nil || e.topology.Reason == warden.ReasonRecover || slices.Equal(e.parent.topology.Wardens, e.topology.Wardens) {
		return
	}
	changed := 0
	for _, id := range e.topology.Wardens {
		if !e.parent.topology.Lists(id) {
			changed++
		}
	}
	for _, id := range e.parent.topology.Wardens {
		if !e.topology.Lists(id) {
			changed++
		}
	}
	switch {
	case changed > 1:
		l.world.fail("S2", "%s changes the list by %d Wardens in %s (rule R1)", p.name, changed, e.topology.Version)
	case e.parent.topology.Epoch != e.topology.Epoch:
		l.world.fail("S2", "%s changes the list in the first step of epoch %d (rule R2)", p.name, e.topology.Epoch)
	}
}

// accepted notes that a process has a topology on disk.
func (l *ledger) accepted(p *process, t *warden.Topology) {
	e := l.find(t)
	e.acceptedBy |= 1 << p.index
	if e.chosen {
		return
	}
	n := 0
	for _, q := range l.world.processes {
		if e.acceptedBy&(1<<q.index) != 0 && t.Lists(q.id) {
			n++
		}
	}
	need := max(t.Majority(), l.quorum(t))
	if t.Replaces != "" && t.Reason == warden.ReasonRecover {
		need = len(t.Wardens)
	}
	if t.Reason == warden.ReasonBirth {
		need = max(need, l.world.base.Wardens/2+1)
	}
	if n >= need {
		l.choose(e)
	}
}

// quorum is how many have to accept a topology at least, whatever the majority is.
// A leader counts by what it knows to be agreed, or by the file.
func (l *ledger) quorum(t *warden.Topology) int {
	switch t.Reason {
	case warden.ReasonPause, warden.ReasonUnpause, warden.ReasonSettings:
		return 0
	}
	if l.tuned {
		return 0
	}
	return l.world.base.Quorum
}

// choose checks S4 when a topology becomes chosen: all chosen topologies of a
// Birth lie on one line of descent, and no promotion is forgotten on the way.
func (l *ledger) choose(e *entry) {
	e.chosen, l.chosenAt = true, l.world.now
	if e.topology.Settings.Durable == warden.No {
		l.world.check.durable.kept = nil // the operator gave the promise up
	}
	if l.birth == "" {
		l.birth = e.topology.Birth
		l.world.begins(&e.topology)
	} else if l.birth != e.topology.Birth && !l.mayFollow(&e.topology) {
		l.world.fail("S2", "two Births are agreed on: %s and %s", l.birth, e.topology.Birth)
		return
	}
	l.birth = e.topology.Birth
	i := len(l.chosen)
	for i > 0 && l.chosen[i-1].topology.Version.Newer(e.topology.Version) {
		i--
	}
	if i > 0 && !descends(e, l.chosen[i-1]) {
		l.world.fail("S4", "%s was derived from %s and does not know %s, which was chosen", l.world.topologyText(e.topology),
			parentText(e), l.world.topologyText(l.chosen[i-1].topology))
	}
	if i < len(l.chosen) && !descends(l.chosen[i], e) {
		l.world.fail("S4", "%s does not know %s, which is now chosen", l.world.topologyText(l.chosen[i].topology), l.world.topologyText(e.topology))
	}
	l.chosen = slices.Insert(l.chosen, i, e)
	l.checkForgotten(e)
	if i == len(l.chosen)-1 {
		l.world.check.changed(&e.topology)
	}
}

// mayFollow reports whether a Birth may be agreed on after the one before: when
// an operator recovered the group from it, or when a majority of its list had
// left it. After the latter nothing is derived from what was before.
func (l *ledger) mayFollow(t *warden.Topology) bool {
	if t.Replaces == l.birth {
		return true
	}
	last, left := l.newest(^warden.Epoch(0)), 0
	for _, p := range l.world.processes {
		if last.Lists(p.id) && p.leftBirth == l.birth {
			left++
		}
	}
	if left < last.Majority() {
		return false
	}
	l.chosen = nil
	return true
}

// checkForgotten: a candidate that obeyed the order to become primary is, in
// the next topologies, the primary or the one that is being replaced; unless it
// restarted so often since that nobody can tell its data from a stranger's, or
// came back with the data of before its promotion.
func (l *ledger) checkForgotten(e *entry) {
	replaced := []warden.NodeID{e.topology.Previous} // on the way from there to here
	for a := e.parent; a != nil; a = a.parent {
		if a.topology.Phase != warden.PhasePromoting {
			return
		}
		s := l.world.serverAt(a.topology.Primary)
		if s.promotedBy == a.topology.Epoch && !s.odd && s.role == warden.RolePrimary && l.world.ofLineage(s) && knows(&e.topology, s) &&
			e.topology.Primary != s.id && !slices.Contains(replaced, s.id) {
			l.world.fail("S4", "%s forgets that %s was promoted in epoch %d", l.world.topologyText(e.topology), s.name, s.promotedBy)
		}
		replaced = append(replaced, a.topology.Previous)
	}
}

// descends reports whether an entry was derived from an older one.
func descends(e, from *entry) bool {
	for ; e != nil; e = e.parent {
		if e == from {
			return true
		}
	}
	return false
}

func parentText(e *entry) string {
	if e.parent == nil {
		return "nothing"
	}
	return e.parent.topology.Version.String()
}

// newest is the newest chosen topology of an epoch up to the given one.
func (l *ledger) newest(upTo warden.Epoch) *warden.Topology {
	for i := len(l.chosen) - 1; i >= 0; i-- {
		if t := &l.chosen[i].topology; t.Epoch <= upTo {
			return t
		}
	}
	return nil
}

// isChosen reports whether exactly this topology is chosen.
func (l *ledger) isChosen(t *warden.Topology) bool {
	e := l.entries[versionKey{t.Birth, t.Version}]
	return e != nil && e.chosen && e.topology.Equal(*t)
}
