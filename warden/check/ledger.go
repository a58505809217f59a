package check

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/spineldb/warden/warden"
)

// What is checked, and when:
//
//	S1  at every vote that is sent: it is on the disk already, and this voter
//	    has told no other candidate, and no other run of it, a vote in this epoch.
//	S2  at every proposal and every accept written: one leader run per epoch,
//	    one content per version, one proposal at a time.
//	S3  at every order that a node obeys: the newest topology up to its epoch
//	    that a majority ever had on disk orders just that; nobody newer has
//	    claimed the node.
//	S4  whenever a topology becomes chosen: all chosen ones lie on one line of
//	    descent, and none forgets a node that was promoted.
//	S5  at every order given: a majority of the listed Wardens has voted for
//	    this run of its giver in this epoch, or accepted a topology of its.
//	S6  at every vote for a failover, and whenever somebody stands for one: the
//	    Warden itself finds the primary down. (Its clock is not modelled.)
//	S7  at every promotion that a node obeys: it holds the group's data.
//	S9  at every register written: what it calls chosen is chosen.

// Violation is a broken promise.
type Violation struct {
	Contract string
	What     string
}

func (v *Violation) Error() string { return v.Contract + " is broken: " + v.What }

// firstEpoch is that of the topology with which every world begins.
const firstEpoch = 1

// mostEpochs bounds the epochs of a scope.
const mostEpochs = 4

// vote is whom a Warden told its vote: candidate + 1 and run.
type vote struct {
	to  int8
	run warden.Run
}

// entry is one topology that was proposed or written.
type entry struct {
	topic    uint32
	version  warden.Version
	parent   warden.Version // zero: not proposed yet, or the first
	proposed bool
	by       uint8 // bits of the Wardens that ever had it on disk
	chosen   bool
}

// ledger is the history of a world, as far as the promises ask for it.
type ledger struct {
	votes   [wardenCount][mostEpochs + 1]vote
	entries []entry // by version
}

func (e *engine) putTopology(t *warden.Topology) uint32 {
	kept := t.Clone()
	return e.topics.put(printOf(encode(nil, reflect.ValueOf(&kept).Elem())), &kept)
}

func (e *engine) putLedger(l *ledger) uint32 {
	return e.ledgers.put(printOf(encode(nil, reflect.ValueOf(l).Elem())), l)
}

// book is the ledger being written to: a copy, and what was found.
type book struct {
	ledger
	e      *engine
	broken *Violation
}

func (b *book) fail(contract, format string, args ...any) {
	if only := b.e.only; b.broken == nil && (only == "" || only == contract) {
		b.broken = &Violation{contract, fmt.Sprintf(format, args...)}
	}
}

func (b *book) topology(topic uint32) *warden.Topology { return b.e.topics.get(topic) }

func (b *book) find(v warden.Version) *entry {
	for i := range b.entries {
		if b.entries[i].version == v {
			return &b.entries[i]
		}
	}
	return nil
}

// entry is that of a topology; it checks S2.
func (b *book) entry(topic uint32) *entry {
	t := b.topology(topic)
	if have := b.find(t.Version); have != nil {
		if have.topic != topic {
			b.fail("S2", "two contents of %s: %s, and %s", t.Version, topologyText(b.topology(have.topic)), topologyText(t))
		}
		return have
	}
	for i := range b.entries {
		o := b.topology(b.entries[i].topic)
		if o.Epoch == t.Epoch && (o.Leader != t.Leader || o.LeaderRun != t.LeaderRun) {
			b.fail("S2", "epoch %d is led by run %d of %s and by run %d of %s", t.Epoch, o.LeaderRun, o.Leader, t.LeaderRun, t.Leader)
		}
	}
	at := 0
	for at < len(b.entries) && t.Version.Newer(b.entries[at].version) {
		at++
	}
	b.entries = slices.Insert(b.entries, at, entry{topic: topic, version: t.Version})
	return &b.entries[at]
}

