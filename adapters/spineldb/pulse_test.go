package spineldb

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// answer is what came to a Pulse.
type answer struct {
	asked warden.Instant
	good  bool
}

// openPulsing opens a link to a server and waits until it listens.
func openPulsing(t *testing.T, a *Adapter, s *redisServer) (*link, chan answer, ears) {
	t.Helper()
	answers := make(chan answer, 16)
	e := ears{make(chan warden.Hello, 64), make(chan string, 64)}
	l := a.Open(s.Node(), warden.LinkEvents{
		Pulse:     func(_ warden.NodeID, asked warden.Instant, good bool) { answers <- answer{asked, good} },
		Hello:     func(h warden.Hello) { e.hellos <- h },
		Neighbour: func(payload string) { e.neighbours <- payload },
	}).(*link)
	t.Cleanup(l.Close)
	adaptertest.Await(t, "the link listens", func() bool { return l.ear.Load() != nil })
	return l, answers, e
}

func within(t *testing.T, answers <-chan answer) answer {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(10 * time.Second):
		t.Fatal("a Pulse has no answer within 10 s")
		return answer{}
	}
}

// Goal: a sign of life is told with the instant it was asked for, only one is
// asked for at a time, and a server that runs a script gives none that is good.
func TestPulse(t *testing.T) {
	s := startRedis(t, "busy-reply-threshold 50")
	l, answers, _ := openPulsing(t, New(Options{}), s)
	for i := range 3 {
		if !l.Pulse(warden.Instant(i + 1)) {
			t.Fatalf("Pulse %d was not asked", i+1)
		}
		if got, want := within(t, answers), (answer{warden.Instant(i + 1), true}); got != want {
			t.Errorf("answer %+v, want %+v", got, want)
		}
	}
	if err := s.Client.ClientPause(t.Context(), 500*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	if !l.Pulse(11) || l.Pulse(12) {
		t.Error("while the server is paused one Pulse can be asked, and no second one")
	}
	if got := within(t, answers); got != (answer{11, true}) {
		t.Errorf("after the pause %+v", got)
	}

	busy, end := context.WithCancel(t.Context())
	defer end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Client.Eval(busy, "while true do end", nil)
	}()
	adaptertest.Await(t, "the script blocks the server", func() bool { return l.Look(soon(t)).Health == warden.HealthBusy })
	if !l.Pulse(21) {
		t.Fatal("no Pulse while a script runs")
	}
	if got := within(t, answers); got != (answer{21, false}) {
		t.Errorf("while a script runs %+v", got)
	}
	if err := l.Unblock(soon(t)); err != nil {
		t.Error(err)
	}
	<-ended
}

// Goal: what is said is heard, and its answers are taken for no others.
func TestSay(t *testing.T) {
	s := startRedis(t)
	l, _, ears := openPulsing(t, New(Options{}), s)
	if l.Say(neighbourHello()) {
		t.Error("said over a connection that there is not")
	}
	l.Look(soon(t))
	if l.Say(neighbourHello()) {
		t.Error("said before a hello was surely published")
	}
	if err := l.Publish(soon(t), neighbourHello()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for range mostOwed / 2 { // two channels each
			if !l.Say(neighbourHello()) {
				t.Fatal("not said")
			}
		}
		if l.Say(neighbourHello()) {
			t.Errorf("more than %d answers are owed", mostOwed)
		}
		if o := l.Look(soon(t)); o.Health != warden.HealthGood || o.Role != warden.RolePrimary {
			t.Fatalf("look: %+v", o)
		}
	}
	for range 1 + 3*mostOwed/2 {
		<-ears.hellos
		<-ears.neighbours
	}
	if n, err := s.Clients(soon(t)); err != nil || n != 2 {
		t.Errorf("%d connections, want 2 (%v)", n, err)
	}
}

// Goal: a hello that a paused server keeps waiting holds up no look, and one that
// is refused is left to Publish.
func TestSayInVain(t *testing.T) {
	s := startRedis(t, "user watcher on >pw +@all allchannels")
	l, _, _ := openPulsing(t, New(Options{User: "watcher", Password: "pw"}), s)
	if err := l.Publish(soon(t), neighbourHello()); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Do(t.Context(), "CLIENT", "PAUSE", "60000", "WRITE").Err(); err != nil {
		t.Fatal(err)
	}
	if !l.Say(neighbourHello()) {
		t.Fatal("not said")
	}
	began := time.Now()
	if o := l.Look(soon(t)); o.Health != warden.HealthGood || time.Since(began) > 2*time.Second {
		t.Errorf("a look beside a hello that waits: %s after %s", o.Health, time.Since(began))
	}
	if err := s.Client.ClientUnpause(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(soon(t), neighbourHello()); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Do(t.Context(), "ACL", "SETUSER", "watcher", "-publish").Err(); err != nil {
		t.Fatal(err)
	}
	if !l.Say(neighbourHello()) {
		t.Fatal("not said")
	}
	if o := l.Look(soon(t)); o.Health != warden.HealthGood {
		t.Errorf("a look after a hello that was refused: %+v", o)
	}
	if l.Say(neighbourHello()) {
		t.Error("said again what was refused")
	}
	if l.Publish(soon(t), neighbourHello()) == nil {
		t.Error("Publish says nothing of the refusal")
	}
}

// Goal: the answers to what was said are not taken for those of a Publish that
// comes next, as when a new epoch has to be told.
func TestPublishAfterSay(t *testing.T) {
	s := startRedis(t, "user watcher on >pw +@all allchannels")
	l, _, _ := openPulsing(t, New(Options{User: "watcher", Password: "pw"}), s)
	allow := func(rule string) {
		t.Helper()
		if err := s.Client.Do(t.Context(), "ACL", "SETUSER", "watcher", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Publish(soon(t), neighbourHello()); err != nil {
		t.Fatal(err)
	}
	allow("-publish")
	if !l.Say(neighbourHello()) {
		t.Fatal("not said")
	}
	adaptertest.Await(t, "the hello is refused", func() bool {
		return strings.Contains(s.Client.Info(t.Context(), "errorstats").Val(), "NOPERM")
	})
	allow("+publish")
	l.Mark(warden.Claim{Group: "g", Epoch: 7})
	if l.Say(neighbourHello()) {
		t.Fatal("said under the old name")
	}
	if err := l.Publish(soon(t), neighbourHello()); err != nil {
		t.Errorf("Publish takes the answers to what was said before: %v", err)
	}
}
