package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal (R1, R4): a dead Warden stays in the list until an operator forgets it;
// a new one is added by itself. Each time all of them agree on the new list.
func TestForget(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	dead := l.wardens[2]
	id := dead.id()
	dead.process.kill()
	l.wardens = l.wardens[:2]
	stays(t, 2*downAfter, "silence removes no Warden", func() bool { return l.wardens[0].mustView().Topology.Lists(id) })
	out, err := l.wardens[0].command(l.ctx(patience), "forget", groupName, string(id[:12]))
	if err != nil || !strings.Contains(out, "done") {
		t.Fatalf("forget: %v\n%s", err, out)
	}
	l.awaitAgreed(l.nodes[0])
	fresh := l.prepareWarden()
	fresh.start()
	l.awaitAgreed(l.nodes[0])
	if got := fresh.mustView().Topology.Wardens; !slices.Contains(got, fresh.id()) || slices.Contains(got, id) {
		t.Errorf("the list is %v, want %s and not %s in it", got, fresh.id(), id)
	}
	l.nodes[0].process.kill()
	l.awaitPrimaryOtherThan(l.nodes[0], l.wardens...)
}

// Goal: half of the Wardens is lost for ever, so nothing can be agreed. After
// `recover` the others go on under a new Birth and fail over. A lost one that
// comes back is told so: it takes no part and disturbs nothing.
func TestRecover(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	l.settings.wardens = 4
	primary := l.addNode(nil)
	l.addNode(primary)
	l.addNode(primary)
	for range 4 {
		l.prepareWarden()
	}
	for _, w := range l.wardens {
		w.start()
	}
	l.awaitAgreed(primary)
	lost := l.wardens[2:]
	ids := []string{string(lost[0].id()), string(lost[1].id())}
	birth := l.wardens[0].mustView().Topology.Birth
	for _, w := range lost {
		w.process.kill()
	}
	primary.process.kill()
	l.wardens = l.wardens[:2]
	stays(t, 2*downAfter, "two of four Wardens change nothing", func() bool {
		return !l.nodes[1].isPrimary() && !l.nodes[2].isPrimary()
	})
	out, err := l.wardens[0].command(l.ctx(patience), "recover", groupName, "--lost", strings.Join(ids, ","))
	if err != nil || !strings.Contains(out, "done") {
		t.Fatalf("recover: %v\n%s", err, out)
	}
	fresh := l.awaitPrimaryOtherThan(primary, l.wardens...)
	now := l.wardens[0].mustView().Topology
	if now.Birth == birth || len(now.Wardens) != 2 {
		t.Errorf("the topology after recover is %+v, the Birth was %s", now, birth)
	}
	back := lost[0]
	back.start()
	await(t, "the Warden given up knows that it was", func() bool {
		v, err := back.view()
		return err == nil && strings.Contains(strings.Join(v.Explain, "\n"), "given up")
	})
	primary.start()
	await(t, "the old primary follows", func() bool { return primary.follows(fresh) })
	if again := l.wardens[0].mustView().Topology; slices.Contains(again.Wardens, back.id()) || again.Primary != fresh.addr {
		t.Errorf("the returned Warden changed the topology: %+v", again)
	}
}

// Goal (S1): a Warden whose disk is lost is a new Warden. It gets a new id and
// joins as a newcomer; the old id stays until it is forgotten.
func TestDiskLost(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	w := l.wardens[2]
	old := w.id()
	w.process.kill()
	if err := os.RemoveAll(l.path(w.name, "data")); err != nil {
		t.Fatal(err)
	}
	w.start()
	if w.id() == old {
		t.Fatal("a Warden without a disk remembers its id")
	}
	listed := func() []warden.WardenID { return l.wardens[0].mustView().Topology.Wardens }
	await(t, "the new Warden is in the list, beside the old id", func() bool {
		return slices.Contains(listed(), w.id()) && slices.Contains(listed(), old)
	})
	if out, err := w.command(l.ctx(patience), "forget", groupName, string(old)); err != nil {
		t.Fatalf("forget: %v\n%s", err, out)
	}
	l.awaitAgreed(l.nodes[0])
}
