//go:build unix

package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// patience is how long a test waits for what must happen in the end.
const patience = 20 * time.Second

// node is a Gossip that remembers what it was told.
type node struct {
	*Gossip
	mu        sync.Mutex
	messages  []warden.Message
	peers     []Peer
	gone      []Peer
	conflicts map[warden.WardenID]string
	newer     map[warden.WardenID]int
	log       bytes.Buffer // of level info and above
	arrived   chan struct{}
}

func (n *node) note(f func()) {
	n.mu.Lock()
	f()
	n.mu.Unlock()
	select {
	case n.arrived <- struct{}{}:
	default:
	}
}

// Write lets a node be the end of its own log.
func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func (n *node) said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

func (n *node) conflict(id int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conflicts[testID(id)]
}

func start(t testing.TB, id int, change func(*Options)) *node {
	t.Helper()
	n := &node{conflicts: map[warden.WardenID]string{}, newer: map[warden.WardenID]int{}, arrived: make(chan struct{}, 1)}
	o := Options{
		Self: testID(id), BindAddr: "127.0.0.1", ClientAddr: fmt.Sprintf("127.0.0.1:%d", 20000+id),
		OnMessage:     func(m warden.Message) { n.note(func() { n.messages = append(n.messages, m) }) },
		OnPeer:        func(p Peer) { n.note(func() { n.peers = append(n.peers, p) }) },
		OnPeerGone:    func(p Peer) { n.note(func() { n.gone = append(n.gone, p) }) },
		OnConflict:    func(id warden.WardenID, where string) { n.note(func() { n.conflicts[id] = where }) },
		OnNewerFormat: func(p Peer, major int) { n.note(func() { n.newer[p.ID] = major }) },
	}
	o.Logger = slog.New(slog.NewTextHandler(n, nil))
	if change != nil {
		change(&o)
	}
	g, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	n.Gossip = g
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func (n *node) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-n.arrived:
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: waited %s in vain", what, patience)
		}
	}
}

func (n *node) knows(ids ...int) bool {
	for _, id := range ids {
		if !slicesHas(n.Peers(), testID(id)) {
			return false
		}
	}
	return true
}

func slicesHas(peers []Peer, id warden.WardenID) bool {
	for _, p := range peers {
		if p.ID == id && !p.LastHeard.IsZero() {
			return true
		}
	}
	return false
}

func (n *node) got(from int, group warden.GroupName) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, m := range n.messages {
		if m.From == testID(from) && m.Group == group {
			count++
		}
	}
	return count
}

// sends repeats a message until it arrived, as the minds do.
func sends(t testing.TB, from *node, fromID int, to *node, toID int, group warden.GroupName) {
	t.Helper()
	last := time.Time{}
	to.until(t, fmt.Sprintf("message of %d to %d", fromID, toID), func() bool {
		if time.Since(last) > 100*time.Millisecond {
			from.Send(testID(toID), message(fromID, group))
			last = time.Now()
		}
		return to.got(fromID, group) > 0
	})
}

// Three Wardens, of which two know only the first, come to know one another
// and talk directly.
func TestThreeMeet(t *testing.T) {
	a := start(t, 1, nil)
	join := func(o *Options) { o.Join = []string{a.Addr()} }
	b, c := start(t, 2, join), start(t, 3, join)
	a.until(t, "a", func() bool { return a.knows(2, 3) })
	b.until(t, "b", func() bool { return b.knows(1, 3) })
	c.until(t, "c", func() bool { return c.knows(1, 2) })
	all := []*node{a, b, c}
	for i, from := range all {
		for j, to := range all {
			if i == j {
				continue
			}
			for k := range 50 {
				if !from.Send(testID(j+1), message(i+1, warden.GroupName(fmt.Sprintf("g%d", k)))) {
					t.Fatalf("%d does not send to %d", i+1, j+1)
				}
			}
			for k := range 50 {
				group := warden.GroupName(fmt.Sprintf("g%d", k))
				to.until(t, "message", func() bool { return to.got(i+1, group) == 1 })
			}
		}
	}
	c.mu.Lock()
	m := c.messages[0]
	c.mu.Unlock()
	if m.Kind() != "vote" || m.Run != 3 || m.Birth != "b" || len(m.Vote.Newest.Wardens) != 3 {
		t.Errorf("message arrived as %+v", m)
	}
	for _, p := range b.Peers() {
		if p.ID == testID(3) && (p.Gossip != c.Addr() || p.Client != "127.0.0.1:20003") {
			t.Errorf("b knows c as %+v", p)
		}
	}
	for _, n := range all {
		if said := n.said(); said != "" {
			t.Errorf("not quiet at the default level: %s", said)
		}
	}
}

