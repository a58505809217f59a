package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/spineldb/warden/warden"
)

// rewrite gives every Warden a changed file and has it read again.
func (l *lab) rewrite(change func(text string) string) {
	l.t.Helper()
	for _, w := range l.wardens {
		w.write(change(w.config()))
		w.process.signal(l.t, syscall.SIGHUP)
	}
}

// doctor is what the doctor says of the running Wardens.
func (l *lab) doctor(flags ...string) string {
	l.t.Helper()
	out, err := l.wardens[0].command(l.ctx(patience), append([]string{"doctor"}, flags...)...)
	if err != nil {
		out += err.Error()
	}
	return out
}

// Goal: the steps of docs/operations.md for nodes. One is added, one is taken
// away, and one is replaced by an empty server at its address.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	primary := l.nodes[0]
	primary.set("written", "before")

	fourth := l.addNode(primary) // REPLICAOF is all it takes
	l.awaitAgreed(primary)
	l.rewrite(func(text string) string { // named, it may be made to follow whatever its data is
		return text + fmt.Sprintf("nodes = [%q]\n", fourth.addr)
	})
	l.awaitAgreed(primary)

	gone := l.nodes[1]
	gone.process.kill()
	l.nodes = append(l.nodes[:1], l.nodes[2:]...)
	stays(t, 2*downAfter, "a node that is gone is remembered", func() bool { return len(l.wardens[0].mustView().Nodes) == 4 })
	for _, w := range l.wardens {
		if text, err := w.client.Do(l.ctx(patience), "WARDEN", "RESET", groupName).Text(); err != nil || !strings.Contains(text, `"done"`) {
			t.Fatalf("reset: %s, %v", text, err)
		}
	}
	l.awaitAgreed(primary)

	fourth.process.kill()
	l.nodes = l.nodes[:len(l.nodes)-1]
	empty := l.prepareNode(fourth.addr, primary) // in a directory of its own
	empty.start()
	l.awaitAgreed(primary)
	if got := empty.get("written"); got != "before" {
		t.Errorf("the server in the place of another has %q", got)
	}
	primary.process.kill()
	fresh := l.awaitPrimaryOtherThan(primary, l.wardens...)
	if got := fresh.get("written"); got != "before" {
		t.Errorf("after the failover there is %q", got)
	}
}

// Goal: the steps of docs/operations.md for Wardens. Three become five, which
// survive the loss of two; the two are forgotten and the three go on. The doctor
// finds what is half done at each step, and nothing at the end.
func TestWardensComeAndGo(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	five := func(text string) string {
		return strings.NewReplacer("quorum = 2", "quorum = 3", "wardens = 3", "wardens = 5").Replace(text)
	}
	for range 2 {
		w := l.prepareWarden()
		w.write(five(w.config()))
		w.start()
		l.awaitAgreed(l.nodes[0])
	}
	if out := l.doctor(); !strings.Contains(out, "quorum is ") || !strings.Contains(out, "wardens is ") {
		t.Errorf("two Wardens have another file, and the doctor says\n%s", out)
	}
	l.rewrite(five)
	await(t, "every Warden has the new quorum", func() bool {
		for _, w := range l.wardens {
			if v, err := w.view(); err != nil || v.Quorum != 3 {
				return false
			}
		}
		return true
	})
	if out := l.doctor(); strings.Contains(out, "quorum is ") || strings.Contains(out, "wardens is ") {
		t.Errorf("all Wardens have one file, and the doctor says\n%s", out)
	}

	dead := l.wardens[3:]
	ids := []warden.WardenID{dead[0].id(), dead[1].id()}
	for _, w := range dead {
		w.process.kill()
	}
	l.nodes[0].process.kill()
	await(t, "three of five replace the primary", func() bool {
		v, err := l.wardens[0].view()
		return err == nil && v.Primary != l.nodes[0].addr && v.Topology.Phase == warden.PhaseDone
	})
	await(t, "the doctor says that two of five are gone", func() bool {
		return strings.Contains(l.doctor("--timeout", "2s"), "3 of 5 Wardens are there, just as many as are needed")
	})
	l.wardens = l.wardens[:3]
	for _, id := range ids {
		await(t, "one more is forgotten", func() bool {
			out, err := l.wardens[0].command(l.ctx(patience), "forget", groupName, string(id))
			return err == nil && strings.Contains(out, "done")
		})
	}
	l.rewrite(func(text string) string { return text })
	l.nodes[0].start()
	fresh := l.awaitPrimaryOtherThan(l.nodes[0], l.wardens...)
	l.awaitAgreed(fresh)
	if out := l.doctor(); strings.Contains(out, "error") || strings.Contains(out, "quorum is ") || !strings.Contains(out, "agreed") {
		t.Errorf("three are left and agreed, and the doctor says\n%s", out)
	}
}

// Goal: the user of docs/security.md may do all that watching, a failover, the
// return of the old primary and a switchover take: no server has denied
// anything.
func TestDocumentedUser(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	user := regexp.MustCompile(`(?m)^user warden on >secret .*$`).FindString(string(page))
	if user == "" {
		t.Fatal("docs/security.md shows no user")
	}
	l := startLab(t, func(s *settings) {
		s.nodeLines = []string{user}
		s.group = "auth_user = \"warden\"\nauth_password = \"secret\"\n"
	})
	old := l.nodes[0]
	old.process.kill()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	old.start()
	l.awaitAgreed(fresh)
	if out, err := l.wardens[0].command(l.ctx(patience), "switchover", groupName, "--to", string(old.addr)); err != nil || !strings.Contains(out, "done") {
		t.Fatalf("switchover: %v\n%s", err, out)
	}
	l.awaitAgreed(old)
	for _, n := range l.nodes {
		log, err := n.client.Do(l.ctx(patience), "ACL", "LOG").Slice()
		if err != nil || len(log) > 0 {
			t.Errorf("%s denied something: %v, %v", n.name, log, err)
		}
	}
}
