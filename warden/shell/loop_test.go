package shell

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: effects are performed in the order of their fields, and nothing after
// Persist happens before the register is on disk (S1).
func TestEffectsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.onHeard("w2", func(warden.Instant) group.Effects {
			return group.Effects{
				Persist:  &warden.Register{Promise: 9},
				Send:     []group.Envelope{{To: "w2"}, {To: "w3"}},
				Act:      []group.Action{{ID: 1, Kind: group.ActMark, Epoch: 9}},
				Announce: []warden.Event{{Group: "g", Name: "+one"}, {Group: "g", Name: "+two"}},
			}
		})
		b.script.setWatch(group.Watched{Node: "a:1"})
		b.start(t)
		synctest.Wait()
		before, _ := b.shell.Group("g")
		n, kept := len(b.all()), int(before.Promise)
		b.store.block = make(chan struct{})
		b.heard("w2")
		synctest.Wait()
		expect(t, b.since(n))
		if now, _ := b.shell.Group("g"); now.Promise != before.Promise {
			t.Errorf("state %d is shown before it is on disk", now.Promise)
		}
		close(b.store.block)
		synctest.Wait()
		expect(t, b.since(n), "save 9", "send w2", "send w3", "mark a:1 9",
			fmt.Sprintf("announce +one at %d", kept+1), fmt.Sprintf("announce +two at %d", kept+1))
		b.stop(t)
	})
}

// Goal: a step whose register cannot be written has not happened: the old
// state stands, nothing is sent or announced, and the mind is told (M12).
func TestStoreFailureKeepsOldState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		mute := false
		b.script.set(func(e group.Event, _ warden.Instant) group.Effects {
			switch e.(type) {
			case group.Heard, group.Commanded:
				if mute {
					return group.Effects{Send: []group.Envelope{{To: "denied"}}}
				}
				return group.Effects{Persist: &warden.Register{Promise: 9}, Send: []group.Envelope{{To: "w2"}},
					Announce: []warden.Event{{Group: "g", Name: "+bad"}}}
			case group.StoreFailed:
				mute = true
				return group.Effects{Send: []group.Envelope{{To: "muted"}}}
			}
			return group.Effects{}
		})
		b.store.fail(func(warden.GroupName) error { return errDisk })
		b.start(t)
		synctest.Wait()
		before, _ := b.shell.Group("g")
		b.heard("w2")
		synctest.Wait()
		after, _ := b.shell.Group("g")
		// Two steps are kept: that of StoreFailed, and what was heard by a mind that
		// knows of it.
		if after.Promise != before.Promise+2 {
			t.Errorf("went from step %d to %d, want two more", before.Promise, after.Promise)
		}
		expect(t, b.all(), "save failed", "send muted", "send denied")
		expect(t, b.script.events.all(), "Heard w2", "StoreFailed disk is full", "Heard w2")

		mute = false
		answer := b.shell.Command(t.Context(), warden.Command{Group: "g", Wish: warden.WishPause})
		if answer.Verdict != warden.VerdictRefused || answer.Code != "store" {
			t.Errorf("command answered %+v, want refused, store", answer)
		}
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if n := b.count("probe"); n != 2 {
			t.Errorf("%d test writes in 2.5 s, want 2", n)
		}
		b.store.fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		events := b.script.events.all()
		if last := events[len(events)-1]; last != "StoreWorks" {
			t.Errorf("last event is %q, want StoreWorks", last)
		}
		time.Sleep(5 * time.Second)
		if n := b.count("probe"); n != 3 {
			t.Errorf("%d test writes, want none after the one that went well", n)
		}
		b.stop(t)
	})
}

// Goal: ticks are seldom where down_after is long, and always come before
// silence is lost or TILT begins.
func TestTickMax(t *testing.T) {
	for down, want := range map[warden.Duration]warden.Duration{
		100 * warden.Millisecond: 100 * warden.Millisecond, // TILT after 300 ms
		2 * warden.Second:        240 * warden.Millisecond, // 250 ms count at most
		30 * warden.Second:       2 * warden.Second / 3,    // TILT after 2 s
	} {
		if got := tickMax(&group.Config{DownAfter: down}); got != want {
			t.Errorf("down_after %s: %s, want %s", down, got, want)
		}
	}
}

// Goal: ticks come in time for monitor.Stride, earlier when the mind asks, never in a spin.
func TestWake(t *testing.T) {
	tests := []struct {
		name string
		wake warden.Duration // after now; 0: no wish
		over time.Duration
		want [2]int // ticks, from and to
	}{
		{"no wish", 0, time.Second, [2]int{10, 11}},
		{"soon", 10 * warden.Millisecond, time.Second, [2]int{99, 101}},
		{"too late", 5 * warden.Second, time.Second, [2]int{10, 11}},
		{"in the past", -warden.Second, 100 * time.Millisecond, [2]int{99, 101}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				ticks := 0
				b.script.set(func(_ group.Event, now warden.Instant) group.Effects {
					ticks++
					if test.wake == 0 {
						return group.Effects{}
					}
					return group.Effects{Wake: now.Add(test.wake)}
				})
				b.start(t)
				time.Sleep(test.over)
				b.stop(t)
				if ticks < test.want[0] || ticks > test.want[1] {
					t.Errorf("%d ticks, want %v", ticks, test.want)
				}
			})
		})
	}
}

