package shell

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// give makes the mind of a running bench want actions at once.
func (b *bench) give(t *testing.T, actions ...group.Action) {
	t.Helper()
	b.onHeard("give", func(warden.Instant) group.Effects { return group.Effects{Act: actions} })
	b.heard("give")
	synctest.Wait()
	b.script.set(nil)
}

// Goal: the first order for a node and an epoch claims it, later ones use the
// session, another epoch claims anew, a drop closes the sessions up to its
// epoch once the orders before it are done.
func TestSessionReuseAndDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		b.give(t, group.Action{ID: 1, Kind: group.ActClaim, Node: "a:1", Epoch: 5})
		b.give(t, group.Action{ID: 2, Kind: group.ActHold, Node: "a:1", Epoch: 5, Limit: 2 * warden.Second})
		b.give(t, group.Action{ID: 3, Kind: group.ActFollow, Node: "a:1", Target: "b:1", Epoch: 5},
			group.Action{ID: 4, Kind: group.ActRelease, Node: "a:1", Epoch: 5})
		b.give(t, group.Action{ID: 5, Kind: group.ActRelease, Node: "a:1", Epoch: 6})
		expect(t, b.all(), "claim a:1 5", "session look a:1", "hold a:1 2s", "follow a:1 b:1", "release a:1",
			"claim a:1 6", "release a:1")
		n := len(b.all())
		b.give(t, group.Action{ID: 6, Kind: group.ActRelease, Node: "a:1", Epoch: 5}, group.Action{Kind: group.ActDrop, Epoch: 5})
		expect(t, b.since(n), "release a:1", "session close a:1")
		n = len(b.all())
		b.give(t, group.Action{Kind: group.ActDrop, Epoch: 5}, group.Action{ID: 7, Kind: group.ActRelease, Node: "a:1", Epoch: 6})
		expect(t, b.since(n), "release a:1")
		b.give(t, group.Action{Kind: group.ActDrop, Epoch: 9, Node: "other:1"})
		n = len(b.all())
		b.stop(t)
		expect(t, b.since(n), "session close a:1")
		expect(t, b.script.events.all(), "Heard give", "ActionDone 1 done  good", "Heard give", "ActionDone 2 done",
			"Heard give", "ActionDone 3 done", "ActionDone 4 done", "Heard give", "ActionDone 5 done",
			"Heard give", "ActionDone 6 done", "Heard give", "ActionDone 7 done", "Heard give")
	})
}

// Goal: a promotion is followed by a look over the session; a refused or
// unknown one closes the session, and the next order claims again.
func TestPromoteLooksAndUnknownCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		outcome := warden.Result{Outcome: warden.Done, Notes: []string{"config-rewrite-failed"}}
		b.adapter.order = func(context.Context, string) warden.Result { return outcome }
		b.start(t)
		promote := group.Action{ID: 1, Kind: group.ActPromote, Node: "a:1", Epoch: 5}
		b.give(t, promote)
		expect(t, b.all(), "claim a:1 5", "promote a:1", "session look a:1")
		outcome = warden.Result{Outcome: warden.Unknown, Why: "connection lost"}
		n := len(b.all())
		b.give(t, promote)
		expect(t, b.since(n), "promote a:1", "session close a:1")
		n = len(b.all())
		b.give(t, promote)
		expect(t, b.since(n), "claim a:1 5", "promote a:1", "session close a:1")
		expect(t, b.script.events.all(), "Heard give", "ActionDone 1 done  good", "Heard give",
			"ActionDone 1 unknown connection lost", "Heard give", "ActionDone 1 unknown connection lost")
		b.stop(t)
	})
}

// Goal: a refused claim is the action's result and no order is sent.
func TestClaimRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adapter.claim = func(context.Context, warden.NodeID) warden.Result {
			return warden.Result{Outcome: warden.Refused, Why: "epoch 9 is there", Superseded: true}
		}
		var got warden.Result
		b.start(t)
		b.script.set(func(e group.Event, _ warden.Instant) group.Effects {
			switch e := e.(type) {
			case group.Heard:
				return group.Effects{Act: []group.Action{{ID: 1, Kind: group.ActPromote, Node: "a:1", Epoch: 5}}}
			case group.ActionDone:
				got = e.Result
			}
			return group.Effects{}
		})
		b.heard("w2")
		synctest.Wait()
		expect(t, b.all(), "claim a:1 5")
		b.stop(t)
		if !got.Superseded || got.Outcome != warden.Refused {
			t.Errorf("result %+v, want the claim's refusal", got)
		}
	})
}

// Goal: the lease is read right before each order: not only before the claim,
// but also after a slow claim and after waiting behind another order.
func TestLeaseIsReadBeforeEachOrder(t *testing.T) {
	const limit = 10 * warden.Second
	slow := func(d time.Duration) func(context.Context) warden.Result {
		return func(context.Context) warden.Result {
			time.Sleep(d)
			return warden.Result{Outcome: warden.Done}
		}
	}
	tests := []struct {
		name         string
		lease        warden.Duration
		claim, order time.Duration
		want         []string
	}{
		{"over before the claim", -1, 0, 0, nil},
		{"over after the claim", warden.Second, 2 * time.Second, 0, []string{"claim a:1 5"}},
		{"over behind an order", 3 * warden.Second, time.Second, 4 * time.Second, []string{"claim a:1 5", "follow a:1 b:1"}},
		{"not over", 9 * warden.Second, time.Second, 4 * time.Second, []string{"claim a:1 5", "follow a:1 b:1", "promote a:1", "session look a:1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.adapter.claim = func(ctx context.Context, _ warden.NodeID) warden.Result { return slow(test.claim)(ctx) }
				b.adapter.order = func(ctx context.Context, _ string) warden.Result { return slow(test.order)(ctx) }
				b.start(t)
				end := testClock().Add(test.lease)
				b.give(t, group.Action{ID: 1, Kind: group.ActFollow, Node: "a:1", Target: "b:1", Epoch: 5, NotAfter: end, Limit: limit},
					group.Action{ID: 2, Kind: group.ActPromote, Node: "a:1", Epoch: 5, NotAfter: end, Limit: limit})
				time.Sleep(time.Duration(limit))
				synctest.Wait()
				expect(t, b.all(), test.want...)
				if test.name != "not over" && b.script.events.count("ActionDone 2 refused lease over") != 1 {
					t.Errorf("events %q, want the promotion refused", b.script.events.all())
				}
				b.stop(t)
			})
		})
	}
}

