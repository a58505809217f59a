package shell

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: groups come, go and change as one; a removed one is marked on disk as
// left and its links are closed; those that stay keep their state.
func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1"})
		b.store.regs["h"] = warden.Register{Promise: 6}
		b.options.Groups = append(b.options.Groups, b.group("h"))
		b.start(t)
		b.shell.PeersKnown([]warden.WardenID{"w2"})
		time.Sleep(time.Second)
		birth := b.loop().shown.Load().config.NewBirth
		before, _ := b.shell.Group("g")
		changed := b.group("g")
		changed.Config.Quorum = 5
		if err := b.shell.Reconfigure(t.Context(), []GroupOptions{changed, b.group("i")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := fmt.Sprint(b.shell.Groups()); got != "[g i]" {
			t.Errorf("groups %s", got)
		}
		after, _ := b.shell.Group("g")
		if after.Quorum != 5 || after.Promise < before.Promise {
			t.Errorf("view %+v: want quorum 5 and the state kept", after)
		}
		config := b.loop().shown.Load().config
		if config.NewBirth != birth || birth == "" || config.Self != "me" || config.Run != 3 {
			t.Errorf("config %+v lost what the shell knows", config)
		}
		if reg := b.store.regs["h"]; !reg.Left || reg.Promise != 6 {
			t.Errorf("register of the removed group %+v", reg)
		}
		if n := b.count("close a:1"); n != 1 {
			t.Errorf("%d links closed, want that of the removed group", n)
		}
		if n := b.script.events.count("PeersKnown [w2]"); n != 3 {
			t.Errorf("%d groups know the peer, want 3", n)
		}
		b.stop(t)
	})
}

// Goal: a removal that the disk refuses changes nothing: the group runs on,
// its register is as it was, nothing new runs.
func TestReconfigureAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.options.Groups = append(b.options.Groups, b.group("h"))
		b.start(t)
		first := true
		b.store.fail(func(name warden.GroupName) error {
			if name == "h" && first {
				first = false
				return errDisk
			}
			return nil
		})
		err := b.shell.Reconfigure(t.Context(), []GroupOptions{b.group("i")})
		if err == nil || !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("error %v", err)
		}
		if got := fmt.Sprint(b.shell.Groups()); got != "[g h]" {
			t.Errorf("groups %s, want those from before", got)
		}
		for name, reg := range b.store.regs {
			if reg.Left {
				t.Errorf("register of %s is marked as left", name)
			}
		}
		b.heard("w2")
		synctest.Wait()
		if n := b.script.events.count("Heard w2"); n != 1 {
			t.Error("the group does not run on")
		}
		b.stop(t)
	})
}

// Goal: another adapter means new links, the same one keeps them.
func TestReconfigureAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Minute})
		b.start(t)
		synctest.Wait()
		same := []GroupOptions{b.group("g")}
		if err := b.shell.Reconfigure(t.Context(), same); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		expect(t, b.all(), "open a:1")
		other := &fakeAdapter{journal: b.journal, links: map[warden.NodeID]*fakeLink{}}
		same[0].Adapter = other
		if err := b.shell.Reconfigure(t.Context(), same); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b.count("open a:1") != 2 || b.count("close a:1") != 1 || other.link("a:1") == nil {
			t.Errorf("got %q", b.all())
		}
		b.stop(t)
	})
}

// Goal: mistakes are refused before anything runs.
func TestOptionsAreChecked(t *testing.T) {
	b := newBench(t)
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no id", func(o *Options) { o.ID = "" }, "no Warden id"},
		{"no store", func(o *Options) { o.Store = nil }, "no store"},
		{"no courier", func(o *Options) { o.Courier = nil }, "no courier"},
		{"twice", func(o *Options) { o.Groups = append(o.Groups, o.Groups[0]) }, "twice"},
		{"bad name", func(o *Options) { o.Groups[0].Config.Group = "a b" }, "contains"},
		{"no adapter", func(o *Options) { o.Groups[0].Adapter = nil }, "no adapter"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := b.options
			o.Groups = []GroupOptions{b.group("g")}
			test.change(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// Goal: a register on disk reaches the mind, Start works once, and queries
// about strange groups are answered.
func TestStartAndQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store.regs["g"] = warden.Register{Promise: 42}
		b.start(t)
		if b.script.reg.Promise != 42 {
			t.Errorf("register %+v", b.script.reg)
		}
		if err := b.shell.Start(); err == nil {
			t.Error("a second Start went well")
		}
		synctest.Wait()
		if node, known := b.shell.Primary("g"); !known || node != "step1:1" {
			t.Errorf("primary %s, %t", node, known)
		}
		if _, known := b.shell.Primary("x"); known {
			t.Error("a strange group is known")
		}
		if _, known := b.shell.Group("x"); known {
			t.Error("a strange group has a view")
		}
		self := b.shell.Self()
		if self.ID != "me" || self.RunID != "run" || self.Groups != 1 || self.Client != "" {
			t.Errorf("self %+v", self)
		}
		b.stop(t)
		if got := b.shell.Command(context.Background(), warden.Command{Group: "g"}); got.Verdict != warden.VerdictRefused {
			t.Errorf("command after the end: %+v", got)
		}
	})
}

