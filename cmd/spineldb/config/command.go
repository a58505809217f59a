package config

import (
	"slices"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

const (
	defaultCommandTimeout = 10 * warden.Second
	minCommandTimeout     = 100 * warden.Millisecond
)

// commands reads the operator's programs that every kind of database may have.
func (s *section) commands(m *Master) {
	m.FenceCommand = s.command("fence_command")
	m.FenceRequired = s.flag("fence_required", false)
	m.CommandTimeout = s.span("command_timeout", defaultCommandTimeout, minCommandTimeout)
	if m.FenceRequired && !s.has("fence_command") {
		s.wrong("fence_required", "is true without a fence_command, so nobody could ever be promoted: set fence_command")
	}
	if m.FenceCommand != nil && !s.failed["command_timeout"] && !s.failed["failover_timeout"] && m.CommandTimeout >= m.FailoverTimeout {
		s.wrong("command_timeout", "is %s, but must be below failover_timeout (%s), or a failover would be given up while its fence_command runs: lower it, or raise failover_timeout", m.CommandTimeout, m.FailoverTimeout)
	}
}

// command is a program with its arguments, nil when the key is not set: a text
// that is split at blanks, or a list, whose entries may contain blanks. No
// shell sees it. A relative path starts from the directory of the file.
func (s *section) command(key string) []string {
	var words []string
	if text, isText := s.values[key].(string); isText {
		s.text(key, "")
		words = strings.Fields(text)
	} else {
		words = slices.Clone(s.list(key))
	}
	if !s.has(key) || s.failed[key] {
		return nil
	}
	if len(words) == 0 || words[0] == "" {
		s.wrong(key, "is empty: name a program, or remove the key")
		return nil
	}
	for _, w := range words {
		if strings.ContainsRune(w, 0) {
			s.wrong(key, "contains a zero byte: remove it")
			return nil
		}
	}
	words[0] = s.executable(key, words[0])
	return words
}

// executable resolves the path of a program and checks that it can be run.
func (s *section) executable(key, name string) string {
	path := s.l.resolve(name)
	mode, err := s.l.modeOf(path)
	switch {
	case err != nil:
		s.wrong(key, "read %s: %v: create it, or write the whole path of the program", wording.Shown(path), cause(err))
	case mode.Perm()&0o111 == 0:
		s.wrong(key, "%s is not executable: chmod +x it", wording.Shown(path))
	}
	return path
}
