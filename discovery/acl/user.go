package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// defaultUser is who a connection is before it says otherwise.
const defaultUser = "default"

// password is the SHA-256 sum of one; the password itself is not kept.
type password [sha256.Size]byte

// user is one user. Values that were published are not changed any more.
type user struct {
	name       string
	on, nopass bool
	// unsanitized and sanitized are about RESTORE, which does not exist here:
	// they are kept to be shown.
	unsanitized, sanitized bool
	passwords              []password
	// selectors: the first is the user's own.
	selectors []*selector
	// hearsAll is how channels are after a reset.
	hearsAll bool
}

// newUser is one who may nothing.
func newUser(name string, hearsAll bool) *user {
	u := &user{name: name, hearsAll: hearsAll}
	u.reset()
	return u
}

// newDefaultUser may everything, with the password if there is one.
func newDefaultUser(requirePass string) *user {
	own := &selector{allKeys: true, allChannels: true}
	own.everything(true)
	u := &user{name: defaultUser, on: true, nopass: requirePass == "", sanitized: true, selectors: []*selector{own}}
	if requirePass != "" {
		u.passwords = []password{sha256.Sum256([]byte(requirePass))}
	}
	return u
}

func (u *user) reset() {
	u.on, u.nopass, u.passwords = false, false, nil
	u.unsanitized, u.sanitized = false, true
	u.selectors = []*selector{{allChannels: u.hearsAll}}
}

func (u *user) clone() *user {
	c := *u
	c.passwords = slices.Clone(u.passwords)
	c.selectors = make([]*selector, len(u.selectors))
	for i, s := range u.selectors {
		c.selectors[i] = s.clone()
	}
	return &c
}

// apply changes the user by one rule, as it was joined by joinSelectors.
func (u *user) apply(rule string) error {
	switch strings.ToLower(rule) {
	case "":
	case "on":
		u.on = true
	case "off":
		u.on = false
	case "nopass":
		u.nopass, u.passwords = true, nil
	case "resetpass":
		u.nopass, u.passwords = false, nil
	case "skip-sanitize-payload":
		u.unsanitized, u.sanitized = true, false
	case "sanitize-payload":
		u.unsanitized, u.sanitized = false, true
	case "clearselectors":
		u.selectors = u.selectors[:1]
	case "reset":
		u.reset()
	default:
		switch {
		case strings.ContainsRune("><#!", rune(rule[0])):
			return u.applyPassword(rule[0], rule[1:])
		case rule[0] == '(' && strings.HasSuffix(rule, ")"):
			return u.addSelector(rule[1 : len(rule)-1])
		}
		return u.selectors[0].apply(rule)
	}
	return nil
}

func (u *user) applyPassword(sign byte, text string) error {
	p := password(sha256.Sum256([]byte(text)))
	if sign == '#' || sign == '!' {
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != len(p) || text != strings.ToLower(text) {
			return errBadHash
		}
		p = password(sum)
	}
	at := slices.Index(u.passwords, p)
	switch {
	case sign == '<' || sign == '!':
		if at < 0 {
			return errNoPassword
		}
		u.passwords = slices.Delete(u.passwords, at, at+1)
	case at < 0:
		u.passwords = append(u.passwords, p)
		u.nopass = false
	default:
		u.nopass = false
	}
	return nil
}

func (u *user) addSelector(rules string) error {
	s := &selector{allChannels: u.hearsAll}
	for rule := range strings.FieldsFuncSeq(rules, blank) {
		if strings.HasSuffix(rule, ")") {
			return errSyntax // in a file it would end the selector
		}
		if err := s.apply(rule); err != nil {
			return err
		}
	}
	u.selectors = append(u.selectors, s)
	return nil
}

// joinSelectors puts selectors that blanks have torn apart together again.
// open is the beginning of one that does not end.
func joinSelectors(words []string) (rules []string, open string) {
	var part string
	for _, w := range words {
		switch {
		case open == "" && strings.HasPrefix(w, "(") && !strings.HasSuffix(w, ")"):
			open, part = w, w
		case open != "":
			part += " " + w
			if strings.HasSuffix(w, ")") {
				rules = append(rules, part)
				open = ""
			}
		default:
			rules = append(rules, w)
		}
	}
	return rules, open
}

// is reports whether a password is one of the user's, in a time that does not
// depend on which.
func (u *user) is(given password) bool {
	right := 0
	for _, p := range u.passwords {
		right |= subtle.ConstantTimeCompare(p[:], given[:])
	}
	return right == 1
}

// check says whether the user may run a request. A channel that is denied says
// more than a command that another selector would not allow anyway.
func (u *user) check(r warden.AccessRequest) warden.Denial {
	var worst warden.Denial
	for _, s := range u.selectors {
		d := s.check(r)
		if d == (warden.Denial{}) {
			return d
		}
		if worst.Reason != warden.AccessChannel {
			worst = d
		}
	}
	return worst
}

func (u *user) hears(channel string, pattern bool) bool {
	return slices.ContainsFunc(u.selectors, func(s *selector) bool { return s.hears(channel, pattern) })
}

func (u *user) flags() []string {
	list := []string{"off"}
	if u.on {
		list[0] = "on"
	}
	if u.nopass {
		list = append(list, "nopass")
	}
	if u.unsanitized {
		list = append(list, "skip-sanitize-payload")
	}
	if u.sanitized {
		list = append(list, "sanitize-payload")
	}
	return list
}

func (u *user) view() warden.AccessUser {
	v := warden.AccessUser{Flags: u.flags()}
	for _, p := range u.passwords {
		v.Passwords = append(v.Passwords, hex.EncodeToString(p[:]))
	}
	for _, s := range u.selectors {
		v.Rules = append(v.Rules, s.view())
	}
	return v
}

// words describes the user by its name and the rules that make it from a new
// one.
func (u *user) words() []string {
	list := append([]string{u.name}, u.flags()...)
	for _, p := range u.passwords {
		list = append(list, "#"+hex.EncodeToString(p[:]))
	}
	for i, s := range u.selectors {
		words := s.words()
		if i > 0 {
			list = append(list, "("+strings.Join(words, " ")+")")
			continue
		}
		list = append(list, words...)
	}
	return list
}

func (u *user) line() string { return "user " + strings.Join(u.words(), " ") }

// build makes a changed copy of a user. Its errors are ruleErrors.
func build(u *user, rules []string) (*user, error) {
	next := u.clone()
	for i, rule := range rules {
		if err := next.apply(rule); err != nil {
			return nil, ruleError{i + 1, rule, err}
		}
	}
	return next, nil
}

// ruleError is a rule that could not be applied.
type ruleError struct {
	number int
	rule   string
	why    error
}

// Error is for logs, so it shows no word that could be a password: one whose
// sign was forgotten, too.
func (e ruleError) Error() string {
	if strings.ContainsRune("+-~%&(", rune(e.rule[0])) {
		return fmt.Sprintf("rule %d ('%s'): %s", e.number, e.rule, e.why)
	}
	return fmt.Sprintf("rule %d: %s", e.number, e.why)
}

func (e ruleError) Unwrap() error { return e.why }

// badName reports whether a name could not stand in a file.
func badName(name string) bool { return name == "" || spaced(name) }
