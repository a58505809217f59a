package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	measuredSyncs = 20
	measuredBytes = 16 << 10 // what a commit of the store writes, about
)

// MeasureDisk writes to a file of its own in a directory and removes it again.
// It stops early when ctx ends, and then tells what it has. An error says that
// the directory is not there or may not be written.
func MeasureDisk(ctx context.Context, dir string) (_ Disk, err error) {
	f, err := os.CreateTemp(dir, "doctor-*.tmp")
	if err != nil {
		return Disk{}, fmt.Errorf("measure disk: %w: run this as the user of the Warden", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(filepath.Clean(f.Name()))
	}()
	block := make([]byte, measuredBytes)
	var took []time.Duration
	for len(took) < measuredSyncs && ctx.Err() == nil {
		began := time.Now()
		if _, err := f.WriteAt(block, 0); err != nil {
			return Disk{}, fmt.Errorf("measure disk: %w: see that there is room", err)
		}
		if err := f.Sync(); err != nil {
			return Disk{}, fmt.Errorf("measure disk: %w: look at the disk", err)
		}
		took = append(took, time.Since(began))
	}
	if len(took) == 0 {
		return Disk{}, nil
	}
	slices.Sort(took)
	return Disk{Syncs: len(took), Median: took[len(took)/2], Worst: took[len(took)-1]}, nil
}
