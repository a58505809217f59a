package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// changesFile is where changes at run time are kept in data_dir.
const changesFile = "settings.json"

// changes are what SENTINEL MONITOR, REMOVE, SET and CONFIG SET did to a
// Warden whose configuration is a warden.toml. They are laid over that file at
// every start and reload, in the order of time, so the newest word counts.
type changes struct {
	Groups     map[warden.GroupName]groupChanges `json:"groups,omitempty"`
	Parameters map[string]string                 `json:"parameters,omitempty"`
}

// groupChanges are those of one group. With a Primary the group was monitored
// at run time, and a block of the same name in the file does not count.
type groupChanges struct {
	Removed bool           `json:"removed,omitempty"`
	Primary warden.NodeID  `json:"primary,omitempty"`
	Quorum  int            `json:"quorum,omitempty"`
	Options []resp.Setting `json:"options,omitempty"`
}

func (c changes) clone() changes {
	c.Groups, c.Parameters = maps.Clone(c.Groups), maps.Clone(c.Parameters)
	for name, g := range c.Groups {
		g.Options = slices.Clone(g.Options)
		c.Groups[name] = g
	}
	return c
}

// note changes what is kept of one group.
func (c *changes) note(name warden.GroupName, edit func(*groupChanges)) {
	if c.Groups == nil {
		c.Groups = map[warden.GroupName]groupChanges{}
	}
	g := c.Groups[name]
	edit(&g)
	c.Groups[name] = g
}

// set notes an option in place of an older value of the same one. What
// rename-command names is a part of the option's name.
func (g *groupChanges) set(o resp.Setting) {
	g.Options = slices.DeleteFunc(g.Options, func(have resp.Setting) bool {
		return have.Name == o.Name && (o.Name != optionRename || len(have.Values) > 0 && have.Values[0] == o.Values[0])
	})
	g.Options = append(g.Options, o)
}

// names are what was set at run time, for status.
func (g groupChanges) names() (out []string) {
	if g.Primary != "" {
		out = append(out, "monitor")
	}
	for _, o := range g.Options {
		if !slices.Contains(out, o.Name) {
			out = append(out, o.Name)
		}
	}
	return out
}

// over lays the changes over a configuration file's setup.
func (c changes) over(s setup) (setup, error) {
	s = s.clone()
	s.Changes = c.clone()
	for _, name := range slices.Sorted(maps.Keys(c.Groups)) {
		g := c.Groups[name]
		at := s.master(name)
		if at >= 0 && (g.Removed || g.Primary != "") {
			s.Masters = slices.Delete(s.Masters, at, at+1)
			at = -1
		}
		if g.Removed {
			continue
		}
		if g.Primary != "" {
			at = len(s.Masters)
			s.Masters = append(s.Masters, newMaster(name, g.Primary, g.Quorum, nil))
		}
		if at < 0 {
			continue // the operator took the block out of the file
		}
		for _, o := range g.Options {
			if err := applyOption(&s.Masters[at], o); err != nil {
				return s, fmt.Errorf("apply what was set at run time to group %q: %w: set it again", name, err)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Parameters)) {
		if err := s.setParameter(name, c.Parameters[name]); err != nil {
			return s, fmt.Errorf("apply what was set at run time: %w: set it again", err)
		}
	}
	return s, nil
}

// changesIn reads what is kept in a data directory; nothing if there is no file.
func changesIn(dataDir string) (changes, error) {
	path := filepath.Join(dataDir, changesFile)
	var c changes
	data, _, err := config.ReadSmallFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return c, fmt.Errorf("read what clients set, in data_dir %s: %w: is it a directory that this user may read?", filepath.Dir(path), err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read settings %s: %w: mend it, or remove it to go back to the configuration file", path, err)
	}
	return c, nil
}

// changesKeeper keeps a setup's changes, and what is known of real Sentinels,
// in data_dir.
type changesKeeper struct {
	dataDir string
	log     *slog.Logger
	scribe

	mu      sync.Mutex
	d       *daemon
	written []byte // of neighboursFile
}

func newChangesKeeper(dataDir string, log *slog.Logger) *changesKeeper {
	return &changesKeeper{dataDir: dataDir, log: log, scribe: newScribe()}
}

// Begin keeps what is known of real Sentinels up to date until the daemon stops.
func (k *changesKeeper) Begin(d *daemon) error {
	k.d = d
	d.onStop("settings", k.follow(k.refresh, func(err error) { k.log.Warn("what is known of Sentinels was not saved", "error", err) }))
	return nil
}

// Save writes the changes of a setup.
func (k *changesKeeper) Save(s setup) error {
	data, err := json.MarshalIndent(s.Changes, "", "  ")
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	return writeFile(filepath.Join(k.dataDir, changesFile), append(data, '\n'))
}

// Vote returns when the newest epochs are on disk.
func (k *changesKeeper) Vote(context.Context) error { return k.refresh() }

// refresh writes what is known of real Sentinels if that has changed. Where
// there never was one, there is no file.
func (k *changesKeeper) refresh() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := remembered{}
	for _, m := range k.d.steward.current().Masters {
		memory := neighbour.Memory{Epochs: k.d.neighbours.Epochs(m.Name), Known: k.d.neighbours.Known(m.Name)}
		if memory.Leader > 0 || memory.Config > 0 || len(memory.Known) > 0 {
			known[m.Name] = memory
		}
	}
	if len(known) == 0 && k.written == nil {
		return nil
	}
	data, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what is known of Sentinels: %w", err)
	}
	if bytes.Equal(data, k.written) {
		return nil
	}
	if err := writeFile(filepath.Join(k.dataDir, neighboursFile), data); err != nil {
		return err
	}
	k.written = data
	return nil
}

// writeFile replaces a file of the data directory as a whole and durably. It
// may hold secrets, so only its owner can read it.
func writeFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w: see that this user may write into %s and that the disk has room", path, err, dir)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w: see that this user may write into %s and that the disk has room", path, err, dir)
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDirectory(dir)
}

// syncDirectory makes a rename durable. Not every file system can; then the
// rename is as durable as that file system makes it.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}
