package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// office is a steward whose Warden is a record of what was asked of it.
type office struct {
	agreedOn warden.Settings
	*steward
	t       *testing.T
	dir     string
	saved   []setup
	full    bool // the disk
	stuck   bool // the Warden takes no configuration
	running setup
	events  []string
}

func (o *office) Begin(*daemon) error        { return nil }
func (o *office) Vote(context.Context) error { return nil }
func (o *office) Mark()                      {}
func (o *office) Save(s setup) error {
	if o.full {
		return errors.New("disk full")
	}
	o.saved = append(o.saved, s)
	return changesKeeperFor(o.dir).Save(s)
}

func changesKeeperFor(dir string) *changesKeeper {
	return newChangesKeeper(dir, slog.New(slog.DiscardHandler))
}

type noJobs struct{}

func (noJobs) Jobs() []resp.ScriptJob                 { return nil }
func (noJobs) SetTimers(time.Duration, time.Duration) {}

// base is what the file of an office says: one group.
func base() setup {
	m := newMaster("m", "10.0.0.1:6379", 2, nil)
	return setup{Config: config.Config{Port: 26379, AnnouncePort: 26379, Masters: []config.Master{m}}, DenyScripts: true, Loglevel: "notice"}
}

func newOffice(t *testing.T) *office {
	o := &office{t: t, dir: t.TempDir(), running: base()}
	o.steward = &steward{
		keeper: o, log: slog.New(slog.DiscardHandler), level: &slog.LevelVar{}, scripts: noJobs{}, quit: func() {},
		announce: func(e warden.Event) { o.events = append(o.events, e.Name+" "+e.Payload) },
		primary: func(name warden.GroupName) (warden.NodeID, bool) {
			at := o.running.master(name)
			if at < 0 {
				return "", false
			}
			return o.running.Masters[at].Primary, true
		},
		agreed: func(warden.GroupName) warden.Settings { return o.agreedOn },
		reconfigure: func(_ context.Context, s setup) error {
			if o.stuck {
				return errors.New("a loop still waits for the store")
			}
			o.running = s
			return nil
		},
	}
	first := base()
	o.now.Store(&first)
	return o
}

