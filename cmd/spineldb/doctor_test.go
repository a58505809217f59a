package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/doctor"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

// aNode answers as a server of the Redis protocol that lacks nothing, with the
// given replication section of INFO.
func aNode(t *testing.T, replication string) string {
	t.Helper()
	srv, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	info := "redis_version:7.0.15\r\naof_enabled:1\r\nmaxmemory:1000\r\nused_memory:1\r\nmaxmemory_policy:noeviction\r\n" + replication + "\r\n"
	for name, answer := range map[string]server.Cmd{
		"INFO": func(c *server.Peer, _ string, _ []string) { c.WriteBulk(info) },
		"CONFIG": func(c *server.Peer, _ string, args []string) {
			c.WriteStrings([]string{args[1], map[string]string{"min-replicas-to-write": "1", "replica-read-only": "yes", "appendonly": "yes"}[args[1]]})
		},
		"ACL": func(c *server.Peer, _ string, args []string) {
			c.WriteBulk(map[string]string{"WHOAMI": "default", "DRYRUN": "OK"}[args[0]])
		},
	} {
		if err := srv.Register(name, answer); err != nil {
			t.Fatal(err)
		}
	}
	return srv.Addr().String()
}

// doctorFile writes a warden.toml of one group with these nodes.
func doctorFile(t *testing.T, nodes ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(nodes[0], ":")
	file := filepath.Join(t.TempDir(), "warden.toml")
	text := "host = \"127.0.0.1\"\n[[masters]]\nname = \"mymaster\"\nip = \"" + host + "\"\nport = " + port + "\nquorum = 2\nwardens = 3\nnodes = [\"" + strings.Join(nodes, "\", \"") + "\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Goal: the exit code says how bad it is, and what is printed names the node, the
// reason and the remedy.
func TestDoctor(t *testing.T) {
	replica := "role:slave\r\nmaster_link_status:up\r\nslave_priority:100"
	a, b := aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, replica)
	excluded := aNode(t, strings.Replace(replica, "100", "0", 1))
	runCommand(t, "doctor", "--config", doctorFile(t, a, b), "mymaster").has(t, exit.Done, "mymaster  spineldb, 2 nodes: 2 notes", "min-replicas-to-write", "why", "do ")
	runCommand(t, "doctor", "--all", "--config", doctorFile(t, a, b)).has(t, exit.Done, "  ok       "+a, "exactly one node is the primary")
	runCommand(t, "doctor", "--config", doctorFile(t, a, excluded)).has(t, exit.Refused, "error  ", "replica-priority 0", "CONFIG SET replica-priority 100")
	runCommand(t, "doctor", "--config", doctorFile(t, a, b, nobody(t))).has(t, exit.Refused, "it refuses connections", "start it; or correct bind")
	runCommand(t, "doctor", "--config", doctorFile(t, nobody(t), nobody(t))).has(t, exit.Unreachable, "no node and no Warden answered")
	runCommand(t, "doctor", "--config", doctorFile(t, a, b), "other").has(t, exit.Usage, "there is no group", "other")
	runCommand(t, "doctor", "--config", filepath.Join(t.TempDir(), "none.toml")).has(t, exit.Usage, "none.toml")

	var found checkup
	if err := json.Unmarshal([]byte(runCommand(t, "doctor", "--json", "--config", doctorFile(t, a, excluded)).out), &found); err != nil {
		t.Fatal(err)
	}
	if found.Worst != doctor.Error || len(found.Groups) != 1 || found.Groups[0].Count(doctor.Error) != 1 || found.Groups[0].Reached() != 2 || found.Wardens != nil {
		t.Errorf("%+v", found)
	}
}

