package neighbour

import (
	"context"
	"strconv"
	"time"

	"github.com/spineldb/warden/warden"
)

// saveLimit bounds the writing of a vote: a candidate waits no longer for it.
const saveLimit = 5 * time.Second

// nobody is how Sentinels write that there is no leader.
const nobody = "*"

// vote is the last vote for a Sentinel in one group. holder is empty when only
// the epoch is known: after a restart, or while it is being written. Then nobody
// gets another vote of that epoch.
type vote struct {
	epoch  uint64
	holder string
}

// Down answers SENTINEL IS-MASTER-DOWN-BY-ADDR. See resp.Neighbours.
//
// A Sentinel votes for whoever asks first, whether it finds the primary down
// itself or not. A Warden does only for a Sentinel that it has heard itself,
// and only while it finds the primary down: a majority that has not looked must
// not be able to replace a primary that works.
func (b *Book) Down(ctx context.Context, primary warden.NodeID, epoch uint64, candidate string) (down bool, leader string, leaderEpoch uint64) {
	name, primary := b.groupAt(primary)
	if name == "" {
		return false, nobody, 0
	}
	j := b.o.Judge(name, primary)
	down = j.Down && !j.Tilt
	if candidate == nobody {
		return down, nobody, 0
	}
	if b.reserve(name, down, epoch, candidate) {
		b.grant(ctx, name, epoch, candidate)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.groups[name]
	if g == nil {
		return down, nobody, 0
	}
	if g.vote.holder == "" {
		return down, nobody, g.vote.epoch
	}
	return down, g.vote.holder, g.vote.epoch
}

// groupAt is the group whose primary is at an address, the first of them by
// name, and how the address is spelled here; empty when there is none.
func (b *Book) groupAt(primary warden.NodeID) (found warden.GroupName, at warden.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, g := range b.groups {
		if here := b.primary(g); here != "" && here == b.o.Here(name, primary) && (found == "" || name < found) {
			found, at = name, here
		}
	}
	return found, at
}

// reserve sets an epoch aside for a candidate, if it may have the vote, so that
// no other gets it while it is being written.
func (b *Book) reserve(name warden.GroupName, down bool, epoch uint64, candidate string) bool {
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	g := b.groups[name]
	if g == nil || epoch > maxEpoch {
		return false
	}
	if n := g.find(candidate); n == nil || !n.alive(b.o.Clock()) {
		return false
	}
	b.raise(g, epoch)
	if !down || b.o.Save == nil || g.vote.epoch >= epoch || b.current > epoch {
		return false
	}
	g.vote = vote{epoch: epoch}
	return true
}

// grant writes the vote down and then gives it. What cannot be written is not
// given, and the epoch is lost: the write may have reached the disk.
func (b *Book) grant(ctx context.Context, name warden.GroupName, epoch uint64, candidate string) {
	ctx, cancel := context.WithTimeout(ctx, saveLimit)
	defer cancel()
	if err := b.o.Save(ctx, name, epoch); err != nil {
		return
	}
	b.mu.Lock()
	defer b.tell()
	defer b.mu.Unlock()
	g := b.groups[name]
	if g == nil || g.vote.epoch != epoch {
		return
	}
	g.vote.holder = candidate
	b.event(g, "+vote-for-leader", warden.LevelWarning, candidate+" "+strconv.FormatUint(epoch, 10))
}

// Judging answers Options.Judge from what a Warden shows of its groups.
func Judging(d warden.Directory) func(warden.GroupName, warden.NodeID) Judgement {
	return func(name warden.GroupName, primary warden.NodeID) Judgement {
		v, _ := d.Group(name)
		j := Judgement{Tilt: v.Tilt || d.Self().Tilt}
		for _, n := range v.Nodes {
			if n.Node == primary {
				j.Down = n.Down
			}
		}
		return j
	}
}
