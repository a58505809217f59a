package gossip

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func envelope(id int, life string, number uint64, gossip string) Envelope {
	return Envelope{From: testID(id), Life: life, Number: number, Gossip: gossip, Client: "c:1"}
}

// A Warden restarts elsewhere: its new life is believed at once, what its old
// one still had under way is not a conflict and does not move it back.
func TestBookMove(t *testing.T) {
	b := newBook()
	b.hear(envelope(1, "old", 10, "a:1"), noon)
	h := b.hear(envelope(1, "new", 1, "b:1"), noon.Add(time.Second))
	if !h.news || h.conflict || h.refused || h.older != "a:1" || h.peer.Gossip != "b:1" {
		t.Errorf("new life: %+v", h)
	}
	h = b.hear(envelope(1, "old", 11, "a:1"), noon.Add(2*time.Second))
	if h.conflict || h.refused || h.news || h.peer.Gossip != "b:1" {
		t.Errorf("straggler: %+v", h)
	}
	// The same straggler once more, however late, proves no life.
	if h = b.hear(envelope(1, "old", 11, "a:1"), noon.Add(time.Minute)); h.conflict {
		t.Errorf("repeated straggler: %+v", h)
	}
}

func TestBookConflict(t *testing.T) {
	b := newBook()
	b.hear(envelope(1, "one", 10, "a:1"), noon)
	b.hear(envelope(1, "two", 1, "b:1"), noon.Add(time.Second))
	late := noon.Add(time.Second + lateAfter + 1)
	h := b.hear(envelope(1, "one", 11, "a:1"), late)
	if !h.conflict || !h.refused || h.older != "a:1" || h.peer.Gossip != "b:1" {
		t.Errorf("the first life speaks on: %+v", h)
	}
	if h = b.hear(envelope(1, "two", 2, "b:1"), late); !h.refused {
		t.Errorf("the other one is not refused: %+v", h)
	}
	if h = b.hear(envelope(1, "two", 3, "b:1"), late.Add(conflictFor+1)); h.refused {
		t.Errorf("still refused when only one speaks: %+v", h)
	}
	if h = b.hear(envelope(2, "one", 1, "z:1"), late); h.refused || !h.news {
		t.Errorf("another Warden: %+v", h)
	}
}

// An older envelope that arrives late does not bring an old address back.
func TestBookOrder(t *testing.T) {
	b := newBook()
	b.hear(envelope(1, "one", 5, "new:1"), noon)
	if h := b.hear(envelope(1, "one", 4, "old:1"), noon); h.news || h.peer.Gossip != "new:1" {
		t.Errorf("%+v", h)
	}
}

// What others tell counts only until the peer has spoken itself.
func TestBookLearn(t *testing.T) {
	b := newBook()
	p, news, dial := b.learn(Peer{ID: testID(1), Gossip: "a:1"}, noon)
	if !news || !dial || !p.LastHeard.IsZero() {
		t.Errorf("unknown: %+v %v %v", p, news, dial)
	}
	if _, news, _ = b.learn(Peer{ID: testID(1), Gossip: "b:1"}, noon); !news {
		t.Error("an unheard peer keeps its first address")
	}
	if h := b.hear(envelope(1, "l", 1, "b:1"), noon); !h.news {
		t.Error("the first envelope is no news")
	}
	p, news, dial = b.learn(Peer{ID: testID(1), Gossip: "z:1"}, noon)
	if news || !dial || p.Gossip != "b:1" {
		t.Errorf("a heard peer was moved by hearsay: %+v %v %v", p, news, dial)
	}
	if got := b.heardSince(noon.Add(-1)); len(got) != 1 {
		t.Errorf("heard: %+v", got)
	}
	b.learn(Peer{ID: testID(2), Gossip: "c:1"}, noon)
	if got := b.heardSince(noon.Add(-1)); len(got) != 1 {
		t.Errorf("hearsay is passed on: %+v", got)
	}
}

// The book is bounded, and those who speak are not pushed out.
func TestBookIsBounded(t *testing.T) {
	b := newBook()
	for i := range maxPeers {
		b.hear(envelope(i, "l", 1, "a:1"), noon)
	}
	if b.admits(testID(maxPeers), noon) {
		t.Error("admits one too many")
	}
	if h := b.hear(envelope(maxPeers, "l", 1, "a:1"), noon); !h.refused {
		t.Error("took one too many")
	}
	later := noon.Add(lostAfter)
	for i := 1; i < maxPeers; i++ {
		b.hear(envelope(i, "l", 2, "a:1"), later)
	}
	if h := b.hear(envelope(maxPeers, "l", 1, "a:1"), later); h.refused || len(b.peers()) != maxPeers {
		t.Error("a lost peer keeps its place")
	}
	if _, known := b.address(testID(0)); known {
		t.Error("the wrong peer left")
	}
}

// Silent peers are greeted for ever, more and more seldom.
func TestBookDue(t *testing.T) {
	b := newBook()
	b.hear(envelope(1, "l", 1, "a:1"), noon)
	b.setMember(testID(1), true)
	b.hear(envelope(2, "l", 1, "b:1"), noon)
	if got := b.due(noon.Add(time.Second)); len(got) != 1 || got[0] != "b:1" {
		t.Errorf("a peer that speaks and that SWIM lost: %v", got)
	}
	greeted := 0
	for s := range 3600 {
		for _, address := range b.due(noon.Add(time.Duration(s) * time.Second)) {
			if address == "a:1" {
				greeted++
			}
		}
	}
	if most := 3600 / int(maxGreetPause/time.Second); greeted < most-5 || greeted > most+5 {
		t.Errorf("a silent peer was greeted %d times in an hour", greeted)
	}
}

func TestOutboxDropsTheOldest(t *testing.T) {
	o := &outbox{wake: make(chan struct{}, 1)}
	dropped := 0
	for i := range maxWaiting + 10 {
		dropped += o.put([]byte{byte(i)})
	}
	if dropped != 10 {
		t.Errorf("dropped %d", dropped)
	}
	first := o.take()
	if len(first) != maxMessages || first[0][0] != 10 {
		t.Errorf("took %d, from %v", len(first), first[0])
	}
	if o.idle() {
		t.Error("idle while sending")
	}
	for len(o.take()) > 0 {
	}
	if !o.idle() || o.bytes != 0 {
		t.Errorf("idle %v, %d bytes", o.idle(), o.bytes)
	}
	for range 10 {
		dropped = o.put(make([]byte, maxWaitingBytes/4))
	}
	if dropped == 0 || o.bytes > maxWaitingBytes {
		t.Errorf("%d bytes wait", o.bytes)
	}
	if batch := o.take(); len(batch) != 1 {
		t.Errorf("%d large messages in one envelope", len(batch))
	}
}

func TestPace(t *testing.T) {
	p := pace{tokens: connectionBurst, every: time.Millisecond}
	begun := time.Now()
	for range connectionBurst + 50 {
		if !p.wait(t.Context()) {
			t.Fatal("ended")
		}
	}
	if took := time.Since(begun); took < 30*time.Millisecond {
		t.Errorf("no pace: %s", took)
	}
}