// Goal: the running Wardens are asked too, alone or beside the nodes.
func TestDoctorAsksWardens(t *testing.T) {
	t.Setenv("WARDEN_CONFIG", "")
	fakes := startQuorum(t)
	at := fakes[idA].addr
	runCommand(t, "doctor", "--server", at).has(t, exit.Done, "mymaster  as the Wardens see it: agreed, primary 10.0.0.1:6379")
	runCommand(t, "doctor", "--server", at, "other").has(t, exit.Usage, "the Wardens watch no group")
	runCommand(t, "doctor", "--server", nobody(t)).has(t, exit.Unreachable)
	fakes[idB].change(func() { fakes[idB].status.Groups[0].Mute = true })
	runCommand(t, "doctor", "--server", at).has(t, exit.Refused, "warning  Warden bbbbbbbb cannot write its data_dir")
	fakes[idA].change(func() {
		for _, f := range fakes {
			f.status.Groups[0].Agreed, f.status.Groups[0].HeardAgo = false, warden.Minute
		}
	})
	runCommand(t, "doctor", "--server", at).has(t, exit.Refused, "not agreed")

	file := doctorFile(t, aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, "role:slave\r\nmaster_link_status:up"))
	for _, f := range fakes {
		f.change(func() { f.status.Groups[0].Topology.Wardens = f.status.Groups[0].Topology.Wardens[:2] })
	}
	runCommand(t, "doctor", "--config", file, "--server", at).has(t, exit.Refused, "2 Wardens are listed, but wardens is 3")

	file = doctorFile(t, aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, "role:slave\r\nmaster_link_status:up"))
	runCommand(t, "doctor", "--config", file, "--server", nobody(t)).has(t, exit.Refused, "no Warden could be asked: no Warden answers: ", "connection refused; start one", "mymaster  spineldb, 2 nodes")
}

// calmQuorum is three Wardens that tell the same, settings to tell otherwise,
// and what makes them calm again.
func calmQuorum(t *testing.T) (fakes map[string]*fakeWarden, settings func(quorum int, down warden.Duration) []remote.GroupSettings, calm func()) {
	t.Helper()
	t.Setenv("WARDEN_CONFIG", "")
	fakes = startQuorum(t)
	settings = func(quorum int, down warden.Duration) []remote.GroupSettings {
		m := config.Master{Adapter: "spineldb", Quorum: quorum, DownAfter: down}
		return []remote.GroupSettings{{Name: "mymaster", Settings: m.Settings()}}
	}
	calm = func() {
		for id, f := range fakes {
			f.change(func() {
				f.facts = remote.Facts{ID: warden.WardenID(id), Disk: remote.Disk{Commits: 9, MedianNS: warden.Millisecond}, Groups: settings(2, warden.Second)}
				f.status.Groups[0] = healthyView(id, map[string]string{idA: fakes[idA].addr, idB: fakes[idB].addr, idC: fakes[idC].addr})
			})
		}
	}
	return fakes, settings, calm
}

// Goal: Wardens that were told different things, or are in a bad state
// themselves, are found by asking all of them; calm ones yield nothing.
func TestDoctorComparesWardens(t *testing.T) {
	fakes, settings, calm := calmQuorum(t)
	at := fakes[idA].addr
	for want, mistake := range map[string]func(f *fakeWarden){
		"": func(*fakeWarden) {},
		"quorum is 2 on aaaaaaaa, cccccccc; 3 on bbbbbbbb":           func(f *fakeWarden) { f.facts.Groups = settings(3, warden.Second) },
		"down_after is 1s on aaaaaaaa, cccccccc; 5s on bbbbbbbb":     func(f *fakeWarden) { f.facts.Groups = settings(2, 5*warden.Second) },
		"the clock of bbbbbbbb is 1m0s ahead of":                     func(f *fakeWarden) { f.facts.UnixMS = time.Now().Add(time.Minute).UnixMilli() },
		"bbbbbbbb  half of the last 9 writes took longer than 300ms": func(f *fakeWarden) { f.facts.Disk.MedianNS = 300 * warden.Millisecond },
		"bbbbbbbb  one of the last 9 writes took 2s":                 func(f *fakeWarden) { f.facts.Disk.WorstNS = 2 * warden.Second },
		"bbbbbbbb  4 writes to data_dir have failed":                 func(f *fakeWarden) { f.facts.Disk.Failed = 4 },
		"bbbbbbbb: not reached (no answer for 2s), while aaaaaaaa, cccccccc: reached": func(f *fakeWarden) {
			f.status.Groups[0].Nodes[1].Down, f.status.Groups[0].Nodes[1].Why = true, "no answer for 2s"
		},
		"bbbbbbbb: not known there":           func(f *fakeWarden) { f.status.Groups[0].Nodes = f.status.Groups[0].Nodes[:1] },
		"is not heard by bbbbbbbb, and is by": func(f *fakeWarden) { f.status.Groups[0].Peers[0].Down = true },
	} {
		calm()
		fakes[idB].change(func() { mistake(fakes[idB]) })
		if o := runCommand(t, "doctor", "--server", at); want == "" {
			o.has(t, exit.Done, "agreed")
			if strings.Contains(o.out, "  do ") {
				t.Errorf("nothing is wrong, and there are remedies:\n%s", o.out)
			}
		} else if o.has(t, o.code, want, "why", "do "); o.code == exit.Unreachable {
			t.Errorf("%q: exit code %d", want, o.code)
		}
	}
}

