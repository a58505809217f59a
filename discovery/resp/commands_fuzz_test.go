package resp

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// Goal: whatever words come, the answer is whole frames of the protocol, and
// nothing panics or waits.
func FuzzCommands(f *testing.F) {
	for _, d := range dialogues {
		for typed := range strings.SplitSeq(d.requests, " ;; ") {
			f.Add(typed, false)
		}
	}
	for _, typed := range []string{
		"WARDEN STATUS", "WARDEN FAILOVER mymaster TO 10.0.0.2:6379 NOWAIT", "WARDEN EVENTS SINCE 1 2", "WARDEN RECOVER mymaster LOST a",
		"SENTINEL FAILOVER mymaster", "SENTINEL RESET *", "ACL WHOAMI", "ACL LIST", "ACL SETUSER a", "SHUTDOWN",
	} {
		f.Add(typed, true)
	}
	dir := newFake()
	s, err := New(Options{Directory: dir, Steward: newFakeSteward(dir)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, typed string, fresh bool) {
		words, err := splitWords(typed)
		if err != nil || len(words) == 0 {
			return
		}
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		c := s.newClient(near, 1)
		defer s.hub.remove(c)
		if fresh {
			c.w.proto = 3
		}
		s.dispatch(c, words)
		s.pause.end()
		c.flush()
		c.out.mu.Lock()
		answer := string(c.out.pending)
		c.out.mu.Unlock()
		br := bufio.NewReader(strings.NewReader(answer))
		for {
			frame, err := readFrame(br)
			if err == io.EOF && frame == "" {
				return
			}
			if err != nil {
				t.Fatalf("%q: %v in %q", words, err, answer)
			}
			if strings.ContainsAny(frame[:1], "+-") && strings.ContainsAny(frame[1:len(frame)-2], "\r\n") {
				t.Fatalf("%q: a line break in %q", words, frame)
			}
		}
	})
}
