package metrics

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spineldb/warden/warden"
)

// figure is one gauge of the state, read from a T. What it has no value for now
// is left out of the answer.
type figure[T any] struct {
	desc *prometheus.Desc
	read func(T) (value float64, known bool)
}

// figures collects the gauges of one kind of thing.
type figures[T any] struct {
	prefix string
	labels []string
	all    []figure[T]
}

func (f *figures[T]) maybe(name, help string, read func(T) (float64, bool)) {
	f.all = append(f.all, figure[T]{prometheus.NewDesc(f.prefix+name, help, f.labels, nil), read})
}

func (f *figures[T]) number(name, help string, read func(T) float64) {
	f.maybe(name, help, func(of T) (float64, bool) { return read(of), true })
}

func (f *figures[T]) flag(name, help string, read func(T) bool) {
	f.maybe(name, help, func(of T) (float64, bool) { return flag(read(of)), true })
}

func (f *figures[T]) describe(out chan<- *prometheus.Desc) {
	for _, g := range f.all {
		out <- g.desc
	}
}

func (f *figures[T]) collect(out chan<- prometheus.Metric, of T, labels ...string) {
	for _, g := range f.all {
		if v, known := g.read(of); known {
			out <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, labels...)
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// since is an age in seconds; negative ages mean never, and are left out.
func since(d warden.Duration) (float64, bool) { return seconds(d), d >= 0 }

// nodeOf and peerOf are a node and a Warden with the group they are seen in.
type nodeOf struct {
	group *warden.GroupView
	*warden.NodeView
	// behind is how many seconds each replica is behind, where that is known.
	behind map[warden.NodeID]float64
}

type peerOf struct {
	group *warden.GroupView
	*warden.PeerView
}

// kinds are all gauges of the state.
type kinds struct {
	self   figures[warden.SelfView]
	groups figures[*warden.GroupView]
	nodes  figures[nodeOf]
	peers  figures[peerOf]
}

func newKinds() *kinds {
	k := &kinds{
		self:   figures[warden.SelfView]{prefix: "warden_"},
		groups: figures[*warden.GroupView]{prefix: "warden_group_", labels: []string{"group"}},
		nodes:  figures[nodeOf]{prefix: "warden_node_", labels: []string{"group", "node"}},
		peers:  figures[peerOf]{prefix: "warden_peer_", labels: []string{"group", "warden"}},
	}
	k.self.number("groups", "Groups that this Warden watches.", func(v warden.SelfView) float64 { return float64(v.Groups) })
	k.self.flag("tilt", "1 while this Warden distrusts its clock in any group and abstains there.", func(v warden.SelfView) bool { return v.Tilt })
	k.group()
	k.sync()
	k.node()
	k.replication()
	k.peer()
	return k
}

func (k *kinds) describe(out chan<- *prometheus.Desc) {
	k.self.describe(out)
	k.groups.describe(out)
	k.nodes.describe(out)
	k.peers.describe(out)
}

// known is what a scrape found to be watched.
type known map[warden.GroupName][]warden.NodeID

// state is the collector of what is read from the directory.
type state struct {
	m     *Metrics
	kinds *kinds
}

// Describe names all gauges of the state.
func (s state) Describe(out chan<- *prometheus.Desc) { s.kinds.describe(out) }

// Collect reads the state of every group. A group that is removed meanwhile is
// left out, and forgotten.
func (s state) Collect(out chan<- prometheus.Metric) {
	k, d, now := s.kinds, s.m.directory, known{}
	k.self.collect(out, d.Self())
	for _, name := range d.Groups() {
		v, ok := d.Group(name)
		if !ok {
			continue
		}
		k.groups.collect(out, &v, string(name))
		s.m.begin(name)
		nodes, behind := []warden.NodeID{}, s.m.tracks.of(&v)
		for i := range v.Nodes {
			n := &v.Nodes[i]
			if slices.Contains(nodes, n.Node) {
				continue // known under two spellings: shown once
			}
			nodes = append(nodes, n.Node)
			k.nodes.collect(out, nodeOf{&v, n, behind}, string(name), string(n.Node))
		}
		shorts := []string{}
		for i := range v.Peers {
			p := &v.Peers[i]
			short := p.ID.Short()
			if p.Real || slices.Contains(shorts, short) {
				continue // real Sentinels are not ours to watch, and are counted
			}
			shorts = append(shorts, short)
			k.peers.collect(out, peerOf{&v, p}, string(name), short)
		}
		now[name] = nodes
	}
	s.m.forget(now)
}

// begin has the counters that alerts look at there from the start, so that the
// first thing they count is an increase.
func (m *Metrics) begin(name warden.GroupName) {
	m.switches.WithLabelValues(string(name))
	for _, result := range []string{resultNoCandidate, resultTooFew} {
		m.changes.WithLabelValues(string(name), string(warden.ReasonFailover), result)
	}
}

// members are the groups and nodes that the last scrape has found.
type members struct {
	mu   sync.Mutex
	last known
}

// forget drops what is counted of groups and nodes that were there at the last
// scrape and are gone.
func (m *Metrics) forget(now known) {
	m.members.mu.Lock()
	defer m.members.mu.Unlock()
	for name, nodes := range m.members.last {
		have, ok := now[name]
		if !ok {
			for _, c := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
				m.events, m.elections, m.votes, m.switches, m.changes, m.looks, m.lookTimes,
			} {
				c.DeletePartialMatch(prometheus.Labels{"group": string(name)})
			}
			m.attempts.forget(name)
			m.tracks.forget(name)
			continue
		}
		for _, node := range nodes {
			if !slices.Contains(have, node) {
				m.looks.DeletePartialMatch(prometheus.Labels{"group": string(name), "node": string(node)})
			}
		}
	}
	m.members.last = now
}
