package hooks

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/spineldb/warden/warden"
)

// File is where it is written down what was run, inside the data directory.
const File = "hooks.json"

// maxFile bounds what is read back, in bytes.
const maxFile = 1 << 20

// notes are the primaries for which the hooks about a change are known to have
// been run, or to be nobody's business any more. Losing them costs a run that is
// not repeated, so a damaged file counts as none.
type notes struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	told  map[warden.GroupName]warden.NodeID
	dirty bool
	// bad: the last write failed, and that was said. For save alone.
	bad bool
}

func (n *notes) open(dir string, log *slog.Logger) {
	n.path, n.log, n.told = filepath.Join(dir, File), log, map[warden.GroupName]warden.NodeID{}
	info, err := os.Stat(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var data []byte
	if err == nil && info.Size() <= maxFile {
		data, err = os.ReadFile(n.path)
	}
	if err == nil {
		err = json.Unmarshal(data, &n.told)
	}
	if err != nil || n.told == nil {
		n.told = map[warden.GroupName]warden.NodeID{}
		log.Warn("what hooks were run cannot be read: those of a change that nobody has run yet are not made up for", "file", n.path, "error", err)
	}
}

func (n *notes) get(g warden.GroupName) (warden.NodeID, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id, known := n.told[g]
	return id, known
}

func (n *notes) set(g warden.GroupName, primary warden.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told[g] != primary {
		n.told[g], n.dirty = primary, true
	}
}

func (n *notes) forget(g warden.GroupName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.told[g]; known {
		delete(n.told, g)
		n.dirty = true
	}
}

// save writes what has changed, whole or not at all. Calls come one at a time;
// nobody else waits for the disk.
func (n *notes) save() {
	n.mu.Lock()
	dirty := n.dirty
	data, err := json.Marshal(n.told)
	n.dirty = false
	n.mu.Unlock()
	if !dirty {
		return
	}
	if err == nil {
		err = replace(n.path, data)
	}
	if err == nil {
		n.bad = false
		return
	}
	n.mu.Lock()
	n.dirty = true
	n.mu.Unlock()
	if !n.bad {
		n.log.Warn("what hooks were run cannot be written down: after a crash some may run again or be left out", "file", n.path, "error", err)
	}
	n.bad = true
}

// replace puts a synced file in the place of another.
func replace(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
