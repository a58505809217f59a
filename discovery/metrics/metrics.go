package metrics

import (
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spineldb/warden/warden"
)

const (
	// scrapesMost is how many scrapes are answered at a time; more are refused
	// with 503, so that nobody can make a Warden build views without end.
	scrapesMost = 4
	// scrapeLimit bounds one scrape.
	scrapeLimit = 5 * time.Second
)

// Options are what metrics are made from.
type Options struct {
	// Directory is where the state is read. Required.
	Directory warden.Directory
	// Version of this program.
	Version string
	// Lost tells how many records of each kind (events, reports) did not reach the
	// disk since the start. Safe for concurrent use.
	Lost map[string]func() int64
}

// Metrics counts, and answers scrapes as an http.Handler (GET and HEAD). Safe
// for concurrent use. Nothing in it waits for the network or the disk, and it
// has no goroutine of its own, so there is nothing to stop.
type Metrics struct {
	directory warden.Directory
	handler   http.Handler
	registry  *prometheus.Registry

	events    *prometheus.CounterVec
	elections *prometheus.CounterVec
	votes     *prometheus.CounterVec
	switches  *prometheus.CounterVec
	changes   *prometheus.CounterVec
	steps     *prometheus.HistogramVec
	looks     *prometheus.CounterVec
	lookTimes *prometheus.HistogramVec
	syncs     prometheus.Histogram
	syncFails prometheus.Counter

	attempts attempts
	members  members
	tracks   tracks
}

// New makes the metrics of one Warden.
func New(o Options) (*Metrics, error) {
	if o.Directory == nil {
		return nil, errors.New("make metrics: no directory")
	}
	m := &Metrics{directory: o.Directory, registry: prometheus.NewRegistry()}
	m.count()
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "warden_build_info", Help: "The version of this Warden; always 1.",
		ConstLabels: prometheus.Labels{"version": o.Version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	for _, c := range []prometheus.Collector{
		build, state{m, newKinds()}, m.events, m.elections, m.votes, m.switches, m.changes, m.steps, m.looks, m.lookTimes, m.syncs, m.syncFails,
		collectors.NewGoCollector(collectors.WithGoCollectorMemStatsMetricsDisabled()),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	for kind, lost := range o.Lost {
		if err := m.registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "warden_records_lost_total", Help: "Events and reports that did not reach the disk, and will be missing after a restart.",
			ConstLabels: prometheus.Labels{"kind": kind},
		}, func() float64 { return float64(lost()) })); err != nil {
			return nil, err
		}
	}
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// One figure that cannot be had is no reason to withhold the others.
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapesMost, Timeout: scrapeLimit,
	})
	m.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "metrics are only read: use GET", http.StatusMethodNotAllowed)
			return
		}
		scrape.ServeHTTP(w, r)
	})
	return m, nil
}

// ServeHTTP answers one scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// count makes everything that is counted rather than read.
func (m *Metrics) count() {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m.events = counter("warden_events_total", "Events announced by this Warden, by name.", "group", "event")
	m.elections = counter("warden_elections_total",
		"Elections this Warden stood in, by how they ended: elected or not_elected; lost counts leaderships that ended before their work was done.", "group", "result")
	m.votes = counter("warden_votes_total", "Votes this Warden has given, also to itself.", "group")
	m.switches = counter("warden_primary_switches_total", "Changes of the agreed primary that this Warden has learned, whoever led them.", "group")
	m.changes = counter("warden_failovers_total",
		"Attempts to move the primary that this Warden has led, by why and by how they ended: done, not_elected, no_candidate, sealed_too_few, cancelled or unfinished.", "group", "reason", "result")
	m.steps = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "warden_failover_step_seconds", Help: "How long each step took of the changes of the primary that this Warden has led.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"step"})
	m.looks = counter("warden_node_looks_total", "Looks at a node, by result: good, alive (answered, but not well) or none.", "group", "node", "result")
	m.lookTimes = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "warden_look_seconds", Help: "How long the nodes of a group took to answer looks; those without an answer are not in it.",
		Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
	}, []string{"group"})
	m.syncs = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "warden_store_commit_seconds", Help: "How long commits of the store took until they were on disk.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
	})
	m.syncFails = prometheus.NewCounter(prometheus.CounterOpts{Name: "warden_store_failures_total", Help: "Commits of the store that failed."})
}

// Looked counts one look at a node. It never blocks.
func (m *Metrics) Looked(group warden.GroupName, node warden.NodeID, health warden.Health, took warden.Duration) {
	result := "none"
	switch {
	case health == warden.HealthGood:
		result = "good"
	case health.Alive():
		result = "alive"
	}
	m.looks.WithLabelValues(string(group), string(node), result).Inc()
	if result != "none" {
		m.lookTimes.WithLabelValues(string(group)).Observe(seconds(took))
	}
}

// Committed counts one commit of the store. It never blocks.
func (m *Metrics) Committed(took time.Duration, err error) {
	if err != nil {
		m.syncFails.Inc()
		return
	}
	m.syncs.Observe(took.Seconds())
}

func seconds(d warden.Duration) float64 { return float64(d) / float64(warden.Second) }
