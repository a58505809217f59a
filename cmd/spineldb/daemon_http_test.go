package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// webConfig is HTTP on a free port of this machine.
func webConfig(t *testing.T) config.HTTP {
	t.Helper()
	return config.HTTP{Host: "127.0.0.1", Port: freeTCP(t), Asked: true, Token: "the-token-of-the-tests"}
}

// Goal: the usual address may be taken, one that was asked for may not, and
// without a port there is no HTTP.
func TestServeHTTPAddress(t *testing.T) {
	d := startTestDaemon(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config.HTTP{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	if err := d.serveHTTP(t.Context(), c); err != nil || d.rest.Load() != nil {
		t.Errorf("the usual address is taken: %v", err)
	}
	c.Asked = true
	if err := d.serveHTTP(t.Context(), c); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("127.0.0.1:%d (key listen under [http])", c.Port)) {
		t.Errorf("the address that was asked for is taken: %v", err)
	}
	if err := d.serveHTTP(t.Context(), config.HTTP{}); err != nil || d.rest.Load() != nil {
		t.Errorf("no HTTP: %v", err)
	}
}

// Goal: over TLS only who has a certificate of the authority is served, new
// certificates are taken without a restart, and what is wrong with them is said.
func TestServeHTTPByTLS(t *testing.T) {
	loopback := net.IPv4(127, 0, 0, 1)
	ours, next, operator, stranger := makeIdentity(t, "ours", loopback), makeIdentity(t, "next", loopback), makeIdentity(t, "operator"), makeIdentity(t, "stranger")
	d, c := startTestDaemon(t, nil), webConfig(t)
	c.TLS = config.TLS{Port: 1, CertFile: ours.cert, KeyFile: operator.key, CAFile: operator.cert, ClientAuth: "yes"}
	if err := d.serveHTTP(t.Context(), c); err == nil || !strings.Contains(err.Error(), "serve HTTP by TLS (keys under [http]): load certificate "+ours.cert) {
		t.Errorf("a key that does not fit: %v", err)
	}
	c.TLS.KeyFile = ours.key
	if err := d.serveHTTP(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ask := func(pool *x509.CertPool, shown ...tls.Certificate) error {
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: shown}}}
		defer client.CloseIdleConnections()
		a, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/liveness", c.Port))
		if err != nil {
			return err
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", a.StatusCode)
		}
		return nil
	}
	if err := ask(ours.pool, operator.pair); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if ask(ours.pool) == nil || ask(ours.pool, stranger.pair) == nil {
		t.Error("who has no certificate of the authority is served")
	}
	for from, to := range map[string]string{next.cert: ours.cert, next.key: ours.key} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d.renewCertificates()
	if err := ask(next.pool, operator.pair); err != nil {
		t.Errorf("after the certificate was renewed: %v", err)
	}
}

// Goal: a wrong word in a request is answered with the guess of the command line.
func TestHTTPGuesses(t *testing.T) {
	d, c := startTestDaemon(t, nil), webConfig(t)
	if err := d.serveHTTP(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	a, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/primray", c.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if text, err := io.ReadAll(a.Body); err != nil || !strings.Contains(string(text), `did you mean \"primary\"?`) {
		t.Errorf("%s, %v", text, err)
	}
}

// Goal: events by HTTP are those of WARDEN EVENTS, under the same numbers.
func TestEventsByHTTP(t *testing.T) {
	d, c := startTestDaemon(t, nil), webConfig(t)
	if err := d.serveHTTP(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	a, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/events?since=0", c.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	defer a.Body.Close()
	d.steward.tell("+set", "m", "127.0.0.1:1", "quorum 2")
	in := bufio.NewScanner(a.Body)
	for in.Scan() {
		text, isData := strings.CutPrefix(in.Text(), "data: ")
		if !isData {
			continue
		}
		var e warden.EventRecord
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if log := d.server.Kept(e.Seq-1, 1); len(log.Events) != 1 || log.Events[0] != e {
			t.Errorf("%+v is not the event of that number: %+v", e, log.Events)
		}
		if e.Event == "+set" {
			return
		}
	}
	t.Errorf("the stream ended: %v", in.Err())
}
