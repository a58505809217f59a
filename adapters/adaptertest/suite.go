package adaptertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Run runs the whole suite.
func Run(t *testing.T, h Harness) {
	cases := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"sees roles, positions and lineage", seesNodes},
		{"introduces itself", introduces},
		{"hears the end of a server at once", hearsTheEnd},
		{"promotes and follows, keeping partial copies possible", switchesOver},
		{"refuses what cannot be done", refuses},
		{"says unknown when the answer was lost", saysUnknown},
		{"shuts out an older leader", shutsOutOlder},
		{"shuts out an order that is still on its way (C7)", shutsOutLate},
		{"refuses an older leader", refusesOlder},
		{"keeps the mark after the session is gone", keepsTheMark},
		{"holds writes for a while", holds},
		{"releases writes", releases},
		{"looks while a hello is held up", looksWhilePublishing},
		{"tells refusal from silence", tellsRefusal},
		{"leaves nothing behind", leavesNothing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
	if h.Traits.Keeps {
		runKeeper(t, h)
	}
	if h.CanPause {
		t.Run("tells silence from refusal", func(t *testing.T) { tellsSilence(t, h) })
		t.Run("says unknown when there is no answer in time", func(t *testing.T) { saysUnknownOnSilence(t, h) })
	}
	if h.Denied != nil {
		t.Run("tells denied", func(t *testing.T) { tellsDenied(t, h) })
	}
	if h.Loading != nil {
		t.Run("tells loading", func(t *testing.T) { tellsLoading(t, h) })
	}
	if h.Full != nil {
		t.Run("tells full", func(t *testing.T) { tellsFull(t, h) })
	}
}

// Goal: what the core judges by is what the servers really are.
func seesNodes(t *testing.T, h Harness) {
	a := h.Adapter(t)
	primary, replica := h.pairOf(t)
	p, r := watch(t, a, primary.Node()), watch(t, a, replica.Node())
	var po, ro warden.Observation
	Await(t, "the replica's position is the primary's", func() bool {
		po, ro = p.look(t), r.look(t)
		return po.Position > 0 && po.Position == ro.Position && ro.LinkUp
	})
	if po.Role != warden.RolePrimary || ro.Role != warden.RoleReplica {
		t.Errorf("roles: %q and %q", po.Role, ro.Role)
	}
	if ro.Upstream != primary.Node() || ro.Syncing || ro.LinkDown != 0 {
		t.Errorf("replica: upstream %q syncing %v link down %v", ro.Upstream, ro.Syncing, ro.LinkDown)
	}
	if po.Lineage == "" || po.Lineage != ro.Lineage {
		t.Errorf("lineages: %q and %q, want the same", po.Lineage, ro.Lineage)
	}
	if po.RunID == "" || po.RunID == ro.RunID {
		t.Errorf("run ids: %q and %q, want two", po.RunID, ro.RunID)
	}
	if po.Empty || ro.Empty || po.NoFollow || ro.NoFollow || po.Server == "" {
		t.Errorf("primary %+v\nreplica %+v", po, ro)
	}
	if len(po.Replicas) != 1 || po.Replicas[0].Node != replica.Node() || !po.Replicas[0].Online {
		t.Errorf("replicas the primary reports: %+v, want %s", po.Replicas, replica.Node())
	}
	if _, _, locals := r.counts(); locals != 1 {
		t.Errorf("local address told %d times, want once", locals)
	}
	empty := watch(t, a, h.Start(t, "").Node()).look(t)
	if empty.Empty == h.Traits.NeverEmpty || empty.Lineage == po.Lineage {
		t.Errorf("a new server: empty %v, lineage %q", empty.Empty, empty.Lineage)
	}
	primary.Kill()
	Await(t, "the replica's link is down", func() bool { return !r.look(t).LinkUp })
}

// Goal: two Wardens that watch one node get to know one another.
func introduces(t *testing.T, h Harness) {
	a, node := h.Adapter(t), h.Start(t, "").Node()
	one, two := watch(t, a, node), watch(t, a, node)
	two.listens(t, claimBy("2", 1))
	two.mu.Lock()
	before := len(two.hellos)
	two.mu.Unlock()
	sent := warden.Hello{ID: claimBy("1", 1).Warden, Gossip: "[::1]:7946", Client: "10.0.0.1:26379", Group: "my-group-1", Epoch: 7, Primary: node}
	if err := one.Publish(within(t), sent); err != nil {
		t.Fatalf("publish: %v", err)
	}
	Await(t, "the other Warden hears the hello as it was sent", func() bool {
		two.mu.Lock()
		defer two.mu.Unlock()
		for _, got := range two.hellos[before:] {
			if got == sent {
				return true
			}
		}
		return false
	})
}

