package resp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

// fakeSteward is a Steward in memory. It changes the groups of its directory,
// so that a change is seen by the next question.
type fakeSteward struct {
	dir *directorytest.Directory

	mu         sync.Mutex
	calls      []string
	err        error // what every change answers
	parameters []Setting
	timers     []Setting
	settings   GroupSettings
	simulated  int
	scripts    []ScriptJob
}

func newFakeSteward(dir *directorytest.Directory) *fakeSteward {
	one := func(name, value string) Setting { return Setting{Name: name, Values: []string{value}} }
	return &fakeSteward{
		dir: dir,
		parameters: []Setting{
			one("resolve-hostnames", "no"), one("announce-hostnames", "no"), one("announce-ip", ""), one("announce-port", "0"),
			one("sentinel-user", ""), one("sentinel-pass", ""), one("loglevel", "notice"),
		},
		timers: []Setting{
			one("INFO-PERIOD", "10000"), one("PING-PERIOD", "1000"), one("ASK-PERIOD", "1000"), one("PUBLISH-PERIOD", "2000"),
			one("DEFAULT-DOWN-AFTER", "30000"), one("DEFAULT-FAILOVER-TIMEOUT", "180000"), one("TILT-TRIGGER", "2000"),
			one("TILT-PERIOD", "30000"), one("SLAVE-RECONF-TIMEOUT", "10000"), one("MIN-LINK-RECONNECT-PERIOD", "15000"),
			one("ELECTION-TIMEOUT", "10000"), one("SCRIPT-MAX-RUNTIME", "60000"), one("SCRIPT-RETRY-DELAY", "30000"),
		},
	}
}

// did notes a call and returns the error that was set.
func (s *fakeSteward) did(format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
	return s.err
}

// take returns the calls since the last time.
func (s *fakeSteward) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := strings.Join(s.calls, "; ")
	s.calls = nil
	return calls
}

func (s *fakeSteward) Monitor(ctx context.Context, name warden.GroupName, host string, port, quorum int) error {
	if _, ok := ctx.Deadline(); !ok {
		panic("a change without a deadline")
	}
	if err := s.did("monitor %s %s %d %d", name, host, port, quorum); err != nil {
		return err
	}
	s.dir.Lock()
	defer s.dir.Unlock()
	s.dir.Views = append(s.dir.Views, warden.GroupView{Name: name, Primary: warden.MakeNode(host, port), Quorum: quorum})
	return nil
}

func (s *fakeSteward) Remove(_ context.Context, name warden.GroupName) error {
	if err := s.did("remove %s", name); err != nil {
		return err
	}
	s.dir.Lock()
	defer s.dir.Unlock()
	s.dir.Views = slices.DeleteFunc(s.dir.Views, func(v warden.GroupView) bool { return v.Name == name })
	return nil
}

func (s *fakeSteward) Set(_ context.Context, name warden.GroupName, options []Setting) error {
	for _, o := range options {
		if strings.HasSuffix(o.Name, "-script") {
			return Refusal{"ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig configuration directive in your Sentinel configuration"}
		}
	}
	return s.did("set %s %q", name, options)
}

func (s *fakeSteward) Settings(warden.GroupName) GroupSettings { return s.settings }
func (s *fakeSteward) Parameters() []Setting                   { return s.parameters }
func (s *fakeSteward) SetParameters(_ context.Context, parameters []Setting) error {
	return s.did("parameters %q", parameters)
}
func (s *fakeSteward) Flush(context.Context) error { return s.did("flush") }
func (s *fakeSteward) Timers() []Setting           { return s.timers }
func (s *fakeSteward) SetTimers(_ context.Context, timers []Setting) error {
	return s.did("timers %q", timers)
}

func (s *fakeSteward) Simulate(flags int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.simulated = flags
}

func (s *fakeSteward) Simulated() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simulated
}

func (s *fakeSteward) Scripts() []ScriptJob { return s.scripts }
func (s *fakeSteward) Shutdown()            { _ = s.did("shutdown") }

// stewarded starts a server with a Steward.
func stewarded(t *testing.T) (*directorytest.Directory, *fakeSteward, *Server) {
	t.Helper()
	dir := newFake()
	steward := newFakeSteward(dir)
	return dir, steward, startServer(t, dir, func(o *Options) { o.Steward = steward })
}

