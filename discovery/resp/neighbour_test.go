package resp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/spineldb/warden/warden"
)

// fakeNeighbours notes what it was told and asked.
type fakeNeighbours struct {
	mu    sync.Mutex
	heard []string
}

func (n *fakeNeighbours) Hello(payload string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, payload)
}

func (n *fakeNeighbours) Down(ctx context.Context, primary warden.NodeID, epoch uint64, candidate string) (bool, string, uint64) {
	if _, ok := ctx.Deadline(); !ok {
		panic("a question without a deadline")
	}
	n.Hello(fmt.Sprintf("%s %d %s", primary, epoch, candidate))
	if candidate == "*" {
		return true, "", 0
	}
	return true, candidate, epoch
}

// Goal: hellos and questions of real Sentinels reach the Neighbours, and their
// answers go back in the one shape Sentinels accept.
func TestNeighboursAreAsked(t *testing.T) {
	n := &fakeNeighbours{}
	s := startServer(t, newFake(), func(o *Options) { o.Neighbours = n })
	p := dial(t, s)
	for _, c := range []struct{ words, heard, want string }{
		{"PUBLISH __sentinel__:hello a,b", "a,b", ":1\r\n"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 6379 7 *", "10.0.0.1:6379 7 *", "*3\r\n:1\r\n$1\r\n*\r\n:0\r\n"},
		{"SENTINEL is-primary-down-by-addr 2001:DB8::3 6379 7 " + idB, "[2001:db8::3]:6379 7 " + idB, "*3\r\n:1\r\n$40\r\n" + idB + "\r\n:7\r\n"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 6379 -7 nobody", "10.0.0.1:6379 0 *", "*3\r\n:1\r\n$1\r\n*\r\n:0\r\n"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 0 7 *", "", "*3\r\n:0\r\n$1\r\n*\r\n:0\r\n"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 99999 7 *", "", "*3\r\n:0\r\n$1\r\n*\r\n:0\r\n"},
		{"SENTINEL IS-MASTER-DOWN-BY-ADDR 10.0.0.1 6379 x *", "", "-ERR value is not an integer or out of range\r\n"},
		{"PUBLISH __warden__:hello a", "", "-ERR Only HELLO messages are accepted by Sentinel instances.\r\n"},
	} {
		p.want(c.want, strings.Fields(c.words)...)
		n.mu.Lock()
		if got := strings.Join(n.heard, "; "); got != c.heard {
			t.Errorf("%s: heard %q, want %q", c.words, got, c.heard)
		}
		n.heard = nil
		n.mu.Unlock()
	}
}

// Goal: without Neighbours the truth is told of what is seen, and no vote given.
func TestNoNeighbours(t *testing.T) {
	dir := newFake()
	p := dial(t, startServer(t, dir, nil))
	const yes, no = "*3\r\n:1\r\n$1\r\n*\r\n:0\r\n", "*3\r\n:0\r\n$1\r\n*\r\n:0\r\n"
	ask := func(want, addr string) {
		t.Helper()
		host, port, _ := strings.Cut(addr, " ")
		p.want(want, "SENTINEL", "IS-MASTER-DOWN-BY-ADDR", host, port, "9", idB)
	}
	ask(no, "10.0.0.1 6379") // up
	dir.Change(func(v *warden.GroupView) { v.Nodes[0].Down, v.Nodes[1].Down = true, true })
	ask(yes, "10.0.0.1 6379")
	ask(no, "10.0.0.2 6379") // down, and no primary
	ask(no, "10.0.0.1 6380")
	dir.Change(func(v *warden.GroupView) { v.Tilt = true })
	ask(no, "10.0.0.1 6379")
	dir.Change(func(v *warden.GroupView) { v.Tilt = false })
	dir.Lock()
	dir.Me.Tilt = true
	dir.Unlock()
	ask(no, "10.0.0.1 6379")
	p.want(":1\r\n", "PUBLISH", "__sentinel__:hello", "x")
}

// Goal: clients see the ids that sentinel.conf fixed, and real Sentinels among
// the peers, counted everywhere.
func TestSentinelIDs(t *testing.T) {
	dir := newFake()
	mine, theirs := strings.Repeat("4", 40), strings.Repeat("5", 40)
	dir.Me.Sentinel = mine
	dir.Change(func(v *warden.GroupView) {
		v.Peers[0].Sentinel = theirs // it voted for us
		v.Peers[1].Vote = idB
		v.Peers = append(v.Peers, warden.PeerView{ID: runA, Real: true, Client: "10.1.0.9:26379", HeardAgo: warden.Second})
	})
	p := dial(t, startServer(t, dir, nil))
	p.want("$40\r\n"+mine+"\r\n", "SENTINEL", "MYID")
	got := p.ask("SENTINEL", "SENTINELS", "mymaster")
	bulk := func(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
	wantIn(t, got, "*3\r\n*28\r\n", bulk("name")+bulk(theirs), bulk("runid")+bulk(theirs),
		bulk("voted-leader")+bulk(mine), bulk("voted-leader")+bulk(theirs), bulk("name")+bulk(runA)+bulk("ip")+bulk("10.1.0.9"))
	if strings.Contains(got, idSelf) || strings.Contains(got, bulk(idB)) {
		t.Errorf("an id of ours is shown: %q", got)
	}
	wantIn(t, p.ask("SENTINEL", "MASTER", "mymaster"), bulk("num-other-sentinels")+bulk("3"))
	wantIn(t, p.ask("INFO", "sentinel"), "slaves=2,sentinels=4\r\n")
	// While they decide, everybody counts, as they count.
	p.want("+OK 4 usable Sentinels. Quorum and failover authorization can be reached\r\n", "SENTINEL", "CKQUORUM", "mymaster")
	dir.Change(func(v *warden.GroupView) { v.Peers[1].Down, v.Peers[2].Down = true, true })
	p.want("-NOQUORUM 2 usable Sentinels. Not enough available Sentinels to reach the majority and authorize a failover\r\n",
		"SENTINEL", "CKQUORUM", "mymaster")
}

// Goal: INFO tells whether a majority is heard, on lines of its own.
func TestInfoAgreement(t *testing.T) {
	dir := newFake()
	p := dial(t, startServer(t, dir, nil))
	wantIn(t, p.ask("INFO", "sentinel"), "\r\nwarden0:name=mymaster,agreed=yes,age=0\r\nwarden1:name=waiting,agreed=no,age=-1\r\n")
	dir.Change(func(v *warden.GroupView) { v.Agreed, v.HeardAgo = false, 4200*warden.Millisecond })
	wantIn(t, p.ask("INFO", "sentinel"), "\r\nmaster0:name=mymaster,status=ok,address=10.0.0.1:6379,slaves=2,sentinels=3\r\n",
		"\r\nwarden0:name=mymaster,agreed=no,age=4200\r\n")
}

// Goal: COORDINATED is lossless or nothing.
func TestCoordinatedFailover(t *testing.T) {
	dir := newFake()
	p := dial(t, startServer(t, dir, nil))
	p.want("+OK\r\n", "SENTINEL", "FAILOVER", "mymaster", "coordinated")
	if len(dir.Commands) != 1 || dir.Commands[0].Wish != warden.WishSwitchover || dir.Commands[0].Wait {
		t.Errorf("got %+v", dir.Commands)
	}
	p.want("-ERR Unknown failover option specified\r\n", "SENTINEL", "FAILOVER", "mymaster", "now")
	p.want("-ERR No such master with that name\r\n", "SENTINEL", "FAILOVER", "nobody", "now")
	p.want("-ERR wrong number of arguments for 'sentinel|failover' command\r\n", "SENTINEL", "FAILOVER", "mymaster", "coordinated", "x")
	dir.Lock()
	dir.Answer = func(context.Context, warden.Command) warden.Answer {
		return warden.Answer{Verdict: warden.VerdictRefused, Code: "no-primary", Text: "the primary is away"}
	}
	dir.Unlock()
	p.want("-NOGOODPRIMARY the primary is away\r\n", "SENTINEL", "FAILOVER", "mymaster", "COORDINATED")
}
