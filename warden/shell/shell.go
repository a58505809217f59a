package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Shell runs the groups of one Warden. All methods are safe for concurrent
// use. It implements warden.Directory.
type Shell struct {
	env     *env
	mender  *mender
	unmend  context.CancelFunc
	started warden.Instant
	// roster is replaced whole, so that messages find their group without a
	// lock.
	roster   atomic.Pointer[roster]
	commands atomic.Uint64
	astray   atomic.Uint64
	retired  atomic.Uint64

	mu      sync.Mutex // held while groups come and go
	running bool
	stopped bool

	peersMu sync.Mutex
	peers   []warden.WardenID
}

// roster is the set of running groups.
type roster struct {
	loops map[warden.GroupName]*loop
	names []warden.GroupName // sorted
}

func newRoster(loops map[warden.GroupName]*loop) *roster {
	return &roster{loops: loops, names: slices.Sorted(maps.Keys(loops))}
}

// New checks the options. Nothing runs before Start.
func New(o Options) (*Shell, error) {
	e, err := newEnv(o)
	if err != nil {
		return nil, err
	}
	if err := e.check(e.Groups); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shell{env: e, mender: &mender{store: e.Store, ctx: ctx}, unmend: cancel, started: e.Clock()}
	s.roster.Store(newRoster(nil))
	return s, nil
}

// Start reads the registers and runs all groups. After an error nothing runs.
func (s *Shell) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running || s.stopped {
		return errors.New("start shell: it was started before")
	}
	loops, err := s.prepare(s.env.Groups)
	if err != nil {
		return err
	}
	s.running = true
	s.enter(loops)
	return nil
}

// prepare makes loops for groups, each from its register, and starts none.
func (s *Shell) prepare(groups []GroupOptions) (map[warden.GroupName]*loop, error) {
	loops := make(map[warden.GroupName]*loop, len(groups))
	for _, g := range groups {
		reg, err := s.env.Store.Load(g.Config.Group)
		if err != nil {
			return nil, fmt.Errorf("read register of group %q: %w", g.Config.Group, err)
		}
		reg = g.remembered(reg)
		g.Config = s.env.complete(g.Config, drawBirth())
		loops[g.Config.Group] = newLoop(s.env, s.mender, g, reg)
	}
	return loops, nil
}

// enter starts prepared loops and adds them to the roster.
func (s *Shell) enter(loops map[warden.GroupName]*loop) {
	all := maps.Clone(s.roster.Load().loops)
	if all == nil {
		all = map[warden.GroupName]*loop{}
	}
	maps.Copy(all, loops)
	// The lock keeps PeersKnown from falling between the roster and the list.
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	for _, l := range loops {
		if len(s.peers) > 0 {
			l.inbox.put(group.PeersKnown{IDs: s.peers})
		}
		l.start()
	}
	s.roster.Store(newRoster(all))
}

// Stop ends all groups and waits until every goroutine, link and session is
// gone, at the longest until ctx ends; what is left then is named in the
// error. A second Stop does nothing.
func (s *Shell) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	loops := slices.Collect(maps.Values(s.roster.Load().loops))
	s.roster.Store(newRoster(nil))
	err := stopAll(ctx, loops)
	s.unmend()
	mended := make(chan struct{})
	go func() {
		defer close(mended)
		s.mender.wg.Wait()
		s.env.pacer.stop()
		s.env.crew.dismiss()
	}()
	return errors.Join(err, waitFor(ctx, mended, "stop shell: a test write to the store does not return"))
}

// stopAll stops loops side by side.
func stopAll(ctx context.Context, loops []*loop) error {
	errs := make([]error, len(loops))
	var wg sync.WaitGroup
	for i, l := range loops {
		wg.Go(func() { errs[i] = l.stop(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// waitFor waits for done, or for ctx and then says what it was waiting for.
func waitFor(ctx context.Context, done <-chan struct{}, what string) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}

// Deliver hands a peer's message to its group. It never blocks; messages about
// groups that are not ours are dropped and counted.
func (s *Shell) Deliver(m warden.Message) {
	l := s.roster.Load().loops[m.Group]
	if l == nil || m.From == s.env.ID {
		s.astray.Add(1)
		return
	}
	l.inbox.put(group.Heard{Message: m})
}

// PeersKnown replaces the set of other Wardens that an address is known of,
// and tells every group. Our own id and repetitions in it do not matter. It
// never blocks.
func (s *Shell) PeersKnown(ids []warden.WardenID) {
	ids = slices.Sorted(slices.Values(ids))
	ids = slices.Compact(ids)
	ids = slices.DeleteFunc(ids, func(id warden.WardenID) bool { return id == s.env.ID })
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	if slices.Equal(ids, s.peers) {
		return
	}
	s.peers = ids
	for _, l := range s.roster.Load().loops {
		l.inbox.put(group.PeersKnown{IDs: ids})
	}
}

// SentinelsWatch tells a group which real Redis Sentinels watch it now, sorted.
// It never blocks; a group that is not ours is ignored.
func (s *Shell) SentinelsWatch(name warden.GroupName, ids []string) {
	if l := s.roster.Load().loops[name]; l != nil {
		l.inbox.put(group.SentinelsWatch{IDs: slices.Clone(ids)})
	}
}

// Conflict tells every group that our own id is heard from another live
// address. It never blocks.
func (s *Shell) Conflict(where string) {
	for _, l := range s.roster.Load().loops {
		l.inbox.put(group.Conflict{Where: where})
	}
}

// Dropped is how many events were lost so far because a group could not keep
// up, and how many messages were about groups that are not ours.
func (s *Shell) Dropped() (late, astray uint64) {
	late = s.retired.Load()
	for _, l := range s.roster.Load().loops {
		late += l.inbox.lost()
	}
	return late, s.astray.Load()
}
