package remote

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

const (
	// eventsChannel carries one JSON object per event.
	eventsChannel = "__warden__:events"
	// quietLimit is how long a Warden may have nothing to tell before it is
	// asked whether it is still there.
	quietLimit = 10 * time.Second
	// CatchUp is how many past events are asked for after a lost connection.
	CatchUp = 1000
)

// Event is one event as a Warden tells it, and which Warden that was.
type Event struct {
	warden.EventRecord
	Warden warden.WardenID `json:"warden,omitempty"`
	Server string          `json:"server"`
}

// eventList is the reply to WARDEN EVENTS.
type eventList struct {
	Events []Event `json:"events"`
}

// History asks one Warden for its last n events, the oldest first.
func (t Target) History(ctx context.Context, from Report, n int) ([]Event, error) {
	if n == 0 {
		return nil, nil
	}
	r := t.Open(from.Server)
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var a eventList
	err := r.AskJSON(ctx, &a, "WARDEN", "EVENTS", n)
	for i := range a.Events {
		a.Events[i].Warden, a.Events[i].Server = from.ID, from.Server
	}
	return a.Events, err
}

// Batch is what Follow sends: events, or that the connection has ended.
type Batch struct {
	Events []Event
	Lost   string // Why the connection to a Warden ended
	From   Report
}

// Progress remembers how far a Warden's events were told. While Follow runs it
// belongs to it alone.
type Progress struct {
	last   int
	unixMS int64
	seq    int64
}

// NewProgress begins with the last events, as many as that.
func NewProgress(last int) *Progress { return &Progress{last: last} }

// fresh drops what was told before, and notes what is told now. Numbers begin
// anew when a Warden restarts, so time counts first.
func (p *Progress) fresh(all []Event) []Event {
	all = slices.DeleteFunc(all, func(h Event) bool {
		return h.UnixMS < p.unixMS || h.UnixMS == p.unixMS && h.Seq <= p.seq
	})
	for _, h := range all {
		p.unixMS, p.seq = h.UnixMS, h.Seq
	}
	return all
}

// Follow sends one Warden's events until the connection or ctx ends. It
// subscribes before it asks for the past, so that nothing falls in between.
func (t Target) Follow(ctx context.Context, from Report, told *Progress, in chan<- Batch) {
	send := func(s Batch) {
		s.From = from
		select {
		case in <- s:
		case <-ctx.Done():
		}
	}
	err := t.subscribe(ctx, from, told, send)
	if ctx.Err() == nil {
		send(Batch{Lost: Why(err)})
	}
}

func (t Target) subscribe(ctx context.Context, from Report, told *Progress, send func(Batch)) error {
	r := t.Open(from.Server)
	defer r.Close()
	sub := r.client.Subscribe(ctx, eventsChannel)
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	if _, err := sub.ReceiveTimeout(ctx, t.Timeout); err != nil {
		return err
	}
	past, err := t.History(ctx, from, told.last)
	if err != nil {
		return err
	}
	told.last = CatchUp
	send(Batch{Events: told.fresh(past)})
	for {
		message, err := receive(ctx, sub)
		if err != nil {
			return err
		}
		h := Event{}
		if err := json.Unmarshal([]byte(message.Payload), &h); err != nil {
			return errors.New("sent an event that cannot be read: use a spineldb of the same version as the Wardens")
		}
		h.Warden, h.Server = from.ID, from.Server
		send(Batch{Events: told.fresh([]Event{h})})
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
