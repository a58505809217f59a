package neighbour

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// round asks once, waits for the answers and tells who was asked what.
func (d *desk) round(answer func(sentinel warden.NodeID) (Answer, error)) []string {
	var mu sync.Mutex
	var asked []string
	d.o.Ask = func(ctx context.Context, sentinel, primary warden.NodeID, epoch uint64) (Answer, error) {
		if _, ok := ctx.Deadline(); !ok {
			panic("a question without a deadline")
		}
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, fmt.Sprintf("%s: %s %d", sentinel, primary, epoch))
		return answer(sentinel)
	}
	var under sync.WaitGroup
	d.askRound(context.Background(), &under)
	under.Wait()
	slices.Sort(asked)
	return asked
}

// Goal: live Sentinels are asked while the primary is down here and at no other
// time; what they answer is shown, for five rounds.
func TestSentinelsAreAsked(t *testing.T) {
	d := newDesk(Memory{Known: []Sentinel{{ID: ids[2], Client: "10.0.0.1:26381"}}})
	d.says(ids[0], 26379, 3, "p:1", 0)
	d.says(ids[1], 26380, 3, "p:1", 0)
	answer := func(s warden.NodeID) (Answer, error) {
		if s.Port() == "26380" {
			return Answer{Down: true, Leader: ids[0], Epoch: 4}, nil
		}
		return Answer{Down: true}, nil
	}
	if asked := d.round(answer); len(asked) != 0 {
		t.Errorf("asked while the primary is up: %q", asked)
	}
	d.judged.Down = true
	if asked, want := d.round(answer), []string{"10.0.0.1:26379: p:1 3", "10.0.0.1:26380: p:1 3"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	e := d.Entries("g")
	if !e[0].SaysDown || e[0].Vote != "" || !e[1].SaysDown || string(e[1].Vote) != ids[0] || e[1].VoteEpoch != 4 || e[2].SaysDown {
		t.Errorf("shown: %+v", e)
	}
	d.round(func(warden.NodeID) (Answer, error) { return Answer{}, errors.New("no answer") })
	d.now = d.now.Add(5 * sec)
	if e := d.Entries("g"); !e[0].SaysDown {
		t.Errorf("an answer of five rounds ago counts no more: %+v", e)
	}
	d.now = d.now.Add(sec)
	if e := d.Entries("g"); e[0].SaysDown || e[1].SaysDown || e[1].Vote != "" {
		t.Errorf("an answer of six rounds ago still counts: %+v", e)
	}
	d.SetAskPeriod(2 * time.Second)
	if e := d.Entries("g"); !e[0].SaysDown {
		t.Errorf("with a longer period it does not count again: %+v", e)
	}
	d.round(func(warden.NodeID) (Answer, error) { return Answer{}, nil })
	if e := d.Entries("g"); e[0].SaysDown || e[1].Vote != "" {
		t.Errorf("a new answer does not replace the old one: %+v", e)
	}
}

// Goal: only answers of the shape that Sentinels take are taken.
func TestAnswers(t *testing.T) {
	for i, c := range []struct {
		reply []any
		want  Answer
		fails bool
	}{
		{[]any{int64(1), "*", int64(0)}, Answer{Down: true}, false},
		{[]any{int64(0), ids[1], int64(7)}, Answer{Leader: ids[1], Epoch: 7}, false},
		{[]any{int64(1), "somebody", int64(7)}, Answer{Down: true}, false},
		{[]any{int64(1), "*"}, Answer{}, true},
		{[]any{"1", "*", int64(0)}, Answer{}, true},
		{[]any{int64(1), nil, int64(0)}, Answer{}, true},
		{[]any{int64(1), "*", "0"}, Answer{}, true},
		{nil, Answer{}, true},
	} {
		if got, err := readAnswer(c.reply); got != c.want || (err != nil) != c.fails {
			t.Errorf("%d: %v is read as %+v, %v", i, c.reply, got, err)
		}
	}
}
