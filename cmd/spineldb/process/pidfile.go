package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Pidfile is a file with the id of this process.
type Pidfile struct {
	path string
	text string
}

// WritePidfile writes the id of this process, in the place of what was there.
// The path is resolved now, so a later change of directory does no harm.
func WritePidfile(path string) (*Pidfile, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("write pidfile %s: %w", path, err)
	}
	p := &Pidfile{full, strconv.Itoa(os.Getpid()) + "\n"}
	// As a link nobody wants to follow may lie in a directory that others
	// write to, the file is made anew. A reader sees the old or the new text.
	temporary, err := os.CreateTemp(filepath.Dir(full), "."+filepath.Base(full)+".*")
	if err != nil {
		return nil, fmt.Errorf("write pidfile %s: %w: let this user write into its directory, or set pidfile to another", path, err)
	}
	_, err = temporary.WriteString(p.text)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), full)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return nil, fmt.Errorf("write pidfile %s: %w", path, err)
	}
	return p, nil
}

// Remove removes the file, unless it is gone or names another process by now:
// one that was started before this one had ended.
func (p *Pidfile) Remove() error {
	text, err := os.ReadFile(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("remove pidfile: %w", err)
	case string(text) != p.text:
		return nil
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pidfile: %w", err)
	}
	return nil
}
