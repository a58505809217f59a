package sentinelconf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Save replaces the file by a new text so that after a crash at any moment
// there is the old text or the new one, whole. Mode and, where that is
// permitted, owner are those of the old file. Where path is a symbolic link,
// what it points to is replaced. When Save returns nil the text is on the disk.
func Save(path string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save configuration %s: %w", path, err)
		}
	}()
	target, old, err := locate(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(target)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(target)+"-*.tmp")
	if err != nil {
		return unwritableDir(dir, err)
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	// The file may hold passwords, so it gets its mode before its text. Another
	// owner can be set by root alone; without that it becomes ours.
	keepOwner(temp, old)
	if err = temp.Chmod(old.Mode().Perm()); err != nil {
		return fmt.Errorf("set mode of %s: %w", temp.Name(), plain(err))
	}
	if _, err = temp.Write(data); err == nil {
		err = temp.Sync()
	}
	if err == nil {
		err = temp.Close()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w: is the disk full?", temp.Name(), plain(err))
	}
	if err = os.Rename(temp.Name(), target); err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("replace it: %w: it is probably a mount of its own, as of one file into a container: mount its directory instead", plain(err))
		}
		return fmt.Errorf("replace it: %w", plain(err))
	}
	return syncDir(dir)
}

// Writable reports why Save would fail, as far as can be told without changing
// the file.
func Writable(path string) error {
	target, _, err := locate(path)
	if err != nil {
		return fmt.Errorf("save configuration %s: %w", path, err)
	}
	// Sentinel wants the file itself to be writable, and so whoever made it
	// read-only on purpose is told so.
	file, err := os.OpenFile(target, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("save configuration %s: %w: a Sentinel keeps its state in its configuration file, so let the user it runs as write it", path, plain(err))
	}
	_ = file.Close()
	dir := filepath.Dir(target)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(target)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("save configuration %s: %w", path, unwritableDir(dir, err))
	}
	_ = temp.Close()
	if err := os.Remove(temp.Name()); err != nil {
		return fmt.Errorf("save configuration %s: remove %s: %w", path, temp.Name(), plain(err))
	}
	return nil
}

// locate finds the file behind symbolic links.
func locate(path string) (string, os.FileInfo, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", nil, fmt.Errorf("find it: %w: it has been removed since the start: put it back", plain(err))
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", nil, fmt.Errorf("find it: %w", plain(err))
	}
	if !info.Mode().IsRegular() {
		return "", nil, errors.New("not a regular file: name one")
	}
	return target, info, nil
}

func unwritableDir(dir string, err error) error {
	return fmt.Errorf("create a file in %s: %w: let the user it runs as write that directory, because the file is replaced as a whole", dir, plain(err))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, plain(err))
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, plain(err))
	}
	return nil
}

// plain is an error without the path, which the sentence names already. Its
// cause can still be asked for.
func plain(err error) error {
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
