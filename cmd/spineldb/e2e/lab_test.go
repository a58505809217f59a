package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// groupName is the group of every lab.
const groupName = "mymaster"

// downAfter is how long a node may be silent in a lab. It is no shorter so
// that a slow machine does not make silence by itself.
const downAfter = time.Second

// lab is what one test plays with.
type lab struct {
	t    *testing.T
	dir  string
	host string
	// began is when the lab was opened.
	began time.Time
	// prefix is put before the commands of processes with the given name.
	prefix func(name string) []string
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)

	processes []*process
	nodes     []*node // of the group
	made      int     // servers made so far
	wardens   []*ward
	settings  settings

	madeWardens int // so far

	webOnce sync.Once
	web     *http.Client
}

// newLab makes an empty lab whose processes listen on host.
func newLab(t *testing.T, host string) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), host: host, began: time.Now(), settings: defaults()}
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	l.dial = dialer.DialContext
	t.Cleanup(l.end)
	return l
}

// startLab makes a lab with a primary, two replicas and three Wardens that
// have agreed on them.
func startLab(t *testing.T, change ...func(*settings)) *lab {
	t.Helper()
	l := newLab(t, "127.0.0.1")
	for _, f := range change {
		f(&l.settings)
	}
	l.fill()
	return l
}

// fill starts three servers and three Wardens and waits for the agreement.
func (l *lab) fill() {
	l.t.Helper()
	primary := l.addNode(nil, l.settings.nodeLines...)
	l.addNode(primary, l.settings.nodeLines...)
	l.addNode(primary, l.settings.nodeLines...)
	for range 3 {
		l.prepareWarden()
	}
	for _, w := range l.wardens {
		w.start()
	}
	l.awaitAgreed(primary)
}

func (l *lab) spawn(name, log string, env []string, argv ...string) *process {
	l.t.Helper()
	if l.prefix != nil {
		argv = append(l.prefix(name), argv...)
	}
	p := spawn(l.t, name, log, env, argv...)
	l.processes = append(l.processes, p)
	return p
}

// end tells what is needed to understand a failure, ends all processes and
// looks for alarms in their logs.
func (l *lab) end() {
	if l.t.Failed() {
		l.report()
	}
	seen := map[string]bool{}
	for _, p := range l.processes {
		p.kill()
		if seen[p.log] {
			continue
		}
		seen[p.log] = true
		if bad := p.alarms(); len(bad) > 0 {
			l.t.Errorf("%s: %s\n%s", p.name, strings.Join(bad, "; "), p.tail(80))
		}
	}
}

func (l *lab) report() {
	for _, w := range l.wardens {
		if w.process == nil || !w.process.alive() {
			continue
		}
		w.process.cmd.Process.Signal(sigCont) //nolint:errcheck // it may have ended
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		l.t.Logf("--- %s (%s) explains:\n%s", w.name, w.addr, w.explain(ctx))
		cancel()
	}
	l.story(l.began)
	seen := map[string]bool{}
	for _, p := range l.processes {
		if !seen[p.log] {
			seen[p.log] = true
			l.t.Logf("--- the end of %s's log:\n%s", p.name, p.tail(40))
		}
	}
}

// node finds the server at an address.
func (l *lab) node(addr warden.NodeID) *node {
	for _, n := range l.nodes {
		if n.addr == addr {
			return n
		}
	}
	return nil
}

// agreed reports whether all given Wardens publish one finished topology with
// that primary (nil: any) and see every node of the group.
func agreed(wardens []*ward, primary *node) bool {
	var first warden.Topology
	for i, w := range wardens {
		v, err := w.view()
		if err != nil || v.Provisional || !v.Agreed || v.Leading || v.Topology.Phase != warden.PhaseDone || len(v.Topology.Wardens) != len(w.lab.wardens) {
			return false
		}
		if i == 0 {
			first = v.Topology
		}
		if v.Topology.Version != first.Version || v.Topology.Birth != first.Birth || primary != nil && v.Primary != primary.addr {
			return false
		}
	}
	return true
}

// healthy reports whether the group is whole: one primary that all other
// servers follow, all Wardens agreed and all of them seeing it so.
func (l *lab) healthy(primary *node) bool {
	if !agreed(l.wardens, primary) {
		return false
	}
	for _, w := range l.wardens {
		v, err := w.view()
		if err != nil || len(v.Nodes) != len(l.nodes) {
			return false
		}
		for _, n := range v.Nodes {
			o := n.Observation
			right := o.Role == warden.RoleReplica && o.LinkUp && o.Upstream == primary.addr
			if n.Node == primary.addr {
				right = o.Role == warden.RolePrimary
			}
			if n.Down || o.Health != warden.HealthGood || !right {
				return false
			}
		}
	}
	return true
}

// awaitAgreed waits until the group is whole with that primary.
func (l *lab) awaitAgreed(primary *node) {
	l.t.Helper()
	await(l.t, fmt.Sprintf("all is well with %s (%s) as primary", primary.name, primary.addr), func() bool { return l.healthy(primary) })
}

// primary is what all given Wardens agree on, once they do.
func (l *lab) awaitPrimaryOtherThan(old *node, wardens ...*ward) *node {
	l.t.Helper()
	var found *node
	await(l.t, "the Wardens agree on another primary than "+old.name, func() bool {
		if !agreed(wardens, nil) {
			return false
		}
		v, err := wardens[0].view()
		if err != nil || v.Primary == old.addr {
			return false
		}
		found = l.node(v.Primary)
		return found != nil && found.isPrimary()
	})
	return found
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}
