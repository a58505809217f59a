// Package webhook tells an address of events, by HTTP.
//
// One event is one POST of a JSON object (Message), with these headers:
//
//	Warden-Event-Id   the same in every try to send the event
//	Warden-Timestamp  when this try was made, in seconds since 1970
//	Warden-Signature  v1=HEX, where HEX is HMAC-SHA256 of the timestamp, a dot and
//	                  the body, under the secret; only where there is one
//
// Any 2xx answer takes the event. Redirects are not followed: an answer that is one
// is a mistake in the configuration. Certificates are verified. What an answer says
// is not read beyond a bound and never shown, nor is the path of the address, which
// may hold a secret.
//
// The package makes one try; when to make another is for others to say (Error).
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// maxAnswer is how much of an answer is read, so that its connection can be
	// used again, and maxHeader how much of its headers. In bytes.
	maxAnswer = 16 << 10
	maxHeader = 16 << 10
)

// Headers of a request.
const (
	HeaderID        = "Warden-Event-Id"
	HeaderTimestamp = "Warden-Timestamp"
	HeaderSignature = "Warden-Signature"
)

// Options say where events go. URL is required.
type Options struct {
	URL string
	// Secret signs; empty: nothing is signed.
	Secret []byte
	// Roots are the authorities that certificates are checked against; nil: those of
	// the system.
	Roots *x509.CertPool
	// Agent is our User-Agent.
	Agent string
}

// Message is what is told of an event.
type Message struct {
	// ID is unique among all events of all Wardens.
	ID string `json:"id"`
	// Time is when the Warden announced it.
	Time time.Time `json:"time"`
	// Warden is the id of the one that announced it.
	Warden warden.WardenID `json:"warden"`
	warden.Event
}

// Endpoint is an address that is told. Safe for concurrent use.
type Endpoint struct {
	url    string
	secret []byte
	agent  string
	client *http.Client
}

// New makes an Endpoint. It connects to nobody yet.
func New(o Options) (*Endpoint, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("make webhook: the address is not of the form https://host/path")
	}
	return &Endpoint{url: o.URL, secret: o.Secret, agent: o.Agent, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second,
			MaxResponseHeaderBytes: maxHeader, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		},
	}}, nil
}

// Error is why an event was not taken. It names neither the path of the address
// nor a secret.
type Error struct {
	// Status is the answer's; 0: there was none.
	Status int
	// Why is empty where Status says all.
	Why error
}

func (e *Error) Error() string {
	switch {
	case e.Status == 0:
		return fmt.Sprintf("send event: %v", e.Why)
	case e.Status/100 == 3:
		return fmt.Sprintf("send event: the answer is a redirect (%d), which is not followed: write the address that it leads to", e.Status)
	}
	return fmt.Sprintf("send event: the answer is %d %s", e.Status, http.StatusText(e.Status))
}

func (e *Error) Unwrap() error { return e.Why }

// Final reports whether another try would only be answered the same: the receiver
// understood, and does not want it.
func (e *Error) Final() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status/100 == 3 || e.Status/100 == 4
}

// Post makes one try to tell of an event, within the deadline of ctx. The error is
// an *Error.
func (e *Endpoint) Post(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return &Error{Why: err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return &Error{Why: errors.New("the address cannot be used")}
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", e.agent)
	r.Header.Set(HeaderID, m.ID)
	r.Header.Set(HeaderTimestamp, at)
	if len(e.secret) > 0 {
		r.Header.Set(HeaderSignature, Sign(e.secret, at, body))
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return &Error{Why: bare(err)}
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	if answer.StatusCode/100 != 2 {
		return &Error{Status: answer.StatusCode}
	}
	return nil
}

// Sign is the value of Warden-Signature for a body that is sent at a time, as
// Warden-Timestamp has it.
func Sign(secret []byte, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(at))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// bare is an error without the address, which may hold a secret.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Close closes the connections that are kept. What is being sent goes on.
func (e *Endpoint) Close() { e.client.CloseIdleConnections() }
