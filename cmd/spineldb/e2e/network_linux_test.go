package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spineldb/warden/warden"
)

// Addresses of the two places of a network. They exist only inside it.
const (
	hereAddr  = "10.77.0.1"
	thereAddr = "10.77.0.2"
)

// network is two network namespaces with one cable between them.
type network struct {
	t           *testing.T
	here, there string // names of the namespaces
	// further are more addresses, and the namespaces they are in.
	further map[string]string
}

// newNetwork makes the namespaces and the cable, and takes them away when the
// test ends. It needs root. mark tells networks of this process apart.
func newNetwork(t *testing.T, mark string) *network {
	t.Helper()
	name := fmt.Sprintf("warden-e2e-%d%s", os.Getpid(), mark)
	n := &network{t: t, here: name + "-a", there: name + "-b"}
	for _, ns := range []string{n.here, n.there} {
		n.ip("netns", "add", ns)
		t.Cleanup(func() { n.ip("netns", "del", ns) })
		n.ip("-n", ns, "link", "set", "lo", "up")
	}
	n.ip("-n", n.here, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", n.there)
	n.ip("-n", n.here, "addr", "add", hereAddr+"/24", "dev", "cable")
	n.ip("-n", n.there, "addr", "add", thereAddr+"/24", "dev", "cable")
	n.ip("-n", n.there, "link", "set", "cable", "up")
	n.join()
	return n
}

// cut pulls the cable; join puts it back.
func (n *network) cut()  { n.t.Helper(); n.ip("-n", n.here, "link", "set", "cable", "down") }
func (n *network) join() { n.t.Helper(); n.ip("-n", n.here, "link", "set", "cable", "up") }

func (n *network) ip(args ...string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s\nrun this as root with iproute2 installed; where namespaces may not be made, set WARDEN_E2E_WITHOUT=netns", strings.Join(args, " "), err, out)
	}
}

// place is the namespace of an address.
func (n *network) place(host string) string {
	if ns, ok := n.further[host]; ok {
		return ns
	}
	if host == thereAddr {
		return n.there
	}
	return n.here
}

// dial connects from within the place of the address, so that the test sees
// both sides of a cut.
func (n *network) dial(ctx context.Context, protocol, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	// A socket belongs to the namespace of the thread that made it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	away, err := os.Open("/run/netns/" + n.place(host))
	if err != nil {
		return nil, err
	}
	defer away.Close()
	if err := unix.Setns(int(away.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter network namespace: %w", err)
	}
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, protocol, addr)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("leave network namespace: %v", back)) // this thread is lost for the other tests
	}
	return conn, err
}

// newLabOn makes a lab on a network: a primary and a Warden at the given
// places, two replicas and two Wardens here, all agreed.
func newLabOn(t *testing.T, n *network, primaryHost, wardenHost string, change ...func(*settings)) *lab {
	t.Helper()
	l := newLab(t, "127.0.0.1")
	for _, f := range change {
		f(&l.settings)
	}
	l.dial = n.dial
	hosts := map[string]string{}
	l.prefix = func(name string) []string { return []string{"ip", "netns", "exec", n.place(hosts[name])} }
	l.settings.nodeLines = []string{"protected-mode no"}
	var primary *node
	for i, host := range []string{primaryHost, hereAddr, hereAddr} {
		hosts[fmt.Sprintf("redis-%d", i+1)] = host
		one := l.prepareNode(warden.MakeNode(host, freePort(t, l.host)), primary, l.settings.nodeLines...)
		one.start()
		if i == 0 {
			primary = one
		}
	}
	for i, host := range []string{hereAddr, hereAddr, wardenHost} {
		hosts[fmt.Sprintf("warden-%d", i+1)] = host
		l.prepareWardenOn(host).start()
	}
	l.awaitAgreed(primary)
	return l
}

// Goal (S5, S9, L1, L2): a real network is cut. Whichever side has no majority
// of the Wardens changes nothing and says so, the other one has a primary; and
// when the cable is back all agree and every server follows.
func TestNetworkCut(t *testing.T) {
	t.Parallel()
	if without("netns") {
		t.Log("no network was cut: this machine may not make namespaces (WARDEN_E2E_WITHOUT)")
		return
	}
	n := newNetwork(t, "")
	t.Run("one Warden", func(t *testing.T) { cutOneWarden(t, n) })
	t.Run("primary and one Warden", func(t *testing.T) { cutPrimary(t, n) })
}

// cutOneWarden: the Warden that is cut off thinks that the primary is down,
// and nobody cares.
func cutOneWarden(t *testing.T, n *network) {
	l := newLabOn(t, n, hereAddr, thereAddr)
	primary, alone := l.nodes[0], l.wardens[2]
	version := l.wardens[0].mustView().Topology.Version
	n.cut()
	l.awaitAlone(alone)
	await(t, "the Warden that is cut off finds the primary down", func() bool { return alone.said("+sdown", "master "+groupName, primary.addr.Port()) })
	stays(t, 2*downAfter, "nothing is failed over", func() bool {
		return primary.isPrimary() && !anySaid(l.wardens[:2], "+sdown", "master "+groupName) && !alone.said("+switch-master")
	})
	out := l.doctor("--timeout", "2s")
	for _, want := range []string{"no other Warden hears " + alone.id().Short(), "2 of 3 Wardens are there, just as many as are needed"} {
		if !strings.Contains(out, want) {
			t.Errorf("one Warden is cut off, and the doctor does not say %q:\n%s", want, out)
		}
	}
	if out, _ := alone.command(l.ctx(patience), "doctor", "--timeout", "2s"); !strings.Contains(out, string(primary.addr)+"  no Warden reaches it") {
		t.Errorf("asked on the side that is cut off, the doctor says\n%s", out)
	}
	n.join()
	l.awaitAgreed(primary)
	if now := l.wardens[0].mustView().Topology.Version; now.Epoch > version.Epoch+1 {
		t.Errorf("the Warden that was cut off made the others elect: %+v, was %+v", now, version)
	}
}

// cutPrimary: the primary is cut off together with one Warden. The majority
// fails over; the minority must not, although it sees two dead replicas.
func cutPrimary(t *testing.T, n *network) {
	l := newLabOn(t, n, thereAddr, thereAddr)
	old, alone := l.nodes[0], l.wardens[2]
	began := time.Now()
	n.cut()
	fresh := l.awaitPromoted(old)
	took := time.Since(began)
	t.Logf("a new primary %s after the cut (L1: %s)", milliseconds(took), milliseconds(bar))
	if took > bar+slack {
		t.Errorf("a new primary only %s after the cut, want at most %s", took, bar+slack)
	}
	l.awaitAlone(alone)
	if v := alone.mustView(); v.Topology.Primary != old.addr || alone.said("+switch-master") {
		t.Errorf("the Warden without a majority changed the topology: %+v", v.Topology)
	}
	n.join()
	l.awaitAgreed(fresh)
}

// awaitAlone waits until a Warden says that it has no majority.
func (l *lab) awaitAlone(w *ward) {
	l.t.Helper()
	await(l.t, w.name+" says that there is no majority", func() bool {
		v, err := w.view()
		return err == nil && !v.Agreed
	})
}