// Goal: what is well said reaches the Steward as it was meant, in one piece.
func TestChangesReachTheSteward(t *testing.T) {
	_, steward, s := stewarded(t)
	p := dial(t, s)
	for _, c := range []struct{ words, want string }{
		{"SENTINEL MONITOR cache 10.0.0.7 6380 2", "monitor cache 10.0.0.7 6380 2"},
		{"sentinel monitor v6 2001:db8::1 6380 1", "monitor v6 2001:db8::1 6380 1"},
		{"SENTINEL REMOVE cache", "remove cache"},
		{"SENTINEL SET mymaster QUORUM 3 down-after-milliseconds 100",
			`set mymaster [{"quorum" ["3"]} {"down-after-milliseconds" ["100"]}]`},
		{"SENTINEL SET mymaster rename-command CONFIG hidden auth-user \"\"",
			`set mymaster [{"rename-command" ["CONFIG" "hidden"]} {"auth-user" [""]}]`},
		{"SENTINEL SET mymaster primary-reboot-down-after-period 0", `set mymaster [{"primary-reboot-down-after-period" ["0"]}]`},
		{"SENTINEL CONFIG SET Announce-Port 65535 announce-ip 10.0.0.9", `parameters [{"announce-port" ["65535"]} {"announce-ip" ["10.0.0.9"]}]`},
		{"SENTINEL FLUSHCONFIG", "flush"},
		{"SENTINEL DEBUG tilt-period 1 Info-Period 2", `timers [{"TILT-PERIOD" ["1"]} {"INFO-PERIOD" ["2"]}]`},
	} {
		p.send(c.words + "\r\n")
		if got := p.frame(); got != "+OK\r\n" {
			t.Errorf("%s: got %q", c.words, got)
		}
		if got := steward.take(); got != c.want {
			t.Errorf("%s: did %q, want %q", c.words, got, c.want)
		}
	}
}

// Goal: a mistake anywhere in a request changes nothing at all, and is told in
// Sentinel's words.
func TestMistakesChangeNothing(t *testing.T) {
	_, steward, s := stewarded(t)
	p := dial(t, s)
	for _, c := range []struct{ words, want string }{
		{`SENTINEL SET mymaster quorum 2 quorum 0`, "ERR Invalid argument '0' for SENTINEL SET 'quorum'"},
		{`SENTINEL SET mymaster quorum 2 nonsense 1`, "ERR Unknown option or number of arguments for SENTINEL SET 'nonsense'"},
		{`SENTINEL SET mymaster quorum 2 rename-command a`, "ERR Unknown option or number of arguments for SENTINEL SET 'rename-command'"},
		{`SENTINEL SET mymaster quorum +2`, "ERR Invalid argument '+2' for SENTINEL SET 'quorum'"},
		{`SENTINEL SET mymaster auth-pass "a\nsentinel monitor x"`, "ERR Invalid argument at index 4 for SENTINEL SET: control characters are not allowed"},
		{`SENTINEL SET mymaster auth-pass "a\x7f"`, "ERR Invalid argument at index 4 for SENTINEL SET: control characters are not allowed"},
		{`SENTINEL MONITOR "a\r" 10.0.0.1 1 1`, "ERR Invalid argument at index 2 for SENTINEL MONITOR: control characters are not allowed"},
		{`SENTINEL MONITOR "a b" 10.0.0.1 1 1`, `ERR group name "a b" contains ' ': use letters, digits, '.', '_' and '-'`},
		{`SENTINEL MONITOR a 10.0.0.1 0 1`, "ERR Invalid port number."},
		{`SENTINEL MONITOR a host.example 6379 1`, "ERR Invalid IP address or hostname specified"},
		{`SENTINEL MONITOR mymaster 10.0.0.1 70000 1`, "ERR Invalid port number."},
		{`SENTINEL MONITOR mymaster 10.0.0.1 6379 1`, "ERR Duplicate master name."},
		{`SENTINEL CONFIG SET announce-ip 1.2.3.4 announce-port x`, "ERR Invalid value 'x' to SENTINEL CONFIG SET 'announce-port'"},
		{`SENTINEL CONFIG SET announce-ip 1.2.3.4 announce-IP 1.2.3.4`, "ERR Duplicate argument 'announce-IP' to SENTINEL CONFIG SET"},
		{`SENTINEL CONFIG SET announce-ip 1.2.3.4 loglevel`, "ERR Missing argument 'loglevel' value"},
		{`SENTINEL CONFIG SET loglevel loud`, "ERR Invalid value 'loud' to SENTINEL CONFIG SET 'loglevel'"},
		{`SENTINEL CONFIG SET announce-ip "1\n2"`, "ERR Invalid argument at index 4 for SENTINEL CONFIG SET: control characters are not allowed"},
		{`SENTINEL DEBUG info-period 5 ping-period -1`, "ERR Invalid argument '-1' for SENTINEL DEBUG 'ping-period'"},
		{`SENTINEL DEBUG info-period 5 ping-period`, "ERR Unknown option or number of arguments for SENTINEL DEBUG 'ping-period'"},
		{`SENTINEL SIMULATE-FAILURE crash-after-election nonsense`, "ERR Unknown failure simulation specified"},
		{`SENTINEL REMOVE nobody`, "ERR No such master with that name"},
		{`SENTINEL SET nobody quorum x`, "ERR No such master with that name"},
		{`SHUTDOWN ABORT FORCE`, "ERR syntax error"},
	} {
		p.send(c.words + "\r\n")
		if got := p.frame(); got != "-"+c.want+"\r\n" {
			t.Errorf("%s\n got %q\nwant %q", c.words, got, c.want)
		}
	}
	if calls := steward.take(); calls != "" || steward.Simulated() != 0 {
		t.Errorf("something was done: %s", calls)
	}
}