// A join entry may come up later, and may be one's own address or a name.
func TestJoinLater(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	list := []string{free.Addr().String(), fmt.Sprintf("localhost:%d", port)}
	_ = free.Close()
	a := start(t, 1, func(o *Options) { o.Join = list })
	b := start(t, 2, func(o *Options) { o.Join, o.BindPort = list, port })
	a.until(t, "a", func() bool { return a.knows(2) })
	sends(t, b, 2, a, 1, "g")
	for _, n := range []*node{a, b} {
		if len(n.Peers()) != 1 || n.conflict(1) != "" || n.conflict(2) != "" {
			t.Errorf("peers %+v, conflicts %q %q", n.Peers(), n.conflict(1), n.conflict(2))
		}
	}
}

// IPv6 addresses work like the others.
func TestIPv6(t *testing.T) {
	v6 := func(o *Options) { o.BindAddr = "::1" }
	a := start(t, 1, v6)
	b := start(t, 2, func(o *Options) { v6(o); o.Join = []string{a.Addr()} })
	a.until(t, "a", func() bool { return a.knows(2) })
	b.until(t, "b", func() bool { return b.knows(1) })
	sends(t, a, 1, b, 2, "g")
	if !strings.HasPrefix(a.Addr(), "[::1]:") {
		t.Errorf("address %s", a.Addr())
	}
}

// A hello heard on a database is enough to meet; one's own is ignored.
func TestIntroduce(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	if a.Send(testID(2), message(1, "g")) {
		t.Error("sent to a Warden of unknown address")
	}
	a.Introduce(Peer{ID: testID(1), Gossip: a.Addr()})
	a.Introduce(Peer{ID: testID(9), Gossip: "no address"})
	a.Introduce(Peer{ID: testID(2), Gossip: b.Addr()})
	a.until(t, "a", func() bool { return a.knows(2) })
	b.until(t, "b", func() bool { return b.knows(1) })
	if len(a.Peers()) != 1 {
		t.Errorf("peers %+v", a.Peers())
	}
	a.Forget(testID(2))
	if a.Send(testID(2), message(1, "g")) {
		t.Error("sent to a forgotten Warden")
	}
}

// A peer whose host swallows connection attempts, and one that is gone, delay
// nobody, and Send does not wait for them.
func TestHungPeerDelaysNobody(t *testing.T) {
	b := start(t, 2, nil)
	a := start(t, 1, func(o *Options) {
		o.Known = []Peer{
			{ID: testID(8), Gossip: blackHole(t)}, {ID: testID(9), Gossip: "127.0.0.1:1"},
			{ID: testID(2), Gossip: b.Addr()},
		}
	})
	a.until(t, "a", func() bool { return a.knows(2) })
	begun := time.Now()
	for range 2 * maxWaiting {
		a.Send(testID(8), message(1, "lost"))
	}
	a.Send(testID(9), message(1, "lost"))
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("sending to a hung peer took %s", took)
	}
	if a.Stats().Dropped == 0 {
		t.Error("the outbox of a hung peer is not bounded")
	}
	begun = time.Now()
	a.Send(testID(2), message(1, "g"))
	b.until(t, "message beside a hung peer", func() bool { return b.got(1, "g") == 1 })
	if took := time.Since(begun); took > streamTimeout {
		t.Errorf("a hung peer delayed another by %s", took)
	}
	a.until(t, "failures are noticed", func() bool { return a.Stats().SendFailed > maxMessages })
}

// blackHole is an address where connection attempts get no answer at all.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the black hole goes on accepting")
	return ""
}

// A Warden that crashed comes back under another address at once, and is
// talked to there long before SWIM has made up its mind.
func TestBackUnderNewAddress(t *testing.T) {
	a := start(t, 1, nil)
	b := start(t, 2, func(o *Options) { o.Join = []string{a.Addr()} })
	a.until(t, "a", func() bool { return a.knows(2) })
	b.until(t, "b", func() bool { return b.knows(1) })
	known, before := b.Peers(), b.Addr()
	crash(t, b)
	begun := time.Now()
	b = start(t, 2, func(o *Options) { o.Known = known })
	if b.Addr() == before {
		t.Fatal("the test needs another address")
	}
	sends(t, a, 1, b, 2, "g")
	sends(t, b, 2, a, 1, "g")
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	// The old address is asked after a while, by memberlist's doubts and by
	// ours. Nobody answers there, so there is no conflict.
	asked := time.Now().Add(lateAfter + 2*streamTimeout)
	a.until(t, "the old address was asked", func() bool { return time.Now().After(asked) })
	for _, n := range []*node{a, b} {
		if where := n.conflict(2); where != "" {
			t.Errorf("conflict: %s", where)
		}
	}
}

// crash ends a node without any goodbye.
func crash(t *testing.T, n *node) {
	t.Helper()
	n.gate.Lock()
	n.closed = true
	n.gate.Unlock()
	n.Gossip.mu.Lock()
	n.cancel()
	n.Gossip.mu.Unlock()
	if err := n.list.Shutdown(); err != nil {
		t.Fatal(err)
	}
	n.tasks.Wait()
}

