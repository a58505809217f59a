package adaptertest

import (
	"context"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// runKeeper is the part for databases that keep acknowledged writes on several
// nodes (warden.Keeper).
func runKeeper(t *testing.T, h Harness) {
	cases := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"waits for members, and for nobody else", waits},
		{"seals a replica, and opens it again", seals},
		{"waits as a primary from its first write on", waitsFromTheFirst},
		{"refuses to seal a primary and to let a replica wait", refusesToKeep},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// keeping is a session of a database that has sync sets.
type keeping interface {
	warden.Session
	warden.Keeper
}

func claimKeeper(t *testing.T, a warden.Adapter, node warden.NodeID, c warden.Claim) keeping {
	t.Helper()
	k, ok := claim(t, a, node, c).(keeping)
	if !ok {
		t.Fatal("the harness says Keeps, but sessions are no warden.Keeper")
	}
	return k
}

// nameOf is the name of a server as a member.
func nameOf(s Server) string {
	return warden.MemberName("my-group-1", s.Node(), warden.Version{Epoch: 1, Step: 1})
}

// joins makes a replica a member, with a rule for the day on which it is a primary.
func joins(t *testing.T, s warden.Session, replica, primary Server, sync *warden.SyncRule) {
	t.Helper()
	want(t, "join", s.Follow(within(t), warden.Following{Primary: primary.Node(), Name: nameOf(replica), Sync: sync}), warden.Done)
}

// writing is a write that goes on in the background.
type writing struct{ err chan error }

func write(t *testing.T, s Server) writing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := writing{make(chan error, 1)}
	go func() { w.err <- s.Write(ctx, 1) }()
	return w
}

// waitsOn fails the test if the write is done within a while.
func (w writing) waitsOn(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-w.err:
		t.Fatalf("%s was confirmed (%v)", what, err)
	case <-time.After(300 * time.Millisecond):
	}
}