// enter books what one Warden did.
func (b *book) enter(w int8, deeds []deed) {
	for i := range deeds {
		switch d := &deeds[i]; d.kind {
		case derives:
			b.derived(d)
		case writes:
			b.written(w, d)
		case sends:
			b.sent(w, d)
		case standing:
			if !d.fresh {
				b.fail("S6", "%s stands for a failover and sees the primary well", wardenIDs[w])
			}
			if d.promise < d.epoch {
				b.fail("S1", "%s stands in epoch %d; its promise on disk is %d", wardenIDs[w], d.epoch, d.promise)
			}
		case orders:
			b.ordered(w, d)
		}
	}
}

func (b *book) derived(d *deed) {
	x := b.entry(d.topic)
	if x.proposed {
		return // sent once more
	}
	x.proposed, x.parent = true, d.base
	for i := range b.entries {
		if o := &b.entries[i]; o.version.Epoch == x.version.Epoch && x.version.Newer(o.version) && !o.chosen {
			b.fail("S2", "%s is proposed while %s is not chosen", x.version, o.version)
		}
	}
}

func (b *book) written(w int8, d *deed) {
	if t := b.topology(d.topic); !t.IsZero() {
		x := b.entry(d.topic)
		x.by |= 1 << w
		if !x.chosen {
			n := 0
			for i, id := range wardenIDs {
				if x.by>>i&1 == 1 && t.Lists(id) {
					n++
				}
			}
			if n >= max(t.Majority(), b.e.scope.Quorum) {
				b.choose(x)
			}
		}
		if t.Epoch > d.promise {
			b.fail("S1", "%s accepted %s without a promise (%d)", wardenIDs[w], t.Version, d.promise)
		}
	}
	if t := b.topology(d.chosen); !t.IsZero() {
		if x := b.find(t.Version); x == nil || !x.chosen || x.topic != d.chosen {
			b.fail("S9", "%s takes %s for chosen, which it is not", wardenIDs[w], topologyText(t))
		}
	}
}

// choose checks S4 when a topology becomes chosen.
func (b *book) choose(x *entry) {
	x.chosen = true
	for i := range b.entries {
		o := &b.entries[i]
		if !o.chosen || o.version == x.version {
			continue
		}
		older, newer := o, x
		if o.version.Newer(x.version) {
			older, newer = x, o
		}
		if !b.descends(newer, older) {
			b.fail("S4", "%s was derived from %s and does not know %s, which is chosen", topologyText(b.topology(newer.topic)),
				newer.parent, topologyText(b.topology(older.topic)))
		}
	}
}

// descends reports whether an entry was derived from an older one.
func (b *book) descends(x, from *entry) bool {
	for x != nil {
		if x.version == from.version {
			return true
		}
		if x.parent == (warden.Version{}) {
			return false
		}
		x = b.find(x.parent)
	}
	return false
}

// sent checks the votes that leave a Warden.
func (b *book) sent(w int8, d *deed) {
	x := b.e.items.get(d.item)
	switch m := &x.message; {
	case m.Vote != nil && m.Vote.Granted:
		if d.promise != m.Vote.Epoch || d.grantee != x.to {
			b.fail("S1", "%s tells %s a vote in epoch %d; on its disk is a promise for epoch %d", wardenIDs[w], wardenIDs[x.to], m.Vote.Epoch, d.promise)
		}
		if !d.fresh {
			b.fail("S6", "%s votes for a failover and sees the primary well", wardenIDs[w])
		}
		if m.Vote.Epoch > mostEpochs {
			return
		}
		v := &b.votes[w][m.Vote.Epoch]
		now := vote{x.to + 1, d.run}
		if v.to != 0 && *v != now {
			b.fail("S1", "%s voted in epoch %d for run %d of %s and for run %d of %s", wardenIDs[w], m.Vote.Epoch, v.run, wardenIDs[v.to-1], now.run, wardenIDs[x.to])
		}
		*v = now
	case m.Accept != nil && m.Accept.OK:
		if o := b.find(m.Accept.Version); o == nil || o.by>>w&1 == 0 {
			b.fail("S1", "%s tells that it accepted %s, which is not on its disk", wardenIDs[w], m.Accept.Version)
		}
	}
}

