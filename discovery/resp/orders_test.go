package resp

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: each order reaches the directory as what was meant.
func TestOrdersReachTheDirectory(t *testing.T) {
	dir := newFake()
	s := startServer(t, dir, nil)
	p := dial(t, s)
	seven := uint64(7)
	for _, c := range []struct {
		words string
		want  warden.Command
	}{
		{"SENTINEL FAILOVER mymaster", warden.Command{Wish: warden.WishFailover}},
		{"SENTINEL RESET my*", warden.Command{Wish: warden.WishReset}},
		{"WARDEN FAILOVER mymaster", warden.Command{Wish: warden.WishFailover, Wait: true}},
		{"WARDEN FAILOVER mymaster TO 10.0.0.2:6379 NOWAIT", warden.Command{Wish: warden.WishFailover, To: "10.0.0.2:6379"}},
		{"WARDEN SWITCHOVER mymaster nowait to [2001:DB8::3]:6379", warden.Command{Wish: warden.WishSwitchover, To: "[2001:db8::3]:6379"}},
		{"WARDEN SWITCHOVER mymaster", warden.Command{Wish: warden.WishSwitchover, Wait: true}},
		{"WARDEN PAUSE mymaster", warden.Command{Wish: warden.WishPause}},
		{"WARDEN RESUME mymaster", warden.Command{Wish: warden.WishResume}},
		{"WARDEN DRILL mymaster", warden.Command{Wish: warden.WishDrill}},
		{"WARDEN RESET mymaster", warden.Command{Wish: warden.WishReset}},
		{"WARDEN FORGET mymaster " + idB, warden.Command{Wish: warden.WishForget, Wardens: []warden.WardenID{idB}}},
		{"WARDEN RECOVER mymaster LOST " + idB + "," + idC + "," + idB,
			warden.Command{Wish: warden.WishRecover, Wardens: []warden.WardenID{idB, idC}}},
		{"WARDEN CONFIG SET mymaster REVISION 7 down_after=5s 10.0.0.2:6379/nosync=true UNSET quorum [::1]:1/nofailover", warden.Command{Wish: warden.WishConfigure, Revision: &seven,
			Items: []warden.SettingItem{{Name: "down_after", Value: "5s"}, {Node: "10.0.0.2:6379", Name: "nosync", Value: "true"}, {Name: "quorum", Unset: true}, {Node: "[::1]:1", Name: "nofailover", Unset: true}}}},
		{"WARDEN config set mymaster unset quorum", warden.Command{Wish: warden.WishConfigure, Items: []warden.SettingItem{{Name: "quorum", Unset: true}}}},
		{"WARDEN RELEASE mymaster", warden.Command{Wish: warden.WishRelease}},
		{"WARDEN RELEASE mymaster GONE 10.0.0.2:6379,[::1]:1", warden.Command{Wish: warden.WishRelease, Gone: []warden.NodeID{"10.0.0.2:6379", "[::1]:1"}}},
	} {
		if got := p.ask(strings.Fields(c.words)...); strings.HasPrefix(got, "-") {
			t.Errorf("%s: got %q", c.words, got)
		}
		c.want.Group = "mymaster"
		dir.Lock()
		if n := len(dir.Commands); n != 1 || !reflect.DeepEqual(dir.Commands[0], c.want) {
			t.Errorf("%s: got %+v, want %+v", c.words, dir.Commands, c.want)
		}
		dir.Commands = nil
		dir.Unlock()
	}
}

