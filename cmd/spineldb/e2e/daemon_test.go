package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: SIGTERM ends a Warden with exit code 0 within about a second, with
// clients connected, and leaves no process, no socket and no lock behind.
func TestTerminate(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	w := l.wardens[0]
	sub := w.client.PSubscribe(l.ctx(patience), "*")
	defer sub.Close()
	if _, err := sub.Receive(l.ctx(patience)); err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	pid := w.process.cmd.Process.Pid
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(lists) == 0 {
		t.Fatalf("find the children of %s: %v", w.name, err)
	}
	for _, list := range lists {
		if data, err := os.ReadFile(list); err == nil && strings.TrimSpace(string(data)) != "" {
			t.Errorf("the Warden has children: %s", data)
		}
	}
	began := time.Now()
	w.process.signal(t, syscall.SIGTERM)
	code := w.process.exit(t, patience)
	took := time.Since(began)
	t.Logf("ended %s after SIGTERM", milliseconds(took))
	if code != 0 || took > 3*time.Second {
		t.Errorf("exit code %d after %s, want 0 within about a second", code, took)
	}
	for _, port := range []string{w.port(), fmt.Sprint(w.gossip)} {
		s, err := net.Listen("tcp", net.JoinHostPort(w.host, port))
		if err != nil {
			t.Errorf("port %s is still in use: %v", port, err)
			continue
		}
		s.Close()
	}
	w.start()
	l.awaitAgreed(l.nodes[0])
}

// Goal: a second process on one data_dir is refused, says why and what to do,
// and does not disturb the first.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	first := l.wardens[0]
	second := l.path("second.toml")
	text := strings.Replace(first.config(), "port = "+first.port(), fmt.Sprintf("port = %d", freePort(t, l.host)), 1)
	text = strings.Replace(text, fmt.Sprintf("gossip_port = %d", first.gossip), fmt.Sprintf("gossip_port = %d", freePort(t, l.host)), 1)
	text = strings.Replace(text, `data_dir = "data"`, fmt.Sprintf("data_dir = %q", filepath.Join(first.dir, "data")), 1)
	if err := os.WriteFile(second, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := l.spawn("second", l.path("second.log"), nil, spineldbBinary, "--warden", second)
	if code := p.exit(t, patience); code != 1 {
		t.Errorf("the second process ended with %d, want 1", code)
	}
	if said := p.tail(20); !strings.Contains(said, "data_dir") || !strings.Contains(said, filepath.Join(first.dir, "data")) {
		t.Errorf("it does not name the directory:\n%s", said)
	}
	if !l.healthy(l.nodes[0]) {
		l.awaitAgreed(l.nodes[0])
	}
}

// Goal (S1, S5): the disk of one Warden is full. It says so, takes part in
// nothing, the others fail over without it, and it learns what they did when
// there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	old, full := l.nodes[0], l.wardens[0]
	limitFileSize(t, full.process, 0)
	old.process.kill()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens[1:]...)
	await(t, "the Warden with the full disk says so", func() bool { return full.said("-store-failed") })
	v := full.mustView()
	if !v.Mute || !strings.Contains(strings.Join(v.Explain, "\n"), "disk") && !strings.Contains(strings.Join(v.Explain, "\n"), "store") {
		t.Errorf("mute %v; it explains: %q", v.Mute, v.Explain)
	}
	if v.Promise > v.Topology.Epoch {
		t.Errorf("it tells of promise %d, which its disk does not hold", v.Promise)
	}
	limitFileSize(t, full.process, noLimit)
	await(t, "+store-works is announced", func() bool { return full.said("+store-works") })
	old.start()
	l.awaitAgreed(fresh)
}

