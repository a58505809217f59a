package config

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"sort"

	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// secretKeys are the keys whose values are never shown.
func secretKeys() []string {
	return []string{"requirepass", "auth_password", "gossip_secret_key", "tls_key_password", "users", "token", "secret", "url"}
}

// loader turns a document into a Config and notes what is wrong with it.
type loader struct {
	doc      *document
	dir      string // of the configuration file
	read     FileReader
	warnings []string
}

// section reads the keys of one table. Each key that is asked for is known;
// finish reports the others.
type section struct {
	l      *loader
	path   string // "" or "masters.0"
	group  string // for messages, as is place, which goes before each key
	place  string
	values map[string]any
	known  []string
	failed map[string]bool // keys already complained about
	// defaultPort is that of nodes written without one; 0: they have to have one.
	defaultPort int
}

func (l *loader) section(path string, values map[string]any) *section {
	return &section{l: l, path: path, values: values, failed: map[string]bool{}}
}

// wrong notes a mistake about a key of this section.
func (s *section) wrong(key, format string, args ...any) {
	s.wrongAt(s.l.doc.lineOf(under(s.path, key)), key, format, args...)
}

func (s *section) wrongAt(line int, key, format string, args ...any) {
	s.failed[key] = true
	s.l.doc.mistakes = append(s.l.doc.mistakes, Mistake{
		File: s.l.doc.file, Line: line, Group: s.group, Key: s.place + key, Text: fmt.Sprintf(format, args...),
	})
}

// has reports whether the key is written in the file, rightly or wrongly.
func (s *section) has(key string) bool {
	_, ok := s.values[key]
	return ok
}

// get is the value of a key, nil when it is not set. A key on a line that was
// set aside for its syntax has been reported and counts as not set.
func (s *section) get(key string) any {
	s.known = append(s.known, key)
	v, ok := s.values[key]
	if ok && s.l.doc.broken[s.l.doc.lineOf(under(s.path, key))] {
		s.failed[key] = true
		return nil
	}
	return v
}

// text is a string.
func (s *section) text(key, def string) string {
	switch v := s.get(key).(type) {
	case nil:
		return def
	case string:
		return v
	default:
		s.wrong(key, "is %s, but text is wanted: put it in quotes", typeName(v))
		return def
	}
}

// whole is a whole number from low to high. A missing one is def.
func (s *section) whole(key string, def, low, high int, remedy string) int {
	switch v := s.get(key).(type) {
	case nil:
		return def
	case int64:
		if v < int64(low) || v > int64(high) {
			if high == math.MaxInt32 {
				s.wrong(key, "is %d, but must be at least %d: %s", v, low, remedy)
			} else {
				s.wrong(key, "is %d, but must be from %d to %d: %s", v, low, high, remedy)
			}
			return def
		}
		return int(v)
	case string:
		s.wrong(key, "is text, but a whole number is wanted: write it without quotes")
		return def
	default:
		s.wrong(key, "is %s, but a whole number is wanted: %s", typeName(v), remedy)
		return def
	}
}

func (s *section) port(key string, def int) int {
	return s.whole(key, def, 1, 65535, "choose a port number in that range")
}

// flag is true or false.
func (s *section) flag(key string, def bool) bool {
	switch v := s.get(key).(type) {
	case nil:
		return def
	case bool:
		return v
	default:
		s.wrong(key, "is %s, but true or false is wanted: write it without quotes", typeName(v))
		return def
	}
}

// span is a duration of at least low.
func (s *section) span(key string, def, low warden.Duration) warden.Duration {
	var text string
	switch v := s.get(key).(type) {
	case nil:
		return def
	case string:
		text = v
	case int64:
		s.wrong(key, "is the number %d without a unit: write a duration in quotes, such as \"%ds\" or \"%dms\"", v, v, v)
		return def
	default:
		s.wrong(key, "is %s, but a duration is wanted: write one in quotes, such as %q", typeName(v), def)
		return def
	}
	d, err := duration.Parse(text)
	if err != nil {
		s.wrong(key, "%v", err)
		return def
	}
	if d < low {
		s.wrong(key, "is %s, but must be at least %s: choose a longer time", d, low)
		return def
	}
	return d
}

// list is a list of strings.
func (s *section) list(key string) []string {
	var out []string
	switch v := s.get(key).(type) {
	case nil:
	case []any:
		for i, item := range v {
			text, ok := item.(string)
			if !ok {
				s.wrongItem(key, i, "entry %d is %s, but text is wanted: put it in quotes", i+1, typeName(item))
				// Keeps the numbering of the entries.
				text = ""
			}
			out = append(out, text)
		}
	case string:
		s.wrong(key, "is text, but a list is wanted: put it in square brackets, %s = [\"...\"]", key)
	default:
		s.wrong(key, "is %s, but a list of texts is wanted: write %s = [\"...\"]", typeName(v), key)
	}
	return out
}

// wrongItem notes a mistake about one entry of a list, on its own line.
func (s *section) wrongItem(key string, i int, format string, args ...any) {
	s.wrongAt(s.l.doc.lineOf(under(s.path, fmt.Sprintf("%s.%d", key, i))), key, format, args...)
}

// finish reports the keys nobody asked for. elsewhere are keys of the other
// kind of section, with the words that say where they belong.
func (s *section) finish(elsewhere []string, where string) {
	unknown := []string{}
	for key := range s.values {
		if !slices.Contains(s.known, key) {
			unknown = append(unknown, key)
		}
	}
	sort.Strings(unknown)
	for _, key := range unknown {
		switch near := wording.Nearest(key, s.known); {
		case slices.Contains(elsewhere, key):
			s.wrong(key, "does not belong here: move it %s", where)
		case near != "":
			s.wrong(key, "unknown key: did you mean %q?", near)
		case wording.Nearest(key, elsewhere) != "":
			s.wrong(key, "unknown key: did you mean %q, which belongs %s?", wording.Nearest(key, elsewhere), where)
		default:
			s.wrong(key, "unknown key: remove it, or see warden.toml.example for the keys there are")
		}
	}
}

// typeName says what kind of value it is, never the value.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a whole number"
	case float64:
		return "a decimal number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// secret is a password or key: the text under key, or the content of the file
// that key with "_file" names.
func (s *section) secret(key string) Secret {
	text, file := Secret(s.text(key, "")), key+"_file"
	fromFile := s.secretFile(file)
	if !s.has(file) {
		return text
	}
	if s.has(key) {
		s.wrong(file, "is set beside %s: keep one of the two", key)
	}
	return fromFile
}

// secretFile reads a password from a file beside the configuration. The
// trailing newline that editors leave is not part of it.
func (s *section) secretFile(key string) Secret {
	name := s.text(key, "")
	if name == "" {
		if s.has(key) && !s.failed[key] {
			s.wrong(key, "is empty: name a file, or remove the key")
		}
		return ""
	}
	path := s.l.resolve(name)
	data, mode, err := s.l.read(path)
	if err != nil {
		s.wrong(key, "read password file: %v: create it with the password as its only line", err)
		return ""
	}
	password := wording.TrimNewline(string(data))
	if password == "" {
		s.wrong(key, "password file %s is empty: write the password into it", path)
		return ""
	}
	if mode.Perm()&fs.FileMode(0o004) != 0 {
		s.l.warnings = append(s.l.warnings, fmt.Sprintf("password file %s may be read by every user of this machine: chmod 600 it", path))
	}
	return Secret(password)
}