// restarted is what the Warden would run with after a restart.
func (o *office) restarted() setup {
	o.t.Helper()
	made, err := changesIn(o.dir)
	if err != nil {
		o.t.Fatal(err)
	}
	s, err := made.over(base())
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

func setting(name string, values ...string) resp.Setting {
	return resp.Setting{Name: name, Values: values}
}

// Goal: SET changes what runs and what would be found after a restart, says so
// with one event per option, and never tells a password.
func TestStewardSets(t *testing.T) {
	o := newOffice(t)
	err := o.Set(t.Context(), "m", []resp.Setting{
		setting("down-after-milliseconds", "5000"), setting("failover-timeout", "60000"), setting("parallel-syncs", "3"),
		setting("quorum", "3"), setting("auth-user", "joe"), setting("auth-pass", "topsecret"),
		setting("rename-command", "config", "hush"), setting("master-reboot-down-after-period", "700"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []setup{o.running, o.restarted(), o.current()} {
		m := s.Masters[0]
		if m.DownAfter != 5*warden.Second || m.CrashAfter != 5*warden.Second || m.FailoverTimeout != warden.Minute || m.ParallelSyncs != 3 ||
			m.Quorum != 3 || m.AuthUser != "joe" || m.AuthPassword != "topsecret" || m.Renames["CONFIG"] != "hush" || m.RebootDownAfter != 700*warden.Millisecond {
			t.Errorf("the group is %+v", m)
		}
	}
	if len(o.events) != 8 || o.events[0] != "+set master m 10.0.0.1 6379 down-after-milliseconds 5000" || o.events[5] != "+set master m 10.0.0.1 6379 auth-pass ******" ||
		o.events[6] != "+set master m 10.0.0.1 6379 rename-command config hush" {
		t.Errorf("the events are %q", o.events)
	}
	if err := o.Set(t.Context(), "m", []resp.Setting{setting("rename-command", "CONFIG", "config")}); err != nil || len(o.restarted().Masters[0].Renames) != 0 {
		t.Errorf("the usual name does not take a rename away: %v %v", err, o.restarted().Masters[0].Renames)
	}
	if info, err := os.Stat(filepath.Join(o.dir, changesFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the password: %v %v", info, err)
	}
}

// Goal: a change that cannot be made whole is not made at all.
func TestStewardRefuses(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(name string, values ...string) func(*office) error {
		return func(o *office) error {
			return o.Set(o.t.Context(), "m", []resp.Setting{setting("quorum", "5"), setting(name, values...)})
		}
	}
	allowed := func(f func(*office) error) func(*office) error {
		return func(o *office) error {
			s := o.current()
			s.DenyScripts = false
			o.now.Store(&s)
			return f(o)
		}
	}
	for what, c := range map[string]struct {
		do   func(*office) error
		want string
	}{
		"zero":            {one("failover-timeout", "0"), "ERR Invalid argument '0' for SENTINEL SET 'failover-timeout'"},
		"not a number":    {one("parallel-syncs", "x"), "ERR Invalid argument 'x' for SENTINEL SET 'parallel-syncs'"},
		"too large":       {one("down-after-milliseconds", "99999999999999999"), "ERR Invalid argument '99999999999999999' for SENTINEL SET 'down-after-milliseconds'"},
		"unknown":         {one("color", "red"), "ERR Unknown option or number of arguments for SENTINEL SET 'color'"},
		"half a rename":   {one("rename-command", "config"), "ERR Unknown option or number of arguments for SENTINEL SET 'rename-command'"},
		"empty rename":    {one("rename-command", "config", ""), "ERR Invalid argument '' for SENTINEL SET 'rename-command'"},
		"denied script":   {one("notification-script", script), "ERR Reconfiguration of scripts path is denied"},
		"no script":       {allowed(one("notification-script", script)), "ERR Notification script seems non existing or non executable"},
		"no other script": {allowed(one("client-reconfig-script", script+"x")), "ERR Client reconfiguration script seems non existing or non executable"},
		"unknown group":   {func(o *office) error { return o.Set(o.t.Context(), "x", nil) }, resp.ErrUnknownGroup.Error()},
		"full disk": {func(o *office) error {
			o.full = true
			return one("parallel-syncs", "2")(o)
		}, resp.ErrNotSaved.Error()},
		"stuck": {func(o *office) error {
			o.stuck = true
			return one("parallel-syncs", "2")(o)
		}, "still waits"},
		"twice":       {func(o *office) error { return o.Monitor(o.t.Context(), "m", "10.0.0.9", 6379, 2) }, "ERR Duplicate master name."},
		"host name":   {func(o *office) error { return o.Monitor(o.t.Context(), "n", "example", 6379, 2) }, "ERR Invalid IP address or hostname specified"},
		"port":        {func(o *office) error { return o.Monitor(o.t.Context(), "n", "10.0.0.9", 0, 2) }, "ERR Invalid port number."},
		"name":        {func(o *office) error { return o.Monitor(o.t.Context(), "a b", "10.0.0.9", 1, 2) }, "ERR Invalid master name"},
		"same server": {func(o *office) error { return o.Monitor(o.t.Context(), "n", "10.0.0.1", 6379, 2) }, "ERR 10.0.0.1:6379 is already watched by m"},
		"not there":   {func(o *office) error { return o.Remove(o.t.Context(), "n") }, resp.ErrUnknownGroup.Error()},
		"loglevel": {func(o *office) error {
			return o.SetParameters(o.t.Context(), []resp.Setting{setting("announce-ip", "10.0.0.7"), setting("loglevel", "loud")})
		}, "ERR Invalid value 'loud' to SENTINEL CONFIG SET 'loglevel'"},
		"timer": {func(o *office) error {
			return o.SetTimers(o.t.Context(), []resp.Setting{setting("PING-PERIOD", "5"), setting("INFO-PERIOD", "0")})
		}, "ERR Invalid argument '0' for SENTINEL DEBUG 'info-period'"},
	} {
		o := newOffice(t)
		err := c.do(o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the answer is %v, want %s", what, err, c.want)
		}
		for _, s := range []setup{o.running, o.restarted(), o.current()} {
			if len(s.Masters) != 1 || s.Masters[0].Quorum != 2 || s.Masters[0].ParallelSyncs != 1 || s.AnnounceIP != "" {
				t.Errorf("%s: something was changed: %+v", what, s)
			}
		}
		if len(o.events) != 0 || o.Timers()[1].Values[0] != "1000" {
			t.Errorf("%s: it announced %q, the timers are %v", what, o.events, o.Timers())
		}
	}
}

// Goal: MONITOR and REMOVE hold across restarts and over the file, however
// often and in which order they come.
func TestStewardMonitorsAndRemoves(t *testing.T) {
	o := newOffice(t)
	ctx := t.Context()
	names := func(s setup) string {
		var out []string
		for _, m := range s.Masters {
			out = append(out, string(m.Name)+"="+string(m.Primary))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	check := func(want string) {
		t.Helper()
		if got := names(o.running); got != want {
			t.Errorf("it runs %q, want %q", got, want)
		}
		if got := names(o.restarted()); got != want {
			t.Errorf("after a restart it would run %q, want %q", got, want)
		}
	}
	if err := o.SetTimers(ctx, []resp.Setting{setting("DEFAULT-DOWN-AFTER", "1234")}); err != nil {
		t.Fatal(err)
	}
	if err := o.Monitor(ctx, "n", "10.0.0.2", 6380, 1); err != nil {
		t.Fatal(err)
	}
	check("m=10.0.0.1:6379 n=10.0.0.2:6380")
	if got := o.running.Masters[1].DownAfter; got != 1234*warden.Millisecond {
		t.Errorf("a new group's down-after is %s", got)
	}
	if err := o.Remove(ctx, "m"); err != nil {
		t.Fatal(err)
	}
	check("n=10.0.0.2:6380")
	if err := o.Monitor(ctx, "m", "::1", 7000, 2); err != nil {
		t.Fatal(err)
	}
	check("m=[::1]:7000 n=10.0.0.2:6380")
	if err := o.Remove(ctx, "n"); err != nil {
		t.Fatal(err)
	}
	check("m=[::1]:7000")
	want := []string{"+monitor master n 10.0.0.2 6380 quorum 1", "-monitor master m 10.0.0.1 6379", "+monitor master m ::1 7000 quorum 2", "-monitor master n 10.0.0.2 6380"}
	if got := strings.Join(o.events, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the events are\n%s", got)
	}
	if got := o.current().Changes.Groups["m"].names(); len(got) != 1 || got[0] != "monitor" {
		t.Errorf("set at run time: %q", got)
	}
}

// Goal: parameters are shown as Sentinel shows them, and hold across restarts.
func TestStewardParameters(t *testing.T) {
	o := newOffice(t)
	shown := func() string {
		var b strings.Builder
		for _, p := range o.Parameters() {
			b.WriteString(p.Name + "=" + strings.Join(p.Values, ",") + " ")
		}
		return b.String()
	}
	if got := shown(); got != "resolve-hostnames=no announce-hostnames=no announce-ip= announce-port=0 sentinel-user= sentinel-pass= loglevel=notice " {
		t.Errorf("at first: %s", got)
	}
	err := o.SetParameters(t.Context(), []resp.Setting{
		setting("resolve-hostnames", "Yes"), setting("announce-ip", "10.0.0.7"), setting("announce-port", "99"),
		setting("sentinel-user", "u"), setting("sentinel-pass", "p"), setting("loglevel", "debug"),
	})
	want := "resolve-hostnames=yes announce-hostnames=no announce-ip=10.0.0.7 announce-port=99 sentinel-user=u sentinel-pass=p loglevel=debug "
	if got := shown(); err != nil || got != want {
		t.Errorf("after SET: %v, %s", err, got)
	}
	if o.level.Level() != slog.LevelDebug {
		t.Errorf("the log's level is %s", o.level.Level())
	}
	again := o.restarted()
	o.now.Store(&again)
	if got := shown(); got != want {
		t.Errorf("after a restart: %s", got)
	}
}

// Goal: what SIMULATE-FAILURE names is a step of a failover.
func TestStewardSimulates(t *testing.T) {
	o := newOffice(t)
	for flags, want := range map[int]string{0: "", simulateElection: "elected", simulatePromotion: "publishing", 3: "elected"} {
		o.Simulate(flags)
		if got := o.crashPoint(); got != want || o.Simulated() != flags {
			t.Errorf("flags %d are %d and stand for %q, want %q", flags, o.Simulated(), got, want)
		}
	}
}

// Goal: clients are shown the ids that Sentinels had, and nothing else is
// changed in a text.
func TestIdentities(t *testing.T) {
	own, shown, other := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	var ids identities
	if !ids.learn(warden.WardenID(own), shown) || ids.learn(warden.WardenID(own), shown) || ids.learn("x", "not an id") {
		t.Error("learn does not tell news from what is known")
	}
	text := "sentinel " + own + " 10.0.0.1 1 @ m, " + other + " and " + own + "0"
	if got := ids.translate(text); got != "sentinel "+shown+" 10.0.0.1 1 @ m, "+other+" and "+own+"0" {
		t.Errorf("translated: %s", got)
	}
	if !ids.learn(warden.WardenID(own), own) || ids.of(warden.WardenID(own)) != "" {
		t.Error("an id that is its own is kept as another")
	}
	for i := range 2 * maxIdentities {
		ids.learn(warden.WardenID(strings.Repeat("d", i+1)), shown)
	}
	if len(ids.shown) > maxIdentities {
		t.Errorf("%d ids are kept", len(ids.shown))
	}
}

// Goal: what the Wardens agree on is not set by a client of one of them, because
// nothing would come of it; all other options still are.
func TestStewardLeavesWhatIsAgreed(t *testing.T) {
	o := newOffice(t)
	o.agreedOn = warden.Settings{DownAfter: warden.Second}
	var no resp.Refusal
	err := o.Set(t.Context(), "m", []resp.Setting{setting("quorum", "3"), setting("down-after-milliseconds", "5000")})
	if !errors.As(err, &no) || !strings.Contains(no.Text, "down_after is agreed on") {
		t.Errorf("down_after: %v", err)
	}
	if o.running.Masters[0].Quorum != base().Masters[0].Quorum {
		t.Error("one of two options was taken")
	}
	if err := o.Set(t.Context(), "m", []resp.Setting{setting("quorum", "3")}); err != nil || o.running.Masters[0].Quorum != 3 {
		t.Errorf("quorum: %v", err)
	}
}
