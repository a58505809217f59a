package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// journal is what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

func (j *journal) count(prefix string) (n int) {
	for _, line := range j.all() {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// since returns the lines after the first n.
func (j *journal) since(n int) []string { return j.all()[n:] }

// fakeMind counts the steps that were kept and wants what the script says.
type fakeMind struct {
	script *script
	steps  int
}

// script is shared by all states of a fake mind. think runs on the loop.
type script struct {
	mu     sync.Mutex
	think  func(e group.Event, now warden.Instant) group.Effects
	watch  []group.Watched
	events journal
	reg    warden.Register
}

func (s *script) set(think func(e group.Event, now warden.Instant) group.Effects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.think = think
}

func (s *script) setWatch(w ...group.Watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = w
}

func (m fakeMind) Step(_ *group.Config, e group.Event, now warden.Instant) (Mind, group.Effects) {
	m.script.mu.Lock()
	think := m.script.think
	m.script.mu.Unlock()
	if _, tick := e.(group.Tick); !tick {
		m.script.events.add("%s", name(e))
	}
	next := fakeMind{script: m.script, steps: m.steps + 1}
	if think == nil {
		return next, group.Effects{}
	}
	return next, think(e, now)
}

func (m fakeMind) View(c *group.Config, now warden.Instant) warden.GroupView {
	return warden.GroupView{Name: c.Group, At: now, Primary: m.Primary(c), Quorum: c.Quorum,
		Promise: warden.Epoch(m.steps), Topology: warden.Topology{Version: warden.Version{Epoch: 7}}}
}

func (m fakeMind) Primary(*group.Config) warden.NodeID {
	return warden.NodeID(fmt.Sprintf("step%d:1", m.steps))
}

func (m fakeMind) Epoch() warden.Epoch { return 7 }

func (m fakeMind) Watch(*group.Config, warden.Instant) []group.Watched {
	m.script.mu.Lock()
	defer m.script.mu.Unlock()
	return m.script.watch
}

// name prints an event for the journal.
func name(e group.Event) string {
	switch e := e.(type) {
	case group.Heard:
		return "Heard " + string(e.Message.From)
	case group.Looked:
		return fmt.Sprintf("Looked %s %s", e.Node, e.Observation.Health)
	case group.Beat:
		return "Beat " + string(e.Node)
	case group.LinkEnded:
		return "LinkEnded " + string(e.Node)
	case group.KnockFailed:
		return fmt.Sprintf("Knock %s %q", e.Node, e.Why)
	case group.ActionDone:
		return strings.TrimSpace(fmt.Sprintf("ActionDone %d %s %s %s", e.ID, e.Result.Outcome, e.Result.Why, e.Observation.Health))
	case group.Commanded:
		return "Commanded " + string(e.Command.Wish)
	case group.PeersKnown:
		return fmt.Sprintf("PeersKnown %v", e.IDs)
	case group.Conflict:
		return "Conflict " + e.Where
	case group.StoreFailed:
		return "StoreFailed " + e.Why
	case group.StoreWorks:
		return "StoreWorks"
	}
	return "Tick"
}

// fakeStore keeps registers in memory and fails while err is set.
type fakeStore struct {
	journal *journal
	mu      sync.Mutex
	regs    map[warden.GroupName]warden.Register
	failing func(warden.GroupName) error
	block   chan struct{} // when not nil, saves wait for it to be closed
}

func (s *fakeStore) Load(name warden.GroupName) (warden.Register, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.regs[name], nil
}

func (s *fakeStore) SaveRegister(name warden.GroupName, reg warden.Register) error {
	s.mu.Lock()
	block := s.block
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	if err := s.failure(name); err != nil {
		s.journal.add("save failed")
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regs[name] = reg
	s.journal.add("save %d", reg.Promise)
	return nil
}

func (s *fakeStore) failure(name warden.GroupName) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing == nil {
		return nil
	}
	return s.failing(name)
}

func (s *fakeStore) fail(f func(warden.GroupName) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = f
}

func (s *fakeStore) Probe() error {
	s.journal.add("probe")
	return s.failure("")
}

// fakeCourier notes what is sent.
type fakeCourier struct{ journal *journal }

func (c fakeCourier) Send(to warden.WardenID, m warden.Message) { c.journal.add("send %s", to) }

// fakeAdapter makes fakeLinks and fakeSessions. The functions may be nil.
type fakeAdapter struct {
	journal *journal
	mu      sync.Mutex
	links   map[warden.NodeID]*fakeLink
	look    func(ctx context.Context, node warden.NodeID) warden.Observation
	claim   func(ctx context.Context, node warden.NodeID) warden.Result
	order   func(ctx context.Context, what string) warden.Result
	knock   func(node warden.NodeID) error
	unblock error
	over    func(ctx context.Context, node warden.NodeID) warden.Observation // looks over sessions
}

func (a *fakeAdapter) Open(node warden.NodeID, events warden.LinkEvents) warden.Link {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal.add("open %s", node)
	l := &fakeLink{adapter: a, node: node, events: events}
	a.links[node] = l
	events.Local(node, "127.0.0.9")
	return l
}

func (a *fakeAdapter) link(node warden.NodeID) *fakeLink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.links[node]
}

func (a *fakeAdapter) Claim(ctx context.Context, node warden.NodeID, c warden.Claim) (warden.Session, warden.Result) {
	a.journal.add("claim %s %d", node, c.Epoch)
	r := warden.Result{Outcome: warden.Done}
	if a.claim != nil {
		r = a.claim(ctx, node)
	}
	if r.Outcome != warden.Done {
		return nil, r
	}
	return &fakeSession{adapter: a, node: node}, r
}

type fakeLink struct {
	adapter *fakeAdapter
	node    warden.NodeID
	events  warden.LinkEvents
}

func (l *fakeLink) Look(ctx context.Context) warden.Observation {
	if l.adapter.look == nil {
		return warden.Observation{Health: warden.HealthGood}
	}
	return l.adapter.look(ctx, l.node)
}

func (l *fakeLink) Knock(context.Context) error {
	if l.adapter.knock == nil {
		return nil
	}
	return l.adapter.knock(l.node)
}

func (l *fakeLink) Mark(c warden.Claim) { l.adapter.journal.add("mark %s %d", l.node, c.Epoch) }

func (l *fakeLink) Publish(_ context.Context, h warden.Hello) error {
	l.adapter.journal.add("hello %s %s %s %d", l.node, h.Client, h.Gossip, h.Epoch)
	return nil
}

func (l *fakeLink) Unblock(context.Context) error {
	l.adapter.journal.add("unblock %s", l.node)
	return l.adapter.unblock
}

func (l *fakeLink) Close() { l.adapter.journal.add("close %s", l.node) }

type fakeSession struct {
	adapter *fakeAdapter
	node    warden.NodeID
	busy    sync.Mutex
}

func (s *fakeSession) give(ctx context.Context, format string, args ...any) warden.Result {
	if !s.busy.TryLock() {
		s.adapter.journal.add("TWO ORDERS AT ONCE on %s", s.node)
		return refused("two orders at once")
	}
	defer s.busy.Unlock()
	what := fmt.Sprintf(format, args...)
	s.adapter.journal.add("%s", what)
	if s.adapter.order == nil {
		return warden.Result{Outcome: warden.Done}
	}
	return s.adapter.order(ctx, what)
}

func (s *fakeSession) Promote(ctx context.Context, _ *warden.SyncRule) warden.Result {
	return s.give(ctx, "promote %s", s.node)
}

func (s *fakeSession) Follow(ctx context.Context, f warden.Following) warden.Result {
	p, avoid := f.Primary, f.Avoid
	if avoid != "" {
		return s.give(ctx, "follow %s %s avoiding %s", s.node, p, avoid)
	}
	return s.give(ctx, "follow %s %s", s.node, p)
}

func (s *fakeSession) Hold(ctx context.Context, limit warden.Duration) warden.Result {
	return s.give(ctx, "hold %s %s", s.node, limit)
}

func (s *fakeSession) Release(ctx context.Context) warden.Result {
	return s.give(ctx, "release %s", s.node)
}

func (s *fakeSession) Look(ctx context.Context) warden.Observation {
	s.adapter.journal.add("session look %s", s.node)
	if ctx.Err() != nil {
		return warden.Observation{Health: warden.HealthSilent}
	}
	if s.adapter.over != nil {
		return s.adapter.over(ctx, s.node)
	}
	return warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary}
}

