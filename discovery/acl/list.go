package acl

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spineldb/warden/warden"
)

// Options configure a List. The zero value is a default user without password
// who may everything.
type Options struct {
	// RequirePass is the password of the default user; empty: none. A line
	// about the default user, here or in File, wins over it.
	RequirePass string
	// Users are lines of a configuration without their first word `user`, one
	// "NAME RULE..." each, in words with single or more blanks between them. No
	// word has quotes around it or a blank in it: a password that has one is
	// given by its sum (#...).
	Users []string
	// File is the path of a file of users, for ACL LOAD and SAVE; empty: none.
	// It must exist. There may be no Users besides.
	File string
	// AllChannels: new users may listen to every channel, as before Redis 7.0
	// (acl-pubsub-default allchannels).
	AllChannels bool
	// LogLength is how many incidents are kept. Default 128 (acllog-max-len).
	LogLength int
	// Changed is called after every change of the users, by the goroutine that
	// made it and without any lock held; then Lines gives what to keep.
	Changed func()
	// Logger gets a line per change of the users. Default: none.
	Logger *slog.Logger
}

// List is the users and the log of what they were denied. All its methods are
// safe for concurrent use, and Check and Login wait for nobody. A change
// replaces the users whole, so what is asked in between sees all of it or
// nothing.
type List struct {
	options Options
	log     *slog.Logger
	users   atomic.Pointer[map[string]*user]
	// changing orders the changes.
	changing  sync.Mutex
	incidents incidents
}

// New makes a list from a configuration, and reads the file if there is one. An
// error names the user or the line, and no password.
func New(o Options) (*List, error) {
	if o.LogLength == 0 {
		o.LogLength = 128
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LogLength < 0 {
		return nil, errors.New("read users: acllog-max-len is negative: leave it out for 128")
	}
	if o.File != "" && len(o.Users) > 0 {
		return nil, fmt.Errorf("read users: there are both an aclfile (%s) and user lines: move the lines into the file, or leave the file out", o.File)
	}
	l := &List{options: o, log: o.Logger}
	l.incidents.limit = o.LogLength
	if o.File != "" {
		users, err := l.read()
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		l.users.Store(&users)
		return l, nil
	}
	users, err := l.fromLines(o.Users)
	if err != nil {
		return nil, err
	}
	l.users.Store(&users)
	return l, nil
}

// Replace puts the users of another configuration, lines as in Options.Users,
// in the place of all that there are, or of none if anything in them is wrong.
func (l *List) Replace(lines []string) error {
	if l.options.File != "" {
		return fmt.Errorf("replace users: they are in the aclfile %s: change them there", l.options.File)
	}
	users, err := l.fromLines(lines)
	if err != nil {
		return err
	}
	l.changing.Lock()
	l.users.Store(&users)
	l.changing.Unlock()
	l.changed("users replaced", "count", len(users))
	return nil
}

// fromLines are the users of a configuration.
func (l *List) fromLines(lines []string) (map[string]*user, error) {
	users := map[string]*user{defaultUser: newDefaultUser(l.options.RequirePass)}
	seen := map[string]bool{}
	for _, line := range lines {
		u, err := l.parse(line)
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
		if seen[u.name] {
			return nil, fmt.Errorf("read users: user '%s' stands there twice: a user can only be defined once in config files", u.name)
		}
		seen[u.name] = true
		users[u.name] = u
	}
	return users, nil
}

// parse reads one of Options.Users.
func (l *List) parse(line string) (*user, error) {
	words := fields(line)
	if len(words) == 0 || badName(words[0]) {
		return nil, errors.New("a user line has no name, or one with blanks: write `user NAME RULE...`")
	}
	rules, open := joinSelectors(words[1:])
	if open != "" {
		return nil, fmt.Errorf("user '%s': Unmatched parenthesis in selector definition: close it with )", words[0])
	}
	u, err := build(newUser(words[0], l.options.AllChannels), rules)
	if err != nil {
		return nil, fmt.Errorf("user '%s': %w", words[0], err)
	}
	return u, nil
}

func (l *List) user(name string) *user { return (*l.users.Load())[name] }

// Open reports whether one who does not log in may go on as the default user.
func (l *List) Open() bool {
	u := l.user(defaultUser)
	return u.on && u.nopass
}

// Has reports whether there is such a user, on or off.
func (l *List) Has(name string) bool { return l.user(name) != nil }

// Login reports whether these are the credentials of a user who is on.
func (l *List) Login(name, given string) bool {
	sum := password(sha256.Sum256([]byte(given)))
	u := l.user(name)
	if u == nil {
		// One comparison, like for somebody who exists.
		(&user{passwords: []password{{}}}).is(sum)
		return false
	}
	right := u.is(sum)
	return u.on && (u.nopass || right)
}

// Check says whether a request is allowed.
func (l *List) Check(r warden.AccessRequest) warden.Denial {
	u := l.user(r.User)
	if u == nil {
		return warden.Denial{Reason: warden.AccessNobody, Object: r.User}
	}
	return u.check(r)
}

// MayHear reports whether a user may be subscribed to a channel or pattern.
func (l *List) MayHear(name, channel string, pattern bool) bool {
	u := l.user(name)
	return u != nil && u.hears(channel, pattern)
}

// Users returns the names of all users, sorted.
func (l *List) Users() []string { return slices.Sorted(maps.Keys(*l.users.Load())) }

// User describes one user.
func (l *List) User(name string) (warden.AccessUser, bool) {
	u := l.user(name)
	if u == nil {
		return warden.AccessUser{}, false
	}
	return u.view(), true
}

// Lines describes all users as ACL LIST and a file of users do, sorted by name:
// "user NAME RULE...". Passwords are in them as sums only, and no word has a
// blank in it, but may have quotes.
func (l *List) Lines() []string {
	users := *l.users.Load()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(users)) {
		lines = append(lines, users[name].line())
	}
	return lines
}

// SetUser makes a user or changes one, by all rules or not at all. Errors are
// in Redis's words.
func (l *List) SetUser(name string, words []string) error {
	if badName(name) {
		return errors.New("Usernames can't contain spaces or null characters")
	}
	rules, open := joinSelectors(words)
	if open != "" {
		return fmt.Errorf("Unmatched parenthesis in acl selector starting at '%s'.", open)
	}
	err := l.change(func(users map[string]*user) error {
		u := users[name]
		if u == nil {
			u = newUser(name, l.options.AllChannels)
		}
		next, err := build(u, rules)
		if bad, is := errors.AsType[ruleError](err); is {
			return fmt.Errorf("Error in ACL SETUSER modifier '%s': %w", bad.rule, bad.why)
		}
		users[name] = next
		return nil
	})
	if err == nil {
		l.changed("user set", "user", name)
	}
	return err
}

// DeleteUsers removes users and returns how many there were.
func (l *List) DeleteUsers(names []string) (int, error) {
	if slices.Contains(names, defaultUser) {
		return 0, errors.New("The 'default' user cannot be removed")
	}
	n := 0
	_ = l.change(func(users map[string]*user) error {
		for _, name := range names {
			if users[name] != nil {
				delete(users, name)
				n++
			}
		}
		return nil
	})
	if n > 0 {
		l.changed("users deleted", "count", n)
	}
	return n, nil
}

// change replaces the users by a changed copy.
func (l *List) change(f func(map[string]*user) error) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	next := maps.Clone(*l.users.Load())
	if err := f(next); err != nil {
		return err
	}
	l.users.Store(&next)
	return nil
}

func (l *List) changed(what string, args ...any) {
	l.log.Info(what, args...)
	if l.options.Changed != nil {
		l.options.Changed()
	}
}
