package sentinelconf

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// files is a world made of texts; scripts that end in ".sh" can be executed.
func files(texts map[string]string) World {
	return World{
		Dir: "/cwd",
		Read: func(path string) ([]byte, fs.FileMode, error) {
			text, ok := texts[path]
			if !ok {
				return nil, 0, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), 0o600, nil
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for path := range texts {
				ok, err := filepath.Match(pattern, path)
				if err != nil {
					return nil, err
				}
				if ok {
					out = append(out, path)
				}
			}
			slices.Sort(out)
			return out, nil
		},
		Executable: func(path string) error {
			if strings.HasSuffix(path, ".sh") {
				return nil
			}
			return &fs.PathError{Op: "stat", Path: path, Err: fs.ErrNotExist}
		},
	}
}

func mustParse(t *testing.T, text string, world World, args ...string) *File {
	t.Helper()
	f, err := Parse("/etc/s.conf", []byte(text), Overrides(args), world)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Words are divided as Redis divides them.
func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                          nil,
		"  \t ":                     nil,
		"port 1":                    {"port", "1"},
		"\tport \t 1 \r":            {"port", "1"},
		`a "b c" d`:                 {"a", "b c", "d"},
		`a "\n\r\t\b\a\\\"\q"`:      {"a", "\n\r\t\b\a\\\"q"},
		`a "\x41\xfF\xzz\x4"`:       {"a", "A\xffxzzx4"},
		`a 'b "c\' \n'`:             {"a", `b "c' \n`},
		`a ""`:                      {"a", ""},
		`a '' b`:                    {"a", "", "b"},
		`a b"c d"`:                  {"a", "bc d"},
		`a b\c`:                     {"a", `b\c`},
		"a # b":                     {"a", "#", "b"},
		"user a on >p\xc3\xa4ss ~*": {"user", "a", "on", ">p\xc3\xa4ss", "~*"},
	} {
		got, err := Split(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`a "b`, `a 'b`, `a "b"c`, `a 'b'"c"`, `a "b\"`, `"`, `a "\`} {
		if got, err := Split(line); err == nil {
			t.Errorf("%q: %q, want unbalanced quotes", line, got)
		}
	}
}

// Whatever Join writes, Split reads.
func TestJoin(t *testing.T) {
	for _, words := range [][]string{{"a"}, {"", ""}, {"a b", `c"d`, `e\f`, `e\ f`, "'", "#x"}, {"#x"}, {"p\xe4ss", "\u00a0"}} {
		line, err := Join(words...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Split(line); err != nil || !slices.Equal(got, words) || line[0] == '#' {
			t.Errorf("%q was written as %q and read as %q, %v", words, line, got, err)
		}
	}
	for _, w := range []string{"a\nb", "a\x00", "\x7f", "\t"} {
		if line, err := Join("x", w); err == nil || strings.Contains(err.Error(), w) {
			t.Errorf("%q was written as %q, %v", w, line, err)
		}
	}
}

// Arguments become lines by Redis's rules.
func TestOverrides(t *testing.T) {
	for _, tt := range []struct{ args, want []string }{
		{nil, nil},
		{[]string{"--sentinel"}, []string{"sentinel"}},
		{[]string{"--sentinel", "--port", "5"}, []string{"sentinel", `port "5"`}},
		{[]string{"--port", "5", "--sentinel"}, []string{`port "5"`, "sentinel"}},
		{[]string{"--port 5", "--bind", "::1", "127.0.0.1"}, []string{"port 5", `bind "::1" "127.0.0.1"`}},
		{[]string{"--requirepass", "--x\"y\n"}, []string{`requirepass "--x\"y\x0a"`}},
		{[]string{"--save", "--port", "5"}, []string{`save ""`, `port "5"`}},
		{[]string{"--sentinel", "monitor", "m", "1.1.1.1", "1", "2"}, []string{`sentinel "monitor" "m" "1.1.1.1" "1" "2"`}},
		{[]string{"x", "--port", "5"}, []string{`"x"`, `port "5"`}},
		{[]string{"--logfile", "", "--port", "5"}, []string{`logfile ""`, `port "5"`}},
	} {
		if got := Overrides(tt.args); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
}

// Every directive of sentinel lands in its field, in whatever order and
// spelling the lines stand.
func TestEverySentinelDirective(t *testing.T) {
	id, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	text := `
sentinel known-sentinel m 10.0.0.6 26379 ` + other + `
sentinel known-sentinel m 10.0.0.7 26379
sentinel known-replica m 10.0.0.8 6379
SENTINEL Known-Slave m ::1 6380
sentinel leader-epoch m 7
sentinel config-epoch m 9
sentinel primary-reboot-down-after-period m 70
sentinel rename-command m CONFIG "guess it"
sentinel auth-user m u
sentinel auth-pass m 'pass "word'
sentinel client-reconfig-script m r.sh
sentinel notification-script m /n.sh
sentinel parallel-syncs m 3
sentinel failover-timeout m 60000
sentinel down-after-milliseconds m 5000
sentinel monitor m db.example 6379 2
	sentinel monitor k 10.0.0.3 6379 1
sentinel current-epoch 8
sentinel myid ` + id + `
sentinel announce-hostnames YES
sentinel resolve-hostnames yes
sentinel announce-ip here.example
sentinel announce-port 5000
sentinel deny-scripts-reconfig no
sentinel sentinel-user su
sentinel sentinel-pass sp
dir /var/lib
`
	got := mustParse(t, text, files(nil)).State
	m := NewGroup("m", "db.example", 6379, 2)
	m.DownAfter, m.FailoverTimeout, m.ParallelSyncs = 5*warden.Second, warden.Minute, 3
	m.RebootDownAfter = 70 * warden.Millisecond
	m.NotificationScript, m.ReconfigScript, m.AuthUser, m.AuthPass = "/n.sh", "r.sh", "u", `pass "word`
	m.ConfigEpoch, m.LeaderEpoch = 9, 7
	m.Replicas = []Address{{"10.0.0.8", 6379}, {"::1", 6380}}
	m.Sentinels = []Neighbour{{Address{"10.0.0.6", 26379}, other}}
	m.Renames = []Rename{{"CONFIG", "guess it"}}
	want := State{
		MyID: id, CurrentEpoch: 9, AnnounceIP: "here.example", AnnouncePort: 5000, ResolveHostnames: true, AnnounceHostnames: true,
		SentinelUser: "su", SentinelPass: "sp", LogLevel: "notice", Groups: []Group{m, NewGroup("k", "10.0.0.3", 6379, 1)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// refused are files with one wrong line, and everything that is said about it.
var refused = []struct{ name, text, want string }{
	{"quorum", "sentinel monitor m 10.0.0.1 6379 0", "/etc/s.conf:1: 'sentinel monitor m 10.0.0.1 6379 0': Quorum must be 1 or greater."},
	{"quorum no number", "sentinel monitor m 10.0.0.1 6379 two", "/etc/s.conf:1: 'sentinel monitor m 10.0.0.1 6379 two': Quorum must be 1 or greater."},
	{"port", "sentinel monitor m 10.0.0.1 65536 2", "1: 'sentinel monitor m 10.0.0.1 65536 2': Invalid port number."},
	{"port no number", "sentinel monitor m 10.0.0.1 x 2", "Invalid port number."},
	{"host name", "sentinel monitor m db1 6379 2", "Can't resolve instance hostname. (host names need the line: sentinel resolve-hostnames yes)"},
	{"no host", "sentinel resolve-hostnames yes\nsentinel monitor m 10.0.0.300 6379 2", "/etc/s.conf:2: 'sentinel monitor m 10.0.0.300 6379 2': Can't resolve instance hostname."},
	{"group name", "sentinel monitor m/1 10.0.0.1 6379 2", `group name "m/1" contains '/'`},
	{"twice", "sentinel monitor m 10.0.0.1 6379 2\nsentinel monitor m 10.0.0.2 6379 2", "/etc/s.conf:2: 'sentinel monitor m 10.0.0.2 6379 2': Duplicate master name. (remove one of the two lines)"},
	{"twice, one generated", "sentinel monitor m 10.0.0.1 6379 2\n" + signature + "\nsentinel monitor m 10.0.0.2 6379 2", "Duplicate master name."},
	{"two over one", "sentinel monitor m 10.0.0.1 6379 2\nsentinel monitor k 10.0.0.1 6379 2", "/etc/s.conf:2: 'sentinel monitor k 10.0.0.1 6379 2': the primary 10.0.0.1:6379 is already monitored as m"},
	{"unknown group", monitorM + "sentinel parallel-syncs mm 1", "/etc/s.conf:2: 'sentinel parallel-syncs mm 1': No such master with specified name. (did you mean \"m\"?)"},
	{"time", monitorM + "sentinel down-after-milliseconds m 0", "negative or zero time parameter."},
	{"time 2", monitorM + "sentinel failover-timeout m -5", "negative or zero time parameter."},
	{"time 3", monitorM + "sentinel master-reboot-down-after-period m -1", "negative time parameter."},
	{"time 4", monitorM + "sentinel failover-timeout m 5s", "a time is a whole number of milliseconds"},
	{"time 5", monitorM + "sentinel failover-timeout m 9223372036854775807", "longer than a hundred years"},
	{"syncs", monitorM + "sentinel parallel-syncs m one", "parallel-syncs is a whole number"},
	{"script", monitorM + "sentinel notification-script m /x", "Notification script seems non existing or non executable. (file does not exist)"},
	{"script 2", monitorM + "sentinel client-reconfig-script m /x", "Client reconfiguration script seems non existing or non executable."},
	{"rename twice", monitorM + "sentinel rename-command m A b\nsentinel rename-command m a c", "/etc/s.conf:3: 'sentinel rename-command m a c': Same command renamed multiple times with rename-command."},
	{"rename empty", monitorM + `sentinel rename-command m A ""`, "must not be empty"},
	{"id", "sentinel myid abc", "Malformed Sentinel id in myid option."},
	{"epoch", "sentinel current-epoch -1", "an epoch is a whole number, 0 or more"},
	{"epoch 2", monitorM + "sentinel config-epoch m x", "an epoch is a whole number"},
	{"epoch 3", monitorM + "sentinel leader-epoch m x", "an epoch is a whole number"},
	{"yes 1", "sentinel deny-scripts-reconfig 1", "Please specify yes or no for the deny-scripts-reconfig options."},
	{"yes 2", "sentinel resolve-hostnames 1", "Please specify yes or no for the resolve-hostnames option."},
	{"yes 3", "sentinel announce-hostnames 1", "Please specify yes or no for the announce-hostnames option."},
	{"announce ip", "sentinel announce-ip me.example", "Can't resolve instance hostname."},
	{"announce port", "sentinel announce-port 99999", "Invalid port number."},
	{"replica twice", monitorM + "sentinel known-replica m 10.0.0.2 1\nsentinel known-slave m 10.0.0.2 1", "Duplicate hostname and port for replica."},
	{"sentinel twice", monitorM + "sentinel known-sentinel m 10.0.0.2 1 x\nsentinel known-sentinel m 10.0.0.3 1 x", "Duplicate runid for sentinel."},
	{"replica's port", monitorM + "sentinel known-replica m 10.0.0.2 0", "Invalid port number."},
	{"sentinel's host", monitorM + "sentinel known-sentinel m h 1 x", "Can't resolve instance hostname."},
	{"unknown", "sentinel parallel-sync m 1", "/etc/s.conf:1: 'sentinel parallel-sync ****': Unrecognized sentinel configuration statement. (did you mean \"parallel-syncs\"?)"},
	{"underscores", "sentinel parallel_syncs m 1", `(did you mean "parallel-syncs"?)`},
	{"too few", "sentinel monitor m", "'sentinel monitor m': Unrecognized sentinel configuration statement. (monitor takes 4 values, not 1)"},
	{"too few 2", monitorM + "sentinel known-sentinel m", "known-sentinel takes 3 or 4 values, not 1"},
	{"remark", monitorM + "sentinel parallel-syncs m 1 # one", "Unrecognized sentinel configuration statement. (a remark needs a line of its own)"},
	{"blanks", monitorM + "sentinel auth-pass m hunter2 hunter2", "/etc/s.conf:2: 'sentinel auth-pass ****': Unrecognized sentinel configuration statement. (put a password with blanks in quotes)"},
	{"server: unknown", "prot 5", "/etc/s.conf:1: 'prot ****': Bad directive or wrong number of arguments (did you mean \"port\"?)"},
	{"server: unknown 2", "\n#x\nzzzzzzzz", "/etc/s.conf:3: 'zzzzzzzz': Bad directive or wrong number of arguments"},
	{"server: dash", "log_level debug", `(did you mean "loglevel"?)`},
	{"server: quotes", `logfile "x`, `/etc/s.conf:1: 'logfile "x': Unbalanced quotes in configuration line`},
	{"server: zero", "logfile a\x00b", "contains a zero byte"},
	{"server: none", "port", "'port': wrong number of arguments"},
	{"server: remark", "port 5 # x", "'port 5 # x': wrong number of arguments (a remark needs a line of its own)"},
	{"server: ignored none", "maxmemory", "wrong number of arguments"},
	{"server: number", "port x", "argument couldn't be parsed into an integer"},
	{"server: range", "port 65536", "argument must be between 0 and 65535 inclusive"},
	{"server: seconds", "timeout -1", "argument must be between 0 and 2147483647 inclusive"},
	{"server: yes", "daemonize 1", "argument must be 'yes' or 'no'"},
	{"server: choice", "loglevel notic", "argument(s) must be one of the following: debug, verbose, notice, warning, nothing (did you mean \"notice\"?)"},
	{"server: mode", "unixsocketperm 999", "octal"},
	{"server: user", "user a on >x ~*\nuser a off", "/etc/s.conf:2: 'user ****': Error in user declaration: the user is declared twice"},
	{"server: user 2", `user a on "~a b"`, "Error in user declaration: rule 2 is empty or contains a blank"},
	{"server: protocols", "tls-protocols TLSv9", "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."},
	{"server: rename", "rename-command A", "wrong number of arguments"},
	{"include: values", "include a b", "wrong number of arguments"},
	{"include: missing", "include x.conf", "/etc/s.conf:1: 'include x.conf': can't open config file '/cwd/x.conf': file does not exist (create it, or remove the line)"},
	{"include: itself", "include /inc/self.conf", "more than 64 files are included"},
	{"include: inside", "\ninclude /inc/bad.conf", "/inc/bad.conf:2: 'port x': argument couldn't be parsed into an integer"},
	{"include: pattern", "include /inc/[", "the pattern of include is not valid"},
	{"include: sentinel", "include /inc/m.conf\nsentinel monitor m 10.0.0.9 1 1", "Duplicate master name."},
}

const monitorM = "sentinel monitor m 10.0.0.1 6379 2\n"

var inc = map[string]string{
	"/inc/self.conf": "include /inc/self.conf",
	"/inc/bad.conf":  "\nport x\n",
	"/inc/m.conf":    monitorM,
}

// Each mistake is told with its file, its line, the line itself and a reason.
func TestRefused(t *testing.T) {
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("/etc/s.conf", []byte(tt.text), nil, files(inc))
			var line *Error
			if !errors.As(err, &line) {
				t.Fatalf("%T %v, want an *Error", err, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if line.Line == 0 || line.Text == "" || line.Reason == "" || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("not whole: %+v", line)
			}
		})
	}
}

// A line of the command line is refused as one of the file is.
func TestRefusedArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--foo", "hunter2"}, "command line:1: 'foo ****': Bad directive or wrong number of arguments"},
		{[]string{"--sentinel", "--port", "x"}, `command line:2: 'port "x"': argument couldn't be parsed into an integer`},
		{[]string{"x"}, `command line:1`},
	} {
		_, err := Parse("/etc/s.conf", nil, Overrides(tt.args), files(nil))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %s", tt.args, err, tt.want)
		}
	}
}
