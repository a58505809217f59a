package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

const (
	// eventsChannel carries one JSON object per event.
	eventsChannel = "__warden__:events"
	// rosterInterval is how often new Wardens are looked for, and how long a
	// lost one is left alone.
	rosterInterval = 3 * time.Second
	// quietLimit is how long a Warden may have nothing to tell before it is
	// asked whether it is still there.
	quietLimit = 10 * time.Second
	// catchUp is how many past events are asked for after a lost connection.
	catchUp = 1000
)

// happening is one event as a Warden tells it, and which Warden that was.
type happening struct {
	Seq     uint64           `json:"seq"`
	UnixMS  int64            `json:"unix_ms"`
	Event   string           `json:"event"`
	Payload string           `json:"payload"`
	Level   warden.Level     `json:"level"`
	Group   warden.GroupName `json:"group,omitempty"`
	Warden  warden.WardenID  `json:"warden,omitempty"`
	Server  string           `json:"server"`
}

// eventsAnswer is the reply to WARDEN EVENTS.
type eventsAnswer struct {
	Events []happening `json:"events"`
}

// events is the action of `events [GROUP]`.
func (p *program) events(c *cli.Context) error {
	group, err := onlyGroup(c)
	if err != nil {
		return err
	}
	t, err := targetOf(c)
	if err != nil {
		return err
	}
	last := c.Int("last")
	if last < 0 || last > catchUp {
		return exit.WrongUsage("--last is %d: write a number from 0 to %d", last, catchUp)
	}
	reports, err := t.survey(c.Context)
	if err != nil {
		return err
	}
	if names := groupsOf(reports); group != "" && !slices.Contains(names, warden.GroupName(group)) {
		return exit.With(exit.Refused, "there is no group %q: choose one of %s", wording.Shown(group), joinNames(names))
	}
	show := func(h happening) error {
		if group != "" && h.Group != warden.GroupName(group) {
			return nil
		}
		return p.showEvent(t, h)
	}
	if c.Bool("once") {
		return p.pastEvents(c.Context, t, reports, last, show)
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	return p.followEvents(ctx, t, reports, last, show)
}

// pastEvents shows the last events of all Wardens in the order of their time.
func (p *program) pastEvents(ctx context.Context, t target, reports []report, last int, show func(happening) error) error {
	var all []happening
	for _, r := range reports {
		if r.Error != "" {
			_, _ = fmt.Fprintf(p.errs, "warning: Warden %s at %s: %s\n", r.name(), r.Server, r.Error)
			continue
		}
		past, err := t.history(ctx, r, last)
		if err != nil {
			return exit.With(exit.Unreachable, "ask %s for events: %s", r.Server, why(err))
		}
		all = append(all, past...)
	}
	sortEvents(all)
	for _, h := range all {
		if err := show(h); err != nil {
			return err
		}
	}
	return nil
}

func (t target) history(ctx context.Context, from report, n int) ([]happening, error) {
	if n == 0 {
		return nil, nil
	}
	r := t.open(from.Server)
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	var a eventsAnswer
	err := r.askJSON(ctx, &a, "WARDEN", "EVENTS", n)
	for i := range a.Events {
		a.Events[i].Warden, a.Events[i].Server = from.ID, from.Server
	}
	return a.Events, err
}

// sortEvents orders by time, and one Warden's own events by their numbers.
func sortEvents(all []happening) {
	slices.SortStableFunc(all, func(a, b happening) int {
		if a.UnixMS != b.UnixMS || a.Warden != b.Warden {
			return cmp.Compare(a.UnixMS, b.UnixMS)
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
}

// stream is what followers send: events, or that the past has been told.
type stream struct {
	events []happening
	lost   string // why the connection to a Warden ended
	from   report
}

// followEvents merges the events of all Wardens until ctx ends. Wardens that
// appear later are followed too, and lost ones are tried again.
func (p *program) followEvents(ctx context.Context, t target, reports []report, last int, show func(happening) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	in := make(chan stream)
	followed := map[string]*followed{}
	start := func(r report, last int) {
		f := followed[r.Server]
		if f == nil {
			f = newFollowed(last)
			followed[r.Server] = f
		}
		if f.running || r.Error != "" {
			return
		}
		f.running = true
		wait.Go(func() { t.follow(ctx, r, f, in) })
	}
	for _, r := range reports {
		start(r, last)
	}
	ticker := time.NewTicker(rosterInterval)
	defer ticker.Stop()
	rosters := make(chan []report, 1)
	asking := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if !asking {
				asking = true
				wait.Go(func() {
					found, _ := t.survey(ctx) // none: nothing new this time
					rosters <- found
				})
			}
		case found := <-rosters:
			asking = false
			for _, r := range found {
				start(r, catchUp)
			}
		case s := <-in:
			if s.lost != "" {
				followed[s.from.Server].running = false
				_, _ = fmt.Fprintf(p.errs, "warning: events of Warden %s at %s stopped: %s; trying again\n", s.from.name(), s.from.Server, s.lost)
			}
			for _, h := range s.events {
				if err := show(h); err != nil {
					return err
				}
			}
		}
	}
}

// followed remembers how far a Warden's events were told.
type followed struct {
	running bool // owned by followEvents
	// The rest is owned by the follower while running.
	last   int
	unixMS int64
	seq    uint64
}

func newFollowed(last int) *followed { return &followed{last: last} }

// fresh drops what was told before, and notes what is told now. Numbers begin
// anew when a Warden restarts, so time counts first.
func (f *followed) fresh(all []happening) []happening {
	all = slices.DeleteFunc(all, func(h happening) bool {
		return h.UnixMS < f.unixMS || h.UnixMS == f.unixMS && h.Seq <= f.seq
	})
	for _, h := range all {
		f.unixMS, f.seq = h.UnixMS, h.Seq
	}
	return all
}

// follow sends one Warden's events until the connection or ctx ends. It
// subscribes before it asks for the past, so that nothing falls in between.
func (t target) follow(ctx context.Context, from report, f *followed, in chan<- stream) {
	send := func(s stream) {
		s.from = from
		select {
		case in <- s:
		case <-ctx.Done():
		}
	}
	err := t.subscribe(ctx, from, f, send)
	if ctx.Err() == nil {
		send(stream{lost: why(err)})
	}
}

func (t target) subscribe(ctx context.Context, from report, f *followed, send func(stream)) error {
	r := t.open(from.Server)
	defer r.close()
	sub := r.client.Subscribe(ctx, eventsChannel)
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	if _, err := sub.ReceiveTimeout(ctx, t.timeout); err != nil {
		return err
	}
	past, err := t.history(ctx, from, f.last)
	if err != nil {
		return err
	}
	f.last = catchUp
	send(stream{events: f.fresh(past)})
	for {
		message, err := receive(ctx, sub)
		if err != nil {
			return err
		}
		h := happening{}
		if err := json.Unmarshal([]byte(message.Payload), &h); err != nil {
			return errors.New("sent an event that cannot be read: use a spineldb of the same version as the Wardens")
		}
		h.Warden, h.Server = from.ID, from.Server
		send(stream{events: f.fresh([]happening{h})})
	}
}

// receive waits for the next message. A machine that vanished closes no
// connection, so a long silence is questioned and a second one ends it.
func receive(ctx context.Context, sub *redis.PubSub) (*redis.Message, error) {
	questioned := false
	for {
		got, err := sub.ReceiveTimeout(ctx, quietLimit)
		var network net.Error
		if errors.As(err, &network) && network.Timeout() && !questioned && ctx.Err() == nil {
			questioned = true
			if err := sub.Ping(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		questioned = false
		if message, ok := got.(*redis.Message); ok {
			return message, nil
		}
	}
}

// showEvent prints one event on one line.
func (p *program) showEvent(t target, h happening) error {
	if t.json {
		return p.printJSON(h)
	}
	paint := map[warden.Level]terminal.Tone{warden.LevelWarning: terminal.Bad, warden.LevelNotice: terminal.Warn, warden.LevelVerbose: terminal.Faint}[h.Level]
	when := time.UnixMilli(h.UnixMS).Format("2006-01-02 15:04:05.000")
	_, err := fmt.Fprintf(p.out, "%s  %s  %s  %s\n", when, report{ID: h.Warden, Server: h.Server}.name(), p.paint(paint, fmt.Sprintf("%-24s", wording.Shown(h.Event))), wording.Shown(h.Payload))
	return err
}
