package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// webWarden serves events and metrics; switched ends the silence of its streams.
func webWarden(t *testing.T, switched <-chan struct{}, metrics *atomic.Bool) int {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "retry: 1000\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-switched:
			fmt.Fprint(w, "id: a-1\nevent: +switch-master\ndata: {}\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		if !metrics.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "warden_up 1\n")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// An audience is content when all of it was told and every question was answered,
// and leaves nothing behind.
func TestAudience(t *testing.T) {
	switched, metrics := make(chan struct{}), &atomic.Bool{}
	metrics.Store(true)
	port := webWarden(t, switched, metrics)
	a, err := seat(t.Context(), []int{port}, 3)
	defer a.leave()
	if err != nil {
		t.Fatal(err)
	}
	silent, cancel := context.WithTimeout(t.Context(), 3*pollEvery)
	defer cancel()
	if err := a.content(silent); err == nil || !strings.Contains(err.Error(), "0 of 3 readers") {
		t.Errorf("before the switch: %v", err)
	}
	close(switched)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for a.scraped.Load() == 0 {
		if err := pause(ctx, pollEvery); err != nil {
			t.Fatal("nobody asked for metrics")
		}
	}
	if err := a.content(ctx); err != nil || a.heard.Load() != 3 {
		t.Errorf("after it: %v, %d told", err, a.heard.Load())
	}
	metrics.Store(false)
	for a.failed.Load() == 0 {
		if err := pause(ctx, pollEvery); err != nil {
			t.Fatal("a question without an answer was not noticed")
		}
	}
	if err := a.content(ctx); err == nil {
		t.Error("content without metrics")
	}
}