func (w writing) isDone(t *testing.T, what string) {
	t.Helper()
	if err := <-w.err; err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Goal: a rule is in force when the order is done, and lifted when it is done.
func waits(t *testing.T, h Harness) {
	a := h.Adapter(t)
	primary, replica := h.pairOf(t)
	stray := h.joined(t, primary) // streams, and is no member
	session, c := claimKeeper(t, a, primary.Node(), claimBy("1", 1)), claimBy("1", 1)
	member := claimKeeper(t, a, replica.Node(), c)
	rule := warden.SyncRule{K: 1, Names: []string{nameOf(replica)}}
	want(t, "wait for who is not there", session.Wait(within(t), []warden.SyncRule{{}, rule}), warden.Done)
	if o := session.Look(within(t)); o.Waits != rule.String() {
		t.Errorf("it waits for %q, want %q", o.Waits, rule)
	}
	w := write(t, primary)
	w.waitsOn(t, "a write that only a stranger has received")
	joins(t, member, replica, primary, nil)
	w.isDone(t, "the write")
	link := watch(t, a, replica.Node())
	Await(t, "the member carries its name", func() bool { o := link.look(t); return o.Member == nameOf(replica) && o.Waits == "" })
	names := map[warden.NodeID]string{}
	for _, r := range session.Look(within(t)).Replicas {
		names[r.Node] = r.Name
	}
	if len(names) != 2 || names[replica.Node()] != nameOf(replica) || names[stray.Node()] == "" {
		t.Errorf("replicas by name: %v", names)
	}
	two := warden.SyncRule{K: 2, Names: rule.Names}
	want(t, "wait for more than there are", session.Wait(within(t), []warden.SyncRule{two}), warden.Done)
	w = write(t, primary)
	w.waitsOn(t, "a write by a rule with too few names")
	want(t, "wait for nobody", session.Wait(within(t), []warden.SyncRule{two, {}}), warden.Done)
	w.isDone(t, "the write")
	// What one has acknowledged is not on two by naming two.
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	want(t, "give up one for two that are not there", session.Wait(short, []warden.SyncRule{rule, two}), warden.Unknown)
	session = claimKeeper(t, a, primary.Node(), claimBy("1", 2))
	want(t, "wait for nobody again", session.Wait(within(t), []warden.SyncRule{two, {}}), warden.Done)
	want(t, "leave", member.Follow(within(t), warden.Following{Primary: primary.Node()}), warden.Done)
	// Another session of the server may hear of it a moment later.
	Await(t, "who has left is called nothing any more", func() bool { return link.look(t).Member == "" })
}

// Goal: nothing arrives at a sealed replica, and Follow ends that.
func seals(t *testing.T, h Harness) {
	a := h.Adapter(t)
	primary, replica := h.pairOf(t)
	session := claimKeeper(t, a, replica.Node(), claimBy("1", 1))
	joins(t, session, replica, primary, nil)
	want(t, "seal", session.Seal(within(t)), warden.Done)
	sealed := session.Look(within(t))
	if sealed.Health != warden.HealthGood || sealed.Role != warden.RoleReplica || !sealed.Sealed || sealed.LinkUp || sealed.Position <= 0 {
		t.Fatalf("the sealed replica: %+v", sealed)
	}
	if err := primary.Write(within(t), 5); err != nil {
		t.Fatalf("write: %v", err)
	}
	newer := claimKeeper(t, a, replica.Node(), claimBy("2", 2))
	want(t, "seal again", newer.Seal(within(t)), warden.Done)
	if o := newer.Look(within(t)); !o.Sealed || o.Position != sealed.Position || o.Lineage != sealed.Lineage {
		t.Errorf("later: %+v, want it sealed at %d", o, sealed.Position)
	}
	want(t, "open", newer.Follow(within(t), warden.Following{Primary: primary.Node()}), warden.Done)
	awaitEqual(t, primary, replica)
	if o := newer.Look(within(t)); o.Sealed {
		t.Errorf("opened: %+v", o)
	}
}

// Goal: S8. There is no first moment in which a new primary waits for nobody.
func waitsFromTheFirst(t *testing.T, h Harness) {
	a := h.Adapter(t)
	old, candidate := h.pairOf(t)
	other := h.joined(t, old)
	c := claimBy("1", 1)
	first, second := claimKeeper(t, a, candidate.Node(), c), claimKeeper(t, a, other.Node(), c)
	rule := warden.SyncRule{K: 1, Names: []string{nameOf(other)}}
	joins(t, first, candidate, old, &rule)
	if o := first.Look(within(t)); o.Waits != rule.String() {
		t.Errorf("the member would wait for %q, want %q", o.Waits, rule)
	}
	joins(t, second, other, old, nil)
	old.Kill()
	want(t, "seal", first.Seal(within(t)), warden.Done)
	want(t, "seal", second.Seal(within(t)), warden.Done)
	want(t, "promote", first.Promote(within(t), &rule), warden.Done)
	w := write(t, candidate)
	w.waitsOn(t, "the first write")
	want(t, "follow", second.Follow(within(t), warden.Following{Primary: candidate.Node(), Name: nameOf(other)}), warden.Done)
	w.isDone(t, "the first write")
	awaitEqual(t, candidate, other)
}

// Goal: an order for the other role does nothing.
func refusesToKeep(t *testing.T, h Harness) {
	a := h.Adapter(t)
	primary, replica := h.pairOf(t)
	p, r := claimKeeper(t, a, primary.Node(), claimBy("1", 1)), claimKeeper(t, a, replica.Node(), claimBy("1", 1))
	want(t, "seal a primary", p.Seal(within(t)), warden.Refused)
	want(t, "wait on a replica", r.Wait(within(t), []warden.SyncRule{{}}), warden.Refused)
	want(t, "wait by no rule", p.Wait(within(t), nil), warden.Refused)
	if err := primary.Write(within(t), 1); err != nil {
		t.Errorf("write: %v", err)
	}
	awaitEqual(t, primary, replica)
}
