package resp

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// EventsChannel is the channel on which every event is published as one JSON
// object, a warden.EventRecord. Patterns do not match it.
const EventsChannel = "__warden__:events"

const (
	maxPayload       = 1023 // bytes, as in Redis
	maxSubscriptions = 1024 // of one client
	maxChannelName   = 1024 // bytes

	// A crowd of more than fewSubscribers is sent events together with those of
	// the gatherFor after them. A failover announces a dozen within that, and
	// what a crowd costs would fall into the time in which Wardens decide.
	fewSubscribers = 16
	gatherFor      = 50 * time.Millisecond
)

// urgent is the event that clients wait for: it takes along what was gathered.
const urgent = "+switch-master"

// hub knows who is subscribed to what, and the last events. Its lock gives the
// events one order; nothing under it waits.
type hub struct {
	mu       sync.Mutex
	channels map[string]map[*client]struct{}
	patterns map[string]map[*client]struct{}
	subs     map[*client]struct{} // clients with any subscription
	due      map[*client]struct{} // those who were given events that are not sent yet
	gather   *time.Timer          // sends to them; nil: nothing is gathered
	patience time.Duration        // gatherFor, but in tests
	seq      int64
	// history begins with event base+1, and is a ring once it has size entries.
	history []warden.EventRecord
	size    int
	base    int64
	keep    func(warden.EventRecord)
}

// newHub begins with what happened in earlier runs.
func newHub(o Options) *hub {
	h := &hub{
		channels: map[string]map[*client]struct{}{},
		patterns: map[string]map[*client]struct{}{},
		subs:     map[*client]struct{}{},
		due:      map[*client]struct{}{},
		patience: gatherFor,
		size:     o.History, keep: o.Keep,
	}
	past := o.Past[max(0, len(o.Past)-h.size):]
	h.history = append(make([]warden.EventRecord, 0, len(past)), past...)
	if len(past) > 0 {
		h.seq = past[len(past)-1].Seq
		h.base = past[0].Seq - 1
	}
	return h
}

// Publish delivers an event to its subscribers and keeps it for WARDEN EVENTS.
// It never blocks on a client: one whose queue is full is cut. What answers
// queries must have changed before. Debug events are dropped. It returns the
// event's number in the log.
func (s *Server) Publish(e warden.Event) (seq int64) {
	if e.Level == warden.LevelDebug {
		return 0
	}
	payload := oneLine.Replace(e.Payload)
	payload = payload[:min(len(payload), maxPayload)]
	return s.hub.publish(warden.EventRecord{
		UnixMS: time.Now().UnixMilli(), Event: e.Name, Level: e.Level, Group: e.Group, Payload: payload,
	})
}

func (h *hub) publish(r warden.EventRecord) (seq int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	r.Seq = h.seq
	if len(h.history) < h.size {
		h.history = append(h.history, r)
	} else {
		h.history[h.at(r.Seq)] = r
	}
	h.keep(r)
	h.deliver(h.channels[r.Event], "message", r.Event, r.Payload)
	for pattern, clients := range h.patterns {
		if matchGlob(pattern, r.Event) {
			h.deliver(clients, "pmessage", pattern, r.Event, r.Payload)
		}
	}
	if tails := h.channels[EventsChannel]; len(tails) > 0 {
		// A record of strings and numbers cannot fail to encode.
		line, _ := json.Marshal(r)
		h.deliver(tails, "message", EventsChannel, string(line))
	}
	switch {
	case len(h.due) == 0:
	case len(h.due) <= fewSubscribers, r.Event == urgent:
		h.send()
	case h.gather == nil:
		h.gather = time.AfterFunc(h.patience, h.gathered)
	}
	return r.Seq
}

func (h *hub) deliver(to map[*client]struct{}, parts ...string) {
	if len(to) == 0 {
		return
	}
	resp2, resp3 := writer{proto: 2}, writer{proto: 3}
	for _, w := range []*writer{&resp2, &resp3} {
		w.push(len(parts))
		w.bulks(parts...)
	}
	for c := range to {
		if !c.out.event(resp2.buf, resp3.buf) {
			c.cut("it did not read its events")
			continue
		}
		h.due[c] = struct{}{}
	}
}

// send has what was delivered sent, by one goroutine for all: the publisher has
// more urgent things to do, and who waits for a processor should not find
// hundreds of subscribers before him. A subscriber is here until its server
// goroutine has taken it away, so the server cannot have ended yet.
func (h *hub) send() {
	h.ungather()
	due := slices.Collect(maps.Keys(h.due))
	if len(due) == 0 {
		return
	}
	clear(h.due)
	due[0].server.wg.Go(func() {
		for _, c := range due {
			c.push()
		}
	})
}

