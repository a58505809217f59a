package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds a file of users, in bytes.
const maxFile = 16 << 20

// ErrNoFile is the answer to Load and Save where no file was configured.
var ErrNoFile = errors.New("This Redis instance is not configured to use an ACL file. " +
	"You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE " +
	"(assuming you have a Redis configuration file set) in order to store users in the Redis configuration.")

// Load replaces all users by those in the file, or none if anything in it is
// wrong. Errors are in Redis's words.
func (l *List) Load() error {
	if l.options.File == "" {
		return ErrNoFile
	}
	err := l.change(func(users map[string]*user) error {
		loaded, err := l.read()
		if err != nil {
			return err
		}
		clear(users)
		for name, u := range loaded {
			users[name] = u
		}
		return nil
	})
	if err == nil {
		l.changed("users loaded", "file", l.options.File)
	}
	return err
}

// read reads the file.
func (l *List) read() (map[string]*user, error) {
	text, err := readFile(l.options.File)
	if err != nil {
		return nil, fmt.Errorf("Error loading ACLs, opening file '%s': %w", l.options.File, err)
	}
	users, seen := map[string]*user{}, map[string]bool{}
	var problems strings.Builder
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" {
			continue
		}
		name, rules, problem := cutFileLine(line)
		if problem == "" && seen[name] {
			fmt.Fprintf(&problems, "WARNING: Duplicate user '%s' found on line %d. ", name, i+1)
			continue
		}
		seen[name] = true
		if problem == "" {
			users[name], problem = l.buildFromFile(name, rules)
		}
		if problem != "" {
			fmt.Fprintf(&problems, "%s:%d%s", l.options.File, i+1, problem)
		}
	}
	if problems.Len() > 0 {
		return nil, errors.New(problems.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	if users[defaultUser] == nil {
		users[defaultUser] = newDefaultUser(l.options.RequirePass)
	}
	return users, nil
}

// cutFileLine takes a line apart, or says in Redis's words what is wrong with
// it; those go on after the place.
func cutFileLine(line string) (name string, rules []string, problem string) {
	words := strings.Split(line, " ")
	if words[0] != "user" || len(words) < 2 {
		return "", nil, " should start with user keyword followed by the username. "
	}
	if badName(words[1]) {
		return "", nil, fmt.Sprintf(": username '%s' contains invalid characters. ", words[1])
	}
	return words[1], words[2:], ""
}

func (l *List) buildFromFile(name string, words []string) (u *user, problem string) {
	rules, open := joinSelectors(words)
	if open != "" {
		return nil, ": Unmatched parenthesis in selector definition."
	}
	u, err := build(newUser(name, l.options.AllChannels), rules)
	bad, is := errors.AsType[ruleError](err)
	switch {
	case !is:
		return u, ""
	case errors.Is(err, errUnknown):
		return nil, fmt.Sprintf(": Error in applying operation '%s': %s. ", bad.rule, bad.why)
	}
	return nil, fmt.Sprintf(": %s. ", bad.why)
}

func readFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", errors.New("No such file or directory")
	case err != nil:
		return "", err
	case info.Size() > maxFile:
		return "", fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// Save writes all users to the file, whole or not at all. The file keeps its
// permissions.
func (l *List) Save() error {
	if l.options.File == "" {
		return ErrNoFile
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	text := strings.Join(l.Lines(), "\n") + "\n"
	if err := replaceFile(l.options.File, text); err != nil {
		l.log.Error("users not saved", "file", l.options.File, "error", err)
		return errors.New("There was an error trying to save the ACLs. Please check the server logs for more information")
	}
	l.log.Info("users saved", "file", l.options.File)
	return nil
}

// replaceFile writes beside the file and renames. Where path is a link, what it
// points to is replaced.
func replaceFile(path, text string) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