// Goal: after a long pause of the loop, what waited comes first: our own looks
// and the peers' messages may put right what the pause would look like.
func TestTickComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var seen journal
		b.script.set(func(e group.Event, _ warden.Instant) group.Effects {
			seen.add("%s", name(e))
			if name(e) == "Heard stall" {
				return group.Effects{Persist: &warden.Register{}}
			}
			return group.Effects{}
		})
		b.store.block = make(chan struct{})
		b.start(t)
		synctest.Wait()
		b.heard("stall")
		time.Sleep(time.Second)
		b.heard("w2")
		b.heard("w3")
		n := len(seen.all())
		close(b.store.block)
		synctest.Wait()
		expect(t, seen.since(n), "Heard w2", "Heard w3")
		time.Sleep(time.Duration(tickMax(&group.Config{})))
		synctest.Wait()
		expect(t, seen.since(n), "Heard w2", "Heard w3", "Tick")
		b.stop(t)
	})
}

// Goal: an operator's command gets the mind's answer, or an honest one.
func TestCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		answered := warden.Answer{Verdict: warden.VerdictStarted, Text: "on its way"}
		b.script.set(func(e group.Event, _ warden.Instant) group.Effects {
			if c, ok := e.(group.Commanded); ok && c.Command.Wish == warden.WishFailover {
				return group.Effects{Answers: []group.CommandAnswer{{ID: c.ID, Answer: answered}, {ID: c.ID, Answer: answered}}}
			}
			return group.Effects{}
		})
		b.start(t)
		if got := b.shell.Command(t.Context(), warden.Command{Group: "g", Wish: warden.WishFailover}); got != answered {
			t.Errorf("answer %+v, want %+v", got, answered)
		}
		if got := b.shell.Command(t.Context(), warden.Command{Group: "other"}); got.Code != "unknown-group" || got.Verdict != warden.VerdictRefused {
			t.Errorf("unknown group: %+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if got := b.shell.Command(ctx, warden.Command{Group: "g", Wish: warden.WishPause}); got.Code != "timeout" || got.Verdict != warden.VerdictUnknown {
			t.Errorf("no answer in time: %+v", got)
		}
		late := make(chan warden.Answer, 1)
		go func() {
			late <- b.shell.Command(context.Background(), warden.Command{Group: "g", Wish: warden.WishPause})
		}()
		synctest.Wait()
		b.stop(t)
		if got := <-late; got.Verdict != warden.VerdictUnknown {
			t.Errorf("answer at the stop: %+v", got)
		}
	})
}

// Goal: the number of commands that wait is bounded.
func TestTooManyCommands(t *testing.T) {
	var d desk
	for i := range maxCommands {
		if c, a := d.open(uint64(i)); c == nil {
			t.Fatalf("command %d refused: %+v", i, a)
		}
	}
	if c, a := d.open(1000); c != nil || a.Verdict != warden.VerdictRefused {
		t.Errorf("one command too many: %+v", a)
	}
	d.forget(0)
	if c, _ := d.open(1001); c == nil {
		t.Error("refused although there is room again")
	}
}

// Goal: at a crash point the process ends in the middle of the announcements:
// what stands before it was done, what stands after it was not.
func TestCrashPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.onHeard("w2", func(warden.Instant) group.Effects {
			return group.Effects{Persist: &warden.Register{Promise: 4}, Announce: []warden.Event{
				{Group: "g", Name: "+elected-leader"}, {Name: "crash:after-election"}, {Group: "g", Name: "+never"},
			}}
		})
		b.options.Exit = func(code int) {
			b.add("exit %d", code)
			runtime.Goexit() // as os.Exit, it does not return
		}
		b.start(t)
		synctest.Wait()
		b.heard("w2")
		synctest.Wait()
		lines := b.all()
		if got := strings.Join(lines, "; "); !strings.HasPrefix(got, "save 4; announce +elected-leader at ") || lines[len(lines)-1] != "exit 99" {
			t.Errorf("got %s", got)
		}
		b.stop(t)
	})
}

// Goal: messages find their group, strange ones are counted, peers and
// conflicts reach every group, each set of peers once.
func TestDeliverAndPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		b.shell.Deliver(warden.Message{Group: "nobody", From: "w2"})
		b.shell.Deliver(warden.Message{Group: "g", From: "me"})
		b.shell.PeersKnown([]warden.WardenID{"w3", "me", "w2", "w3"})
		b.shell.PeersKnown([]warden.WardenID{"w2", "w3"})
		b.shell.Conflict("10.0.0.7:27379")
		synctest.Wait()
		expect(t, b.script.events.all(), "PeersKnown [w2 w3]", "Conflict 10.0.0.7:27379")
		if late, astray := b.shell.Dropped(); late != 0 || astray != 2 {
			t.Errorf("dropped %d, %d; want 0, 2", late, astray)
		}
		b.stop(t)
	})
}

// Goal: Stop names what does not end, in bounded time.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.onHeard("w2", func(warden.Instant) group.Effects { return group.Effects{Persist: &warden.Register{}} })
		b.store.block = make(chan struct{})
		b.start(t)
		b.heard("w2")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.shell.Stop(ctx)
		if err == nil || !strings.Contains(err.Error(), "stop group g") {
			t.Errorf("error %v, want one that names the group", err)
		}
		if err := b.shell.Stop(ctx); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		close(b.store.block)
	})
}
