package shell

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// fakeCommands note what they are told and end as a test says.
type fakeCommands struct {
	journal *journal
	run     func(ctx context.Context) warden.Result
}

func (c *fakeCommands) call(ctx context.Context, kind string, call warden.Call) warden.Result {
	due, _ := ctx.Deadline()
	c.journal.add("%s %s %s for %s, epoch %d, in %s", kind, call.Group, call.Node, call.Primary, call.Epoch, time.Until(due))
	if c.run == nil {
		return warden.Result{Outcome: warden.Done}
	}
	return c.run(ctx)
}

func (c *fakeCommands) Fence(ctx context.Context, call warden.Call) warden.Result {
	return c.call(ctx, "fence", call)
}

func (c *fakeCommands) PrePromote(ctx context.Context, call warden.Call) warden.Result {
	return c.call(ctx, string(call.Reason)+" of "+string(call.Old)+": may", call)
}

func (c *fakeCommands) Rejoin(ctx context.Context, call warden.Call) warden.Result {
	return c.call(ctx, "rejoin", call)
}

var (
	fencing   = group.Action{ID: 1, Kind: group.ActFence, Node: "a:1", Target: "b:1", Epoch: 5, Limit: 10 * warden.Second}
	rejoining = group.Action{ID: 2, Kind: group.ActRejoin, Node: "c:1", Target: "b:1", Epoch: 6, Limit: warden.Minute}
)

// Goal: the operator's commands run without a session, with the deadline of
// their action, and neither waits for an order nor lets one wait.
func TestCommandsRunBesideOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.options.Groups[0].Commands = &fakeCommands{journal: b.journal, run: func(ctx context.Context) warden.Result {
			time.Sleep(5 * time.Second)
			return warden.Result{Outcome: warden.Refused, Why: "exit code 3"}
		}}
		b.start(t)
		b.give(t, fencing, rejoining, group.Action{ID: 3, Kind: group.ActRelease, Node: "a:1", Epoch: 5})
		got := b.all()
		slices.Sort(got)
		expect(t, got, "claim a:1 5", "fence g a:1 for b:1, epoch 5, in 10s", "rejoin g c:1 for b:1, epoch 6, in 1m0s", "release a:1")
		expect(t, b.script.events.all(), "Heard give", "ActionDone 3 done")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if b.script.events.count("ActionDone 1 refused exit code 3") != 1 || b.script.events.count("ActionDone 2 refused exit code 3") != 1 {
			t.Errorf("events %q", b.script.events.all())
		}
		b.stop(t)
	})
}

// Goal: no command begins after the lease, and without one the action is refused.
func TestCommandsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		b.give(t, fencing)
		late := rejoining
		late.NotAfter = testClock().Add(-warden.Second)
		b.give(t, late)
		expect(t, b.script.events.all(), "Heard give", "ActionDone 1 refused no command is configured for it",
			"Heard give", "ActionDone 2 refused lease over")
		// A reload may bring commands and take them away.
		g := b.options.Groups[0]
		g.Commands = &fakeCommands{journal: b.journal}
		if err := b.shell.Reconfigure(t.Context(), []GroupOptions{g}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		n := len(b.script.events.all())
		b.give(t, fencing)
		expect(t, b.script.events.since(n), "Heard give", "ActionDone 1 done")
		g.Commands = nil
		if err := b.shell.Reconfigure(t.Context(), []GroupOptions{g}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		n = len(b.script.events.all())
		b.give(t, fencing)
		expect(t, b.script.events.since(n), "Heard give", "ActionDone 1 refused no command is configured for it")
		b.stop(t)
	})
}

// Goal: the end of the group cuts a command off and waits for it.
func TestCommandsEndWithTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.options.Groups[0].Commands = &fakeCommands{journal: b.journal, run: func(ctx context.Context) warden.Result {
			<-ctx.Done()
			time.Sleep(time.Second / 2)
			b.journal.add("command is over")
			return warden.Result{Outcome: warden.Unknown}
		}}
		b.start(t)
		b.give(t, rejoining)
		b.stop(t)
		if b.journal.count("command is over") != 1 {
			t.Errorf("stopped before the command was over: %q", b.all())
		}
	})
}