// Goal: a full inbox loses the oldest of the same kind and counts it; what
// must not be lost is not.
func TestInboxQuotas(t *testing.T) {
	box := newInbox()
	box.put(group.ActionDone{ID: 1})
	box.put(group.Looked{Node: "a:1", Observation: &warden.Observation{}})
	for i := range maxHeard + 10 {
		box.put(group.Heard{Message: warden.Message{Run: warden.Run(i)}})
	}
	box.put(group.PeersKnown{IDs: []warden.WardenID{"old"}})
	box.put(group.PeersKnown{IDs: []warden.WardenID{"new"}})
	if box.waiting() != maxHeard+3 || box.lost() != 10 {
		t.Errorf("%d wait and %d were lost", box.waiting(), box.lost())
	}
	want := []string{"ActionDone 1", "Looked a:1"}
	for _, w := range want {
		if e, _ := box.take(); strings.TrimSpace(name(e)) != w {
			t.Errorf("took %q, want %q", name(e), w)
		}
	}
	if e, _ := box.take(); e.(group.Heard).Message.Run != 10 {
		t.Errorf("the oldest left is %+v, want that of run 10", e)
	}
	for box.waiting() > 1 {
		box.take()
	}
	if e, _ := box.take(); name(e) != "PeersKnown [new]" {
		t.Errorf("took %q", name(e))
	}
	if _, ok := box.take(); ok {
		t.Error("took from an empty inbox")
	}
}

// Goal: the clock runs forward and is never zero, which means "never".
func TestClock(t *testing.T) {
	for _, clock := range []func() warden.Instant{Clock, runtimeClock} {
		a := clock()
		if a <= 0 {
			t.Errorf("clock shows %s", a)
		}
		deadline := time.Now().Add(10 * time.Second)
		for clock() == a {
			if time.Now().After(deadline) {
				t.Fatal("clock stands still")
			}
		}
		if b := clock(); b < a {
			t.Errorf("clock went from %s back to %s", a, b)
		}
	}
}

// BenchmarkGroups300 runs 300 groups for seconds of real time and reports the
// time on the processor per second: with a mind that does nothing and three
// nodes each, which is what the shell itself costs, and with the real mind
// over two nodes.
func BenchmarkGroups300(b *testing.B) {
	quiet := &quietMind{watch: []group.Watched{{Node: "a:1"}, {Node: "b:1"}, {Node: "c:1"}}}
	w := &world{primary: "10.0.0.1:6379", replica: "10.0.0.2:6379"}
	minds := map[string]func(group.Config, warden.Register, warden.Instant) Mind{
		"quiet": func(group.Config, warden.Register, warden.Instant) Mind { return quiet },
		"real":  newGroupMind,
	}
	for name, mind := range minds {
		b.Run(name, func(b *testing.B) {
			bench := newBench(b)
			bench.adapter.look = w.look
			bench.options.NewMind, bench.options.Announce = mind, nil
			bench.options.Groups = nil
			for i := range 300 {
				g := bench.group(warden.GroupName(fmt.Sprintf("g%d", i)))
				g.Config.Primary, g.Config.Alone, g.Config.Quorum, g.Config.DownAfter = w.primary, true, 1, 5*warden.Second
				bench.options.Groups = append(bench.options.Groups, g)
			}
			bench.start(b)
			time.Sleep(4 * time.Second) // first looks, hellos and agreements
			before := processorTime(b)
			for b.Loop() {
				time.Sleep(time.Second)
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/s")
			bench.stop(b)
		})
	}
}

// BenchmarkStep is one event through inbox, loop and a mind that does nothing.
func BenchmarkStep(b *testing.B) {
	bench := newBench(b)
	bench.options.NewMind = func(group.Config, warden.Register, warden.Instant) Mind { return &quietMind{} }
	s, err := New(bench.options)
	if err != nil {
		b.Fatal(err)
	}
	loops, err := s.prepare(bench.options.Groups)
	if err != nil {
		b.Fatal(err)
	}
	l := loops["g"]
	l.watch.start(b.Context())
	message := group.Heard{}
	b.ReportAllocs()
	for b.Loop() {
		l.inbox.put(message)
		e, _ := l.inbox.take()
		l.step(e)
	}
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// quietMind never changes.
type quietMind struct{ watch []group.Watched }

func (m *quietMind) Step(*group.Config, group.Event, warden.Instant) (Mind, group.Effects) {
	return m, group.Effects{}
}
func (m *quietMind) View(*group.Config, warden.Instant) warden.GroupView { return warden.GroupView{} }
func (m *quietMind) Primary(*group.Config) warden.NodeID                 { return "" }
func (m *quietMind) Watch(*group.Config, warden.Instant) []group.Watched { return m.watch }
func (m *quietMind) Epoch() warden.Epoch                                 { return 0 }

// waiting is the number of events in the queue.
func (b *inbox) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}
