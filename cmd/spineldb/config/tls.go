package config

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/wording"
)

// tls reads the keys of TLS. Whether the files fit together is found out when
// they are used.
func (s *section) tls() TLS {
	t := TLS{
		Port:     s.whole("tls_port", 0, 0, 65535, "choose a port number in that range, 0 for none"),
		CertFile: s.file("tls_cert_file"), KeyFile: s.file("tls_key_file"), CAFile: s.file("tls_ca_file"),
		KeyPassword: s.secret("tls_key_password"),
		ClientAuth:  s.clientAuth(), Nodes: s.flag("tls_nodes", false),
	}
	s.checkTLS(t)
	return t
}

func (s *section) clientAuth() string {
	words := []string{"yes", "no", "optional"}
	word := s.text("tls_client_auth", defaultClientAuth)
	if !slices.Contains(words, word) && !s.failed["tls_client_auth"] {
		s.wrong("tls_client_auth", "is %q: choose yes, no or optional", wording.Shown(word))
	}
	return word
}

// checkTLS checks that what belongs together is there.
func (s *section) checkTLS(t TLS) {
	switch {
	case s.has("tls_cert_file") && !s.has("tls_key_file"):
		s.wrong("tls_cert_file", "is set without its key: set tls_key_file")
	case s.has("tls_key_file") && !s.has("tls_cert_file"):
		s.wrong("tls_key_file", "is set without its certificate: set tls_cert_file")
	}
	if t.Port == 0 {
		return
	}
	if !s.has("tls_cert_file") && !s.has("tls_key_file") {
		s.wrong("tls_port", "is set without a certificate: set tls_cert_file and tls_key_file")
	}
	if t.ClientAuth != "no" && !s.failed["tls_client_auth"] && !s.has("tls_ca_file") {
		s.wrong("tls_port", "is set without a way to check clients' certificates: set tls_ca_file, or tls_client_auth = \"no\"")
	}
}

// checkPorts checks that clients can come in, by one way or by two.
func (s *section) checkPorts(c Config) {
	switch {
	case s.failed["port"] || s.failed["tls_port"]:
	case c.Port == 0 && c.TLS.Port == 0:
		s.wrong("port", "is 0, so clients need tls_port: set it, or choose a port from 1 to 65535")
	case c.Port == c.TLS.Port:
		s.wrong("tls_port", "is %d, the same as port: choose another one, or set port = 0 to serve clients by TLS alone", c.Port)
	}
}

// file is the path of a file that has to be readable, "" when it is not set.
func (s *section) file(key string) string {
	path, _ := s.opened(key)
	return path
}

// script is the path of a file that has to be executable, "" when it is not
// set. An empty text is none, too.
func (s *section) script(key string) string {
	path, mode := s.opened(key)
	if path != "" && mode.Perm()&0o111 == 0 && !s.failed[key] {
		s.wrong(key, "%s is not executable: chmod +x it", path)
	}
	return path
}

func (s *section) opened(key string) (string, fs.FileMode) {
	name := s.text(key, "")
	if name == "" {
		if s.has(key) && !s.failed[key] {
			s.wrong(key, "is empty: name a file, or remove the key")
		}
		return "", 0
	}
	path := s.l.resolve(name)
	mode, err := s.l.modeOf(path)
	if err != nil {
		s.wrong(key, "read %s: %v: create it, or correct the path", wording.Shown(path), cause(err))
	}
	return path, mode
}

// modeOf is the mode of a file of any length.
func (l *loader) modeOf(path string) (fs.FileMode, error) {
	_, mode, err := l.read(path)
	if errors.Is(err, errTooLarge) {
		err = nil
	}
	return mode, err
}

// cause is an error without the path, which the message names already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// users reads ACL users. Their passwords are turned into hashes at once.
func (s *section) users() []string {
	const key = "users"
	var out, names []string
	for i, text := range s.list(key) {
		words := strings.Fields(text)
		user, err := HideUser(words)
		switch {
		case s.failed[key]:
		case err != nil:
			s.wrongItem(key, i, "entry %d: %v", i+1, err)
		case slices.Contains(names, words[0]):
			s.wrongItem(key, i, "entry %d has the name of an entry before it: write one entry for each user", i+1)
		default:
			out, names = append(out, user), append(names, words[0])
		}
	}
	return out
}

// renames reads a table of commands and their new names.
func (s *section) renames(key string) map[string]string {
	var table map[string]any
	switch v := s.get(key).(type) {
	case nil:
		return nil
	case map[string]any:
		table = v
	default:
		s.wrong(key, "is %s, but a table is wanted: write %s = { CONFIG = \"new-name\" }", typeName(v), key)
		return nil
	}
	out := map[string]string{}
	for _, command := range slices.Sorted(maps.Keys(table)) {
		line := s.l.doc.lineOf(under(s.path, under(key, command)))
		name, ok := table[command].(string)
		upper := strings.ToUpper(command)
		_, twice := out[upper]
		switch {
		case command == "" || strings.ContainsAny(command, " \t\r\n"):
			s.wrongAt(line, key, "%q is not the name of a command: write one such as CONFIG", wording.Shown(command))
		case !ok:
			s.wrongAt(line, key, "the new name of %s is %s, but text is wanted: put it in quotes", wording.Shown(upper), typeName(table[command]))
		case name == "" || strings.ContainsAny(name, " \t\r\n"):
			s.wrongAt(line, key, "the new name of %s is empty or contains a blank: write the name that the nodes know it by", wording.Shown(upper))
		case twice:
			s.wrongAt(line, key, "%s is renamed twice: remove one of the two", wording.Shown(upper))
		default:
			out[upper] = name
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