// Goal: a killed server is known to be gone without waiting for the next look.
func hearsTheEnd(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	w := watch(t, a, s.Node())
	w.look(t)
	w.listens(t, claimBy("1", 1))
	s.Kill()
	killed := time.Now()
	Await(t, "the link says that its connection ended", func() bool { n, _, _ := w.counts(); return n > 0 })
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("the end was heard after %v", took)
	}
	w.awaitHealth(t, warden.HealthRefused)
	if err := w.Knock(within(t)); err == nil {
		t.Error("knock at a dead server went well")
	}
}

// Goal: a switchover as the design orders it (M6) copies no data set anew.
func switchesOver(t *testing.T, h Harness) {
	a := h.Adapter(t)
	old, candidate := h.pairOf(t)
	sibling := h.joined(t, old)
	c := claimBy("1", 3)
	oldSession, newSession := claim(t, a, old.Node(), c), claim(t, a, candidate.Node(), c)
	sibSession := claim(t, a, sibling.Node(), c)
	copies := fullCopies(t, candidate)

	held := oldSession.Hold(within(t), 30*warden.Second)
	want(t, "hold", held, warden.Done)
	Await(t, "the candidate has everything", func() bool {
		has := newSession.Look(within(t)).Position
		return has == held.Position || h.Traits.PositionDrifts && has > held.Position
	})
	before := newSession.Look(within(t)).Lineage
	demoted := oldSession.Follow(within(t), warden.Following{Primary: candidate.Node()})
	want(t, "demote the old primary", demoted, warden.Done)
	want(t, "promote", newSession.Promote(within(t), nil), warden.Done)
	want(t, "point the sibling", sibSession.Follow(within(t), warden.Following{Primary: candidate.Node()}), warden.Done)
	want(t, "release", oldSession.Release(within(t)), warden.Done)

	o := newSession.Look(within(t))
	if o.Role != warden.RolePrimary || o.LineageBefore != before || o.Lineage == before {
		t.Errorf("after the promotion: %+v, want a primary that descends from %s", o, before)
	}
	if err := candidate.Write(within(t), 5); err != nil {
		t.Fatalf("write to the new primary: %v", err)
	}
	followers := []warden.Session{sibSession}
	if h.Traits.NeedsRejoin {
		staysFenced(t, old, oldSession, demoted)
	} else {
		awaitEqual(t, candidate, old)
		followers = append(followers, oldSession)
	}
	awaitEqual(t, candidate, sibling)
	for _, s := range followers {
		if o := s.Look(within(t)); o.Role != warden.RoleReplica || o.Upstream != candidate.Node() {
			t.Errorf("after the switch: %+v, want a replica of %s", o, candidate.Node())
		}
	}
	if n := fullCopies(t, candidate) - copies; n != 0 {
		t.Errorf("%d full copies were given, want none", n)
	}
}

// staysFenced: an old primary that needs a rejoin says so, and takes no writes
// although the hold was released.
func staysFenced(t *testing.T, old Server, session warden.Session, demoted warden.Result) {
	t.Helper()
	if o := session.Look(within(t)); o.Role != warden.RolePrimary || !o.NoDemote || !o.ReadOnly || !o.NeedsRejoin {
		t.Errorf("the old primary: %+v, want a primary that takes no writes and needs a rejoin", o)
	}
	if !slices.ContainsFunc(demoted.Notes, func(n string) bool { return strings.HasPrefix(n, "needs-rejoin: ") }) {
		t.Errorf("demotion: %+v, want a note of the rejoin that is needed", demoted)
	}
	if err := old.Write(within(t), 1); err == nil {
		t.Error("the old primary takes writes")
	}
}

func fullCopies(t *testing.T, s Server) int {
	t.Helper()
	n, err := s.FullCopies(within(t))
	if err != nil {
		t.Fatalf("count full copies: %v", err)
	}
	return n
}

// Goal: an order that surely did nothing says so.
func refuses(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	session := claim(t, a, s.Node(), claimBy("1", 1))
	want(t, "follow itself", session.Follow(within(t), warden.Following{Primary: s.Node()}), warden.Refused)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, "promote after the deadline", session.Promote(gone, nil), warden.Refused)
	want(t, "hold for no time", session.Hold(within(t), 0), warden.Refused)
	want(t, "promote", session.Promote(within(t), nil), warden.Done)
	s.Kill()
	Await(t, "an order to a dead server is refused", func() bool {
		return session.Promote(within(t), nil).Outcome == warden.Refused
	})
	if _, res := a.Claim(within(t), s.Node(), claimBy("1", 2)); res.Outcome != warden.Refused || res.Superseded {
		t.Errorf("claim of a dead server: %+v, want a plain refusal", res)
	}
}

