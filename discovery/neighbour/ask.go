package neighbour

import (
	"context"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// askEvery is how often Sentinels are asked while the primary is down.
	askEvery = time.Second
	// askLimit bounds one question.
	askLimit = time.Second
	// answerRounds is for how many rounds of questions an answer counts.
	answerRounds = 5
)

// said is what a Sentinel answered last.
type said struct {
	Answer
	at     warden.Instant // 0: never
	asking bool           // a question is under way
}

// SetAskPeriod changes how often Sentinels are asked; 0: every second.
func (b *Book) SetAskPeriod(every time.Duration) {
	if every <= 0 {
		every = askEvery
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.askEvery = every
}

func (b *Book) askPeriod() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.askEvery
}

// keepAsking asks until ctx ends, and returns when nothing is under way.
func (b *Book) keepAsking(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	for {
		round := time.NewTimer(b.askPeriod())
		select {
		case <-ctx.Done():
			round.Stop()
			return
		case <-round.C:
			b.askRound(ctx, &under)
		}
	}
}

// question is one that is to be asked.
type question struct {
	group             warden.GroupName
	id                string
	sentinel, primary warden.NodeID
	epoch             uint64
}

// askRound asks every live Sentinel of each group whose primary is down here.
// It waits for no answer.
func (b *Book) askRound(ctx context.Context, under *sync.WaitGroup) {
	for _, q := range b.questions() {
		under.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askLimit)
			defer cancel()
			a, err := b.o.Ask(ctx, q.sentinel, q.primary, q.epoch)
			b.answered(q, a, err)
		})
	}
}

// questions are those of this round.
func (b *Book) questions() []question {
	var all []question
	for name, primary := range b.primaries() {
		if !b.o.Judge(name, primary).Down {
			continue
		}
		b.mu.Lock()
		if g, now := b.groups[name], b.o.Clock(); g != nil {
			for _, n := range g.sentinels {
				if n.alive(now) && !n.said.asking {
					n.said.asking = true
					all = append(all, question{name, n.ID, n.Client, b.o.Shown(primary), b.current})
				}
			}
		}
		b.mu.Unlock()
	}
	return all
}

// primaries are those of the groups that have Sentinels.
func (b *Book) primaries() map[warden.GroupName]warden.NodeID {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[warden.GroupName]warden.NodeID{}
	for name, g := range b.groups {
		if at := b.primary(g); len(g.sentinels) > 0 && at != "" {
			all[name] = at
		}
	}
	return all
}

// answered writes an answer down. One that did not come leaves the last one, as
// long as that counts.
func (b *Book) answered(q question, a Answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.groups[q.group]
	if g == nil {
		return
	}
	n := g.find(q.id)
	if n == nil {
		return
	}
	n.said.asking = false
	if err == nil {
		n.said.Answer, n.said.at = a, b.o.Clock()
	}
}

// counting is a Sentinel's last answer while it counts. The caller holds b.mu.
func (b *Book) counting(n *neighbour, now warden.Instant) Answer {
	if n.said.at == 0 || now.Sub(n.said.at) > warden.Duration(answerRounds*b.askEvery) {
		return Answer{}
	}
	return n.said.Answer
}