// Goal: a Warden whose data_dir cannot be written does not start, and says
// what to do.
func TestUnwritableDataDir(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	l.prepareNode(warden.MakeNode(l.host, freePort(t, l.host)), nil)
	w := l.prepareWarden()
	// Root may write into any directory, but not into a file taken for one.
	if err := os.WriteFile(filepath.Join(w.dir, "data"), []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	w.launch()
	if code := w.process.exit(t, patience); code != 1 {
		t.Errorf("it ended with %d, want 1", code)
	}
	if said := w.process.tail(20); !strings.Contains(said, "data_dir") {
		t.Errorf("it does not name data_dir:\n%s", said)
	}
}

// Goal: SIGHUP adds a group and takes it away again; a file with a mistake
// changes nothing at all.
func TestReload(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	other := l.prepareNode(warden.MakeNode(l.host, freePort(t, l.host)), nil)
	l.nodes = l.nodes[:3]
	other.start()
	more := func(w *ward, name string, quorum string) string {
		return w.config() + fmt.Sprintf("\n[[masters]]\nname = %q\nip = %q\nport = %s\nquorum = %s\nwardens = 3\nhello_interval = \"300ms\"\ndown_after = \"1s\"\n",
			name, other.addr.Host(), other.addr.Port(), quorum)
	}
	reload := func(text func(*ward) string) {
		for _, w := range l.wardens {
			w.write(text(w))
			w.process.signal(t, syscall.SIGHUP)
		}
	}
	reload(func(w *ward) string { return more(w, "other", "2") })
	await(t, "every Warden serves the new group", func() bool { return l.allServe("other", other.addr) })

	// One good change and one mistake: nothing is changed.
	reload(func(w *ward) string { return strings.Replace(more(w, "third", "zwei"), "down_after", "dwon_after", 1) })
	await(t, "every Warden refuses the file", func() bool {
		for _, w := range l.wardens {
			if !strings.Contains(w.process.tail(40), "nothing was changed") {
				return false
			}
		}
		return true
	})
	if !l.allServe("other", other.addr) || l.allServe("third", other.addr) || !l.healthy(l.nodes[0]) {
		t.Error("a file with mistakes changed something")
	}

	reload(func(w *ward) string { return w.config() })
	await(t, "no Warden knows the group any more", func() bool {
		for _, w := range l.wardens {
			if s, err := w.status(); err != nil || len(s.Groups) != 1 {
				return false
			}
		}
		return true
	})
	l.nodes[0].process.kill()
	l.awaitPrimaryOtherThan(l.nodes[0], l.wardens...)
}

// allServe reports whether every Warden names that primary, agreed on, for a
// group.
func (l *lab) allServe(group warden.GroupName, primary warden.NodeID) bool {
	for _, w := range l.wardens {
		s, err := w.status()
		good := false
		for _, g := range s.Groups {
			good = good || g.Name == group && g.Primary == primary && !g.Provisional
		}
		if err != nil || !good {
			return false
		}
	}
	return true
}

// Goal: the smallest configuration there is, without any list of Wardens,
// makes three of them find each other through the primary and agree. Only
// addresses, and the ports that one machine cannot have thrice, are filled in.
func TestSmallestConfiguration(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	primary := l.addNode(nil)
	l.addNode(primary)
	for range 3 {
		w := l.prepareWarden()
		port := pairOfPorts(t, l.host)
		w.addr = string(warden.MakeNode(l.host, port))
		w.client.Close()
		w.client = l.newWardenClient(w.addr)
		w.write(fmt.Sprintf("host = %q\nport = %d\n\n[[masters]]\nname = %q\nip = %q\nport = %s\nquorum = 2\n"+
			"down_after = \"30s\"\nfailover_timeout = \"3m\"\nhello_interval = \"2s\"\n", l.host, port, groupName, primary.addr.Host(), primary.addr.Port()))
	}
	began := time.Now()
	for _, w := range l.wardens {
		w.start()
	}
	l.awaitAgreed(primary)
	t.Logf("agreed after %s", milliseconds(time.Since(began)))
	if out, err := exec.Command(spineldbBinary, "status", "--server", l.wardens[2].addr).CombinedOutput(); err != nil {
		t.Errorf("status: %v\n%s", err, out)
	}
}

// pairOfPorts is a free port whose gossip port (1000 above) is free too.
func pairOfPorts(t *testing.T, host string) int {
	t.Helper()
	for range ports {
		port := freePort(t, host)
		s, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port+1000)))
		if err == nil {
			s.Close()
			return port
		}
	}
	t.Fatal("no port is free together with the one 1000 above")
	return 0
}
