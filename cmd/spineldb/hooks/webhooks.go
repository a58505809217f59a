package hooks

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/delivery"
	"github.com/spineldb/warden/discovery/webhook"
	"github.com/spineldb/warden/warden"
)

// WebhookOptions configure Webhooks. All are required.
type WebhookOptions struct {
	Self warden.WardenID
	// Process names this run of this Warden, unlike any other.
	Process string
	Version string
	// Say announces an event. It must not wait for Webhooks.
	Say func(warden.Event)
}

// Webhooks tell addresses of events. All methods are safe for concurrent use.
type Webhooks struct {
	options WebhookOptions
	queue   *delivery.Queue
	told    atomic.Pointer[[]receiver]
}

// receiver is one [[webhooks]] block.
type receiver struct {
	config.Webhook
	lane     string
	endpoint *webhook.Endpoint
}

// NewWebhooks makes Webhooks that tell nobody; see Use.
func NewWebhooks(o WebhookOptions) *Webhooks {
	w := &Webhooks{options: o}
	w.queue = delivery.New(delivery.Options{Dropped: w.dropped})
	w.told.Store(&[]receiver{})
	return w
}

// Use tells these from now on. What waits for those before is still sent. On an
// error nothing has changed.
func (w *Webhooks) Use(blocks []config.Webhook) error {
	next := make([]receiver, 0, len(blocks))
	for i, b := range blocks {
		roots, err := authorities(b.CAFile)
		if err != nil {
			return fmt.Errorf("webhook %d (%s): %w", i+1, b.Host, err)
		}
		e, err := webhook.New(webhook.Options{URL: string(b.URL), Secret: []byte(b.Secret), Roots: roots, Agent: "warden/" + w.options.Version})
		if err != nil {
			return fmt.Errorf("webhook %d (%s): %w", i+1, b.Host, err)
		}
		next = append(next, receiver{b, strconv.Itoa(i+1) + " " + b.Host, e})
	}
	for _, r := range *w.told.Swap(&next) {
		r.endpoint.Close()
	}
	return nil
}

// authorities are the certificates of a file, nil without one.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, _, err := config.ReadSmallFile(file)
	if err != nil {
		return nil, fmt.Errorf("read tls_ca_file %s: %w", file, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("read tls_ca_file " + file + ": no certificate is in it: it has to be in PEM form")
	}
	return pool, nil
}

// Tell tells of an event, the one of that number in this Warden's log of events. It
// does not wait. What is about webhooks is told to nobody: one that fails would
// otherwise never come to rest.
func (w *Webhooks) Tell(seq int64, e warden.Event) {
	if e.Level == warden.LevelDebug || strings.HasPrefix(e.Name, "-webhook-") {
		return
	}
	m := webhook.Message{ID: w.options.Process + "-" + strconv.FormatInt(seq, 10), Time: time.Now().UTC(), Warden: w.options.Self, Event: e}
	for _, r := range *w.told.Load() {
		if !slices.ContainsFunc(r.Events, func(p string) bool { return warden.MatchGlob(p, e.Name) }) {
			continue
		}
		w.queue.Add(delivery.Job{
			Lane: r.lane, Limit: time.Duration(r.Timeout), Tries: r.Retries + 1,
			Do: func(ctx context.Context, _ int) error { return r.endpoint.Post(ctx, m) },
			Done: func(err error) {
				if err != nil {
					w.failed(r.lane, m, err)
				}
			},
		})
	}
}

func (w *Webhooks) failed(lane string, m webhook.Message, err error) {
	w.options.Say(warden.Event{Group: m.Group, Name: "-webhook-failed", Level: warden.LevelWarning, Payload: fmt.Sprintf("%s %s %s %v", lane, m.ID, m.Name, err)})
}

func (w *Webhooks) dropped(lane string, jobs int) {
	w.options.Say(warden.Event{Name: "-webhook-dropped", Level: warden.LevelWarning, Payload: fmt.Sprintf("%d %s", jobs, lane)})
}

// Close ends what is being sent, forgets what waits, and closes all connections.
func (w *Webhooks) Close(ctx context.Context) error {
	err := w.queue.Close(ctx)
	for _, r := range *w.told.Load() {
		r.endpoint.Close()
	}
	return err
}
