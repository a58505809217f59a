package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

var (
	secret  = []byte("not much of a secret")
	message = Message{ID: "e-1", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Warden: "w1",
		Event: warden.Event{Group: "g", Name: "+switch-master", Level: warden.LevelWarning, Payload: "g a 1 b 2", Node: "b:2", Epoch: 7}}
)

// post sends the message to a server that answers as told.
func post(t *testing.T, limit time.Duration, path string, answer http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(answer)
	defer server.Close()
	return postTo(t, limit, Options{URL: server.URL + path, Secret: secret, Agent: "warden/test"})
}

func postTo(t *testing.T, limit time.Duration, o Options) error {
	t.Helper()
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return e.Post(ctx, message)
}

// Goal: what is sent, and that a receiver can check who sent it, and when.
func TestPost(t *testing.T) {
	var got *http.Request
	var body []byte
	err := post(t, time.Minute, "/x?y=1", func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"e-1","time":"2026-01-02T03:04:05Z","warden":"w1","group":"g","event":"+switch-master","level":"warning","payload":"g a 1 b 2","node":"b:2","epoch":7}`
	if string(body) != want {
		t.Errorf("body %s\nwant %s", body, want)
	}
	h := got.Header
	at, err := strconv.ParseInt(h.Get("Warden-Timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		t.Errorf("timestamp %q: %v", h.Get("Warden-Timestamp"), err)
	}
	mac := hmac.New(sha256.New, secret) // as a receiver would write it
	mac.Write([]byte(h.Get("Warden-Timestamp") + "." + string(body)))
	if sum := "v1=" + hex.EncodeToString(mac.Sum(nil)); h.Get("Warden-Signature") != sum {
		t.Errorf("signature %q, want %q", h.Get("Warden-Signature"), sum)
	}
	if got.Method != "POST" || got.URL.String() != "/x?y=1" || h.Get("Warden-Event-Id") != "e-1" || h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "warden/test" {
		t.Errorf("request %s %s %v", got.Method, got.URL, h)
	}
	var again Message
	if err := json.Unmarshal(body, &again); err != nil || again != message {
		t.Errorf("read back %+v: %v", again, err)
	}
}

// Goal: which answers take an event, and after which another try makes sense.
func TestAnswers(t *testing.T) {
	for status, want := range map[int]struct{ taken, final bool }{
		200: {taken: true}, 204: {taken: true}, 301: {final: true}, 307: {final: true}, 400: {final: true}, 404: {final: true}, 410: {final: true},
		408: {}, 425: {}, 429: {}, 500: {}, 503: {},
	} {
		var asked atomic.Int32
		err := post(t, time.Minute, "/s3cret", func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		var e *Error
		switch {
		case want.taken && err == nil:
		case want.taken || !errors.As(err, &e) || e.Final() != want.final || !strings.Contains(err.Error(), strconv.Itoa(status)):
			t.Errorf("%d: %v, final %v", status, err, e != nil && e.Final())
		}
		if asked.Load() != 1 {
			t.Errorf("%d: asked %d times", status, asked.Load())
		}
	}
}

// Goal: servers that hang, close, flood or cannot be reached cost no more than the
// limit, may be tried again, and no error shows the path.
func TestBadServers(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, answer := range map[string]http.HandlerFunc{
		"hangs":  func(http.ResponseWriter, *http.Request) { <-hang },
		"closes": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
		},
	} {
		server := httptest.NewServer(answer)
		began := time.Now()
		err := postTo(t, 500*time.Millisecond, Options{URL: server.URL + "/s3cret"})
		var e *Error
		if !errors.As(err, &e) || e.Final() || strings.Contains(err.Error(), "s3cret") || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
		t.Cleanup(server.Close) // after hang is closed
	}
	// One that never ends its answer has taken the event all the same.
	err := post(t, time.Minute, "/", func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = w.Write(make([]byte, maxAnswer))
		}
	})
	if err != nil {
		t.Errorf("flood: %v", err)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if err := postTo(t, time.Minute, Options{URL: gone.URL + "/s3cret"}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("gone: %v", err)
	}
}

// Goal: certificates are verified, and an operator's own authority can be named.
func TestVerifies(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	defer server.Close()
	var e *Error
	if err := postTo(t, time.Minute, Options{URL: server.URL}); !errors.As(err, &e) || !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a stranger's certificate: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if err := postTo(t, time.Minute, Options{URL: server.URL, Roots: roots}); err != nil {
		t.Errorf("a known certificate: %v", err)
	}
}

// Goal: addresses that cannot work are refused, without being shown.
func TestNew(t *testing.T) {
	for _, u := range []string{"", "hooks.example.com/s3cret", "ftp://a/s3cret", "https:///s3cret", "https://a:b:c/s3cret", ":s3cret"} {
		if _, err := New(Options{URL: u}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", u, err)
		}
	}
}
