package neighbour

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/spineldb/warden/warden"
)

// version is the configuration epoch our own hello would have now.
func (d *desk) version(t *testing.T) uint64 {
	t.Helper()
	h, err := parse(d.Own(warden.Hello{Group: "g", Client: "10.0.0.7:26379", Primary: d.served}))
	if err != nil || h.id != own || h.primary != d.served || h.client != "10.0.0.7:26379" {
		t.Fatalf("our own hello: %+v (%v)", h, err)
	}
	if h.current < h.config {
		t.Fatalf("current epoch %d is behind the configuration's %d", h.current, h.config)
	}
	return h.config
}

// Goal: our address goes with the Sentinels' own epoch where it is theirs, and
// with 0 where they have moved on.
func TestVersionBesideSentinels(t *testing.T) {
	d := newDesk(Memory{})
	if v := d.version(t); v != 0 {
		t.Errorf("at first: %d", v)
	}
	d.says(ids[0], 26379, 6, "p:1", 6)
	if v := d.version(t); v != 6 {
		t.Errorf("the same address: %d, want theirs", v)
	}
	d.journal = nil
	d.says(ids[0], 26379, 7, "q:1", 7)
	d.expect(t, "+new-epoch 7", "+config-update-from sentinel "+ids[0]+" 10.0.0.1 26379 @ g p 1", "switched g q:1 7")
	if v := d.version(t); v != 0 {
		t.Errorf("before we have adopted: %d, want 0", v)
	}
	d.says(ids[1], 26380, 7, "p:1", 6) // is late
	d.says(ids[1], 26380, 7, "r:1", 7) // equal: stays as it is among them
	if v := d.version(t); v != 0 {
		t.Errorf("after older hellos: %d, want 0", v)
	}
	d.served = "q:1"
	if v := d.version(t); v != 7 {
		t.Errorf("after we have adopted: %d, want theirs", v)
	}
	d.pass(2 * Life) // the Sentinels are gone; nothing has moved
	if v := d.version(t); v != 7 || d.Epochs("g").Config != 7 {
		t.Errorf("when they are gone: %d", v)
	}
}

// Goal: after Wardens have moved the primary alone, a Sentinel that comes back
// has to follow, for good: one new epoch for each move, kept across restarts.
func TestVersionAfterOurMove(t *testing.T) {
	d := newDesk(Memory{Epochs: Epochs{Current: 9, Config: 6}})
	d.pass(Life)
	d.says(ids[0], 26379, 9, "q:1", 5) // old news, but a higher epoch may exist
	d.version(t)
	d.served = "r:1"
	if v := d.version(t); v != 0 {
		t.Errorf("while a Sentinel is alive: %d, want 0", v)
	}
	d.pass(Life)
	d.risen = 0
	if v := d.version(t); v != 7 {
		t.Errorf("when it is gone: %d, want one more than the highest", v)
	}
	if d.risen == 0 {
		t.Error("it was not asked to write the new epoch down")
	}
	for range 3 {
		if v := d.version(t); v != 7 {
			t.Errorf("again: %d, want the same", v)
		}
	}
	again := newDesk(Memory{Epochs: d.Epochs("g")})
	again.served = "r:1"
	if v := again.version(t); v != 7 {
		t.Errorf("after a restart: %d, want the same", v)
	}
	d.served = "s:1"
	if v := d.version(t); v != 8 {
		t.Errorf("after the next move: %d", v)
	}
	d.says(ids[0], 26379, 9, "q:1", 6)
	if v := d.version(t); v != 8 {
		t.Errorf("beside a Sentinel that is late: %d", v)
	}
	h, _ := parse(d.Own(warden.Hello{Group: "g", Client: "a:1", Primary: "t:1", Epoch: 40}))
	if h.config != 0 {
		t.Errorf("moved beside a live Sentinel: %d", h.config)
	}
	d.pass(Life)
	if h, _ = parse(d.Own(warden.Hello{Group: "g", Client: "a:1", Primary: "t:1", Epoch: 40})); h.config != 41 {
		t.Errorf("with a higher epoch of ours: %d", h.config)
	}
}

// Goal: a Warden that has just started does not believe that it is alone.
func TestNotAloneAtFirst(t *testing.T) {
	d := newDesk(Memory{Epochs: Epochs{Config: 6}})
	d.served = "q:1" // moved while it was away, by whomever
	if v := d.version(t); v != 0 {
		t.Errorf("at first: %d", v)
	}
	d.says(ids[0], 26379, 7, "q:1", 7)
	if v := d.version(t); v != 7 {
		t.Errorf("the Sentinels had done it: %d", v)
	}
	d = newDesk(Memory{Epochs: Epochs{Config: 6}})
	d.served = "q:1"
	d.version(t)
	d.says(ids[0], 26379, 7, "r:1", 7)
	d.pass(2 * Life)
	if v := d.version(t); v != 0 {
		t.Errorf("the Sentinels had done something else and are gone: %d, want 0", v)
	}
}