// Goal: what a Steward answers is told in the right words, and never in two
// lines.
func TestStewardErrors(t *testing.T) {
	_, steward, s := stewarded(t)
	p := dial(t, s)
	for _, c := range []struct {
		err  error
		want string
	}{
		{ErrUnknownGroup, "-ERR No such master with that name\r\n"},
		{fmt.Errorf("write warden.toml: %w", ErrNotSaved), "-ERR Failed to save config file. Check server logs.\r\n"},
		{Refusal{"ERR Can't resolve instance hostname."}, "-ERR Can't resolve instance hostname.\r\n"},
		{fmt.Errorf("quorum is agreed: 100%%\r\nreally"), "-ERR quorum is agreed: 100%  really\r\n"},
	} {
		steward.err = c.err
		p.want(c.want, "SENTINEL", "SET", "mymaster", "quorum", "1")
	}
}

// Goal: without a Steward nothing pretends to be done.
func TestNoSteward(t *testing.T) {
	p := dial(t, startServer(t, newFake(), nil))
	for _, words := range []string{
		"SENTINEL MONITOR a 10.0.0.1 1 1", "SENTINEL REMOVE mymaster", "SENTINEL SET mymaster quorum 1", "SENTINEL CONFIG GET *",
		"SENTINEL FLUSHCONFIG", "SENTINEL DEBUG", "SENTINEL PENDING-SCRIPTS", "SENTINEL SIMULATE-FAILURE help", "SHUTDOWN",
	} {
		if got := p.ask(strings.Fields(words)...); !strings.HasPrefix(got, "-ERR '") || !strings.Contains(got, "is not available") {
			t.Errorf("%s: got %q", words, got)
		}
	}
}

// Goal: SHUTDOWN ends the process without an answer.
func TestShutdownCommand(t *testing.T) {
	_, steward, s := stewarded(t)
	p := dial(t, s)
	p.send(request("SHUTDOWN", "nosave", "NOW"))
	if _, err := readFrame(p.br); err == nil {
		t.Error("there is an answer")
	}
	if got := steward.take(); got != "shutdown" {
		t.Errorf("did %q", got)
	}
	dial(t, s).want("-ERR No shutdown in progress.\r\n", "SHUTDOWN", "ABORT")
}

