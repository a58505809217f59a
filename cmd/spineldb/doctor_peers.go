package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/doctor"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
	"github.com/spineldb/warden/warden"
)

// comparison is what Wardens and files say of one group, compared.
type comparison struct {
	Group    warden.GroupName `json:"group"`
	Findings []doctor.Finding `json:"findings"`
}

// read reads all files and returns the first one.
func (f *checkup) read(files []string) (first config.Config, err error) {
	for i, file := range files {
		conf, err := loadEither(file)
		if err != nil {
			return first, exit.WrongUsage("%v", err)
		}
		for _, w := range conf.Warnings {
			f.Configuration = append(f.Configuration, doctor.Finding{Severity: doctor.Warning, Check: "configuration", Found: w})
		}
		of := doctor.Warden{Name: file, Settings: conf.Settings(), Groups: map[warden.GroupName][]config.Setting{}}
		for _, m := range conf.Masters {
			of.Groups[m.Name] = m.Settings()
		}
		f.peers = append(f.peers, of)
		if i == 0 {
			first = conf
		}
	}
	return first, nil
}

// loadEither reads a warden.toml, or by its ending a sentinel.conf.
func loadEither(file string) (config.Config, error) {
	if filepath.Ext(file) != ".conf" {
		return config.Load(file)
	}
	like, err := sentinelconf.Load(file, nil)
	if err != nil {
		return config.Config{}, err
	}
	c, err := like.Config()
	if err == nil {
		c.GossipKeys, err = peerKeys(like)
	}
	return c, err
}

// measure tries the disk of a data directory, where there is one.
func (f *checkup) measure(ctx context.Context, dir string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d, err := doctor.MeasureDisk(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // no Warden has run here yet
	case err != nil:
		f.Machines = append(f.Machines, doctor.Finding{Severity: doctor.Warning, Check: "disks", Found: err.Error(),
			Why: "a Warden that cannot write there neither votes nor leads", Remedy: "run the doctor as the user that the Warden runs as, or correct data_dir"})
	default:
		f.Machines = append(f.Machines, doctor.JudgeLocalDisk(dir, d)...)
	}
}

// interview has the Wardens that answered a survey tell what they are like.
func interview(ctx context.Context, t target, reports []remote.Report) []doctor.Warden {
	out := make([]doctor.Warden, len(reports))
	var wait sync.WaitGroup
	for i, r := range reports {
		out[i] = doctor.Warden{Name: r.Name(), ID: r.ID, Why: r.Error, Views: r.Groups}
		if r.Error != "" {
			continue
		}
		out[i].Version = r.Self.Version
		wait.Go(func() {
			a, err := t.Facts(ctx, r)
			if err != nil {
				out[i].Untold = remote.Why(err)
				return
			}
			out[i].Ahead, out[i].Within, out[i].Settings = a.Ahead, a.Within, a.Settings
			out[i].Disk = doctor.Disk{Syncs: a.Disk.Commits, Failed: a.Disk.Failed, Median: time.Duration(a.Disk.MedianNS), Worst: time.Duration(a.Disk.WorstNS)}
			out[i].Groups = map[warden.GroupName][]config.Setting{}
			for _, g := range a.Groups {
				out[i].Groups[g.Name] = g.Settings
			}
		})
	}
	wait.Wait()
	return out
}

// compare holds what Wardens and files say against each other. One file alone
// has nothing to be compared with.
func (f *checkup) compare(named string) {
	if f.Wardens == nil && len(f.peers) < 2 {
		return
	}
	f.Machines = append(f.Machines, doctor.JudgeWardens(f.peers)...)
	f.Compared = []comparison{}
	var names []warden.GroupName
	for _, w := range f.peers {
		for name := range w.Groups {
			names = append(names, name)
		}
		for _, v := range w.Views {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if named == "" || string(name) == named {
			f.Compared = append(f.Compared, comparison{name, doctor.JudgeGroup(name, f.peers, f.expected[name])})
		}
	}
}
