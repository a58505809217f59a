package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
	"go.etcd.io/bbolt"
)

// filled makes a store of many groups and returns its file's bytes.
func filled(t testing.TB, groups int) []byte {
	t.Helper()
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	for i := range groups {
		group := warden.GroupName(fmt.Sprintf("group-%03d", i))
		if err := s.SaveRegister(group, sample(group, warden.Epoch(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SavePeers([]Peer{{ID: wardenID(1), Gossip: "10.0.0.1:7946"}}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	raw, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// openBytes opens a store whose file has this content. It returns nil if the
// store refused it in the right words.
func openBytes(t testing.TB, dir string, raw []byte) *Store {
	t.Helper()
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err == nil {
		return s
	}
	if errors.As(err, new(*fault)) {
		t.Errorf("the check left it to the library to fail: %v", err)
	}
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("refused with the wrong error: %v", err)
	}
	for _, word := range []string{path, "start"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(raw) {
		t.Errorf("the damaged file was changed (%v)", err)
	}
	return nil
}

// complete reports whether a store holds all that filled put into it.
func complete(s *Store, groups int) bool {
	for i := range groups {
		group := warden.GroupName(fmt.Sprintf("group-%03d", i))
		if got, err := s.Load(group); err != nil || !got.Equal(sample(group, warden.Epoch(i+1))) {
			return false
		}
	}
	return len(s.Groups()) == groups && len(s.LoadPeers()) == 1 && s.Run() == 2
}

// A file cut short anywhere is refused, or was whole up to there.
func TestTruncated(t *testing.T) {
	const groups = 60
	raw := filled(t, groups)
	dir := t.TempDir()
	refused, step := 0, max(1, len(raw)/64)
	for size := 0; size < len(raw); size += step {
		if s := openBytes(t, dir, raw[:size]); s == nil {
			refused++
		} else {
			if !complete(s, groups) {
				t.Errorf("cut to %d of %d bytes: opened with something missing", size, len(raw))
			}
			mustClose(t, s)
		}
	}
	if refused < 10 {
		t.Errorf("only %d cuts were refused", refused)
	}
}

// One byte changed anywhere is refused, or did not matter. It is never a
// panic, and never an older or a different register.
func TestByteChanged(t *testing.T) {
	const groups = 60
	raw := filled(t, groups)
	dir := t.TempDir()
	offsets := []int{}
	for at := range 2 * 96 { // the two heads, densely
		offsets = append(offsets, at%96+at/96*os.Getpagesize())
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 250 {
		offsets = append(offsets, random.IntN(len(raw)))
	}
	refused := 0
	for _, at := range offsets {
		bad := append([]byte(nil), raw...)
		bad[at] ^= 1 << random.IntN(8)
		s := openBytes(t, dir, bad)
		if s == nil {
			refused++
			continue
		}
		if !complete(s, groups) {
			t.Errorf("byte %d changed: opened with other content", at)
		}
		mustClose(t, s)
	}
	t.Logf("%d of %d changes refused", refused, len(offsets))
	if refused < 150 {
		t.Errorf("only %d of %d changes were refused", refused, len(offsets))
	}
}

// A page full of noise, and a page copied over another, are refused.
func TestPagesChanged(t *testing.T) {
	const groups = 60
	raw := filled(t, groups)
	dir, page := t.TempDir(), os.Getpagesize()
	random := rand.New(rand.NewPCG(3, 4))
	for at := 0; at+page <= len(raw); at += page {
		noise := append([]byte(nil), raw...)
		for i := range page {
			noise[at+i] = byte(random.Uint32())
		}
		copied := append([]byte(nil), raw...)
		from := random.IntN(len(raw)/page) * page
		copy(copied[at:at+page], raw[from:from+page])
		for _, bad := range [][]byte{noise, copied} {
			if s := openBytes(t, dir, bad); s != nil {
				if !complete(s, groups) {
					t.Errorf("page %d changed: opened with other content", at/page)
				}
				mustClose(t, s)
			}
		}
	}
}

// An empty file and a file of something else are not a first start.
func TestNotAStore(t *testing.T) {
	for name, raw := range map[string]string{
		"empty": "", "text": "port 26379\n", "zeros": strings.Repeat("\x00", 64<<10),
	} {
		if s := openBytes(t, t.TempDir(), []byte(raw)); s != nil {
			mustClose(t, s)
			t.Errorf("%s: opened", name)
		}
	}
}

// A register that disappeared with its key is noticed by the roster.
func TestLostRegister(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	if err := s.SaveRegister("g", sample("g", 3)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	db, err := bbolt.Open(s.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketGroups)).Delete([]byte("g")) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
		t.Fatalf("open: %v", err)
	}
}

// A first start that was killed before it was complete is begun anew; nobody
// can have heard of that identity.
func TestUnfinishedFirstStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := mustOpen(t, dir, Options{}); s.Run() != 1 {
		t.Fatalf("run %d", s.Run())
	}
	if _, err := os.Stat(filepath.Join(dir, FileName+".new")); !os.IsNotExist(err) {
		t.Fatalf("the draft is still there: %v", err)
	}
}

// The file shrinks under a running Warden: reading it faults, which must end
// as an error of the save and not as the end of the process.
func TestFileShrinksWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	for i := range 60 {
		group := warden.GroupName(fmt.Sprintf("group-%03d", i))
		if err := s.SaveRegister(group, sample(group, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(s.path, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveRegister("group-001", sample("group-001", 2)); err == nil {
		t.Fatal("saved into a file that is gone")
	}
	if got, _ := s.Load("group-001"); got.Promise != 1 {
		t.Fatalf("promise %d after a failed save", got.Promise)
	}
}

func FuzzOpen(f *testing.F) {
	raw := filled(f, 3)
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(os.Getpagesize()+16), []byte("noise"))
	f.Add(uint32(3*os.Getpagesize()), []byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, at uint32, change []byte) {
		bad := append([]byte(nil), raw...)
		copy(bad[int(at)%len(bad):], change)
		if s := openBytes(t, t.TempDir(), bad); s != nil {
			if !complete(s, 3) {
				t.Error("opened with other content")
			}
			mustClose(t, s)
		}
	})
}
