package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"github.com/spineldb/warden/cmd/spineldb/certificate"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/discovery/metrics"
	"github.com/spineldb/warden/discovery/rest"
	"github.com/spineldb/warden/warden"
)

// serveHTTP opens the port for health checks, state, events and orders. It comes
// last: who asked earlier would be told that there are no groups. ctx bounds the
// opening.
func (d *daemon) serveHTTP(ctx context.Context, c config.HTTP) error {
	if c.Port == 0 {
		return nil
	}
	secure, err := d.webTLS(c)
	if err != nil {
		return err
	}
	addr := net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case err != nil && !c.Asked && errors.Is(err, syscall.EADDRINUSE):
		// Several Wardens on one machine are no reason not to watch anything.
		d.log.Warn("no HTTP: another process, perhaps another Warden, uses the usual address: set listen under [http] to another one, or to \"off\"", "addr", addr)
		return nil
	case err != nil:
		return fmt.Errorf("open HTTP port %s (key listen under [http]): %w (is another process using the port?)", addr, err)
	}
	web, err := rest.New(rest.Options{
		Directory: shown{directory{d.shell, d}}, Log: d.kept, Process: d.processName(), Resume: d.resumeEvents, Reports: d.reports.List,
		Token: string(c.Token), Extra: d.pages(), Nearest: wording.Nearest, Logger: d.log,
	})
	if err == nil {
		err = web.Serve(l, secure)
	}
	if err != nil {
		_ = l.Close()
		return err
	}
	d.rest.Store(web)
	d.onStop("HTTP", web.Shutdown)
	d.log.Info("HTTP is served", "addr", l.Addr().String(), "tls", secure != nil, "orders", c.Token != "")
	return nil
}

// webTLS is how HTTP is made safe, nil where it is in the clear.
func (d *daemon) webTLS(c config.HTTP) (_ *tls.Config, err error) {
	if c.TLS.CertFile == "" {
		return nil, nil
	}
	d.webCertificates, err = certificate.Open(c.TLS, d.certificatesChanged)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP by TLS (keys under [http]): %w", err)
	}
	return d.webCertificates.Server(), nil
}

// openMetrics begins to count, where somebody can ask for it.
func (d *daemon) openMetrics(c config.HTTP) (err error) {
	if c.Port == 0 {
		return nil
	}
	d.metrics, err = metrics.New(metrics.Options{Directory: shown{directory{d.shell, d}}, Version: currentVersion().Version,
		Lost: map[string]func() int64{"events": d.events.Lost, "reports": d.reports.Lost}})
	if err == nil {
		d.heard = append(d.heard, d.metrics.Observe)
	}
	return err
}

// looked counts a look at a node.
func (d *daemon) looked(group warden.GroupName, node warden.NodeID, health warden.Health, took warden.Duration) {
	if d.metrics != nil {
		d.metrics.Looked(group, node, health, took)
	}
}

// pages are what is served beside health checks and orders, by path.
func (d *daemon) pages() map[string]http.Handler {
	if d.metrics == nil {
		return nil // and not a page that is nil
	}
	return map[string]http.Handler{"/metrics": d.metrics}
}

// notifyWeb tells the readers of events by HTTP of a new one.
func (d *daemon) notifyWeb() {
	if web := d.rest.Load(); web != nil {
		web.Notify()
	}
}