// Goal: what is written wrongly never becomes an order.
func TestMistakesAreNoOrders(t *testing.T) {
	dir := newFake()
	s := startServer(t, dir, nil)
	p := dial(t, s)
	for _, words := range []string{
		"WARDEN FAILOVER", "WARDEN FAILOVER nobody", "WARDEN FAILOVER mymaster TO", "WARDEN FAILOVER mymaster TO nowhere",
		"WARDEN FAILOVER mymaster TO 1.2.3.4:5 TO 1.2.3.4:5", "WARDEN SWITCHOVER mymaster NOW", "WARDEN PAUSE nobody",
		"WARDEN FORGET mymaster 1234", "WARDEN FORGET mymaster " + strings.ToUpper(runA), "WARDEN FORGET nobody " + idB,
		"WARDEN RECOVER mymaster FOUND " + idB, "WARDEN RECOVER mymaster LOST " + idB + ",", "WARDEN NONSENSE", "WARDEN",
		"WARDEN CONFIG GET", "WARDEN CONFIG GET nobody", "WARDEN CONFIG SET mymaster", "WARDEN CONFIG LIST mymaster", "WARDEN CONFIG GET mymaster quorum",
		"WARDEN CONFIG SET nobody quorum=1", "WARDEN CONFIG SET mymaster quorum", "WARDEN CONFIG SET mymaster REVISION", "WARDEN CONFIG SET mymaster REVISION 1",
		"WARDEN CONFIG SET mymaster REVISION x quorum=1", "WARDEN CONFIG SET mymaster UNSET", "WARDEN CONFIG SET mymaster UNSET quorum=1", "WARDEN CONFIG SET mymaster a/quorum=1",
		"WARDEN DRILL", "WARDEN DRILL nobody", "WARDEN DRILL mymaster 10.0.0.2:6379",
		"WARDEN RELEASE", "WARDEN RELEASE nobody", "WARDEN RELEASE mymaster GONE", "WARDEN RELEASE mymaster GONE a,b:1", "WARDEN RELEASE mymaster LOST a:1",
		"SENTINEL FAILOVER", "SENTINEL FAILOVER mymaster now", "WARDEN RESUME mymaster now",
	} {
		if got := p.ask(strings.Fields(words)...); !strings.HasPrefix(got, "-ERR ") {
			t.Errorf("%s: got %q", words, got)
		}
	}
	if len(dir.Commands) != 0 {
		t.Errorf("got %+v", dir.Commands)
	}
}

// Goal: SENTINEL FAILOVER says in Sentinel's words how it went; WARDEN FAILOVER
// hands the answer over as it is.
func TestFailoverAnswers(t *testing.T) {
	dir := newFake()
	s := startServer(t, dir, nil)
	p := dial(t, s)
	for _, c := range []struct {
		answer warden.Answer
		want   string
	}{
		{warden.Answer{Verdict: warden.VerdictStarted}, "+OK\r\n"},
		{warden.Answer{Verdict: warden.VerdictDone}, "+OK\r\n"},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "in-progress", Text: "x"}, "-INPROG Failover already in progress\r\n"},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "no-good-replica"}, "-NOGOODSLAVE No suitable replica to promote\r\n"},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "pre-promote"}, "-NOGOODSLAVE No suitable replica to promote\r\n"},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "unknown-group"}, "-ERR No such master with that name\r\n"},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "paused", Text: "the group is paused: resume it"}, "-ERR the group is paused: resume it\r\n"},
		{warden.Answer{Verdict: warden.VerdictUnknown, Code: "timeout"}, "-ERR failover unknown timeout\r\n"},
	} {
		dir.Lock()
		dir.Answer = func(context.Context, warden.Command) warden.Answer { return c.answer }
		dir.Unlock()
		p.want(c.want, "SENTINEL", "FAILOVER", "mymaster")
		var got warden.Answer
		p.json(&got, "WARDEN", "FAILOVER", "mymaster")
		if got != c.answer {
			t.Errorf("got %+v, want %+v", got, c.answer)
		}
	}
	var reset ResetAnswers
	p.json(&reset, "WARDEN", "RESET", "*")
	if len(reset.Groups) != 2 || reset.Groups[0].Group != "mymaster" || reset.Groups[0].Verdict != warden.VerdictUnknown {
		t.Errorf("got %+v", reset)
	}
}

// Goal: every order has a deadline; one that waits gets the group's failover
// timeout on top.
func TestOrdersHaveDeadlines(t *testing.T) {
	dir := newFake()
	s := startServer(t, dir, func(o *Options) { o.CommandTimeout = 5 * time.Second })
	seen := make(chan time.Duration, 1)
	dir.Answer = func(ctx context.Context, _ warden.Command) warden.Answer {
		deadline, ok := ctx.Deadline()
		if !ok {
			t.Error("there is no deadline")
		}
		seen <- time.Until(deadline)
		return warden.Answer{Verdict: warden.VerdictDone}
	}
	p := dial(t, s)
	for _, c := range []struct {
		words    string
		from, to time.Duration
	}{
		{"SENTINEL FAILOVER mymaster", time.Second, 5 * time.Second},
		{"WARDEN FAILOVER mymaster", 50 * time.Second, 65 * time.Second},
		{"WARDEN FAILOVER mymaster NOWAIT", time.Second, 5 * time.Second},
	} {
		p.ask(strings.Fields(c.words)...)
		if left := <-seen; left < c.from || left > c.to {
			t.Errorf("%s: %v are left", c.words, left)
		}
	}
}

