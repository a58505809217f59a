package main

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// oneGroup is a Directory with one group, which obeys every command.
type oneGroup struct {
	mu       sync.Mutex
	self     warden.SelfView
	view     warden.GroupView
	commands []warden.Command
}

func (d *oneGroup) Now() warden.Instant        { return 1 }
func (d *oneGroup) Self() warden.SelfView      { return d.self }
func (d *oneGroup) Groups() []warden.GroupName { return []warden.GroupName{d.view.Name} }
func (d *oneGroup) Primary(g warden.GroupName) (warden.NodeID, bool) {
	return d.view.Primary, g == d.view.Name
}
func (d *oneGroup) Group(g warden.GroupName) (warden.GroupView, bool) {
	return d.view, g == d.view.Name
}

func (d *oneGroup) Command(_ context.Context, c warden.Command) warden.Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commands = append(d.commands, c)
	return warden.Answer{Verdict: warden.VerdictDone, Text: "so be it"}
}

// The command line and the Warden's real server understand one another.
func TestAgainstRealServer(t *testing.T) {
	d := &oneGroup{self: warden.SelfView{ID: idA, Version: "1", Groups: 1}, view: healthyView(idA, nil)}
	d.view.Topology.Wardens = []warden.WardenID{idA}
	d.view.Peers, d.view.Quorum = nil, 1
	s, err := resp.New(resp.Options{Addr: "127.0.0.1:0", Password: "right", Directory: d, Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	addr := s.Addr().String()
	t.Setenv("WARDEN_SERVER", addr)
	runCommand(t, "status").has(t, exit.Refused, "denied (NOAUTH")
	runCommand(t, "status", "--password", "wrong").has(t, exit.Refused, "denied (WRONGPASS")
	t.Setenv("WARDEN_PASSWORD", "right")
	runCommand(t, "status").has(t, exit.Done, "mymaster  primary 10.0.0.1:6379  agreed", "up 1/1")
	runCommand(t, "explain").has(t, exit.Done, "All is well.")
	runCommand(t, "ckquorum").has(t, exit.Done, "OK ")
	runCommand(t, "failover", "--to", "10.0.0.2:6379", "--no-wait").has(t, exit.Done, "done: so be it")
	runCommand(t, "forget", "aaa").has(t, exit.Done, "done")
	runCommand(t, "recover", "--lost", "aaa").has(t, exit.Done, "done")
	runCommand(t, "release", "--gone", "10.0.0.3:6379,10.0.0.4:6379", "--gone", "c:1").has(t, exit.Done, "release mymaster: done: so be it")
	runCommand(t, "release", "mymaster").has(t, exit.Done, "done")
	runCommand(t, "release", "--gone", "nobody").has(t, exit.Usage, "--gone: address \"nobody\" has no port")
	d.mu.Lock()
	if len(d.commands) != 5 || d.commands[3].Wish != warden.WishRelease || len(d.commands[3].Gone) != 3 || len(d.commands[4].Gone) != 0 || d.commands[0].To != "10.0.0.2:6379" || d.commands[0].Wait || d.commands[1].Wardens[0] != idA || d.commands[2].Wish != warden.WishRecover {
		t.Errorf("commands: %+v", d.commands)
	}
	d.mu.Unlock()

	s.Publish(warden.Event{Group: "mymaster", Name: "+sdown", Level: warden.LevelWarning, Payload: "master mymaster 10.0.0.1 6379"})
	runCommand(t, "events", "--once").has(t, exit.Done, "+sdown", "master mymaster 10.0.0.1 6379")
	out := &page{}
	follow, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan int, 1)
	go func() {
		p := &program{out: out, errs: &bytes.Buffer{}}
		ended <- p.run(follow, []string{"spineldb", "events"})
	}()
	eventually(t, "the past event", func() bool { return names(out.String()) == "a+sdown" })
	s.Publish(warden.Event{Group: "mymaster", Name: "-sdown", Level: warden.LevelWarning, Payload: "master mymaster 10.0.0.1 6379"})
	eventually(t, "the live event", func() bool { return names(out.String()) == "a+sdown a-sdown" })
	stop()
	if code := <-ended; code != exit.Done {
		t.Errorf("exit code %d", code)
	}
}
