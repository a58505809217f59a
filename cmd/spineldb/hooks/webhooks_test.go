package hooks

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/webhook"
	"github.com/spineldb/warden/warden"
)

// receiverOf is a server that notes which events it was sent, and answers as told.
type receiverOf struct {
	*httptest.Server
	mu     sync.Mutex
	got    []string
	answer int
}

func newReceiver(t *testing.T, answer int) *receiverOf {
	r := &receiverOf{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var m webhook.Message
		if err := json.NewDecoder(q.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, m.ID+" "+m.Name+" "+string(m.Warden)+" "+m.Payload)
		w.WriteHeader(r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

// wait waits until the receiver was sent so many events.
func (r *receiverOf) wait(t *testing.T, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		got := slices.Clone(r.got)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events arrived, want %d: %q", len(got), n, got)
		}
	}
}

func (r *receiverOf) block(retries int, events ...string) config.Webhook {
	return config.Webhook{URL: config.Secret(r.URL + "/s3cret"), Host: strings.TrimPrefix(r.URL, "http://"), Secret: "0123456789abcdef", Events: events,
		Timeout: 5 * warden.Second, Retries: retries}
}

// Goal: each receiver is sent the events it asked for, in order, with the ids of the
// log of events; what was not taken is tried again, and said once when that is over;
// and what is said about webhooks is sent to nobody.
func TestWebhooks(t *testing.T) {
	var mu sync.Mutex
	var said []string
	w := NewWebhooks(WebhookOptions{Self: "w1", Process: "w1r7", Version: "test", Say: func(e warden.Event) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, e.Name+" "+e.Payload)
	}})
	some, all, broken, wrong := newReceiver(t, 204), newReceiver(t, 200), newReceiver(t, 503), newReceiver(t, 404)
	if err := w.Use([]config.Webhook{some.block(0, "+switch-*", "-odown"), all.block(0, "*"), broken.block(1, "+sdown"), wrong.block(5, "+sdown")}); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"+sdown", "+switch-master", "-webhook-failed", "-odown"} {
		w.Tell(int64(11+i), warden.Event{Group: "g", Name: name, Level: warden.LevelWarning, Payload: "text"})
	}
	w.Tell(0, warden.Event{Name: "+script-child", Level: warden.LevelDebug})
	for r, want := range map[*receiverOf][]string{
		some:   {"w1r7-12 +switch-master w1 text", "w1r7-14 -odown w1 text"},
		all:    {"w1r7-11 +sdown w1 text", "w1r7-12 +switch-master w1 text", "w1r7-14 -odown w1 text"},
		broken: {"w1r7-11 +sdown w1 text", "w1r7-11 +sdown w1 text"},
		wrong:  {"w1r7-11 +sdown w1 text"},
	} {
		if got := r.wait(t, len(want)); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	// What waits for one that is not told any more is still sent.
	if err := w.Use(nil); err != nil {
		t.Fatal(err)
	}
	w.Tell(15, warden.Event{Name: "+odown", Level: warden.LevelWarning})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		n := len(said)
		mu.Unlock()
		if n == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("said %q", said)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	slices.Sort(said)
	want := []string{"-webhook-failed 3 " + broken.block(0).Host + " w1r7-11 +sdown send event: the answer is 503 Service Unavailable",
		"-webhook-failed 4 " + wrong.block(0).Host + " w1r7-11 +sdown send event: the answer is 404 Not Found"}
	if !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	if got := all.wait(t, 3); len(got) != 3 {
		t.Errorf("sent %q", got)
	}
}

// Goal: a file without a certificate is found when it is used, with the block, and
// changes nothing.
func TestWebhooksNeedTheirAuthority(t *testing.T) {
	w := NewWebhooks(WebhookOptions{Say: func(warden.Event) {}})
	r := newReceiver(t, 200)
	b := r.block(0, "*")
	if err := w.Use([]config.Webhook{b}); err != nil {
		t.Fatal(err)
	}
	b.CAFile = t.TempDir() + "/none"
	if err := w.Use([]config.Webhook{b}); err == nil || !strings.Contains(err.Error(), "webhook 1 ("+b.Host+"): read tls_ca_file") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
	w.Tell(1, warden.Event{Name: "+x", Level: warden.LevelWarning})
	r.wait(t, 1)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
