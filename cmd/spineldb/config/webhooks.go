package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

const (
	defaultWebhookTimeout = 5 * warden.Second
	maxWebhookTimeout     = warden.Minute
	defaultWebhookRetries = 5
	minWebhookSecret      = 16 // bytes
)

// Webhook is one [[webhooks]] block: an address that is told of events by HTTP.
type Webhook struct {
	// URL may hold a secret in its path. Host is what may be shown of it.
	URL  Secret
	Host string
	// Secret signs what is sent; empty: nothing does.
	Secret Secret
	// Events are patterns of the names of events that are sent.
	Events []string
	// Timeout is for one try, and Retries is how often it is tried again.
	Timeout warden.Duration
	Retries int
	// CAFile holds the authorities that the server's certificate is checked
	// against; empty: those of the system.
	CAFile string
}

// webhooks reads the [[webhooks]] blocks.
func (l *loader) webhooks(top *section) []Webhook {
	var out []Webhook
	for i, table := range top.blocks("webhooks") {
		s := l.section(under("webhooks", strconv.Itoa(i)), table)
		s.place = "webhooks."
		w := Webhook{Secret: s.secret("secret"), Timeout: s.span("timeout", defaultWebhookTimeout, minHookTimeout), CAFile: s.file("tls_ca_file"),
			Retries: s.whole("retries", defaultWebhookRetries, 0, maxHookRetries, "it is how often an event that was not taken is sent again")}
		s.address(&w)
		if w.Timeout > maxWebhookTimeout {
			s.wrong("timeout", "is %s, but must be at most %s: choose a shorter time", w.Timeout, maxWebhookTimeout)
		}
		key := "secret"
		if s.has("secret_file") {
			key = "secret_file"
		}
		if s.has(key) && !s.failed[key] && len(w.Secret) < minWebhookSecret {
			s.wrong(key, "has %d characters, but must have at least %d: make one with head -c 32 /dev/urandom | base64", len(w.Secret), minWebhookSecret)
		}
		w.Events = s.patterns("events")
		s.finish(append(masterKeys(), topKeys()...), "out of [[webhooks]]")
		out = append(out, w)
	}
	return out
}

// address reads the url.
func (s *section) address(w *Webhook) {
	const key = "url"
	w.URL = Secret(s.text(key, ""))
	if !s.has(key) {
		s.wrong(key, "is missing: write where events are sent, such as \"https://hooks.example.com/warden\"")
		return
	}
	u, err := url.Parse(string(w.URL)) // the error would show the whole of it
	switch {
	case s.failed[key]:
	case err != nil || u.Host == "" || u.Hostname() == "":
		s.wrong(key, "is not an address of the form https://host/path: correct it")
	case u.Scheme != "https" && u.Scheme != "http":
		s.wrong(key, "begins with %q: https is wanted, or http within the machine", wording.Shown(u.Scheme))
	case u.User != nil:
		s.wrong(key, "contains a user: leave it out, the receiver checks the signature")
	case u.Fragment != "":
		s.wrong(key, "contains a #, and what follows is never sent: leave it out")
	}
	if s.failed[key] {
		return
	}
	w.Host = u.Host
	if a, err := netip.ParseAddr(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
		s.l.warnings = append(s.l.warnings, fmt.Sprintf("events travel in the clear to the webhook %s: write https", w.Host))
	}
	if u.Scheme == "http" && s.has("tls_ca_file") {
		s.wrong("tls_ca_file", "is set for an address that is not https: write https, or remove it")
	}
}

// patterns is a list of patterns, all events when it is not there.
func (s *section) patterns(key string) []string {
	out := s.list(key)
	if !s.has(key) {
		return []string{"*"}
	}
	if len(out) == 0 && !s.failed[key] {
		s.wrong(key, "is empty, so nothing would ever be sent: name events, such as \"+switch-master\", or remove the key")
	}
	for i, p := range out {
		if p == "" && !s.failed[key] {
			s.wrongItem(key, i, "entry %d is empty: write the name of an event, or a pattern such as \"*\"", i+1)
		}
	}
	return out
}