func (s *fakeSession) Close() { s.adapter.journal.add("session close %s", s.node) }

// bench is a shell of fakes for one test.
type bench struct {
	*journal
	shell   *Shell
	script  *script
	store   *fakeStore
	adapter *fakeAdapter
	options Options
}

func testClock() warden.Instant { return warden.Instant(time.Now().UnixNano()) }

// newBench prepares a shell with group "g". Start it with start.
func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{journal: &journal{}, script: &script{}}
	b.store = &fakeStore{journal: b.journal, regs: map[warden.GroupName]warden.Register{}}
	b.adapter = &fakeAdapter{journal: b.journal, links: map[warden.NodeID]*fakeLink{}}
	b.options = Options{
		ID: "me", Run: 3, RunID: "run", Version: "v", ClientPort: 26379, GossipPort: 27379,
		Groups: []GroupOptions{b.group("g")}, Store: b.store, Courier: fakeCourier{b.journal},
		Announce: func(e warden.Event) {
			v, _ := b.shell.Group(e.Group)
			b.add("announce %s at %d", e.Name, v.Promise)
		},
		Clock: testClock,
		NewMind: func(c group.Config, reg warden.Register, _ warden.Instant) Mind {
			b.script.mu.Lock()
			defer b.script.mu.Unlock()
			b.script.reg = reg
			return fakeMind{script: b.script}
		},
	}
	return b
}

func (b *bench) group(name warden.GroupName) GroupOptions {
	return GroupOptions{Config: group.Config{Group: name, Quorum: 2, HelloInterval: 2 * warden.Second}, Adapter: b.adapter}
}

// start runs the shell. The test has to stop it inside its bubble.
func (b *bench) start(t testing.TB) {
	t.Helper()
	s, err := New(b.options)
	if err != nil {
		t.Fatal(err)
	}
	b.shell = s
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := b.shell.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// loop is the loop of group "g".
func (b *bench) loop() *loop { return b.shell.roster.Load().loops["g"] }

// heard delivers a message of another Warden to group "g".
func (b *bench) heard(from warden.WardenID) {
	b.shell.Deliver(warden.Message{Group: "g", From: from})
}

// onHeard makes the mind want effects when it hears from somebody.
func (b *bench) onHeard(from warden.WardenID, want func(now warden.Instant) group.Effects) {
	b.script.set(func(e group.Event, now warden.Instant) group.Effects {
		if h, ok := e.(group.Heard); ok && h.Message.From == from {
			return want(now)
		}
		return group.Effects{}
	})
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}

var errDisk = errors.New("disk is full")
