package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/store"
)

// openStore opens the store of the data directory. noted is what the
// configuration file says that the store had noted when the file was written:
// a store with registers that knows less is from an earlier day, as one is that
// was restored from a backup. Its promises are not to be believed, so it is set
// aside and a new one made: a Warden whose disk was set back is a new Warden.
func (d *daemon) openStore(dir string, noted warden.Epoch) (err error) {
	if d.store, err = d.openAt(dir); err != nil {
		return err
	}
	d.onStop("store", func(context.Context) error { return d.store.Close() })
	if have := d.store.Outside(); noted > have && len(d.store.Groups()) > 0 {
		aside, err := d.setAside(dir)
		if err != nil {
			return err
		}
		d.log.Warn("the store is older than the configuration file, as after a restore from a backup, so its promises cannot be believed: "+
			"it was set aside and this Warden has a new identity, and takes no part until it hears the others; take the old identity off with spineldb forget",
			"data_dir", dir, "set_aside", aside, "store_knows", uint64(have), "file_says", uint64(noted))
	}
	return nil
}

// openAt opens the store in a directory. With WARDEN_SYNC_DELAY, which is for
// tests, every commit takes that much longer before it is made durable, as on a
// disk whose syncs are slow.
func (d *daemon) openAt(dir string) (*store.Store, error) {
	o := store.Options{Timed: d.committed}
	if text := os.Getenv("WARDEN_SYNC_DELAY"); text != "" {
		delay, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("read WARDEN_SYNC_DELAY: %w: give it a duration such as 500ms, or take it away", err)
		}
		o.FailWrite = func() error {
			d.log.Warn("a sync is held back, because WARDEN_SYNC_DELAY says so", "for", delay.String())
			time.Sleep(delay)
			return nil
		}
	}
	s, err := store.OpenWith(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open data_dir: %w", err)
	}
	return s, nil
}

// committed counts a commit of the store. Those of the start come before there
// is anything to count with, on the goroutine that makes it.
func (d *daemon) committed(took time.Duration, err error) {
	d.commits.add(took, err)
	if d.metrics != nil {
		d.metrics.Committed(took, err)
	}
}

// setAside moves the data directory with the open store away, puts a new one
// in its place and returns where the old one is. The old one stays locked until
// then. The gossip port is kept, because others and firewalls know it.
func (d *daemon) setAside(dir string) (aside string, err error) {
	old := d.store
	dir = filepath.Clean(dir)
	aside = fmt.Sprintf("%s.set-aside-%d", dir, time.Now().Unix())
	port, err := os.ReadFile(filepath.Join(dir, gossipPortFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read gossip port: %w: see that this user may read it", err)
	}
	if _, err := os.Lstat(aside); err == nil {
		return "", fmt.Errorf("set the store of an earlier day aside: there is a %s already: start again in a second", aside)
	}
	if err := os.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("set the store of an earlier day aside: %w: move what is in %s to another place, and start again", err, dir)
	}
	next, err := d.openAt(dir)
	if err != nil {
		return "", err
	}
	d.store = next
	if err := old.Close(); err != nil {
		return "", err
	}
	if len(port) > 0 {
		return aside, writeFile(filepath.Join(dir, gossipPortFile), port)
	}
	return aside, nil
}
