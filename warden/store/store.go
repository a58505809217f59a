package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
	"go.etcd.io/bbolt"
)

// FileName is the store's file inside the data directory.
const FileName = "warden.db"

// lockPatience is how long a start waits for another process to let go of the
// file: long enough for a restart that overlaps by a hair, no longer.
const lockPatience = 200 * time.Millisecond

// What can be wrong with a store. Callers branch on these for exit codes; the
// errors that wrap them name the place and the remedy.
var (
	ErrInUse       = errors.New("in use by another process")
	ErrDamaged     = errors.New("damaged")
	ErrNewerFormat = errors.New("written by a newer version")
	ErrClosed      = errors.New("store is closed")
)

// Options are for tests, but for Timed; the zero value will do in production.
type Options struct {
	// Timed is told how long every commit took until it was on disk, or had
	// failed. It is called by the only writer, so it must not block.
	Timed func(took time.Duration, err error)
	// FailWrite is asked inside every commit, after everything was put and
	// before it is made durable. Its error makes the whole commit fail.
	FailWrite func() error
	// Committed is called after a commit is on disk and before anybody is told.
	Committed func()
}

// Peer is one entry of the address book.
type Peer struct {
	ID     warden.WardenID `json:"id"`
	Gossip string          `json:"gossip"` // host:port
	Client string          `json:"client"` // host:port
	// Sentinel is the id under which Sentinel's clients know it, when that is
	// not ID.
	Sentinel string `json:"sentinel,omitempty"`
}

// Store is an open data directory. It is safe for concurrent use. It must be
// closed.
type Store struct {
	dir  string
	path string
	opts Options
	file *os.File
	db   *bbolt.DB

	identity warden.WardenID
	run      warden.Run

	// mu guards the copies of what is on disk. They change only after a commit,
	// so reading never touches the file.
	mu        sync.RWMutex
	registers map[warden.GroupName]warden.Register
	peers     []Peer
	outside   warden.Epoch

	// gate lets Close wait for writers that are about to queue up.
	gate   sync.RWMutex
	closed bool
	queue  chan *write
	done   chan struct{}

	// broken is only used by the committer, and by Close after it has ended.
	broken error
}

// Open opens the store in dir and makes it at the first start, together with
// the Warden's identity. It counts the run number up and syncs it. Errors wrap
// ErrInUse, ErrDamaged or ErrNewerFormat where these are the reason.
func Open(dir string) (*Store, error) { return OpenWith(dir, Options{}) }

// OpenWith is Open with hooks for tests.
func OpenWith(dir string, opts Options) (*Store, error) {
	s := &Store{
		dir: dir, path: filepath.Join(dir, FileName), opts: opts,
		registers: map[warden.GroupName]warden.Register{},
		queue:     make(chan *write, maxBatch),
		done:      make(chan struct{}),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w: choose a data_dir this user can write", dir, err)
	}
	if err := s.openFile(); err != nil {
		return nil, err
	}
	err := guard(func() error {
		if err := s.load(); err != nil {
			return err
		}
		return s.countRun()
	})
	if err != nil {
		s.closeFile()
		return nil, s.explain(err)
	}
	go s.commitLoop()
	return s, nil
}

// Identity is this Warden's id, 40 lower-case hexadecimal digits.
func (s *Store) Identity() warden.WardenID { return s.identity }

// Run is the number of this run, larger at every Open.
func (s *Store) Run() warden.Run { return s.run }

// Dir is the data directory.
func (s *Store) Dir() string { return s.dir }

// Load returns the register of a group, the zero Register when there is none.
// It fails only after Close.
func (s *Store) Load(group warden.GroupName) (warden.Register, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return warden.Register{}, fmt.Errorf("load register of %s: %w", group, ErrClosed)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.registers[group].Clone(), nil
}

// Groups names every group that has a register, those left included, sorted.
func (s *Store) Groups() []warden.GroupName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.registers))
}

// LoadPeers is the address book as last saved, sorted by id.
func (s *Store) LoadPeers() []Peer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.peers)
}

// SaveRegister makes a group's register durable. It returns when the register
// is on disk, or with an error: then the answers that depend on it must not be
// given. After an error the file holds the old register or, where the disk
// failed at the very last step, the new one; never a part of it.
func (s *Store) SaveRegister(group warden.GroupName, r warden.Register) error {
	r = r.Clone()
	return s.write(&write{group: group, change: func(warden.Register) warden.Register { return r }})
}

// SetLeft marks a group as left and keeps its promises. Durable like
// SaveRegister.
func (s *Store) SetLeft(group warden.GroupName) error {
	return s.write(&write{group: group, change: func(r warden.Register) warden.Register {
		r = r.Clone()
		r.Left = true
		return r
	}})
}

// SavePeers replaces the address book. Durable like SaveRegister.
func (s *Store) SavePeers(peers []Peer) error {
	peers = slices.Clone(peers)
	slices.SortFunc(peers, func(a, b Peer) int { return compareIDs(a.ID, b.ID) })
	return s.write(&write{peers: peers, setPeers: true})
}

// Outside is the highest epoch that was given to NoteOutside, 0 for none.
func (s *Store) Outside() warden.Epoch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.outside
}

// NoteOutside notes the highest epoch that is about to be written down outside
// of the store. Who later reads a higher one there than the store has noted
// holds a store from an earlier day, such as a backup. Lower ones than the
// highest change nothing. Durable like SaveRegister.
func (s *Store) NoteOutside(e warden.Epoch) error {
	if e <= s.Outside() {
		return nil
	}
	return s.write(&write{outside: e})
}

// Probe writes and syncs something of no meaning. It tells whether the store
// can be written again after a failure.
func (s *Store) Probe() error { return s.write(&write{probe: true}) }

// Close ends all writing that was begun, then closes the file and gives the
// data directory free. It is safe to call more than once.
func (s *Store) Close() error {
	s.gate.Lock()
	already := s.closed
	s.closed = true
	if !already {
		close(s.queue)
	}
	s.gate.Unlock()
	<-s.done
	if already {
		return nil
	}
	if s.broken != nil {
		// The library may still hold its own locks; the file is ours to close.
		unlockFile(s.file)
		return s.file.Close()
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", s.path, err)
	}
	return nil
}

// closeFile undoes a start that failed half-way.
func (s *Store) closeFile() {
	if s.db != nil {
		_ = guard(s.db.Close)
	}
	unlockFile(s.file)
	_ = s.file.Close()
}

// explain adds the place and the remedy to what went wrong at a start.
func (s *Store) explain(err error) error {
	switch {
	case errors.Is(err, ErrInUse):
		return fmt.Errorf("data directory %s is %w (is a second Warden running?): stop it, or give each Warden a data_dir of its own", s.dir, err)
	case errors.Is(err, ErrNewerFormat):
		return fmt.Errorf("open store %s: %w: start the newer version again", s.path, err)
	case errors.Is(err, ErrDamaged) || errors.As(err, new(*fault)):
		return fmt.Errorf("open store %s: %w: move the file away and start again; this Warden then has a new identity and joins as a newcomer", s.path, damaged(err))
	default:
		return fmt.Errorf("open store %s: %w: see that this user may read and write it and that the disk has room", s.path, err)
	}
}

// damaged makes sure that an error about the file's content wraps ErrDamaged.
func damaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
