package sentinelconf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// File is a configuration as it was read. It does not change; what changes at
// run time is a State that began as a Clone of its own.
type File struct {
	// Path of the main file, absolute.
	Path     string
	Server   Server
	State    State
	Warnings []string

	text      []byte      // of the main file
	overrides []string    // as Overrides made them
	looked    World       // as it was given, not as it was remembered
	lines     []string    // of the main file, without line ends
	found     []directive // of all files and the command line
	world     World
	paths     []*string // in Server, to be made absolute
	at        directive // the one that is being read
}

// Load reads a file of the real world, with the arguments that follow its name
// on the command line (see Overrides). An error is an *Error, unless the file cannot be read at
// all.
func Load(path string, arguments []string) (*File, error) {
	world, err := realWorld()
	if err != nil {
		return nil, err
	}
	path = absolute(world.Dir, path)
	data, mode, err := world.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read configuration %s: no such file: a Sentinel keeps its state in its configuration file, so there has to be one", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	f, err := Parse(path, data, Overrides(arguments), world)
	if err != nil {
		return nil, err
	}
	if mode.Perm()&0o004 != 0 && f.hasSecrets() {
		f.Warnings = append(f.Warnings, fmt.Sprintf("%s contains passwords and every user of this machine may read it: chmod o-r it", path))
	}
	return f, nil
}

// Parse reads the text of a file, and the lines of Overrides after it. path is
// absolute. An error is an *Error for
// the first line that is not accepted: in the order of the files for lines
// that are not of sentinel, then in the order in which those of sentinel
// depend on one another.
func Parse(path string, data []byte, overrides []string, world World) (*File, error) {
	f := &File{Path: path, Server: newServer(), text: data, overrides: overrides, looked: world, lines: splitLines(data)}
	world = world.remembering()
	f.world = world
	f.State.DenyScriptsReconfig = true
	r := reading{world: world, dir: world.Dir}
	if err := r.main(path, f.lines); err != nil {
		return nil, err
	}
	if err := r.arguments(overrides); err != nil {
		return nil, err
	}
	f.found = r.found
	for _, d := range f.found {
		if d.words[0] == "sentinel" {
			continue
		}
		if p := f.server(d); p != nil {
			return nil, d.failed(p)
		}
	}
	for _, p := range f.paths {
		*p = absolute(f.dir(), *p)
	}
	f.State.LogLevel, f.State.Noted = f.Server.LogLevel, noted(f.lines)
	if err := f.sentinel(); err != nil {
		return nil, err
	}
	return f, nil
}

// Rewrite writes a state into the file as it is on the disk now, so that what an
// operator changed meanwhile stays (see Render and Save). It reports whether
// the file was written: always if asked to, else when its text changes. An error that is an *Error is about a line that the
// operator broke; then the file is left as it is. Not for concurrent use on one
// path.
func (f *File) Rewrite(s State, always bool) (written bool, err error) {
	data, _, err := f.looked.Read(f.Path)
	if err != nil {
		return false, fmt.Errorf("read configuration %s again: %w", f.Path, plain(err))
	}
	// Scripts and included files are not looked at again: that one of them is
	// gone must not keep an epoch from being saved.
	world := f.world
	world.Executable = nil
	now, err := Parse(f.Path, data, f.overrides, world)
	if err != nil {
		return false, err
	}
	text, err := now.Render(s)
	if err != nil || !always && bytes.Equal(text, data) {
		return false, err
	}
	return true, Save(f.Path, text)
}

// dir is where relative paths start at run time.
func (f *File) dir() string {
	if f.Server.Dir != "" {
		return f.Server.Dir
	}
	return f.world.Dir
}

// DataDir is where a Warden keeps what the file cannot express: beside it.
func (f *File) DataDir() string { return filepath.Clean(f.Path) + ".warden" }

// hasSecrets reports whether the main file itself holds a password in the clear.
func (f *File) hasSecrets() bool {
	for _, d := range f.found {
		if d.from > byRewrite || !secret(directiveName(d.words)) || d.words[0] == "user" {
			continue
		}
		if d.words[len(d.words)-1] != "" {
			return true
		}
	}
	return false
}