// Who is dead for SWIM is still sent to, and heard.
func TestDeathIsOnlyAHint(t *testing.T) {
	a := start(t, 1, nil)
	b := start(t, 2, func(o *Options) { o.Join = []string{a.Addr()} })
	a.until(t, "a", func() bool { return a.knows(2) && a.list.NumMembers() == 2 })
	if err := b.list.Leave(time.Second); err != nil {
		t.Fatal(err)
	}
	a.until(t, "SWIM's verdict", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.gone) > 0 })
	sends(t, a, 1, b, 2, "g")
	sends(t, b, 2, a, 1, "g")
}

// Two live processes under one id are both told, and so is who hears them; the
// messages of that id do not count meanwhile.
func TestTwoLivesOfOneID(t *testing.T) {
	a := start(t, 1, nil)
	join := func(o *Options) { o.Join = []string{a.Addr()} }
	b := start(t, 2, join)
	a.until(t, "a", func() bool { return a.knows(2) })
	twin := start(t, 2, join)
	for _, n := range []*node{a, b, twin} {
		n.until(t, "conflict", func() bool { return n.conflict(2) != "" })
	}
	if where := b.conflict(2); where != twin.Addr() {
		t.Errorf("the other one is said to be at %s, is at %s", where, twin.Addr())
	}
	refused := a.Stats().Refused
	b.until(t, "b knows a", func() bool { return b.knows(1) })
	b.Send(testID(1), message(2, "g"))
	a.until(t, "refusal", func() bool { return a.Stats().Refused > refused })
	if a.got(2, "g") != 0 {
		t.Error("a message of a doubtful Warden counted")
	}
}

// A twin that is met only by a hello on a database is found as well.
func TestTwinByHello(t *testing.T) {
	a, twin := start(t, 1, nil), start(t, 1, nil)
	a.Introduce(Peer{ID: testID(1), Gossip: twin.Addr()})
	for _, n := range []*node{a, twin} {
		n.until(t, "conflict", func() bool { return n.conflict(1) != "" })
	}
}

// Close takes a second at most, leaves nothing behind, and no message is
// delivered after it. The ports are free again.
func TestCloseLeavesNothing(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	a := start(t, 1, func(o *Options) { o.Join = []string{hung.Addr().String(), "127.0.0.1:1"} })
	b := start(t, 2, func(o *Options) { o.Join = []string{a.Addr()} })
	a.until(t, "a", func() bool { return a.knows(2) })
	slow, err := net.Dial("tcp", a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	for range 100 {
		a.Send(testID(2), message(1, "last"))
	}
	begun := time.Now()
	if err := a.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 1500*time.Millisecond {
		t.Errorf("close took %s", took)
	}
	b.until(t, "what waited is sent", func() bool { return b.got(1, "last") == 100 })
	if a.Send(testID(2), message(1, "late")) {
		t.Error("sent after close")
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", a.Addr())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = again.Close()
	b.until(t, "no goroutine is left", func() bool { return len(left()) == 0 })
}

// left lists goroutines of memberlist and of this package's code.
func left() []string {
	buffer := make([]byte, 1<<20)
	buffer = buffer[:runtime.Stack(buffer, true)]
	var out []string
	for _, stack := range strings.Split(string(buffer), "\n\n") {
		ours := strings.Contains(stack, "memberlist.(") || strings.Contains(stack, "gossip.(*Gossip)") || strings.Contains(stack, "gossip.(*transport)")
		if ours && !strings.Contains(stack, "testing.tRunner") {
			out = append(out, stack)
		}
	}
	return out
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	secret := []byte("not a good key")
	for name, change := range map[string]func(*Options){
		"40 hexadecimal digits": func(o *Options) { o.Self = "w1" },
		"client address":        func(o *Options) { o.ClientAddr = "" },
		"use 16, 24 or 32":      func(o *Options) { o.Keys = [][]byte{secret} },
		"join entry":            func(o *Options) { o.Join = []string{"nowhere"} },
		"announce":              func(o *Options) { o.AdvertiseAddr = "0.0.0.0" },
		"is another Warden":     func(o *Options) { o.BindPort = taken.Addr().(*net.TCPAddr).Port },
	} {
		o := Options{Self: testID(1), BindAddr: "127.0.0.1", ClientAddr: "127.0.0.1:1", OnMessage: func(warden.Message) {}}
		change(&o)
		g, err := Start(t.Context(), o)
		if err == nil {
			_ = g.Close(t.Context())
			t.Errorf("%s: started", name)
			continue
		}
		if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: error %q", name, err)
		}
	}
	for end := time.Now().Add(patience); len(left()) > 0; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("left behind: %s", strings.Join(left(), "\n\n"))
		}
	}
}