// ordered checks S5 when an order is given.
func (b *book) ordered(w int8, d *deed) {
	x := b.e.items.get(d.item)
	by := uint8(1) << w
	for i := range b.votes {
		if d.epoch <= mostEpochs && b.votes[i][d.epoch] == (vote{w + 1, x.run}) {
			by |= 1 << i
		}
	}
	for i := range b.entries {
		o := &b.entries[i]
		if t := b.topology(o.topic); t.Epoch == d.epoch && t.Leader == wardenIDs[w] && t.LeaderRun == x.run {
			by |= o.by
		}
	}
	n := 0
	for i := range wardenIDs {
		n += int(by >> i & 1)
	}
	if n < wardenCount/2+1 {
		b.fail("S5", "%s orders %s of %s in epoch %d with %d of %d Wardens behind it", wardenIDs[w], x.action.Kind, x.action.Node.Host(), d.epoch, n, wardenCount)
	}
}

// newest is the newest chosen topology of an epoch up to the given one.
func (b *book) newest(upTo warden.Epoch) *warden.Topology {
	for i := len(b.entries) - 1; i >= 0; i-- {
		if x := &b.entries[i]; x.chosen && x.version.Epoch <= upTo {
			return b.topology(x.topic)
		}
	}
	return nil
}

// obeys checks S3 and S7 when a node is about to obey an order.
func (b *book) obeys(n *nodes, i int, x *item, shutOut bool) {
	a := &x.action
	if shutOut {
		b.fail("S3", "%s obeys %s of %s in epoch %d although a newer leader has claimed it", nodeIDs[i].Host(), a.Kind, wardenIDs[x.from], a.Epoch)
	}
	if a.Kind != warden.ActPromote && a.Kind != warden.ActFollow {
		return
	}
	t := b.newest(a.Epoch)
	switch {
	case t == nil:
		b.fail("S3", "%s obeys %s of %s; nothing is chosen", nodeIDs[i].Host(), a.Kind, wardenIDs[x.from])
	case a.Kind == warden.ActPromote && t.Primary != nodeIDs[i], a.Kind == warden.ActFollow && t.Primary != a.Target:
		b.fail("S3", "%s obeys %s %s of %s in epoch %d; chosen is %s", nodeIDs[i].Host(), a.Kind, a.Target, wardenIDs[x.from], a.Epoch, topologyText(t))
	}
	if y := &n[i]; a.Kind == warden.ActPromote && y.role != warden.RolePrimary && (y.foreign || y.empty) {
		b.fail("S7", "%s is promoted, is empty or foreign, and others have the group's data", nodeIDs[i].Host())
	}
}

// remembers checks the second half of S4: a candidate that obeyed the order to
// become primary is, in the next topologies, the primary or one that is being
// replaced.
func (b *book) remembers(n *nodes) {
	last := len(b.entries) - 1
	for last >= 0 && !b.entries[last].chosen {
		last--
	}
	if last < 0 {
		return
	}
	t := b.topology(b.entries[last].topic)
	replaced := []warden.NodeID{t.Previous}
	for x := b.find(b.entries[last].parent); x != nil; x = b.find(x.parent) {
		o := b.topology(x.topic)
		if o.Phase != warden.PhasePromoting {
			return
		}
		y := &n[nodeIndex(o.Primary)]
		if y.promotedBy == o.Epoch && y.role == warden.RolePrimary && t.Primary != o.Primary && !slices.Contains(replaced, o.Primary) {
			b.fail("S4", "%s forgets that %s was promoted in epoch %d", topologyText(t), o.Primary.Host(), o.Epoch)
		}
		replaced = append(replaced, o.Previous)
	}
}
