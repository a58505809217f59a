package acl

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// What is wrong with a rule, in Redis's words.
var (
	errUnknown       = errors.New("Unknown command or category name in ACL")
	errSyntax        = errors.New("Syntax error")
	errKeysAfterAll  = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	errHearsAfterAll = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	errNoPassword    = errors.New("The password you are trying to remove from the user does not exist")
	errBadHash       = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	errNestedArg     = errors.New("Allowing first-arg of a subcommand is not supported")
)

// selector is one set of permissions. A user has one of its own, and a request
// is allowed if one of the user's selectors allows all of it. Values that were
// published are not changed any more.
type selector struct {
	allowed commandSet
	// others: commands that the catalogue does not know are allowed.
	others bool
	// firstArgs are first arguments, in lower case, with which a command is
	// allowed although it is not on the whole.
	firstArgs map[int][]string
	// rules are those about commands that still have an effect, with their
	// sign, in the order they were given.
	rules []string

	allKeys     bool
	keys        []string // with their prefix: ~, %R~ or %W~
	allChannels bool
	channels    []string
}

func (s *selector) clone() *selector {
	c := *s
	c.firstArgs = make(map[int][]string, len(s.firstArgs))
	for id, args := range s.firstArgs {
		c.firstArgs[id] = slices.Clone(args)
	}
	c.rules, c.keys, c.channels = slices.Clone(s.rules), slices.Clone(s.keys), slices.Clone(s.channels)
	return &c
}

// apply changes the selector by one rule. After an error it is as before.
func (s *selector) apply(rule string) error {
	switch strings.ToLower(rule) {
	case "allkeys", "~*":
		s.allKeys, s.keys = true, nil
		return nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
		return nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
		return nil
	case "allcommands", "+@all":
		s.everything(true)
		return nil
	case "nocommands", "-@all":
		s.everything(false)
		return nil
	case "":
		return errSyntax
	}
	switch rule[0] {
	case '~', '%':
		return s.addKeys(rule)
	case '&':
		return s.addChannel(rule[1:])
	case '+', '-':
		if strings.HasPrefix(rule[1:], "@") {
			return s.applyCategory(rule[0], strings.ToLower(rule[2:]))
		}
		return s.applyCommand(rule[0], rule[1:])
	}
	return errSyntax
}

// everything allows or forbids all commands, also those yet unknown.
func (s *selector) everything(allow bool) {
	s.allowed, s.others, s.rules = commandSet{}, allow, nil
	clear(s.firstArgs)
	for _, row := range commands.rows {
		s.allowed.set(row.id, allow)
	}
}

func (s *selector) applyCategory(sign byte, category string) error {
	ids, ok := commands.inCategory(category)
	if !ok {
		return errUnknown
	}
	for _, id := range ids {
		s.permit(id, sign == '+')
	}
	s.remember(sign, "@"+category)
	return nil
}

func (s *selector) applyCommand(sign byte, name string) error {
	if row, ok := commands.find(name); ok {
		s.permit(row.id, sign == '+')
		s.remember(sign, row.name)
		return nil
	}
	container, arg, has := strings.Cut(strings.ToLower(name), "|")
	row, known := commands.find(container)
	switch {
	case !has || !known || sign == '-':
		return errUnknown
	case arg == "":
		return errSyntax
	case strings.Contains(arg, "|") && len(row.parts) > 0:
		return errNestedArg
	case len(row.parts) > 0:
		return errUnknown
	case strings.Contains(arg, "|") || spaced(arg):
		return errSyntax
	}
	if s.firstArgs == nil {
		s.firstArgs = map[int][]string{}
	}
	if !slices.Contains(s.firstArgs[row.id], arg) {
		s.firstArgs[row.id] = append(s.firstArgs[row.id], arg)
		slices.Sort(s.firstArgs[row.id])
	}
	s.remember(sign, row.name+"|"+arg)
	return nil
}

// permit sets a command and, as Redis does, all its subcommands.
func (s *selector) permit(id int, allow bool) {
	s.allowed.set(id, allow)
	delete(s.firstArgs, id)
	for _, part := range commands.rows[id].parts {
		s.allowed.set(part, allow)
		delete(s.firstArgs, part)
	}
}

// remember keeps a rule for showing, and drops those that it makes void: the
// same rule, or the same about a part of the command.
func (s *selector) remember(sign byte, about string) {
	s.rules = slices.DeleteFunc(s.rules, func(old string) bool {
		return old[1:] == about || strings.HasPrefix(old[1:], about+"|")
	})
	s.rules = append(s.rules, string(sign)+about)
}

