package e2e

import (
	"fmt"
	"testing"
	"time"
)

// Goal: servers with append-only files draw new replication ids at each start. All of
// them die at once, and only the replicas come back: one is promoted, with the data.
// The old primary comes back and follows. So it is where the operator named his nodes,
// and in the place of Sentinel, which trusts all it has met.
func TestAppendOnlyGroup(t *testing.T) {
	t.Parallel()
	inSentinelsPlace := func(l *lab) { l.settings.dropIn = true }
	named := func(l *lab) {
		l.settings.groups = func() string {
			p, b, c := l.nodes[0].addr, l.nodes[1].addr, l.nodes[2].addr
			return fmt.Sprintf("[[masters]]\nname = %q\nip = %q\nport = %s\nquorum = 2\ndown_after = \"1s\"\nhello_interval = \"300ms\"\nwardens = 3\nnodes = [%q, %q]\n",
				groupName, p.Host(), p.Port(), b, c)
		}
	}
	for name, how := range map[string]func(*lab){"named": named, "in Sentinel's place": inSentinelsPlace} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "127.0.0.1")
			l.settings.nodeLines = []string{"appendonly yes", "appendfsync always"}
			how(l)
			l.fill()
			primary := l.nodes[0]
			primary.set("kept", "1")
			primary.do("WAIT", "2", "5000")
			await(t, "the replicas have written their files", func() bool {
				return l.nodes[1].get("kept") == "1" && l.nodes[2].get("kept") == "1"
			})
			for _, n := range l.nodes {
				n.process.kill()
			}
			l.nodes[1].start()
			l.nodes[2].start()
			fresh := l.awaitPrimaryOtherThan(primary, l.wardens...)
			if got := fresh.get("kept"); got != "1" {
				t.Errorf("%s was promoted and has %q of what all had acknowledged", fresh.name, got)
			}
			primary.start()
			await(t, "the old primary follows", func() bool { return primary.follows(fresh) })
			l.awaitAgreed(fresh)
			stays(t, time.Second, "the data is there", func() bool { return fresh.get("kept") == "1" })
		})
	}
}
