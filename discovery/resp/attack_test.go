package resp

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Goal: an HTTP request ends the connection before its body is read as
// commands, whether the client has logged in or not, and is told once a minute.
func TestHTTPIsCutOff(t *testing.T) {
	for _, password := range []string{"", "secret"} {
		var logged bytes.Buffer
		dir := newFake()
		s := startServer(t, dir, func(o *Options) {
			o.Logger, o.Password = slog.New(slog.NewTextHandler(&logged, nil)), password
		})
		for _, head := range []string{"POST / HTTP/1.1\r\n", "Host: warden:26379\r\n"} {
			p := dial(t, s)
			p.send(head + "SENTINEL FAILOVER mymaster\r\n")
			p.closed()
		}
		// Both connections are gone, so nothing writes to the log any more.
		eventually(t, "the connections to be gone", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.clients) == 0
		})
		if n := strings.Count(logged.String(), "Possible SECURITY ATTACK detected"); n != 1 {
			t.Errorf("password %q: the log tells of it %d times, want once: %s", password, n, logged.String())
		}
		if len(dir.Commands) != 0 {
			t.Errorf("password %q: the body of the request was obeyed: %v", password, dir.Commands)
		}
	}
}
