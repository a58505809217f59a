package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// protect has a seat's clients and neighbours give a password.
func (s *seat) protect(password string) {
	s.lab.t.Helper()
	f, err := os.OpenFile(s.conf, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("requirepass " + password + "\n")
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		s.lab.t.Fatal(err)
	}
	o := *s.client.Options()
	o.Password = password
	s.client = redis.NewClient(&o)
	s.lab.t.Cleanup(func() { s.client.Close() })
}

// sayingDown counts the other Sentinels that are shown to find the primary down.
func (s *seat) sayingDown() int {
	n := 0
	for _, other := range s.instances("SENTINELS") {
		if slices.Contains(strings.Split(other["flags"], ","), "master_down") {
			n++
		}
	}
	return n
}

// Goal: a Warden beside two Sentinels asks them whether the primary is down once
// it finds it down itself, and shows what they answer, as they do. It logs in
// with the password that all of them have, or that of sentinel-pass as soon as
// that is set.
func TestWardenAsksSentinels(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	primary := l.addNode(nil) // without a replica nothing can be done about its death
	var seats []*seat
	for i := range 3 {
		s := l.addSeat(primary)
		s.protect("common")
		if s.ours = i == 2; s.ours {
			l.wardens = append(l.wardens, &s.ward)
		}
		s.sit()
		seats = append(seats, s)
	}
	for _, s := range seats {
		awaitFor(t, 2*patience, s.name+" counts the others", func() bool { return s.content(seats, 1) })
	}
	ours := seats[2]
	if n := ours.sayingDown(); n != 0 {
		t.Errorf("%d say down while the primary is up", n)
	}
	primary.process.kill()
	await(t, "the Warden shows that both say down", func() bool { return ours.sayingDown() == 2 })
	await(t, "a Sentinel shows that both say down", func() bool { return seats[0].sayingDown() == 2 })
	ours.must("CONFIG", "SET", "sentinel-pass", "wrong")
	await(t, "the wrong password is used", func() bool { return ours.sayingDown() == 0 })
	if !strings.Contains(ours.process.tail(1000), "sentinel-pass was changed") {
		t.Errorf("the log does not tell what the change does not change:\n%s", ours.process.tail(20))
	}
	ours.must("CONFIG", "SET", "sentinel-pass", "common")
	await(t, "the right password is used", func() bool { return ours.sayingDown() == 2 })
}