func (h *hub) gathered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.send()
}

func (h *hub) ungather() {
	if h.gather != nil {
		h.gather.Stop()
		h.gather = nil
	}
}

// subscription names one kind of it: by channel or by pattern.
type subscription struct {
	pattern bool
	// add and drop are the words of the confirmations.
	add, drop string
}

var (
	byChannel = subscription{false, "subscribe", "unsubscribe"}
	byPattern = subscription{true, "psubscribe", "punsubscribe"}
)

func (h *hub) tables(k subscription, c *client) (all map[string]map[*client]struct{}, own map[string]struct{}) {
	if k.pattern {
		return h.patterns, c.patterns
	}
	return h.channels, c.channels
}

// subscribe adds names and queues the confirmations in the same breath, so that
// no event comes before the confirmation of what it was subscribed by. proto is
// the client's. It reports false, having done nothing, when it would be too many.
func (h *hub) subscribe(c *client, k subscription, names []string, proto int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, own := h.tables(k, c)
	if len(c.channels)+len(c.patterns)+len(names) > maxSubscriptions {
		return false
	}
	w := writer{proto: proto}
	for _, name := range names {
		own[name] = struct{}{}
		if all[name] == nil {
			all[name] = map[*client]struct{}{}
		}
		all[name][c] = struct{}{}
		h.confirm(&w, c, k.add, &name)
	}
	h.subs[c] = struct{}{}
	c.out.confirm(w.buf)
	return true
}

// unsubscribe removes names, all of that kind when none is given, and queues
// the confirmations.
func (h *hub) unsubscribe(c *client, k subscription, names []string, proto int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, own := h.tables(k, c)
	if len(names) == 0 {
		for name := range own {
			names = append(names, name)
		}
	}
	w := writer{proto: proto}
	for _, name := range names {
		h.drop(all, own, c, name)
		h.confirm(&w, c, k.drop, &name)
	}
	if len(names) == 0 {
		h.confirm(&w, c, k.drop, nil)
	}
	if len(c.channels)+len(c.patterns) == 0 {
		delete(h.subs, c)
	}
	c.out.confirm(w.buf)
}

func (h *hub) drop(all map[string]map[*client]struct{}, own map[string]struct{}, c *client, name string) {
	delete(own, name)
	if clients := all[name]; clients != nil {
		delete(clients, c)
		if len(clients) == 0 {
			delete(all, name)
		}
	}
}

func (h *hub) confirm(w *writer, c *client, word string, name *string) {
	count := len(c.channels) + len(c.patterns)
	c.subscriptions.Store(int32(count))
	c.patternCount.Store(int32(len(c.patterns)))
	w.push(3)
	w.bulk(word)
	if name == nil {
		w.nilBulk()
	} else {
		w.bulk(*name)
	}
	w.number(int64(count))
}

// remove forgets a client that is gone.
func (h *hub) remove(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range []subscription{byChannel, byPattern} {
		all, own := h.tables(k, c)
		for name := range own {
			h.drop(all, own, c, name)
		}
	}
	delete(h.subs, c)
	delete(h.due, c) // its goroutine sends what is left
	if len(h.due) == 0 {
		h.ungather()
	}
	c.subscriptions.Store(0)
	c.patternCount.Store(0)
}

// counts are for INFO.
func (h *hub) counts() (clients, channels, patterns int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs), len(h.channels), len(h.patterns)
}

// at is the place of the event of a number.
func (h *hub) at(seq int64) int64 { return (seq - 1 - h.base) % int64(h.size) }

// since returns up to limit kept events after seq, oldest first, and the
// numbers of the oldest and the newest kept (0 when there is none).
func (h *hub) since(seq int64, limit int) (events []warden.EventRecord, first, last int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.after(seq, limit)
}

// Kept are up to limit events that are kept after a number, the oldest first.
func (s *Server) Kept(since int64, limit int) EventLog {
	var log EventLog
	log.Events, log.First, log.Last = s.hub.since(since, limit)
	return log
}

// newest is since for the last n events.
func (h *hub) newest(n int) (events []warden.EventRecord, first, last int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.after(h.seq-int64(n), n)
}

func (h *hub) after(seq int64, limit int) (events []warden.EventRecord, first, last int64) {
	last = h.seq
	if last > 0 {
		first = last - int64(len(h.history)) + 1
	}
	// Not seq+1, which may overflow: the number is a client's.
	events = []warden.EventRecord{}
	for n := max(min(seq, last)+1, first, 1); n <= last && len(events) < limit; n++ {
		events = append(events, h.history[h.at(n)])
	}
	return events, first, last
}