func (s *selector) addKeys(rule string) error {
	if s.allKeys {
		return errKeysAfterAll
	}
	prefix, pattern, ok := strings.Cut(rule, "~")
	if !ok || spaced(pattern) {
		return errSyntax
	}
	if prefix != "" {
		flags := strings.ToUpper(prefix[1:])
		if flags == "" || strings.Trim(flags, "RW") != "" {
			return errSyntax
		}
		prefix = "%" + flags[:1]
		if strings.Contains(flags, "R") && strings.Contains(flags, "W") {
			prefix = ""
		}
	}
	at := slices.IndexFunc(s.keys, func(old string) bool { _, same, _ := strings.Cut(old, "~"); return same == pattern })
	switch {
	case at < 0:
		s.keys = append(s.keys, prefix+"~"+pattern)
	case !strings.HasPrefix(s.keys[at], prefix+"~"):
		// A right to read and one to write are a right to both.
		s.keys[at] = "~" + pattern
	}
	if slices.Contains(s.keys, "~*") {
		s.allKeys, s.keys = true, nil
	}
	return nil
}

func (s *selector) addChannel(pattern string) error {
	if s.allChannels {
		return errHearsAfterAll
	}
	if spaced(pattern) {
		return errSyntax
	}
	if !slices.Contains(s.channels, pattern) {
		s.channels = append(s.channels, pattern)
	}
	return nil
}

// check says whether the selector allows a request.
func (s *selector) check(r warden.AccessRequest) warden.Denial {
	if !r.Free && !s.allows(r.Command, r.Words) {
		return warden.Denial{Reason: warden.AccessCommand, Object: r.Command}
	}
	for _, channel := range r.Channels {
		if !s.hears(channel, r.Patterns) {
			return warden.Denial{Reason: warden.AccessChannel, Object: channel}
		}
	}
	return warden.Denial{}
}

func (s *selector) allows(command string, words []string) bool {
	id, known := commands.byName[command]
	if !known {
		return s.others
	}
	if s.allowed.has(id) {
		return true
	}
	return len(words) > 1 && slices.Contains(s.firstArgs[id], strings.ToLower(words[1]))
}

func (s *selector) hears(channel string, pattern bool) bool {
	if s.allChannels {
		return true
	}
	return slices.ContainsFunc(s.channels, func(granted string) bool {
		return pattern && granted == channel || !pattern && warden.MatchGlob(granted, channel)
	})
}

// view describes the selector in the pieces of ACL GETUSER.
func (s *selector) view() warden.AccessRules {
	all := "-@all"
	if s.others {
		all = "+@all"
	}
	v := warden.AccessRules{Commands: strings.Join(append([]string{all}, s.rules...), " "), Keys: strings.Join(s.keys, " ")}
	if s.allKeys {
		v.Keys = "~*"
	}
	for i, pattern := range s.channels {
		if i > 0 {
			v.Channels += " "
		}
		v.Channels += "&" + pattern
	}
	if s.allChannels {
		v.Channels = "&*"
	}
	return v
}

// words describes the selector by the rules that make it from nothing.
func (s *selector) words() []string {
	v := s.view()
	list := fields(v.Keys)
	if !s.allChannels {
		list = append(list, "resetchannels")
	}
	list = append(list, fields(v.Channels)...)
	return append(list, fields(v.Commands)...)
}

// equal reports whether two selectors allow the same.
func (s *selector) equal(o *selector) bool {
	return s.allowed == o.allowed && s.others == o.others && s.allKeys == o.allKeys && s.allChannels == o.allChannels &&
		slices.Equal(s.keys, o.keys) && slices.Equal(s.channels, o.channels) && slices.Equal(s.rules, o.rules) &&
		maps.EqualFunc(s.firstArgs, o.firstArgs, slices.Equal[[]string])
}

// blank reports whether a character separates words: those of ASCII alone, as
// in Redis.
func blank(r rune) bool { return r <= ' ' && strings.ContainsRune(" \t\n\v\f\r", r) }

func fields(s string) []string { return strings.FieldsFunc(s, blank) }

// spaced reports whether a word would not come back as one from a file.
func spaced(s string) bool { return strings.ContainsFunc(s, blank) || strings.Contains(s, "\x00") }
