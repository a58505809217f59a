package main

import (
	"context"
	"errors"
	"net"
	"time"
)

// Deadlines of a measured client. They bound how coarse the measurement is: a
// client that was sent to a stopped server loses writeLimit before it asks
// again, in both systems.
const (
	seekAskLimit  = 50 * time.Millisecond
	seekDialLimit = 20 * time.Millisecond
	writeLimit    = 20 * time.Millisecond
	seekPause     = time.Millisecond // between two attempts
)

// seeker is a client that knows only the monitors: it asks one after another
// where the primary is. One goroutine at a time.
type seeker struct {
	monitors []string
	wires    []*wire
	next     int
}

// newSeeker connects to the monitors, as a client that runs for long has.
func newSeeker(monitors []string) *seeker {
	s := &seeker{monitors: monitors, wires: make([]*wire, len(monitors))}
	for range monitors {
		_, _ = s.ask() // a monitor that is not there is tried again later
	}
	return s
}

func (s *seeker) close() {
	for _, w := range s.wires {
		w.close()
	}
}

// ask asks the next monitor for the address of the primary.
func (s *seeker) ask() (string, error) {
	i := s.next
	s.next = (s.next + 1) % len(s.monitors)
	if s.wires[i] == nil {
		w, err := dial(s.monitors[i], seekDialLimit)
		if err != nil {
			return "", err
		}
		s.wires[i] = w
	}
	answer, err := s.wires[i].call(seekAskLimit, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", groupName)
	if err != nil {
		s.wires[i].close()
		s.wires[i] = nil
		return "", err
	}
	list, _ := answer.([]any)
	if len(list) != 2 {
		return "", errors.New("no primary is known")
	}
	host, _ := list[0].(string)
	port, _ := list[1].(string)
	return net.JoinHostPort(host, port), nil
}

// found is when a client first heard of a new primary, and when its first
// write there was acknowledged.
type found struct {
	named, wrote time.Time
	addr         string
}

// seek asks, connects and writes until a write is acknowledged by any server
// but old.
func (s *seeker) seek(ctx context.Context, old string) (found, error) {
	var f found
	for ctx.Err() == nil {
		addr, err := s.ask()
		if err == nil && addr != old && f.named.IsZero() {
			f.named = time.Now()
		}
		if err == nil && write(addr) == nil && addr != old {
			f.wrote, f.addr = time.Now(), addr
			return f, nil
		}
		if err := pause(ctx, seekPause); err != nil {
			return f, err
		}
	}
	return f, ctx.Err()
}

// write connects and writes once, and fails if that was not acknowledged.
func write(addr string) error {
	w, err := dial(addr, seekDialLimit)
	if err != nil {
		return err
	}
	defer w.close()
	_, err = w.call(writeLimit, "SET", "after", "the fault")
	return err
}