// Goal: what several Wardens together show is told once, and weighed by what
// is agreed and by what the others hear.
func TestDoctorWeighsWardens(t *testing.T) {
	fakes, settings, calm := calmQuorum(t)
	at := fakes[idA].addr
	calm()
	for _, f := range fakes {
		f.change(func() {
			f.status.Groups[0].Nodes[0].Down, f.status.Groups[0].Nodes[0].Why = true, "refuses connections"
		})
	}
	runCommand(t, "doctor", "--server", at).has(t, exit.Refused, "no Warden reaches it: refuses connections")
	calm()
	fakes[idC].change(func() { fakes[idC].status.Self.Version = "2" })
	runCommand(t, "doctor", "--server", at).has(t, exit.Done, "different versions: 1 on aaaaaaaa, bbbbbbbb; 2 on cccccccc")
	fakes[idB].change(func() { fakes[idB].facts.Groups = settings(3, warden.Second) })
	for _, f := range fakes {
		f.change(func() { f.status.Groups[0].Topology.Settings.Quorum = 2 })
	}
	runCommand(t, "doctor", "--server", at).has(t, exit.Done, "note     quorum is 2 on aaaaaaaa, cccccccc; 3 on bbbbbbbb", "agreed at run time counts")
	calm()
	fakes[idB].change(func() { fakes[idB].facts.ID = oldID })
	runCommand(t, "doctor", "--server", at).has(t, exit.Done, "note     bbbbbbbb  it did not tell what it is like", "+warden|facts")
	calm()
	fakes[idC].srv.Close()
	o := runCommand(t, "doctor", "--server", at)
	if o.has(t, exit.Refused, "cccccccc at"); strings.Contains(o.out, "are needed") {
		t.Errorf("one Warden cannot be asked from here and is heard by the others, and its loss is told:\n%s", o.out)
	}
	for _, id := range []string{idA, idB} {
		f := fakes[id]
		f.change(func() { f.status.Groups[0].Peers[1].Down = true })
	}
	runCommand(t, "doctor", "--server", at).has(t, exit.Refused, "2 of 3 Wardens are there, just as many as are needed", "no other Warden hears cccccccc")
}

