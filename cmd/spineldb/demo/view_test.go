package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/warden"
)

// playedModel is a demo in the middle of an outage: two seconds of writes, the
// kill, then half a second of failures.
func playedModel(t *testing.T) (*model, time.Time) {
	t.Helper()
	began := time.Now().Add(-2500 * time.Millisecond)
	m := newModel("embedded", time.Second, began)
	c := &cast{}
	for i := range castSize {
		c.nodes = append(c.nodes, c.child(string(rune('A'+i)), 20001+i))
		c.wardens = append(c.wardens, c.child(fmt.Sprintf("W%d", i+1), 20004+i))
	}
	m.cast(c)
	a, b := c.nodes[0].addr, c.nodes[1].addr
	for i, w := range c.wardens {
		m.heard(w.addr, warden.WardenID(fmt.Sprintf("%040d", i)), warden.GroupView{Name: groupName, Primary: a, Agreed: true, Nodes: []warden.NodeView{
			{Node: a, Primary: true, Down: i == 0, Odown: i == 0, Agreeing: 2, ObservedAgo: 1, Observation: warden.Observation{Role: warden.RolePrimary, Position: 1234567}},
			{Node: b, ObservedAgo: 1, Observation: warden.Observation{Role: warden.RoleReplica, Upstream: a, LinkUp: true}},
		}}, true)
	}
	kill := began.Add(2 * time.Second)
	for at := began; at.Before(kill); at = at.Add(2 * time.Millisecond) {
		m.wrote(at)
	}
	m.reach(markSdown, began) // before the kill: not of this failover
	m.reach(markKill, kill)
	m.act(kill, "the kill", "kill", "kill -9 A, the primary", terminal.Bad)
	m.died(a, true)
	for at := kill; at.Before(began.Add(2500 * time.Millisecond)); at = at.Add(5 * time.Millisecond) {
		m.missed(at, at.Equal(kill))
	}
	m.reach(markSdown, kill.Add(400*time.Millisecond))
	return m, kill
}

func screenText(p picture, width, height int, b terminal.Brush) string {
	var s strings.Builder
	for _, r := range layOut(p, width, height) {
		s.WriteString(r.text(b, width) + "\n")
	}
	return s.String()
}

// Goal: the view says what is going on, and where the gap is.
func TestView(t *testing.T) {
	m, kill := playedModel(t)
	p := m.picture()
	p.now = kill.Add(500 * time.Millisecond)
	text := screenText(p, 120, 40, false)
	for _, want := range []string{
		"✗ A  127.0.0.1:20001  primary       killed", "● B  127.0.0.1:20002  replica of A", "○ C  127.0.0.1:20003  starting",
		"A is DOWN: 2 of 3 agree", "A is up", "● kill  ● SDOWN 400  ○ ODOWN  ○ votes",
		"0 a second, 1 000 acknowledged, 100 tried in vain",
		" ████████████████████×××××\n", "\n" + strings.Repeat(" ", 21) + "▲ kill",
		"+0.000s          kill -9 A, the primary\n", "+0.000s  client  writes fail\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || !strings.Contains(screenText(p, 120, 40, true), "\x1b[1;31mkilled\x1b[0m") {
		t.Error("colours do not obey")
	}
	m.wrote(kill.Add(480 * time.Millisecond))
	if got := m.reached(markFirstWrite).Sub(kill); got != 480*time.Millisecond {
		t.Errorf("the first write is at %s", got)
	}
	if p := m.picture(); p.longest != 482*time.Millisecond {
		t.Errorf("the longest wait is %s", p.longest)
	}
}

// Goal: the view fits every terminal, also while everything is left running.
func TestViewFits(t *testing.T) {
	m, _ := playedModel(t)
	for _, hint := range [][]string{nil, {"first", "second", "third", strings.Repeat("long ", 100)}} {
		m.hint(hint)
		p := m.picture()
		for width := 1; width < 200; width += 7 {
			for height := 1; height < 60; height += 3 {
				got := frame(layOut(p, width, height), width, height, false)
				lines := strings.Split(got, "\r\n")
				if len(lines) > height {
					t.Fatalf("%d rows on a terminal of %dx%d", len(lines), width, height)
				}
				for _, line := range lines {
					line = strings.NewReplacer(screenHome, "", screenRest, "", lineRest, "").Replace(line)
					if n := utf8.RuneCountInString(line); n > width {
						t.Fatalf("%d cells on a terminal of %dx%d: %q", n, width, height, line)
					}
				}
			}
		}
		if text := screenText(p, 80, 24, false); hint != nil && !strings.Contains(text, "first") {
			t.Errorf("the hint is missing on a small terminal:\n%s", text)
		}
	}
}

// Goal: a demo left running for days keeps a bounded past.
func TestModelIsBounded(t *testing.T) {
	began := time.Now()
	m := newModel("embedded", time.Second, began)
	for i := range 10 * maxBuckets {
		at := began.Add(time.Duration(i) * bucketSpan)
		m.wrote(at)
		m.say(at, "", "again", terminal.Plain)
	}
	m.wrote(began.Add(1000 * maxBuckets * bucketSpan)) // the machine slept
	p := m.picture()
	if len(p.buckets) > maxBuckets || len(p.moments) > maxMoments || p.acked != 10*maxBuckets+1 {
		t.Errorf("%d buckets, %d moments, %d writes", len(p.buckets), len(p.moments), p.acked)
	}
	p.now = began.Add(1000 * maxBuckets * bucketSpan).Add(2 * bucketSpan)
	if text := screenText(p, 80, 24, false); !strings.Contains(text, "·█") {
		t.Errorf("the newest write is not shown:\n%s", text)
	}
}

// Goal: of events that all Wardens report one line tells, a vote is told with
// the names of the demo, and what is not known is told as it came.
func TestTales(t *testing.T) {
	m, kill := playedModel(t)
	tales := newTales(m)
	hear := func(who, event, payload string) {
		tales.hear(remote.Event{EventRecord: warden.EventRecord{UnixMS: kill.Add(time.Second).UnixMilli(), Event: event, Payload: payload, Level: warden.LevelWarning}, Warden: warden.WardenID(who)})
	}
	before := len(m.picture().moments)
	hear("W1", "+odown", "master demo 127.0.0.1 20001 #quorum 2/2")
	hear("W2", "+vote-for-leader", fmt.Sprintf("%040d 7", 2))
	hear("W3", "+vote-for-leader", fmt.Sprintf("%040d 7", 2))
	hear("W3", "+new-epoch", "7")
	for _, w := range []string{"W1", "W2", "W3"} {
		hear(w, "+switch-master", "demo 127.0.0.1 20001 127.0.0.1 20002")
	}
	hear("W1", "-foreign-node", "slave x \x1b[2J")
	hear("W1", "+vote-for-leader", "nonsense")
	hear("W1", "+switch-master", "nonsense")
	var got []string
	for _, moment := range m.picture().moments[before:] {
		got = append(got, moment.who+": "+moment.text)
	}
	want := []string{
		"W1: enough Wardens say so: A is down (ODOWN)", "W2: votes for W3 in epoch 7", "W3: votes for itself in epoch 7",
		": clients are told: B is the primary", "W1: -foreign-node slave x ?[2J",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if m.reached(markOdown).IsZero() {
		t.Error("ODOWN was not marked")
	}
}