// Goal: an order that was carried out but not answered is unknown, not refused
// and not tried again.
func saysUnknown(t *testing.T, h Harness) {
	a := h.Adapter(t)
	_, replica := h.pairOf(t)
	proxy := NewProxy(t, replica.Node())
	session := claim(t, a, proxy.Node(), claimBy("1", 1))
	proxy.CutAfter(h.Traits.promotion())
	want(t, "promote", session.Promote(within(t), nil), warden.Unknown)
	direct := watch(t, a, replica.Node())
	Await(t, "the node whose promotion is unknown is a primary", func() bool {
		return direct.look(t).Role == warden.RolePrimary
	})
	want(t, "promote on the broken session", session.Promote(within(t), nil), warden.Refused)
	if o := session.Look(within(t)); o.Health != warden.HealthSilent {
		t.Errorf("look on the broken session: %s, want silent: it is no evidence", o.Health)
	}
}

// Goal: so is an order that is not answered in time.
func saysUnknownOnSilence(t *testing.T, h Harness) {
	a := h.Adapter(t)
	_, replica := h.pairOf(t)
	session := claim(t, a, replica.Node(), claimBy("1", 1))
	replica.Pause()
	defer replica.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	want(t, "promote", session.Promote(ctx, nil), warden.Unknown)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the deadline of 500ms was kept after %v", took)
	}
}

// Goal: S3. A node that a newer leader has claimed takes no order of an older.
func shutsOutOlder(t *testing.T, h Harness) {
	a := h.Adapter(t)
	_, replica := h.pairOf(t)
	older := claim(t, a, replica.Node(), claimBy("1", 5))
	other := claim(t, a, replica.Node(), warden.Claim{Group: "my-group", Epoch: 1, Warden: claimBy("3", 1).Warden})
	newer := claim(t, a, replica.Node(), claimBy("2", 6))
	want(t, "order of the older leader", older.Promote(within(t), nil), warden.Refused)
	if o := newer.Look(within(t)); o.Role != warden.RoleReplica {
		t.Fatalf("role: %s, want replica: the older order took effect", o.Role)
	}
	if o := other.Look(within(t)); o.Health != warden.HealthGood {
		t.Errorf("the session of another group was shut out: %s", o.Detail)
	}
	want(t, "order of the newer leader", newer.Promote(within(t), nil), warden.Done)
}

// Goal: an order that was sent before the newer claim and arrives after it.
func shutsOutLate(t *testing.T, h Harness) {
	a := h.Adapter(t)
	_, replica := h.pairOf(t)
	proxy := NewProxy(t, replica.Node())
	older := claim(t, a, proxy.Node(), claimBy("1", 5))
	proxy.Freeze()
	late := make(chan warden.Result, 1)
	ctx := within(t)
	go func() { late <- older.Promote(ctx, nil) }()
	Await(t, "the order has left the older leader", func() bool { return proxy.Held() > 0 })
	newer := claim(t, a, replica.Node(), claimBy("2", 6))
	proxy.Thaw()
	want(t, "the late order", <-late, warden.Unknown)
	if o := newer.Look(within(t)); o.Health != warden.HealthGood || o.Role != warden.RoleReplica {
		t.Fatalf("after the late order: %+v, want a replica", o)
	}
}

// Goal: a leader that comes late finds the newer one and goes.
func refusesOlder(t *testing.T, h Harness) {
	a, node := h.Adapter(t), h.Start(t, "").Node()
	newer := claim(t, a, node, claimBy("2", 6))
	for _, late := range []warden.Claim{claimBy("1", 5), claimBy("1", 6)} {
		s, res := a.Claim(within(t), node, late)
		if res.Outcome != warden.Refused || !res.Superseded || s != nil {
			t.Errorf("claim for epoch %d: %+v, want superseded", late.Epoch, res)
		}
	}
	if o := newer.Look(within(t)); o.Health != warden.HealthGood {
		t.Errorf("the newer session suffered: %s", o.Detail)
	}
	again := claim(t, a, node, claimBy("2", 6))
	want(t, "our own session from before", newer.Promote(within(t), nil), warden.Refused)
	want(t, "our own newer session", again.Promote(within(t), nil), warden.Done)
}

