package check

import (
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Sabotage breaks one mechanism on purpose, from outside the mind, so that the
// promise which it keeps has to break. The zero value breaks nothing. What it
// does depends on its arguments alone, because steps are computed once.
type Sabotage struct {
	// Effects alters what a mind wants before it is performed.
	Effects func(f *group.Effects)
	// Restart alters a disk when its Warden starts.
	Restart func(r *warden.Register)
	// Observe alters what a node says of itself.
	Observe func(n *node, o *warden.Observation)
	// Carry replaces a message that is being sent by what is put on its way;
	// up says that its addressee runs.
	Carry func(x *item, up bool) []*item
	// Deaf: nodes obey sessions that a newer leader has shut out.
	Deaf bool
	// Deluded: good answers of the first primary are taken for silence.
	Deluded bool
}

// Broken is a mechanism broken on purpose, the promise that it keeps, and the
// scope in which that has to be found.
type Broken struct {
	Contract string
	What     string
	Scope    string
	Sabotage Sabotage
}

// Find searches the sabotage's scope until its promise is broken.
func (b *Broken) Find(progress func(Result)) Result {
	scope, _ := Find(b.Scope)
	return Run(Options{Scope: scope, Sabotage: &b.Sabotage, Only: b.Contract, Progress: progress})
}

// yesTo is the answer that the addressee of a message would give if it agreed
// to everything, nil if it is no question.
func yesTo(x *item) *item {
	y := warden.Message{Group: groupName, From: wardenIDs[x.to], Run: 1, Birth: x.message.Birth}
	switch m := &x.message; {
	case m.Ask != nil:
		y.Vote = &warden.Vote{Epoch: m.Ask.Epoch, Granted: true}
	case m.Propose != nil:
		y.Accept = &warden.Accepted{Version: m.Propose.Topology.Version, OK: true, Down: true}
	default:
		return nil
	}
	return &item{kind: isMessage, from: x.to, to: x.from, message: y}
}

func votes(change func(v *warden.Vote)) func(*item, bool) []*item {
	return func(x *item, _ bool) []*item {
		if x.message.Vote == nil {
			return []*item{x}
		}
		y := *x
		v := *x.message.Vote
		change(&v)
		y.message.Vote = &v
		return []*item{&y}
	}
}

// Sabotages are those of warden/sim that break the core and that a world
// without clocks, clients and operators can show.
var Sabotages = []Broken{
	{"S1", "the disk forgets the vote at a restart", "votes", Sabotage{Restart: func(r *warden.Register) {
		r.Promise, r.Grantee, r.GranteeRun = r.Accepted.Epoch, "", 0
	}}},
	{"S1", "a vote is told and not written", "votes", Sabotage{Effects: func(f *group.Effects) {
		for i := range f.Send {
			if f.Send[i].Message.Vote != nil {
				f.Persist = nil
			}
		}
	}}},
	{"S2", "a denied vote counts as granted", "votes", Sabotage{Carry: votes(func(v *warden.Vote) { v.Granted = true })}},
	{"S3", "the accept round is skipped", "failover", Sabotage{Carry: func(x *item, _ bool) []*item {
		if x.message.Propose != nil {
			return []*item{yesTo(x)}
		}
		return []*item{x}
	}}},
	{"S3", "servers obey sessions that a newer leader has shut out", "failover", Sabotage{Deaf: true}},
	{"S4", "votes come without the newest topology", "votes", Sabotage{Carry: votes(func(v *warden.Vote) { v.Newest = warden.Topology{} })}},
	{"S4", "the disk forgets what was accepted at a restart", "votes", Sabotage{Restart: func(r *warden.Register) {
		r.Accepted = r.Chosen
	}}},
	{"S5", "Wardens that cannot be reached count as saying yes", "crash", Sabotage{Carry: func(x *item, up bool) []*item {
		if yes := yesTo(x); yes != nil && !up {
			return []*item{x, yes}
		}
		return []*item{x}
	}}},
	{"S6", "good answers of the primary are taken for silence", "witness", Sabotage{Deluded: true}},
	{"S7", "foreign and empty nodes pass for the group's", "foreign", Sabotage{Observe: func(n *node, o *warden.Observation) {
		if n.foreign || n.empty {
			o.Lineage, o.Empty, o.Position = firstLine, false, 1<<40
		}
	}}},
	{"S9", "a proposal is taken for chosen", "votes", Sabotage{Carry: func(x *item, _ bool) []*item {
		if p := x.message.Propose; p != nil {
			y := &item{kind: isMessage, from: x.from, to: x.to, message: x.message}
			y.message.Propose, y.message.Learn = nil, &warden.Learn{Topology: p.Topology}
			return []*item{x, y}
		}
		return []*item{x}
	}}},
}