// Goal: CKQUORUM says what an election would say: who is listed counts, who is
// down or unknown does not, and a minority is told.
func TestCkquorum(t *testing.T) {
	const noQuorum = " usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master"
	const noMajority = "Not enough available Sentinels to reach the majority and authorize a failover"
	ok := func(n string) string {
		return "+OK " + n + " usable Sentinels. Quorum and failover authorization can be reached\r\n"
	}
	for _, c := range []struct {
		name   string
		change func(*warden.GroupView)
		want   string
	}{
		{"all there", func(*warden.GroupView) {}, ok("3")},
		{"one down", func(v *warden.GroupView) { v.Peers[0].Down = true }, ok("2")},
		{"two down", func(v *warden.GroupView) { v.Peers[0].Down, v.Peers[1].Down = true, true }, "-NOQUORUM 1" + noQuorum + ". " + noMajority + "\r\n"},
		{"quorum above what is there", func(v *warden.GroupView) { v.Quorum, v.Peers[0].Down = 3, true }, "-NOQUORUM 2" + noQuorum + "\r\n"},
		{"low quorum, no majority", func(v *warden.GroupView) { v.Quorum, v.Peers[0].Down, v.Peers[1].Down = 1, true, true },
			"-NOQUORUM 1 usable Sentinels. " + noMajority + "\r\n"},
		{"nobody heard lately", func(v *warden.GroupView) { v.Agreed = false }, "-NOQUORUM 3 usable Sentinels. " + noMajority + "\r\n"},
		{"listed and never met", func(v *warden.GroupView) {
			v.Peers = v.Peers[:1]
			v.Topology.Wardens = append(v.Topology.Wardens, runA, runB)
		},
			"-NOQUORUM 2 usable Sentinels. " + noMajority + "\r\n"},
		{"an unlisted peer", func(v *warden.GroupView) { v.Topology.Wardens = []warden.WardenID{idSelf, idB} }, ok("2")},
		{"not listed myself", func(v *warden.GroupView) { v.Topology.Wardens = []warden.WardenID{idB, idC} }, ok("2")},
		{"the store is broken", func(v *warden.GroupView) { v.Mute, v.Peers[0].Down = true, true }, "-NOQUORUM 1" + noQuorum + ". " + noMajority + "\r\n"},
		{"no agreement yet", func(v *warden.GroupView) { v.Topology, v.Agreed = warden.Topology{}, false }, ok("3")},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := newFake()
			dir.Change(c.change)
			p := dial(t, startServer(t, dir, nil))
			p.want(c.want, "SENTINEL", "CKQUORUM", "mymaster")
			p.want("-ERR No such master with that name\r\n", "SENTINEL", "CKQUORUM", "nobody")
		})
	}
}

// Goal (S9): the address is the same wherever it is asked for.
func TestOneAddressEverywhere(t *testing.T) {
	dir := newFake()
	s := startServer(t, dir, nil)
	p := dial(t, s)
	for _, node := range []warden.NodeID{"10.0.0.1:6379", "10.0.0.2:6380", "[2001:db8::3]:6379", "db.example:1", "10.9.9.9:1"} {
		dir.Change(func(v *warden.GroupView) { v.Primary = node })
		want := "\r\n" + node.Host() + "\r\n"
		addr := p.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
		for _, words := range [][]string{{"MASTER", "mymaster"}, {"MASTERS"}, {"PRIMARY", "mymaster"}} {
			got := p.ask(append([]string{"SENTINEL"}, words...)...)
			at := strings.Index(got, "$2\r\nip\r\n")
			if !strings.Contains(addr, want) || !strings.Contains(got[at:at+60], want) || !strings.Contains(got[at:at+80], "\r\n"+node.Port()+"\r\n") {
				t.Errorf("%s: %q and %q", node, addr, got[at:at+80])
			}
		}
		if got := p.ask("INFO", "sentinel"); !strings.Contains(got, "name=mymaster,status=") || !strings.Contains(got, "address="+node.Host()+":"+node.Port()+",") {
			t.Errorf("%s: %q", node, got)
		}
	}
}