// Goal: several files are compared, secrets too, which are never shown.
func TestDoctorComparesFiles(t *testing.T) {
	nodes := []string{aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, "role:slave\r\nmaster_link_status:up")}
	one, other := doctorFile(t, nodes...), doctorFile(t, nodes...)
	runCommand(t, "doctor", "--config", one, "--config", other).has(t, exit.Done, "mymaster")
	if o := runCommand(t, "doctor", "--all", "--config", one, "--config", other); strings.Contains(o.out, "every Warden") || !strings.Contains(o.out, "all Wardens have the same settings") {
		t.Errorf("no Warden was asked, and this is said:\n%s", o.out)
	}
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	change := func(from, to string) {
		t.Helper()
		if err := os.WriteFile(other, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("wardens = 3", "wardens = 5\nfailover_timeout = \"1m\"")
	runCommand(t, "doctor", "--config", one, "--config", other).has(t, exit.Refused, "the Wardens compared", "wardens is 3 on "+one+"; 5 on "+other, "failover_timeout is 3m on "+one)
	change("[[masters]]", "requirepass = \"hunter2-of-one\"\n[[masters]]")
	o := runCommand(t, "doctor", "--config", one, "--config", other)
	o.has(t, exit.Refused, "requirepass is none on "+one+"; set on "+other)
	if strings.Contains(o.out, "hunter2") {
		t.Error("a password is shown")
	}
}

// Goal: a sentinel.conf is read as well, with the replicas that are noted in it,
// and compared with others.
func TestDoctorReadsSentinelConf(t *testing.T) {
	nodes := []string{aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, "role:slave\r\nmaster_link_status:up")}
	words := func(addr string) string { return strings.Replace(addr, ":", " ", 1) }
	file := func(down string) string {
		path := filepath.Join(t.TempDir(), "sentinel.conf")
		text := "port 26379\nrequirepass secret-of-all\nsentinel monitor mymaster " + words(nodes[0]) + " 2\n" +
			"sentinel down-after-milliseconds mymaster " + down + "\nsentinel known-replica mymaster " + words(nodes[1]) + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, other := file("5000"), file("6000")
	runCommand(t, "doctor", "--config", one).has(t, exit.Done, "mymaster  spineldb, 2 nodes")
	runCommand(t, "doctor", "--config", one, "--config", other).has(t, exit.Refused, "down_after is 5s on "+one+"; 6s on "+other)
	runCommand(t, "doctor", "--config", filepath.Join(t.TempDir(), "none.conf")).has(t, exit.Usage, "none.conf")
}

// Goal: a Warden tells what it runs with, how quick its disk is and what time
// it has; a slow disk is found, measured by it and measured here.
func TestFactsOfADaemon(t *testing.T) {
	t.Setenv("WARDEN_SYNC_DELAY", "150ms")
	d := startTestDaemon(t, nil)
	target := remote.Target{Timeout: 20 * time.Second}
	var a remote.Answer
	eventually(t, "a few commits", func() (ok bool) {
		var err error
		if a, err = target.Facts(t.Context(), remote.Report{Server: d.server.Addr().String()}); err != nil {
			t.Fatal(err)
		}
		if a.Disk.Commits < 4 {
			if err := d.store.Probe(); err != nil {
				t.Fatal(err)
			}
		}
		return a.Disk.Commits >= 4
	})
	found := doctor.JudgeWardens([]doctor.Warden{{Name: "w", ID: a.ID, Disk: doctor.Disk{Syncs: a.Disk.Commits, Median: time.Duration(a.Disk.MedianNS)}}})
	if i := slices.IndexFunc(found, func(f doctor.Finding) bool { return f.Check == "disks" && f.Severity.Worse(doctor.Note) }); i < 0 {
		t.Errorf("%+v of %+v", found, a.Disk)
	}
	if a.Ahead.Abs() > time.Second+a.Within {
		t.Errorf("the clock of this process is %s ahead of itself", a.Ahead)
	}
	i := slices.IndexFunc(a.Groups, func(g remote.GroupSettings) bool { return g.Name == "m" })
	if i < 0 || !slices.Contains(a.Groups[i].Settings, config.Setting{Key: "quorum", Value: "2"}) {
		t.Errorf("%+v", a.Groups)
	}
}

// Goal: the disk of a data directory is measured and left as it was.
func TestMeasureDisk(t *testing.T) {
	dir := t.TempDir()
	d, err := doctor.MeasureDisk(t.Context(), dir)
	if err != nil || d.Syncs == 0 || d.Worst < d.Median || d.Median <= 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := doctor.MeasureDisk(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory that is not there: %v", err)
	}
}