// Goal: the epoch stays written on the node when the leader is gone.
func keepsTheMark(t *testing.T, h Harness) {
	a, node := h.Adapter(t), h.Start(t, "").Node()
	w := watch(t, a, node)
	w.look(t)
	session := claim(t, a, node, claimBy("2", 6))
	w.Mark(claimBy("3", 6))
	w.Mark(claimBy("3", 4)) // a mark never goes back
	w.look(t)
	session.Close()
	if _, res := a.Claim(within(t), node, claimBy("1", 5)); !res.Superseded {
		t.Errorf("claim for epoch 5 after epoch 6 was accepted: %+v, want superseded", res)
	}
	claim(t, a, node, claimBy("1", 6)).Close()
	w.Mark(claimBy("3", 9))
	w.look(t)
	Await(t, "epoch 8 is superseded by the mark 9", func() bool {
		s, res := a.Claim(within(t), node, claimBy("1", 8))
		if s != nil {
			s.Close()
		}
		return res.Superseded
	})
}

// Goal: a hold stops writes, tells the position after the last one, and ends
// by itself when its leader is gone.
func holds(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	if err := s.Write(within(t), 3); err != nil {
		t.Fatal(err)
	}
	session := claim(t, a, s.Node(), claimBy("1", 1))
	const limit = 500 * time.Millisecond
	began := time.Now()
	held := session.Hold(within(t), warden.Duration(limit))
	want(t, "hold", held, warden.Done)
	session.Close()
	err := s.Write(within(t), 1)
	if h.Traits.HoldRefuses {
		if err == nil {
			t.Errorf("a write went through during the hold, after %v", time.Since(began))
		}
		Await(t, "a write after the hold", func() bool { return s.Write(within(t), 1) == nil })
	} else if err != nil {
		t.Fatalf("write during the hold: %v, want it delayed", err)
	}
	if took := time.Since(began); took < limit {
		t.Errorf("the write was done after %v, want it held for %v", took, limit)
	}
	if now := watch(t, a, s.Node()).look(t).Position; now <= held.Position && now > 0 {
		t.Errorf("position %d after a further write, %d when held", now, held.Position)
	}
}

// Goal: a cancelled switchover gives the writes back at once.
func releases(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	session := claim(t, a, s.Node(), claimBy("1", 1))
	want(t, "hold", session.Hold(within(t), 60*warden.Second), warden.Done)
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Write(short, 1); err == nil {
		t.Error("a write went through during the hold")
	}
	want(t, "release", session.Release(within(t)), warden.Done)
	if err := s.Write(within(t), 1); err != nil {
		t.Errorf("write after the release: %v", err)
	}
}

// Goal: a hello that a paused server keeps waiting must not look like a death.
func looksWhilePublishing(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	w := watch(t, a, s.Node())
	w.listens(t, claimBy("1", 1))
	session := claim(t, a, s.Node(), claimBy("1", 1))
	want(t, "hold", session.Hold(within(t), 60*warden.Second), warden.Done)
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() {
		published <- w.Publish(ctx, warden.Hello{ID: claimBy("1", 1).Warden, Gossip: "a:1", Group: "g"})
	}()
	for range 5 {
		w.look(t)
	}
	want(t, "release", session.Release(within(t)), warden.Done)
	cancel()
	if err := <-published; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish: %v", err)
	}
}

// Goal: Close ends every goroutine and every connection.
func leavesNothing(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	before, err := s.Clients(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w := watch(t, a, s.Node())
		w.look(t)
		w.listens(t, claimBy("1", 1))
		if err := w.Knock(within(t)); err != nil {
			t.Errorf("knock: %v", err)
		}
		session := claim(t, a, s.Node(), claimBy("1", 1))
		session.Look(within(t))
		session.Close()
		w.Close()
		w.Close() // twice does no harm
		if o := w.Look(within(t)); o.Health != warden.HealthSilent {
			t.Errorf("look on a closed link: %s", o.Health)
		}
		if ended, _, _ := w.counts(); ended != 0 {
			t.Errorf("our own close was reported as an end %d times", ended)
		}
	}
	Await(t, "the server has no connection of ours left", func() bool {
		n, err := s.Clients(within(t))
		return err == nil && n <= before
	})
	Await(t, "no goroutine of the adapter is left", func() bool {
		stacks := goroutines()
		for _, f := range h.Frames {
			if strings.Contains(stacks, f) {
				return false
			}
		}
		return true
	})
}