// Goal: an order that could not be sent within its deadline is refused, one
// that was cut off in its middle is what the adapter says; and a node that
// hangs holds up no order to another.
func TestActionDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adapter.order = func(ctx context.Context, what string) warden.Result {
			if what != "release a:1" {
				return warden.Result{Outcome: warden.Done}
			}
			<-ctx.Done()
			return warden.Result{Outcome: warden.Unknown, Why: "timeout"}
		}
		b.start(t)
		began := time.Now()
		b.give(t, group.Action{ID: 1, Kind: group.ActRelease, Node: "a:1", Epoch: 5},
			group.Action{ID: 2, Kind: group.ActRelease, Node: "a:1", Epoch: 5, Limit: warden.Second / 2},
			group.Action{ID: 3, Kind: group.ActFollow, Node: "b:1", Target: "c:1", Epoch: 5})
		expect(t, b.script.events.all(), "Heard give", "ActionDone 3 done")
		for b.script.events.count("ActionDone") < 3 {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > time.Duration(OrderDeadline)+10*time.Millisecond {
			t.Errorf("took %s", took)
		}
		expect(t, b.script.events.since(2), "ActionDone 1 unknown timeout", "ActionDone 2 refused deadline over before it was sent")
		b.stop(t)
	})
}

// Goal: extra looks go over the kept link; a node that is not watched is
// refused; marks reach all links, also those opened later.
func TestLookAndMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Minute})
		b.start(t)
		b.give(t, group.Action{ID: 1, Kind: group.ActLook, Node: "a:1"}, group.Action{ID: 2, Kind: group.ActLook, Node: "b:1"},
			group.Action{Kind: group.ActMark, Epoch: 8})
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Minute}, group.Watched{Node: "b:1", Every: warden.Minute})
		b.heard("w2")
		synctest.Wait()
		expect(t, b.all(), "open a:1", "mark a:1 8", "open b:1", "mark b:1 8")
		if n := b.script.events.count("ActionDone 1 done  good"); n != 1 {
			t.Errorf("events %q", b.script.events.all())
		}
		if n := b.script.events.count("ActionDone 2 refused the node is not watched"); n != 1 {
			t.Errorf("events %q", b.script.events.all())
		}
		b.stop(t)
	})
}

// Goal: a script is ended over the kept link, without a claim, and how that
// went is told; a follow says what is to be avoided.
func TestUnblockAndAvoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Minute})
		b.start(t)
		b.give(t, group.Action{ID: 1, Kind: group.ActUnblock, Node: "a:1"}, group.Action{ID: 2, Kind: group.ActUnblock, Node: "b:1"})
		b.adapter.unblock = errDisk
		b.give(t, group.Action{ID: 3, Kind: group.ActUnblock, Node: "a:1"})
		b.give(t, group.Action{ID: 4, Kind: group.ActFollow, Node: "a:1", Target: "b:1", Avoid: "f00", Epoch: 2})
		synctest.Wait()
		expect(t, b.all(), "open a:1", "unblock a:1", "unblock a:1", "claim a:1 2", "follow a:1 b:1 avoiding f00")
		for _, want := range []string{"ActionDone 1 done", "ActionDone 2 refused the node is not watched", "ActionDone 3 refused disk is full", "ActionDone 4 done"} {
			if n := b.script.events.count(want); n != 1 {
				t.Errorf("%q was told %d times, want once: %q", want, n, b.script.events.all())
			}
		}
		b.stop(t)
	})
}

// Goal: a mind that wants without end is refused, not obeyed.
func TestActionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adapter.claim = func(ctx context.Context, _ warden.NodeID) warden.Result {
			<-ctx.Done()
			return warden.Result{Outcome: warden.Unknown}
		}
		b.start(t)
		actions := make([]group.Action, maxActions+3)
		for i := range actions {
			actions[i] = group.Action{ID: uint64(i), Kind: group.ActClaim, Node: "a:1", Epoch: 5}
		}
		b.give(t, actions...)
		if n := b.script.events.count("ActionDone"); n != 3 {
			t.Errorf("%d refused at once, want 3", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := b.script.events.count("ActionDone"); n != len(actions) {
			t.Errorf("%d ended, want %d", n, len(actions))
		}
		b.stop(t)
	})
}

// Goal: Stop cuts off what is under way and closes every session and link.
func TestStopClosesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1"})
		b.adapter.order = func(ctx context.Context, _ string) warden.Result {
			<-ctx.Done()
			return warden.Result{Outcome: warden.Unknown}
		}
		b.start(t)
		b.give(t, group.Action{ID: 1, Kind: group.ActClaim, Node: "b:1", Epoch: 5},
			group.Action{ID: 2, Kind: group.ActPromote, Node: "a:1", Epoch: 5, Limit: warden.Minute})
		began := time.Now()
		b.stop(t)
		if took := time.Since(began); took > 0 {
			t.Errorf("Stop took %s", took)
		}
		if b.count("session close") != 2 || b.count("close a:1") != 1 {
			t.Errorf("got %q", b.all())
		}
	})
}
