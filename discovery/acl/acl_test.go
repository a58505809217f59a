package acl

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
)

func newList(t *testing.T, o Options) *List {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func set(t *testing.T, l *List, line string) {
	t.Helper()
	words := strings.Fields(line)
	if err := l.SetUser(words[0], words[1:]); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

func may(l *List, user string, words ...string) bool {
	command := words[0]
	if len(words) > 1 {
		if _, ok := commands.find(command + "|" + words[1]); ok {
			command += "|" + words[1]
		}
	}
	return l.Check(warden.AccessRequest{User: user, Command: command, Words: words}) == warden.Denial{}
}

// Goal: rules apply from left to right, containers carry their subcommands, and
// what the catalogue does not know goes with +@all.
func TestRuleOrder(t *testing.T) {
	for _, c := range []struct{ rules, yes, no string }{
		{"", "", "ping,info,sentinel masters"},
		{"+@all", "ping,sentinel masters,warden failover,invented", ""},
		{"allcommands nocommands +ping", "ping", "info,invented"},
		{"+sentinel", "sentinel masters,sentinel failover,sentinel help", "warden status,warden failover,invented"},
		{"+sentinel -sentinel|failover", "sentinel masters", "sentinel failover"},
		{"-sentinel +sentinel|master", "sentinel master", "sentinel masters"},
		{"+sentinel|master -sentinel", "", "sentinel master"},
		{"+@all -@admin", "ping,info,client id,acl whoami", "sentinel help,warden version,sentinel masters,role,client list,warden status"},
		{"+@all -@dangerous +sentinel|masters", "sentinel masters,client id", "sentinel master,info,warden pause"},
		{"+@connection", "ping,client setname,client list,command docs,hello", "subscribe,client,info"},
		{"+@slow", "acl setuser,acl whoami,client list,subscribe", "ping,publish"},
		{"+@pubsub -publish", "subscribe,psubscribe,unsubscribe", "publish,ping"},
		{"+@ADMIN -Role +SENTINEL|Master", "sentinel master,shutdown", "role"},
		{"+info|server", "info server,info SERVER", "info,info cpu"},
		{"+info|server -info", "", "info server"},
		{"+warden|status +warden|explain", "warden status,warden explain", "warden failover,warden"},
	} {
		l := newList(t, Options{})
		set(t, l, "u on nopass "+c.rules)
		for words := range strings.SplitSeq(c.yes, ",") {
			if words != "" && !may(l, "u", strings.Fields(words)...) {
				t.Errorf("%q does not allow %s", c.rules, words)
			}
		}
		for words := range strings.SplitSeq(c.no, ",") {
			if words != "" && may(l, "u", strings.Fields(words)...) {
				t.Errorf("%q allows %s", c.rules, words)
			}
		}
	}
}

// Goal: users are shown as Redis 7.2 shows them.
func TestLines(t *testing.T) {
	const sum = "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // secret
	for _, c := range []struct{ rules, want string }{
		{"", "off sanitize-payload resetchannels -@all"},
		{"on >secret", "on sanitize-payload " + sum + " resetchannels -@all"},
		{"on " + sum + " >secret", "on sanitize-payload " + sum + " resetchannels -@all"},
		{"on >secret nopass", "on nopass sanitize-payload resetchannels -@all"},
		{"on nopass >secret", "on sanitize-payload " + sum + " resetchannels -@all"},
		{">secret <secret >other !d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa", "off sanitize-payload resetchannels -@all"},
		{"allkeys allchannels allcommands skip-sanitize-payload", "off skip-sanitize-payload ~* &* +@all"},
		{"~a %R~b %W~c %RW~d %R~c &x &y &x", "off sanitize-payload ~a %R~b ~c ~d resetchannels &x &y -@all"},
		{"+@all -sentinel +sentinel|master -@fast", "off sanitize-payload resetchannels +@all -sentinel +sentinel|master -@fast"},
		{"+sentinel|master +info|server -sentinel +info", "off sanitize-payload resetchannels -@all -sentinel +info"},
		{"+ping (+info &a) (~x)", "off sanitize-payload resetchannels -@all +ping (resetchannels &a -@all +info) (~x resetchannels -@all)"},
		{"+ping (+info) clearselectors", "off sanitize-payload resetchannels -@all +ping"},
		{"on nopass +@all &* ~* (+info) reset", "off sanitize-payload resetchannels -@all"},
	} {
		l := newList(t, Options{})
		set(t, l, "u "+c.rules)
		if got := l.Lines()[1]; got != "user u "+c.want {
			t.Errorf("%q\n got %s\nwant user u %s", c.rules, got, c.want)
		}
	}
	l := newList(t, Options{AllChannels: true})
	set(t, l, "u on")
	want := []string{"user default on nopass sanitize-payload ~* &* +@all", "user u on sanitize-payload &* -@all"}
	if got := l.Lines(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// Goal: wrong rules are refused in Redis's words, and change nothing.
func TestWrongRules(t *testing.T) {
	l := newList(t, Options{})
	set(t, l, "u on +ping &only")
	before := l.Lines()
	for _, c := range []struct {
		rule string
		why  error
	}{
		{"+get", errUnknown}, {"+@nothing", errUnknown}, {"+sentinel|x", errUnknown}, {"-info|server", errUnknown},
		{"+client|id|x", errNestedArg}, {"+ping|", errSyntax}, {"+ping|a|b", errSyntax}, {"+ping|a\nuser", errSyntax},
		{"word", errSyntax}, {"%~x", errSyntax}, {"%Q~x", errSyntax}, {"~a b", errSyntax}, {"&a\x00", errSyntax},
		{"<no", errNoPassword}, {"#abc", errBadHash}, {"#" + strings.Repeat("A", 64), errBadHash}, {"(on)", errSyntax}, {"(", nil},
	} {
		err := l.SetUser("u", []string{"off", c.rule})
		want := "Unmatched parenthesis in acl selector starting at '('."
		if c.why != nil {
			want = "Error in ACL SETUSER modifier '" + c.rule + "': " + c.why.Error()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", c.rule, err, want)
		}
	}
	for rules, why := range map[string]error{"&* &x": errHearsAfterAll, "~* ~x": errKeysAfterAll, "~* %R~x": errKeysAfterAll} {
		if err := l.SetUser("u", strings.Fields(rules)); err == nil || !strings.HasSuffix(err.Error(), why.Error()) {
			t.Errorf("%q: got %v", rules, err)
		}
	}
	for _, name := range []string{"", "a b", "a\x00", "a\n"} {
		if l.SetUser(name, nil) == nil {
			t.Errorf("user %q was made", name)
		}
	}
	if got := l.Lines(); !slices.Equal(got, before) {
		t.Errorf("got %q, want %q", got, before)
	}
}

// Goal: only who is on, with one of its passwords, comes in.
func TestLogin(t *testing.T) {
	l := newList(t, Options{RequirePass: "first", Users: []string{"a on >one >two", "b >one", "c on nopass"}})
	if err := l.SetUser("d", []string{"on", ">with blank"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, password string
		want           bool
	}{
		{"default", "first", true}, {"default", "", false}, {"default", "one", false},
		{"a", "one", true}, {"a", "two", true}, {"a", "three", false}, {"a", "", false}, {"A", "one", false},
		{"b", "one", false}, {"c", "whatever", true}, {"nobody", "", false}, {"d", "with blank", true},
	} {
		if got := l.Login(c.user, c.password); got != c.want {
			t.Errorf("login %s %s: %v", c.user, c.password, got)
		}
	}
	if l.Open() {
		t.Error("open although a password is required")
	}
	set(t, l, "default nopass")
	if !l.Open() || !l.Login("default", "x") {
		t.Error("not open although there is no password")
	}
	set(t, l, "default off")
	if l.Open() || l.Login("default", "x") {
		t.Error("the default user is off")
	}
}

// Goal: channels are granted by pattern, patterns only word for word.
func TestChannels(t *testing.T) {
	l := newList(t, Options{})
	set(t, l, "u on nopass +@pubsub &+* &__sentinel__:hello")
	check := func(pattern bool, channels ...string) warden.Denial {
		return l.Check(warden.AccessRequest{User: "u", Command: "subscribe", Channels: channels, Patterns: pattern})
	}
	none := warden.Denial{}
	if check(false, "+sdown", "__sentinel__:hello") != none || check(true, "+*") != none {
		t.Error("a granted channel is denied")
	}
	if d := check(false, "+sdown", "-sdown"); d != (warden.Denial{Reason: warden.AccessChannel, Object: "-sdown"}) {
		t.Errorf("got %v", d)
	}
	if d := check(true, "+s*"); d != (warden.Denial{Reason: warden.AccessChannel, Object: "+s*"}) {
		t.Errorf("got %v", d)
	}
	if !l.MayHear("u", "+x", false) || l.MayHear("u", "x", false) || l.MayHear("u", "*", true) || l.MayHear("nobody", "+x", false) {
		t.Error("MayHear is wrong")
	}
	// One selector must allow all of a request.
	set(t, l, "u resetchannels -@all (+subscribe &a) (+publish &b)")
	for _, c := range []struct {
		command, channel string
		want             warden.Denial
	}{
		{"subscribe", "a", none}, {"publish", "b", none},
		{"subscribe", "b", warden.Denial{Reason: warden.AccessChannel, Object: "b"}},
		{"psubscribe", "a", warden.Denial{Reason: warden.AccessCommand, Object: "psubscribe"}},
	} {
		if d := l.Check(warden.AccessRequest{User: "u", Command: c.command, Channels: []string{c.channel}}); d != c.want {
			t.Errorf("%s %s: got %v", c.command, c.channel, d)
		}
	}
	if d := l.Check(warden.AccessRequest{User: "u", Command: "auth", Free: true}); d != none {
		t.Errorf("AUTH is denied: %v", d)
	}
	if d := l.Check(warden.AccessRequest{User: "gone", Command: "ping"}); d.Reason != warden.AccessNobody {
		t.Errorf("got %v", d)
	}
}

// Goal: what a List tells for the configuration makes the same List.
func TestConfigurationComesBack(t *testing.T) {
	l := newList(t, Options{RequirePass: "x", Users: []string{
		`app on >secret +@all -@dangerous +sentinel|masters  +info|server &with"quote &it's &\xff (+ping &a ~"k) `,
	}})
	var users []string
	for _, line := range l.Lines() {
		if strings.Contains(line, "secret") {
			t.Errorf("a password is written: %s", line)
		}
		users = append(users, strings.TrimPrefix(line, "user "))
	}
	if got := newList(t, Options{Users: users}).Lines(); !slices.Equal(got, l.Lines()) {
		t.Errorf("got  %q\nwant %q", got, l.Lines())
	}
}

// Goal: a configuration that is wrong is refused without showing a password.
func TestWrongConfiguration(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Users: []string{"app on hunter2"}}, "user 'app': rule 2: Syntax error"},
		{Options{Users: []string{"app +get >hunter2"}}, "user 'app': rule 1 ('+get'): Unknown command"},
		{Options{Users: []string{"app #hunter2"}}, "user 'app': rule 1: The password hash"},
		{Options{Users: []string{"app (+ping"}}, "close it with )"},
		{Options{Users: []string{""}}, "no name"},
		{Options{Users: []string{"app on", "app off"}}, "twice"},
		{Options{Users: []string{"app on"}, File: "/x"}, "both an aclfile"},
		{Options{File: "/nowhere/users.acl"}, "opening file '/nowhere/users.acl'"},
		{Options{LogLength: -1}, "acllog-max-len"},
	} {
		_, err := New(c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// Goal: a file is loaded whole or not at all, saved atomically with its
// permissions, and does not open the door when it forgets the default user.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.acl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("user a on >x +ping\n\n  user b off  \r\n")
	changes := 0
	l := newList(t, Options{File: path, RequirePass: "secret", Changed: func() { changes++ }})
	if l.Open() || !l.Login("default", "secret") || !l.Login("a", "x") {
		t.Errorf("got %q", l.Lines())
	}
	set(t, l, "c on")
	if err := l.Save(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("there is more than the file: %v, %v", left, err)
	}
	before := l.Lines()
	write("user a on +foo\nbla\nuser a on\nuser a off\nuser f (+ping")
	want := path + ":1: Error in applying operation '+foo': Unknown command or category name in ACL. " +
		path + ":2 should start with user keyword followed by the username. " +
		"WARNING: Duplicate user 'a' found on line 3. WARNING: Duplicate user 'a' found on line 4. " +
		path + ":5: Unmatched parenthesis in selector definition." +
		"WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
	if err := l.Load(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if !slices.Equal(l.Lines(), before) {
		t.Errorf("a file with errors changed users: %q", l.Lines())
	}
	write(strings.Join(before, "\n"))
	if err := l.Load(); err != nil || !slices.Equal(l.Lines(), before) {
		t.Errorf("%v: got %q", err, l.Lines())
	}
	write("user z on")
	if err := l.Load(); err != nil || !slices.Equal(l.Users(), []string{"default", "z"}) {
		t.Errorf("%v: got %q", err, l.Lines())
	}
	if n, err := l.DeleteUsers([]string{"z", "zz", "z"}); n != 1 || err != nil || l.Has("z") {
		t.Errorf("deleted %d, %v", n, err)
	}
	if n, err := l.DeleteUsers([]string{"default"}); n != 0 || err == nil {
		t.Error("the default user was deleted")
	}
	if changes != 4 { // c set, loaded twice, z deleted
		t.Errorf("told of %d changes", changes)
	}
	none := newList(t, Options{})
	if none.Load() != ErrNoFile || none.Save() != ErrNoFile {
		t.Error("there is no file")
	}
}

// Goal: alike incidents of a minute are one entry, and the log is bounded.
func TestIncidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newList(t, Options{LogLength: 3})
		denied := func(user, object string) {
			l.Record(warden.AccessIncident{Denial: warden.Denial{Reason: warden.AccessCommand, Object: object}, User: user})
			time.Sleep(time.Second)
		}
		denied("a", "info")
		denied("a", "role")
		denied("a", "info")
		got := l.Incidents(10)
		if len(got) != 2 || got[0].Object != "info" || got[0].Count != 2 || got[0].ID != 0 || got[0].Updated-got[0].Created != 2000 || got[1].ID != 1 {
			t.Errorf("got %+v", got)
		}
		time.Sleep(time.Minute)
		for _, user := range []string{"a", "b", "c", "d"} {
			denied(user, "info")
		}
		if got := l.Incidents(2); len(got) != 2 || got[0].User != "d" || got[0].Count != 1 {
			t.Errorf("got %+v", got)
		}
		if got := l.Incidents(10); len(got) != 3 || got[2].User != "b" {
			t.Errorf("got %+v", got)
		}
		l.ForgetIncidents()
		if len(l.Incidents(10)) != 0 || len(l.Incidents(-1)) != 0 {
			t.Error("not empty")
		}
	})
}

// Goal: the catalogue fits its set, and lists nothing twice.
func TestCatalogue(t *testing.T) {
	var s commandSet
	if n := len(commands.rows); n > 64*len(s) {
		t.Fatalf("%d commands: enlarge commandSet", n)
	}
	if len(commands.byName) != len(commands.rows) {
		t.Error("a command is listed twice")
	}
	for _, row := range commands.rows {
		for _, c := range row.categories {
			if !slices.Contains(categoryNames, c) {
				t.Errorf("%s: no category %q", row.name, c)
			}
		}
	}
	l := newList(t, Options{})
	if got := l.CategoriesOf("warden|failover"); !slices.Equal(got, []string{"admin", "slow", "dangerous"}) {
		t.Errorf("got %q", got)
	}
	if got, ok := l.InCategory("PubSub"); !ok || !slices.Equal(got, []string{"psubscribe", "publish", "punsubscribe", "subscribe", "unsubscribe"}) {
		t.Errorf("got %q", got)
	}
	if _, ok := l.InCategory("all"); ok {
		t.Error("@all is no category")
	}
}
