package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// maxFile bounds what is read of one file, in bytes.
const maxFile = 64 << 20

// pair is a file and the older one that it has replaced. It has one user at a
// time.
type pair struct {
	path string
	// lines and bytes are how much each of the two may hold.
	lines int
	bytes int64
	file  *os.File // nil while it is not open
	have  int      // lines in it
	size  int64
	// write replaces File.Write in tests.
	write func(*os.File, []byte) (int, error)
}

func (p *pair) older() string { return p.path + ".1" }

// read returns all lines, the oldest first. It changes nothing.
func (p *pair) read() ([][]byte, error) {
	var all [][]byte
	for _, path := range []string{p.older(), p.path} {
		data, err := readFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, scan(data).texts...)
	}
	return all, nil
}

// mend is read for whoever is going to append. What was cut off is taken away,
// and damaged files are set aside, whose names are returned.
func (p *pair) mend() (all [][]byte, aside []string, err error) {
	for _, path := range []string{p.older(), p.path} {
		data, err := readFile(path)
		if err != nil {
			return all, aside, err
		}
		c := scan(data)
		all = append(all, c.texts...)
		switch {
		case c.damaged:
			name, err := setAside(path, c.texts)
			if err != nil {
				return all, aside, err
			}
			aside = append(aside, name)
		case c.whole < int64(len(data)):
			if err := os.Truncate(path, c.whole); err != nil {
				return all, aside, fmt.Errorf("take the unfinished line off: %w", err)
			}
		}
	}
	return all, aside, nil
}

// setAside moves a damaged file away, and puts one with what could be read of it
// in its place.
func setAside(path string, texts [][]byte) (string, error) {
	aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().UnixNano())
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("set a damaged file aside: %w", err)
	}
	var good []byte
	for _, text := range texts {
		good = appendText(good, text)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		return aside, fmt.Errorf("keep what could be read of a damaged file: %w", err)
	}
	return aside, nil
}

// readFile is the content of a file, nothing where there is none.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// open makes the file ready to be appended to.
func (p *pair) open() error {
	if p.file != nil {
		return nil
	}
	data, err := readFile(p.path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	c := scan(data)
	p.file, p.have, p.size = f, len(c.texts), c.whole
	if c.whole < int64(len(data)) {
		return p.takeBack()
	}
	return nil
}

// add appends lines that belong together.
func (p *pair) add(text []byte, lines int) error {
	if err := p.open(); err != nil {
		return err
	}
	if p.have > 0 && (p.have+lines > p.lines || p.size+int64(len(text)) > p.bytes) {
		if err := p.turn(); err != nil {
			return err
		}
	}
	write := p.write
	if write == nil {
		write = (*os.File).Write
	}
	if _, err := write(p.file, text); err != nil {
		// Half a line in the middle of a file would look like damage.
		return errors.Join(err, p.takeBack())
	}
	p.size += int64(len(text))
	p.have += lines
	return nil
}

// takeBack cuts off what was not written as a whole.
func (p *pair) takeBack() error {
	if err := p.file.Truncate(p.size); err != nil {
		return errors.Join(err, p.close())
	}
	return nil
}

// turn makes the file the older one and begins another.
func (p *pair) turn() error {
	if err := p.close(); err != nil {
		return err
	}
	if err := os.Rename(p.path, p.older()); err != nil {
		return err
	}
	return p.open()
}

// close closes the file. It may be opened again.
func (p *pair) close() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.file = nil
	return f.Close()
}

// sync makes what was written durable.
func (p *pair) sync() error {
	if p.file == nil {
		return nil
	}
	return p.file.Sync()
}
