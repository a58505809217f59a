package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// seat is one place of three in which a Sentinel or a Warden runs, always with
// the same sentinel.conf, the way an operator replaces a binary.
type seat struct {
	ward
	conf string
	ours bool // a Warden sits there
}

// addSeat prepares a seat for a group and starts nothing.
func (l *lab) addSeat(primary *node) *seat {
	l.t.Helper()
	l.madeWardens++
	name := "seat-" + strconv.Itoa(l.madeWardens)
	s := &seat{ward: ward{lab: l, name: name, host: l.host, dir: l.path(name)}}
	s.addr = string(warden.MakeNode(l.host, freePort(l.t, l.host)))
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	s.client = l.newWardenClient(s.addr)
	l.t.Cleanup(func() { s.client.Close() })
	s.conf = l.path(name, "sentinel.conf")
	text := fmt.Sprintf("bind %s\nport %s\ndir %s\nsentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 6000\n",
		l.host, s.port(), s.dir, groupName, primary.addr.Host(), primary.addr.Port(), groupName, groupName)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// sit starts what sits there, and waits until it answers.
func (s *seat) sit() {
	s.lab.t.Helper()
	argv := []string{redisBinary, s.conf, "--sentinel"}
	if s.ours {
		argv = []string{spineldbBinary, "--sentinel", s.conf}
	}
	s.process = s.lab.spawn(s.name, s.lab.path(s.name, "log"), nil, argv...)
	await(s.lab.t, s.name+" answers", func() bool {
		if !s.process.alive() {
			s.lab.t.Fatalf("%s ended at once:\n%s", s.name, s.process.tail(20))
		}
		return s.client.Ping(s.lab.ctx(2*time.Second)).Err() == nil
	})
}

// replace puts a Warden in the place of a Sentinel, with the file it leaves.
func (s *seat) replace() {
	s.lab.t.Helper()
	before := s.myID()
	s.process.signal(s.lab.t, syscall.SIGTERM)
	s.process.exit(s.lab.t, 10*time.Second)
	s.ours = true
	s.lab.wardens = append(s.lab.wardens, &s.ward)
	s.sit()
	if after := s.myID(); after != before {
		s.lab.t.Errorf("%s is %s and was %s", s.name, after, before)
	}
}

func (s *seat) myID() string {
	id, err := s.client.Do(s.lab.ctx(5*time.Second), "SENTINEL", "MYID").Text()
	if err != nil {
		s.lab.t.Fatalf("ask %s for its id: %v", s.name, err)
	}
	return id
}

// instances are the maps of SENTINEL MASTER (one) or a list.
func (s *seat) instances(what string) []map[string]string {
	reply, err := s.client.Do(s.lab.ctx(5*time.Second), "SENTINEL", what, groupName).Slice()
	if err != nil {
		return nil
	}
	if what == "MASTER" {
		reply = []any{reply}
	}
	var all []map[string]string
	for _, r := range reply {
		parts, _ := r.([]any)
		m := map[string]string{}
		for i := 0; i+1 < len(parts); i += 2 {
			m[fmt.Sprint(parts[i])] = fmt.Sprint(parts[i+1])
		}
		all = append(all, m)
	}
	return all
}

// content reports whether what sits there sees the two others, each alive, under
// the ids they have, and every server of the group.
func (s *seat) content(seats []*seat, nodes int) bool {
	m := s.instances("MASTER")
	if len(m) != 1 || m[0]["flags"] != "master" || m[0]["num-other-sentinels"] != strconv.Itoa(len(seats)-1) || m[0]["num-slaves"] != strconv.Itoa(nodes-1) {
		return false
	}
	var ids, ports, wantIDs, wantPorts []string
	for _, p := range s.instances("SENTINELS") {
		if p["flags"] != "sentinel" {
			return false
		}
		ids, ports = append(ids, p["runid"]), append(ports, p["port"])
	}
	for _, other := range seats {
		if other != s {
			wantIDs, wantPorts = append(wantIDs, other.myID()), append(wantPorts, other.port())
		}
	}
	for _, list := range [][]string{ids, ports, wantIDs, wantPorts} {
		slices.Sort(list)
	}
	return slices.Equal(ids, wantIDs) && slices.Equal(ports, wantPorts)
}

// settled is the one primary, when all seats serve it and everybody else
// follows it; else nil.
func (l *lab) settled(seats []*seat) *node {
	var primary *node
	for _, n := range l.nodes {
		switch n.replication()["role"] {
		case "master":
			if primary != nil {
				return nil
			}
			primary = n
		case "slave":
		default:
			return nil
		}
	}
	if primary == nil {
		return nil
	}
	for _, n := range l.nodes {
		if n != primary && !n.follows(primary) {
			return nil
		}
	}
	for _, s := range seats {
		if s.served() != primary.addr {
			return nil
		}
	}
	return primary
}

// loses kills the primary, waits until all seats serve another one, starts the
// old one again, and returns the new one when all is well. For a while after
// that nothing may change: nobody fights.
//
// Two real Sentinels may both be elected, in epochs one after the other, since a
// Sentinel votes again in each; then the second one moves the primary that the
// first has just made. The Wardens follow them both times, and tell it each time.
func (l *lab) loses(seats []*seat, old *node, calm time.Duration) *node {
	l.t.Helper()
	old.process.kill()
	began := time.Now()
	await(l.t, "another primary than "+old.name+" is served by all", func() bool {
		at := seats[0].served()
		for _, s := range seats {
			if s.served() != at {
				return false
			}
		}
		now := l.node(at)
		return now != nil && now != old && now.isPrimary()
	})
	old.start()
	var now *node
	awaitFor(l.t, 2*patience, old.name+" is back as a replica of the new primary", func() bool {
		now = l.settled(seats)
		return now != nil && now != old
	})
	stays(l.t, calm, now.name+" is the primary and all others follow it", func() bool { return l.settled(seats) == now })
	deciders := 0
	for _, s := range seats {
		if !s.ours {
			deciders++
		}
	}
	for _, w := range l.wardens {
		await(l.t, w.name+" tells its clients of each switch once", func() bool {
			return leads(w.switches(began), old.addr, now.addr, max(1, deciders))
		})
	}
	return now
}

// switches are the payloads of +switch-master since then.
func (w *ward) switches(since time.Time) []string {
	var told []string
	for _, h := range w.events() {
		if h.Event == "+switch-master" && h.UnixMS >= since.UnixMilli() {
			told = append(told, h.Payload)
		}
	}
	return told
}

// leads reports whether switches lead from one address to another without a gap,
// in at most so many steps.
func leads(told []string, from, to warden.NodeID, most int) bool {
	if len(told) > most {
		return false
	}
	for _, payload := range told {
		head := strings.Join([]string{groupName, from.Host(), from.Port()}, " ") + " "
		next, found := strings.CutPrefix(payload, head)
		host, port, both := strings.Cut(next, " ")
		number, err := strconv.Atoi(port)
		if !found || !both || err != nil {
			return false
		}
		from = warden.MakeNode(host, number)
	}
	return len(told) > 0 && from == to
}

// Goal: an operator replaces the binaries of three Sentinels one after another.
// At each step the ones count the others; a failover that Sentinels make is
// taken over by Wardens without a fight; and when the last Sentinel is gone the
// Wardens decide by themselves.
func TestReplaceSentinelsOneByOne(t *testing.T) {
	l := newLab(t, "127.0.0.1")
	primary := l.addNode(nil)
	l.addNode(primary)
	l.addNode(primary)
	var seats []*seat
	for range 3 {
		seats = append(seats, l.addSeat(primary))
	}
	for _, s := range seats {
		s.sit()
	}
	contented := func(when string) {
		t.Helper()
		for _, s := range seats {
			awaitFor(t, 2*patience, s.name+" counts the others "+when, func() bool { return s.content(seats, len(l.nodes)) })
		}
	}
	contented("before anything was replaced")

	seats[0].replace()
	contented("with one Warden")
	primary = l.loses(seats, primary, 15*time.Second)
	if l.wardensMoved() {
		t.Error("a Warden led a failover though Sentinels were there")
	}
	contented("after their failover")
	await(t, "the Warden's file names the primary", func() bool {
		text, err := os.ReadFile(seats[0].conf)
		return err == nil && strings.Contains(string(text), "\nsentinel monitor "+groupName+" "+primary.addr.Host()+" "+primary.addr.Port()+" 2\n")
	})
	// Started again, it goes on with what the Sentinels decided.
	seats[0].process.signal(t, syscall.SIGTERM)
	seats[0].process.exit(t, 10*time.Second)
	seats[0].sit()
	await(t, "the Warden serves the same after a restart", func() bool { return l.settled(seats) == primary })
	contented("after the restart of the Warden")

	seats[1].replace()
	contented("with two Wardens")
	primary = l.loses(seats, primary, 15*time.Second)
	if l.wardensMoved() {
		t.Error("a Warden led a failover though a Sentinel was there")
	}
	contented("after the failover with one Sentinel left")

	seats[2].replace()
	contented("with Wardens alone")
	awaitFor(t, 2*patience, "the Wardens agree", func() bool { return agreed(l.wardens, primary) })
	primary = l.loses(seats, primary, 2*time.Second)
	if !l.wardensMoved() {
		t.Error("nobody led the last failover")
	}
	contented("at the end")
	awaitFor(t, 2*patience, "all is well", func() bool { return l.healthy(primary) })
}

// wardensMoved reports whether a running Warden was elected for a failover.
func (l *lab) wardensMoved() bool {
	return slices.ContainsFunc(l.wardens, func(w *ward) bool {
		return slices.ContainsFunc(w.events(), func(h happening) bool {
			return h.Event == "+promoted-slave" || strings.HasPrefix(h.Event, "+failover-state")
		})
	})
}
