package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spineldb/warden/warden"
	"go.etcd.io/bbolt"
)

// Where things are inside the file.
const (
	bucketMeta   = "meta"
	bucketGroups = "groups"

	keyIdentity = "identity"
	keyRun      = "run"
	keyRoster   = "roster" // names of all groups: a lost register is found
	keyPeers    = "peers"
	keyOutside  = "outside" // see NoteOutside
	keyProbe    = "probe"
)

// openFile opens the store's file, making it if there is none. On success the
// file is locked and checked, and the database open.
func (s *Store) openFile() error {
	// Two starts may race to make the file; who comes second finds it made.
	for range 3 {
		f, err := os.OpenFile(s.path, os.O_RDWR, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			made, err := s.create()
			if made || err != nil {
				return err
			}
			continue
		case err != nil:
			return s.explain(err)
		}
		s.file = f
		err = s.openExisting()
		if err != nil {
			s.closeFile()
			return s.explain(err)
		}
		return nil
	}
	return s.explain(ErrInUse)
}

func (s *Store) openExisting() error {
	if err := lockFile(s.file, lockPatience); err != nil {
		return err
	}
	if err := verify(s.file); err != nil {
		return err
	}
	return s.openBolt()
}

// openBolt hands our own locked file to bbolt: flock belongs to the open file,
// so there is no moment in which somebody else could take it.
func (s *Store) openBolt() error {
	return guard(func() error {
		db, err := bbolt.Open(s.path, 0o600, &bbolt.Options{
			Timeout:      lockPatience,
			FreelistType: bbolt.FreelistMapType,
			// The list of free pages is found again at a start; not writing it
			// makes every commit smaller.
			NoFreelistSync: true,
			OpenFile:       func(string, int, os.FileMode) (*os.File, error) { return s.file, nil },
		})
		if errors.Is(err, bbolt.ErrTimeout) {
			return ErrInUse
		}
		if err != nil {
			return err
		}
		s.db = db
		return nil
	})
}

// create prepares a new store beside its final name and moves it there when it
// is complete, so that a file under the final name is always whole: an empty
// one is damage, not a crash during the first start.
func (s *Store) create() (made bool, err error) {
	draft := s.path + ".new"
	f, err := os.OpenFile(draft, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, s.explain(err)
	}
	s.file = f
	defer func() {
		if !made {
			s.closeFile()
			s.db = nil
		}
	}()
	if err := lockFile(f, lockPatience); err != nil {
		return false, s.explain(err)
	}
	if _, err := os.Stat(s.path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // another process was faster
	}
	if same, err := isStill(f, draft); err != nil || !same {
		return false, nil
	}
	if err := f.Truncate(0); err != nil {
		return false, s.explain(err)
	}
	if err := s.openBolt(); err != nil {
		return false, s.explain(err)
	}
	if err := guard(func() error { return s.db.Update(firstContent) }); err != nil {
		return false, s.explain(err)
	}
	if err := os.Rename(draft, s.path); err != nil {
		return false, s.explain(err)
	}
	if err := syncDir(s.dir); err != nil {
		return false, s.explain(err)
	}
	return true, nil
}

// firstContent makes the identity together with its store.
func firstContent(tx *bbolt.Tx) error {
	for _, name := range []string{bucketMeta, bucketGroups} {
		if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
			return fmt.Errorf("create bucket %q: %w", name, err)
		}
	}
	var id [20]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("draw identity: %w", err)
	}
	if err := putRecord(tx, bucketMeta, keyIdentity, hex.EncodeToString(id[:])); err != nil {
		return err
	}
	if err := putRecord(tx, bucketMeta, keyRoster, []warden.GroupName{}); err != nil {
		return err
	}
	return putRecord(tx, bucketMeta, keyRun, warden.Run(0))
}

// load reads and checks every record.
func (s *Store) load() error {
	return s.db.View(func(tx *bbolt.Tx) error {
		meta, groups := tx.Bucket([]byte(bucketMeta)), tx.Bucket([]byte(bucketGroups))
		if meta == nil || groups == nil {
			return fmt.Errorf("%w: a bucket is missing", ErrDamaged)
		}
		var roster []warden.GroupName
		for key, into := range map[string]any{keyIdentity: &s.identity, keyRun: &s.run, keyRoster: &roster} {
			if err := decode(bucketMeta+"/"+key, meta.Get([]byte(key)), into); err != nil {
				return err
			}
		}
		if !validIdentity(s.identity) {
			return fmt.Errorf("%w: the identity is not 40 hexadecimal digits", ErrDamaged)
		}
		for key, into := range map[string]any{keyPeers: &s.peers, keyOutside: &s.outside} {
			raw := meta.Get([]byte(key))
			if raw == nil {
				continue // nothing to keep so far
			}
			if err := decode(bucketMeta+"/"+key, raw, into); err != nil {
				return err
			}
		}
		return s.loadGroups(groups, roster)
	})
}

func (s *Store) loadGroups(groups *bbolt.Bucket, roster []warden.GroupName) error {
	err := groups.ForEach(func(key, raw []byte) error {
		var r warden.Register
		if err := decode(bucketGroups+"/"+string(key), raw, &r); err != nil {
			return err
		}
		s.registers[warden.GroupName(key)] = r
		return nil
	})
	if err != nil {
		return err
	}
	if have := s.Groups(); !slices.Equal(have, roster) {
		return fmt.Errorf("%w: the registers are of groups %q, the roster says %q", ErrDamaged, have, roster)
	}
	return nil
}

// countRun makes this run different from every one before it.
func (s *Store) countRun() error {
	s.run++
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := putRecord(tx, bucketMeta, keyRun, s.run); err != nil {
			return err
		}
		if s.opts.FailWrite != nil {
			return s.opts.FailWrite()
		}
		return nil
	})
}

// isStill reports whether the open file is what the path names now.
func isStill(f *os.File, path string) (bool, error) {
	byPath, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	byFile, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	return os.SameFile(byPath, byFile), nil
}

// syncDir makes a rename inside dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// lockRetry is the pause between two tries to lock the file.
const lockRetry = 20 * time.Millisecond
