package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// byName has a seat know the primary by its host name.
func (s *seat) byName(announce string) {
	s.lab.t.Helper()
	text, err := os.ReadFile(s.conf)
	if err == nil {
		named := strings.Replace(string(text), "sentinel monitor "+groupName+" "+s.lab.host+" ", "sentinel monitor "+groupName+" localhost ", 1)
		err = os.WriteFile(s.conf, []byte(named+"sentinel resolve-hostnames yes\nsentinel announce-hostnames "+announce+"\n"), 0o600)
	}
	if err != nil {
		s.lab.t.Fatal(err)
	}
}

// addresses is how a seat shows the nodes, in the words of its answers.
func (s *seat) addresses() string {
	var b strings.Builder
	b.WriteString(s.sentinel("GET-MASTER-ADDR-BY-NAME", groupName))
	for _, m := range append(s.instances("MASTER"), s.instances("REPLICAS")...) {
		fmt.Fprintf(&b, "; %s at %s %s", m["name"], m["ip"], m["port"])
	}
	info, err := s.client.Info(s.lab.ctx(5*time.Second), "sentinel").Result()
	if err != nil {
		return err.Error()
	}
	_, after, _ := strings.Cut(info, "address=")
	address, _, _ := strings.Cut(after, ",")
	return b.String() + "; " + address
}

// logged is the payload of the last event of a name in the log.
func (s *seat) logged(event string) string {
	lines := strings.Split(s.process.tail(1000), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if _, payload, found := strings.Cut(line, " "+event+" "); found {
			return strings.TrimSpace(payload)
		}
	}
	return ""
}

// Goal: with resolve-hostnames, Wardens show nodes as the Sentinels beside them
// do: by name with announce-hostnames and by address without, in answers, INFO,
// events and the log. Whatever each of them says, they understand each other,
// and the Sentinels get the Wardens' votes.
func TestNamesLikeSentinel(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	primary := l.addNode(nil)
	l.addNode(nil, "replicaof localhost "+primary.addr.Port(), "replica-announce-ip localhost")
	seats := map[string][]*seat{} // by announce-hostnames: a Sentinel and a Warden
	var all []*seat
	for _, announce := range []string{"yes", "no"} {
		for _, ours := range []bool{false, true} {
			s := l.addSeat(primary)
			s.byName(announce)
			if s.ours = ours; ours {
				l.wardens = append(l.wardens, &s.ward)
			}
			s.sit()
			seats[announce], all = append(seats[announce], s), append(all, s)
		}
	}
	for _, s := range all {
		awaitFor(t, 2*patience, s.name+" counts the others", func() bool { return s.content(all, 2) })
	}
	ours := func(announce, when string) {
		t.Helper()
		at := seats[announce][1].addresses()
		if strings.Contains(at, "localhost") != (announce == "yes") || strings.Contains(at, "127.0.0.1") != (announce == "no") {
			t.Errorf("with announce-hostnames %s it is %q %s", announce, at, when)
		}
	}
	alike := func(announce, when string) {
		t.Helper()
		pair := seats[announce]
		await(t, "both show the same "+when, func() bool { return pair[0].addresses() == pair[1].addresses() })
		ours(announce, when)
	}
	alike("yes", "at first")
	alike("no", "at first")
	for _, pair := range seats {
		await(t, pair[1].name+" has agreed", func() bool { return pair[1].logged("+first-agreement") != "" })
	}
	primary.process.kill()
	for announce, host := range map[string]string{"yes": "localhost", "no": "127.0.0.1"} {
		w := seats[announce][1]
		want := fmt.Sprintf("%s %s %s %s %s", groupName, host, l.nodes[0].addr.Port(), host, l.nodes[1].addr.Port())
		awaitFor(t, 2*patience, w.name+" has switched", func() bool { return w.logged("+switch-master") == want })
		await(t, "its clients are told so", func() bool { return w.said("+switch-master", want) })
	}
	alike("no", "after the failover")
	// A Sentinel takes the spelling that it hears from the one that led; a Warden
	// keeps the one it knows.
	ours("yes", "after the failover")
	if l.wardensMoved() {
		t.Error("a Warden led a failover though Sentinels were there")
	}
}