// Goal: what a Steward knows of scripts, failures and timers has its exact
// bytes in both protocols.
func TestStewardShapes(t *testing.T) {
	dir, steward, s := stewarded(t)
	steward.scripts = []ScriptJob{
		{Args: []string{"/a", "+sdown"}, Running: true, PID: 77, RunTime: 1500 * warden.Millisecond},
		{Args: []string{"/b"}, RunDelay: 30 * warden.Second, Retries: 2},
	}
	steward.settings = GroupSettings{NotificationScript: "/n", ReconfigScript: "/r"}
	dir.Change(func(v *warden.GroupView) {
		v.Nodes[0].Observation.Text = "role:master\r\n"
		v.Nodes[0].Rebooted, v.Nodes[0].ScriptKilled, v.Nodes[1].ScriptKilled = true, true, true
	})
	p, q := dial(t, s), dial(t, s)
	q.ask("HELLO", "3")
	for _, c := range []struct{ words, resp2, resp3 string }{
		{"SENTINEL PENDING-SCRIPTS",
			"*2\r\n*10\r\n$4\r\nargv\r\n*2\r\n$2\r\n/a\r\n$6\r\n+sdown\r\n$5\r\nflags\r\n$7\r\nrunning\r\n$3\r\npid\r\n$2\r\n77\r\n$8\r\nrun-time\r\n$4\r\n1500\r\n$9\r\nretry-num\r\n$1\r\n0\r\n" +
				"*10\r\n$4\r\nargv\r\n*1\r\n$2\r\n/b\r\n$5\r\nflags\r\n$9\r\nscheduled\r\n$3\r\npid\r\n$1\r\n0\r\n$9\r\nrun-delay\r\n$5\r\n30000\r\n$9\r\nretry-num\r\n$1\r\n2\r\n",
			"*2\r\n%5\r\n$4\r\nargv\r\n*2\r\n$2\r\n/a\r\n$6\r\n+sdown\r\n$5\r\nflags\r\n$7\r\nrunning\r\n$3\r\npid\r\n$2\r\n77\r\n$8\r\nrun-time\r\n$4\r\n1500\r\n$9\r\nretry-num\r\n$1\r\n0\r\n" +
				"%5\r\n$4\r\nargv\r\n*1\r\n$2\r\n/b\r\n$5\r\nflags\r\n$9\r\nscheduled\r\n$3\r\npid\r\n$1\r\n0\r\n$9\r\nrun-delay\r\n$5\r\n30000\r\n$9\r\nretry-num\r\n$1\r\n2\r\n"},
		{"SENTINEL INFO-CACHE nobody mymaster mymaster",
			"*2\r\n$8\r\nmymaster\r\n*3\r\n*2\r\n:1000\r\n$13\r\nrole:master\r\n\r\n*2\r\n:1000\r\n$-1\r\n*2\r\n:1000\r\n$-1\r\n",
			"*2\r\n$8\r\nmymaster\r\n*3\r\n*2\r\n:1000\r\n$13\r\nrole:master\r\n\r\n*2\r\n:1000\r\n_\r\n*2\r\n:1000\r\n_\r\n"},
		{"SENTINEL CONFIG GET *-hostnames announce-PORT announce-*",
			"*8\r\n$17\r\nresolve-hostnames\r\n$2\r\nno\r\n$18\r\nannounce-hostnames\r\n$2\r\nno\r\n$13\r\nannounce-port\r\n$1\r\n0\r\n$11\r\nannounce-ip\r\n$0\r\n\r\n",
			"%4\r\n$17\r\nresolve-hostnames\r\n$2\r\nno\r\n$18\r\nannounce-hostnames\r\n$2\r\nno\r\n$13\r\nannounce-port\r\n$1\r\n0\r\n$11\r\nannounce-ip\r\n$0\r\n\r\n"},
		{"SENTINEL SIMULATE-FAILURE crash-after-promotion crash-after-election", "+OK\r\n", "+OK\r\n"},
	} {
		p.want(c.resp2, strings.Fields(c.words)...)
		q.want(c.resp3, strings.Fields(c.words)...)
	}
	wantIn(t, p.ask("INFO", "sentinel"), "sentinel_running_scripts:1\r\nsentinel_scripts_queue_length:2\r\nsentinel_simulate_failure_flags:3\r\n")
	p.ask("SENTINEL", "SIMULATE-FAILURE", "HELP")
	if steward.Simulated() != 0 {
		t.Error("HELP left a simulation in place")
	}
	wantIn(t, p.ask("SENTINEL", "MASTER", "mymaster"), "*44\r\n", "$37\r\nmaster,script_kill_sent,master_reboot\r\n",
		"$14\r\nparallel-syncs\r\n$1\r\n1\r\n$19\r\nnotification-script\r\n$2\r\n/n\r\n$22\r\nclient-reconfig-script\r\n$2\r\n/r\r\n")
	wantIn(t, p.ask("SENTINEL", "REPLICAS", "mymaster"), "$22\r\nslave,script_kill_sent\r\n")
}

// wantIn looks for parts of an answer.
func wantIn(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in %q", part, clip(got, 3000))
		}
	}
}
