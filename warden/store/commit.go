package store

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spineldb/warden/warden"
	"go.etcd.io/bbolt"
)

// maxBatch bounds how many writes share one commit, and how many may wait.
const maxBatch = 1024

// write is one caller's wish; done gets its end.
type write struct {
	group    warden.GroupName
	change   func(warden.Register) warden.Register
	peers    []Peer
	setPeers bool
	outside  warden.Epoch
	probe    bool
	done     chan error
}

// fault is a panic inside the library or a memory fault while it read the
// mapped file (a bad sector, a file cut short under us), turned into an error.
type fault struct{ what any }

func (f *fault) Error() string { return fmt.Sprintf("reading the file failed: %v", f.what) }

// guard runs f and turns panics and faults into errors. Faults are only caught
// on the calling goroutine, so f must not hand its work to another.
func guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if r := recover(); r != nil {
			err = &fault{what: r}
		}
	}()
	return f()
}

// write queues w and waits for its end.
func (s *Store) write(w *write) error {
	w.done = make(chan error, 1)
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return fmt.Errorf("write store %s: %w", s.path, ErrClosed)
	}
	s.queue <- w
	s.gate.RUnlock()
	return <-w.done
}

// commitLoop is the only writer. It takes everything that waits into one
// commit. bbolt's own Batch is not used: it waits for company on a timer, and
// runs a caller again alone when another one failed.
func (s *Store) commitLoop() {
	defer close(s.done)
	for first := range s.queue {
		batch := append(make([]*write, 0, 16), first)
	fill:
		for len(batch) < maxBatch {
			select {
			case w, ok := <-s.queue:
				if !ok {
					break fill
				}
				batch = append(batch, w)
			default:
				break fill
			}
		}
		err := s.commit(batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

// commit makes a batch durable, whole or not at all.
//
// A failed commit may be tried again. Each commit writes and syncs every page
// it adds, and builds only on pages of commits whose data was synced; so a
// later success never depends on a page that an earlier failed sync lost.
func (s *Store) commit(batch []*write) error {
	if s.broken != nil {
		return s.broken
	}
	next, began := s.plan(batch), time.Now()
	err := guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			if err := next.put(tx); err != nil {
				return err
			}
			if s.opts.FailWrite != nil {
				return s.opts.FailWrite()
			}
			return nil
		})
	})
	if s.opts.Timed != nil {
		s.opts.Timed(time.Since(began), err)
	}
	if f, ok := err.(*fault); ok {
		// The library's state is unknown now. Only a new start can tell.
		s.broken = fmt.Errorf("write store %s: %w: restart this Warden", s.path, f)
		return s.broken
	}
	if err != nil {
		return fmt.Errorf("write store %s: %w: see that the disk works and has room", s.path, err)
	}
	if s.opts.Committed != nil {
		s.opts.Committed()
	}
	s.adopt(next)
	return nil
}

// plan is what a batch changes.
type plan struct {
	registers map[warden.GroupName]warden.Register
	roster    []warden.GroupName // set when a group is new
	peers     []Peer
	setPeers  bool
	outside   warden.Epoch // set when it rises
	probe     bool
}

// plan folds a batch, in order of arrival, over what is stored. Only the
// committer changes the stored copies, so reading them needs no lock here.
func (s *Store) plan(batch []*write) plan {
	p := plan{registers: map[warden.GroupName]warden.Register{}}
	isNew := false
	for _, w := range batch {
		switch {
		case w.change != nil:
			old, planned := p.registers[w.group]
			if !planned {
				var stored bool
				old, stored = s.registers[w.group]
				isNew = isNew || !stored
			}
			p.registers[w.group] = w.change(old)
		case w.setPeers:
			p.peers, p.setPeers = w.peers, true
		case w.outside > max(s.outside, p.outside):
			p.outside = w.outside
		case w.probe:
			p.probe = true
		}
	}
	if isNew {
		all := maps.Clone(s.registers)
		maps.Copy(all, p.registers)
		p.roster = slices.Sorted(maps.Keys(all))
	}
	return p
}

// put writes a plan into a transaction.
func (p plan) put(tx *bbolt.Tx) error {
	for _, name := range slices.Sorted(maps.Keys(p.registers)) {
		if err := putRecord(tx, bucketGroups, string(name), p.registers[name]); err != nil {
			return err
		}
	}
	if p.roster != nil {
		if err := putRecord(tx, bucketMeta, keyRoster, p.roster); err != nil {
			return err
		}
	}
	if p.setPeers {
		if err := putRecord(tx, bucketMeta, keyPeers, p.peers); err != nil {
			return err
		}
	}
	if p.outside > 0 {
		if err := putRecord(tx, bucketMeta, keyOutside, p.outside); err != nil {
			return err
		}
	}
	if p.probe {
		return putRecord(tx, bucketMeta, keyProbe, tx.ID())
	}
	return nil
}

// adopt makes the copies in memory what is now on disk.
func (s *Store) adopt(p plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.registers, p.registers)
	if p.setPeers {
		s.peers = p.peers
	}
	s.outside = max(s.outside, p.outside)
}

func putRecord(tx *bbolt.Tx, bucket, key string, v any) error {
	b := tx.Bucket([]byte(bucket))
	if b == nil {
		return fmt.Errorf("%w: bucket %q is missing", ErrDamaged, bucket)
	}
	raw, err := encode(bucket+"/"+key, v)
	if err != nil {
		return err
	}
	if err := b.Put([]byte(key), raw); err != nil {
		return fmt.Errorf("put record %q: %w", key, err)
	}
	return nil
}