// Goal: Wardens that moved together say one number, and never one lower than
// what another of them has already made Sentinels believe.
func TestVersionsOfOtherWardens(t *testing.T) {
	d := newDesk(Memory{Epochs: Epochs{Config: 3}})
	d.SetWardens([]string{ids[0]})
	d.pass(Life)
	d.says(ids[0], 26379, 9, "q:1", 9) // has moved, and we have not learned it
	d.expect(t, "+new-epoch 9")
	if v := d.version(t); v != 3 {
		t.Errorf("before we have learned: %d", v)
	}
	d.served = "q:1"
	if v := d.version(t); v != 9 {
		t.Errorf("after: %d, want the other's", v)
	}
	d.served = "p:1"
	if v := d.version(t); v != 10 {
		t.Errorf("the next move: %d", v)
	}
	d.says(ids[0], 26379, 12, "p:1", 12)
	if v := d.version(t); v != 12 {
		t.Errorf("the other says a higher one: %d", v)
	}
}

// Goal: nothing is published for what is not known.
func TestNothingToSay(t *testing.T) {
	d := newDesk(Memory{})
	for _, h := range []warden.Hello{
		{Group: "other", Client: "a:1", Primary: "p:1"}, {Group: "g", Primary: "p:1"}, {Group: "g", Client: "a:1"},
	} {
		if text := d.Own(h); text != "" {
			t.Errorf("%+v: %q", h, text)
		}
	}
	text := d.Own(warden.Hello{Group: "g", Client: "[::1]:26379", Primary: "[fe80::2]:6379"})
	if want := "::1,26379," + own + ",0,g,fe80::2,6379,0"; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

var errSave = errors.New("disk is full")

// save is Options.Save of a desk.
func (d *desk) save(ctx context.Context, _ warden.GroupName, epoch uint64) error {
	if _, ok := ctx.Deadline(); !ok {
		return errors.New("no deadline")
	}
	if d.Epochs("g").Leader != epoch {
		return errors.New("the epoch to be written is not shown yet")
	}
	d.saved = append(d.saved, epoch)
	return d.saving
}

// Goal: who gets a vote, and what is answered to the others.
func TestVotes(t *testing.T) {
	a, b := ids[0], ids[1]
	type ask struct {
		epoch     uint64
		candidate string
		down      bool
		leader    string
		at        uint64
	}
	for _, c := range []struct {
		name   string
		change func(d *desk)
		asks   []ask
		saved  int
	}{
		{"down", nil, []ask{{5, "*", true, "*", 0}, {5, a, true, a, 5}, {5, a, true, a, 5}, {5, b, true, a, 5}, {6, b, true, b, 6}, {5, a, true, b, 6}}, 2},
		{"not down here", func(d *desk) { d.judged.Down = false }, []ask{{5, "*", false, "*", 0}, {5, a, false, "*", 0}}, 0},
		{"in TILT", func(d *desk) { d.judged.Tilt = true }, []ask{{5, a, false, "*", 0}}, 0},
		{"no group there", func(d *desk) { d.served = "q:1" }, []ask{{5, a, false, "*", 0}}, 0},
		{"nothing is served", func(d *desk) { d.served = "" }, []ask{{5, a, true, a, 5}}, 1},
		{"nothing is served, and Sentinels have moved on", func(d *desk) { d.served = ""; d.says(b, 26380, 3, "q:1", 3) }, []ask{{5, a, false, "*", 0}}, 0},
		{"nobody has heard of it", nil, []ask{{5, ids[2], true, "*", 0}, {5, "odd", true, "*", 0}}, 0},
		{"it was heard long ago", func(d *desk) { d.pass(Life) }, []ask{{5, a, true, "*", 0}}, 0},
		{"it is a Warden", func(d *desk) { d.SetWardens(ids) }, []ask{{5, a, true, "*", 0}}, 0},
		{"an epoch gone by", func(d *desk) { d.says(a, 26379, 8, "p:1", 0) }, []ask{{7, a, true, "*", 0}, {8, a, true, a, 8}}, 1},
		{"an epoch out of reach", nil, []ask{{maxEpoch + 1, a, true, "*", 0}, {1, a, true, a, 1}}, 1},
		{"epoch 0", nil, []ask{{0, a, true, "*", 0}}, 0},
		{"the disk fails", func(d *desk) { d.saving = errSave }, []ask{{5, a, true, "*", 5}, {5, b, true, "*", 5}}, 1},
		{"nowhere to write", func(d *desk) { d.o.Save = nil }, []ask{{5, a, true, "*", 0}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(Memory{})
			d.judged.Down = true
			d.says(a, 26379, 0, "p:1", 0)
			d.says(b, 26380, 0, "p:1", 0)
			if c.change != nil {
				c.change(d)
			}
			for _, k := range c.asks {
				down, leader, at := d.Down(t.Context(), "p:1", k.epoch, k.candidate)
				if down != k.down || leader != k.leader || at != k.at {
					t.Errorf("%d for %.3s: %v %.3s %d, want %v %.3s %d", k.epoch, k.candidate, down, leader, at, k.down, k.leader, k.at)
				}
			}
			if len(d.saved) != c.saved {
				t.Errorf("%d votes were written, want %d", len(d.saved), c.saved)
			}
		})
	}
}

// Goal: events of a vote, and no second one for the same epoch after a restart.
func TestVoteIsKept(t *testing.T) {
	d := newDesk(Memory{})
	d.judged.Down = true
	d.says(ids[0], 26379, 0, "p:1", 0)
	d.journal = nil
	d.Down(t.Context(), "p:1", 5, ids[0])
	d.expect(t, "+new-epoch 5", "+vote-for-leader "+ids[0]+" 5")
	again := newDesk(Memory{Epochs: d.Epochs("g")})
	again.judged.Down = true
	again.says(ids[1], 26380, 0, "p:1", 0)
	if _, leader, at := again.Down(t.Context(), "p:1", 5, ids[1]); leader != "*" || at != 5 {
		t.Errorf("after a restart: %s %d", leader, at)
	}
	if _, leader, at := again.Down(t.Context(), "p:1", 6, ids[1]); leader != ids[1] || at != 6 {
		t.Errorf("the next epoch: %s %d", leader, at)
	}
}

// Goal: of many who ask at once for one epoch, one gets the vote.
func TestOneVotePerEpoch(t *testing.T) {
	d := newDesk(Memory{})
	d.judged.Down = true
	for i, id := range ids {
		d.says(id, 26379+i, 0, "p:1", 0)
	}
	var mu sync.Mutex
	d.o.Save = func(context.Context, warden.GroupName, uint64) error { mu.Lock(); defer mu.Unlock(); return nil }
	for epoch := uint64(1); epoch <= 50; epoch++ {
		var race sync.WaitGroup
		answers := make([]string, len(ids))
		for i, id := range ids {
			race.Go(func() {
				_, leader, at := d.Down(t.Context(), "p:1", epoch, id)
				if at == epoch {
					answers[i] = leader
				}
			})
		}
		race.Wait()
		won := ""
		for i, leader := range answers {
			if leader == ids[i] && won != "" {
				t.Fatalf("epoch %d has two leaders", epoch)
			}
			if leader == ids[i] {
				won = leader
			}
		}
		if won == "" {
			t.Fatalf("epoch %d has no leader: %q", epoch, answers)
		}
	}
}

// directory is a Warden's, of one view.
type directory struct {
	warden.Directory
	view warden.GroupView
	tilt bool
}

func (d directory) Group(name warden.GroupName) (warden.GroupView, bool) {
	if name != d.view.Name {
		return warden.GroupView{}, false
	}
	return d.view, true
}

func (d directory) Self() warden.SelfView { return warden.SelfView{Tilt: d.tilt} }

// Goal: a primary is judged by what is shown of it.
func TestJudging(t *testing.T) {
	view := warden.GroupView{Name: "g", Nodes: []warden.NodeView{{Node: "p:1", Down: true}, {Node: "r:1"}}}
	tilted := view
	tilted.Tilt = true
	for _, c := range []struct {
		d    directory
		name warden.GroupName
		at   warden.NodeID
		want Judgement
	}{
		{directory{view: view}, "g", "p:1", Judgement{Down: true}},
		{directory{view: view}, "g", "r:1", Judgement{}},
		{directory{view: view}, "g", "x:1", Judgement{}},
		{directory{view: view}, "h", "p:1", Judgement{}},
		{directory{view: tilted}, "g", "p:1", Judgement{Down: true, Tilt: true}},
		{directory{view: view, tilt: true}, "g", "p:1", Judgement{Down: true, Tilt: true}},
	} {
		if got := Judging(c.d)(c.name, c.at); got != c.want {
			t.Errorf("%s of %s: %+v, want %+v", c.at, c.name, got, c.want)
		}
	}
}
