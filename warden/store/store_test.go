package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
	"go.etcd.io/bbolt"
)

func mustOpen(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := OpenWith(dir, opts)
	if err != nil {
		t.Fatalf("open %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func wardenID(i int) warden.WardenID { return warden.WardenID(fmt.Sprintf("%040x", i+1)) }

func sample(group warden.GroupName, epoch warden.Epoch) warden.Register {
	topology := warden.Topology{
		Group: group, Birth: "b1", Version: warden.Version{Epoch: epoch, Step: 2}, Phase: warden.PhaseDone,
		Primary: "10.0.0.1:6379", Wardens: []warden.WardenID{wardenID(1), wardenID(2), wardenID(3)},
		Lineage: []string{"l1", "l2"}, Leader: wardenID(1), LeaderRun: 7, Reason: warden.ReasonFailover,
	}
	return warden.Register{
		Promise: epoch, Grantee: wardenID(2), GranteeRun: 9, Accepted: topology, Chosen: topology,
		Nodes: []warden.NodeID{"10.0.0.1:6379", "10.0.0.2:6379"},
	}
}

// What was saved is there after a restart; the identity stays, the run does not.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "w1")
	s := mustOpen(t, dir, Options{})
	id := s.Identity()
	if !validIdentity(id) || s.Run() != 1 {
		t.Fatalf("first start: identity %q, run %d", id, s.Run())
	}
	want := sample("g1", 5)
	for _, group := range []warden.GroupName{"g2", "g1"} {
		if err := s.SaveRegister(group, want); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetLeft("g2"); err != nil {
		t.Fatal(err)
	}
	peers := []Peer{{ID: wardenID(2), Gossip: "10.0.0.2:7946", Client: "10.0.0.2:26379"}, {ID: wardenID(1)}}
	if err := s.SavePeers(peers); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)

	s = mustOpen(t, dir, Options{})
	if s.Identity() != id || s.Run() != 2 {
		t.Fatalf("second start: identity %q, run %d; want %q, 2", s.Identity(), s.Run(), id)
	}
	if got := fmt.Sprint(s.Groups()); got != "[g1 g2]" {
		t.Fatalf("groups %s", got)
	}
	got, err := s.Load("g1")
	if err != nil || !got.Equal(want) {
		t.Fatalf("register %+v, %v; want %+v", got, err, want)
	}
	want.Left = true
	if got, _ := s.Load("g2"); !got.Equal(want) {
		t.Fatalf("left group lost its promises: %+v", got)
	}
	if got := s.LoadPeers(); len(got) != 2 || got[1] != peers[0] || got[0].ID != wardenID(1) {
		t.Fatalf("peers %+v", got)
	}
	if got, err := s.Load("unknown"); err != nil || !got.Equal(warden.Register{}) {
		t.Fatalf("unknown group: %+v, %v", got, err)
	}
}

// The highest epoch that stands outside is kept, also with others in one
// commit, and neither falls nor is written when it does not rise.
func TestOutside(t *testing.T) {
	dir, commits := t.TempDir(), 0
	s := mustOpen(t, dir, Options{Committed: func() { commits++ }})
	if got := s.Outside(); got != 0 {
		t.Errorf("a new store has noted %d", got)
	}
	for _, e := range []warden.Epoch{3, 7, 5, 7} {
		if err := s.NoteOutside(e); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Outside(); got != 7 || commits != 2 {
		t.Errorf("%d is noted after %d commits, want 7 after 2", got, commits)
	}
	p := s.plan([]*write{{outside: 9}, {outside: 8}, {probe: true}})
	if p.outside != 9 || !p.probe {
		t.Errorf("the plan of several notes is %+v", p)
	}
	mustClose(t, s)
	if got := mustOpen(t, dir, Options{}).Outside(); got != 7 {
		t.Errorf("%d is noted after a restart, want 7", got)
	}
	failing := mustOpen(t, t.TempDir(), Options{})
	failing.opts.FailWrite = func() error { return errors.New("no room") }
	if err := failing.NoteOutside(1); err == nil || failing.Outside() != 0 {
		t.Errorf("a note that failed: %v, and %d is noted", err, failing.Outside())
	}
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "w1")
	mustOpen(t, dir, Options{})
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, FileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

// Two Wardens have two identities.
func TestIdentitiesDiffer(t *testing.T) {
	a, b := mustOpen(t, t.TempDir(), Options{}), mustOpen(t, t.TempDir(), Options{})
	if a.Identity() == b.Identity() {
		t.Fatalf("both are %s", a.Identity())
	}
}

// A caller that goes on changing its slices does not change the store.
func TestSavedIsCopied(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	r := sample("g", 1)
	if err := s.SaveRegister("g", r); err != nil {
		t.Fatal(err)
	}
	r.Nodes[0], r.Accepted.Wardens[0] = "changed:1", "changed"
	got, _ := s.Load("g")
	got.Chosen.Lineage[0] = "changed"
	if got, _ := s.Load("g"); !got.Equal(sample("g", 1)) {
		t.Fatalf("the store shares memory: %+v", got)
	}
}

// A write that fails leaves everything as it was, on disk and in memory.
func TestFailedWrite(t *testing.T) {
	dir := t.TempDir()
	full := errors.New("no space left on device")
	var mu sync.Mutex
	var fail error
	s := mustOpen(t, dir, Options{FailWrite: func() error { mu.Lock(); defer mu.Unlock(); return fail }})
	set := func(err error) { mu.Lock(); defer mu.Unlock(); fail = err }
	if err := s.SaveRegister("g", sample("g", 1)); err != nil {
		t.Fatal(err)
	}
	set(full)
	for name, err := range map[string]error{
		"register":  s.SaveRegister("g", sample("g", 2)),
		"new group": s.SaveRegister("h", sample("h", 2)),
		"left":      s.SetLeft("g"),
		"peers":     s.SavePeers([]Peer{{ID: wardenID(1)}}),
		"probe":     s.Probe(),
	} {
		if !errors.Is(err, full) || !strings.Contains(err.Error(), s.path) {
			t.Errorf("%s: %v; want the reason and the file's name", name, err)
		}
	}
	check := func(when string) {
		t.Helper()
		if got, _ := s.Load("g"); !got.Equal(sample("g", 1)) || len(s.Groups()) != 1 || len(s.LoadPeers()) != 0 {
			t.Fatalf("%s: %+v, groups %v, peers %v", when, got, s.Groups(), s.LoadPeers())
		}
	}
	check("in memory")
	set(nil)
	if err := s.Probe(); err != nil {
		t.Fatalf("after the failure: %v", err)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, Options{})
	check("on disk")
}

// The run number is on disk before Open returns, or Open fails.
func TestRunIsCountedOrOpenFails(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, mustOpen(t, dir, Options{}))
	full := errors.New("no space left on device")
	if _, err := OpenWith(dir, Options{FailWrite: func() error { return full }}); !errors.Is(err, full) {
		t.Fatalf("open without a counted run: %v", err)
	}
	if s := mustOpen(t, dir, Options{}); s.Run() != 2 {
		t.Fatalf("run %d", s.Run())
	}
}

// Whatever is saved at the same time shares commits.
func TestSavesShareCommits(t *testing.T) {
	commits, first, hold := 0, make(chan bool), make(chan bool)
	s := mustOpen(t, t.TempDir(), Options{Committed: func() {
		if commits++; commits == 1 {
			close(first)
			<-hold
		}
	}})
	var all sync.WaitGroup
	all.Go(func() { _ = s.Probe() })
	<-first
	const savers = 100
	for i := range savers {
		all.Go(func() {
			group := warden.GroupName(fmt.Sprintf("g%d", i))
			if err := s.SaveRegister(group, sample(group, warden.Epoch(i))); err != nil {
				t.Error(err)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); len(s.queue) < savers && time.Now().Before(end); {
		runtime.Gosched()
	}
	close(hold)
	all.Wait()
	mustClose(t, s)
	if commits != 2 {
		t.Fatalf("%d commits for 1 and then %d writes; want 2", commits, savers)
	}
}

func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	var all sync.WaitGroup
	for i := range 8 {
		group := warden.GroupName(fmt.Sprintf("g%d", i))
		all.Go(func() {
			for epoch := range warden.Epoch(20) {
				if err := s.SaveRegister(group, sample(group, epoch)); err != nil {
					t.Error(err)
				}
				if got, err := s.Load(group); err != nil || got.Promise != epoch {
					t.Errorf("%s: promise %d after saving %d (%v)", group, got.Promise, epoch, err)
				}
				s.Groups()
			}
		})
	}
	all.Go(func() {
		for i := range 20 {
			if err := s.SavePeers([]Peer{{ID: wardenID(i)}}); err != nil {
				t.Error(err)
			}
			s.LoadPeers()
		}
	})
	all.Wait()
	mustClose(t, s)
	s = mustOpen(t, dir, Options{})
	for _, group := range s.Groups() {
		if got, _ := s.Load(group); !got.Equal(sample(group, 19)) {
			t.Errorf("%s: %+v", group, got)
		}
	}
	if len(s.Groups()) != 8 {
		t.Errorf("groups %v", s.Groups())
	}
}

// Close lets begun writes end well, and later ones fail.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	var all sync.WaitGroup
	saved := make([]error, 50)
	for i := range saved {
		all.Go(func() {
			group := warden.GroupName(fmt.Sprintf("g%d", i))
			saved[i] = s.SaveRegister(group, sample(group, 1))
		})
	}
	mustClose(t, s)
	all.Wait()
	if err := s.SaveRegister("late", warden.Register{}); !errors.Is(err, ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
	if _, err := s.Load("g1"); !errors.Is(err, ErrClosed) {
		t.Errorf("load after close: %v", err)
	}
	mustClose(t, s)
	s = mustOpen(t, dir, Options{})
	for i, err := range saved {
		got, _ := s.Load(warden.GroupName(fmt.Sprintf("g%d", i)))
		if told := err == nil; told != (got.Promise == 1) {
			t.Errorf("g%d: told %v, on disk %v", i, err, got.Promise == 1)
		}
	}
}

// Unknown fields of a newer minor version are ignored, a newer major version
// is refused with its own error.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	if err := s.SaveRegister("g", sample("g", 4)); err != nil {
		t.Fatal(err)
	}
	rewrite := func(change func(text []byte) []byte) {
		t.Helper()
		mustClose(t, s)
		db, err := bbolt.Open(s.path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketGroups))
			text := change(bytes.Clone(b.Get([]byte("g"))[sumLength+1:]))
			return b.Put([]byte("g"), append([]byte(checksum(bucketGroups+"/g", text)+" "), text...))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(func(text []byte) []byte {
		return bytes.Replace(text, []byte(`"promise":4`), []byte(`"novelty":{"a":1},"promise":4`), 1)
	})
	s = mustOpen(t, dir, Options{})
	if got, _ := s.Load("g"); !got.Equal(sample("g", 4)) {
		t.Fatalf("with an unknown field: %+v", got)
	}
	rewrite(func(text []byte) []byte { return bytes.Replace(text, []byte(`"format":1`), []byte(`"format":2`), 1) })
	if _, err := Open(dir); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("newer format: %v", err)
	}
}
