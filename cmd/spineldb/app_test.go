package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

// Flags may stand before the command, after it and after its arguments.
func TestArrange(t *testing.T) {
	takes := valueFlags((&program{}).app())
	for in, want := range map[string]string{
		"":                                  "",
		"status":                            "status",
		"status g --json":                   "status --json g",
		"--server a status g":               "status --server a g",
		"-s a -s=b failover g --to x:1":     "failover -s a -s=b --to x:1 g",
		"failover --to x:1 --no-wait g":     "failover --to x:1 --no-wait g",
		"recover g --lost a,b":              "recover --lost a,b g",
		"forget g -- -x":                    "forget -- g -x",
		"--warden":                          "--warden=",
		"--warden f.toml":                   "--warden=f.toml",
		"-warden f.toml":                    "--warden=f.toml",
		"--warden=f.toml --check":           "--warden=f.toml --check",
		"--warden --check":                  "--warden= --check",
		"--check --warden f":                "--warden=f --check",
		"--warden f status":                 "--warden=f status",
		"demo --fast x --server":            "demo --fast x --server",
		"status --password":                 "status --password",
		"status --password -secret g":       "status --password -secret g",
		"status --timeout=1s g --watch h":   "status --timeout=1s --watch g h",
		"--json --timeout 1s pause g --":    "pause --json --timeout 1s g",
		"switchover --nope g --to a:1 -x=y": "switchover --nope --to a:1 -x=y g",
	} {
		got := arrange(append([]string{"spineldb"}, strings.Fields(in)...), takes)
		if strings.Join(got[1:], " ") != want {
			t.Errorf("%q became %q, want %q", in, got[1:], want)
		}
	}
	if got := arrange(nil, takes); len(got) != 0 {
		t.Errorf("nothing became %q", got)
	}
}

// oneMaster is the least there can be in a warden.toml.
const oneMaster = `[[masters]]
name = "m"
ip = "10.0.0.1"
port = 6379
quorum = 2
`

// Wrong usage ends with 2 and says what would be right.
func TestUsage(t *testing.T) {
	f := startFake(t, idA, warden.GroupView{Name: "a"}, warden.GroupView{Name: "b"})
	for args, want := range map[string]string{
		"":                              "COMMANDS",
		"statsu":                        `did you mean "status"`,
		"frobnicate":                    "choose one of status, events",
		"status --nope":                 "not defined: -nope",
		"status a b":                    `takes one GROUP, but "b" follows`,
		"status --timeout 0s":           "write a time above zero",
		"status --timeout soon":         "invalid value",
		"status --server a:b":           `port "b" is not a number`,
		"failover a --to nowhere":       "has no port",
		"forget":                        "needs the id of a Warden",
		"forget a xyz -s " + f.addr:     "is not the beginning of a Warden's id",
		"recover a":                     "needs the Wardens that will never return",
		"pause -s " + f.addr:            "there are 2 groups: name one of a, b",
		"explain -s " + f.addr:          "there are 2 groups",
		"events --last -1":              "--last is -1",
		"status --password-file /none":  "read password file",
		"--warden /nowhere/warden.toml": "no such file",
		"--warden a b":                  `"b" follows`,
		"status --password x --password-file /etc/hostname": "keep one",
	} {
		t.Run(args, func(t *testing.T) {
			runCommand(t, strings.Fields(args)...).has(t, exit.Usage, want)
		})
	}
}

func TestVersion(t *testing.T) {
	runCommand(t, "version").has(t, exit.Done, "spineldb ", "go1.")
	var v versionInfo
	if err := json.Unmarshal([]byte(runCommand(t, "version", "--json").out), &v); err != nil || v.Version == "" {
		t.Errorf("%+v, %v", v, err)
	}
}

// --warden reads the named file, $WARDEN_CONFIG or ./warden.toml, shows
// warnings and hands the configuration on.
func TestRunWarden(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("warden.toml", oneMaster)
	write("other.toml", strings.Replace(oneMaster, `"m"`, `"other"`, 1))
	write("bad.toml", "prot = 1\nquorum = 1\n"+oneMaster)
	run := func(args ...string) (string, outcome) {
		started := ""
		var out, errs strings.Builder
		p := &program{out: &out, errs: &errs, daemon: func(_ context.Context, c config.Config) error {
			started = string(c.Masters[0].Name)
			return nil
		}}
		code := p.run(context.Background(), append([]string{"spineldb"}, args...))
		return started, outcome{code, out.String(), errs.String()}
	}
	for _, tt := range []struct {
		args, started string
		code          int
		want          string
	}{
		{"--warden", "m", 0, "warning: "},
		{"--warden other.toml", "other", 0, ""},
		{"--warden --check", "", 0, "warden.toml is valid: 1 group, 2 warnings"},
		{"--warden bad.toml", "", exit.Usage, "2 mistakes in the configuration:\nbad.toml:1: prot"},
	} {
		started, o := run(strings.Fields(tt.args)...)
		if started != tt.started {
			t.Errorf("%s started %q, want %q", tt.args, started, tt.started)
		}
		o.has(t, tt.code, tt.want)
	}
	t.Setenv("WARDEN_CONFIG", "other.toml")
	if started, _ := run("--warden"); started != "other" {
		t.Errorf("WARDEN_CONFIG was ignored: %q", started)
	}
	p := &program{out: &strings.Builder{}, errs: &strings.Builder{}, daemon: func(context.Context, config.Config) error { return errors.New("boom") }}
	if code := p.run(context.Background(), []string{"spineldb", "--warden"}); code != exit.Refused {
		t.Errorf("a failed Warden ended with %d", code)
	}
	p.demo = func(_ context.Context, args []string) error {
		if strings.Join(args, " ") != "--fast x" {
			t.Errorf("the demonstration got %q", args)
		}
		return exit.With(exit.Unknown, "over")
	}
	if code := p.run(context.Background(), []string{"spineldb", "demo", "--fast", "x"}); code != exit.Unknown {
		t.Errorf("the demonstration ended with %d", code)
	}
}

// Orders reach the Warden as they were meant, and the exit code tells how
// they ended.
func TestOrders(t *testing.T) {
	fakes := startQuorum(t)
	f := fakes[idA]
	const lost = "FORGET mymaster " + idB
	for _, tt := range []struct {
		args, order, answer string
		code                int
		want                string
	}{
		{"failover", "FAILOVER mymaster", `{"verdict":"done","text":"10.0.0.2:6379 is primary"}`, exit.Done, "failover mymaster: done: 10.0.0.2:6379 is primary"},
		{"failover mymaster --to 10.0.0.2:6379 --no-wait", "FAILOVER mymaster TO 10.0.0.2:6379 NOWAIT", `{"verdict":"started"}`, exit.Done, "started"},
		{"switchover --to [2001:DB8::3]:6379", "SWITCHOVER mymaster TO [2001:db8::3]:6379", `{"verdict":"refused","code":"no-good-replica","text":"it lags"}`, exit.Refused, "refused (no-good-replica): it lags"},
		{"switchover", "SWITCHOVER mymaster", `{"verdict":"unknown","text":"no answer"}`, exit.Unknown, "unknown: no answer"},
		{"pause", "PAUSE mymaster", "-ERR no", exit.Refused, "refused (error): ERR no"},
		{"resume mymaster", "RESUME mymaster", "", exit.Unknown, "look with spineldb status before giving it again"},
		{"pause mymaster", "PAUSE mymaster", "{", exit.Unknown, "cannot be read"},
		{"forget bb", lost, `{"verdict":"done"}`, exit.Done, "done"},
		{"forget mymaster BBBB", lost, `{"verdict":"done"}`, exit.Done, "done"},
		{"forget " + idB, lost, `{"verdict":"done"}`, exit.Done, "done"},
		{"recover --lost bbb,cc,bb", "RECOVER mymaster LOST " + idB + "," + idC, `{"verdict":"done"}`, exit.Done, "done"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			f.change(func() { f.answer, f.asked = tt.answer, nil })
			o := runCommand(t, append(strings.Fields(tt.args), "--server", f.addr)...)
			o.has(t, tt.code, tt.want, f.addr)
			if got := f.orders(); len(got) != 1 || got[0] != tt.order {
				t.Errorf("sent %q, want %q once", got, tt.order)
			}
		})
	}
	t.Run("nothing is sent", func(t *testing.T) {
		f.change(func() {
			f.asked = nil
			f.status.Groups[0].Topology.Wardens = append(f.status.Groups[0].Topology.Wardens, warden.WardenID("bbbc"+idB[4:]))
		})
		runCommand(t, "forget", "d", "-s", f.addr).has(t, exit.Refused, "no Warden of group mymaster")
		runCommand(t, "forget", "bbb", "-s", f.addr).has(t, exit.Refused, "2 Wardens")
		runCommand(t, "pause", "nope", "-s", f.addr).has(t, exit.Refused, `there is no group "nope": choose one of mymaster`)
		if got := f.orders(); len(got) != 0 {
			t.Errorf("sent %q", got)
		}
	})
	t.Run("json", func(t *testing.T) {
		f.change(func() { f.answer = `{"verdict":"refused","code":"paused","text":"x"}` })
		o := runCommand(t, "failover", "--json", "-s", f.addr)
		o.has(t, exit.Refused, `{"server":"`+f.addr+`","group":"mymaster","verdict":"refused","code":"paused","text":"x"}`)
	})
}

func TestCkquorum(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, nil))
	runCommand(t, "ckquorum", "-s", f.addr).has(t, exit.Done, "mymaster: OK 3 usable Wardens")
	f.change(func() { f.ckquorum = "NOQUORUM 1 usable" })
	runCommand(t, "ckquorum", "mymaster", "-s", f.addr).has(t, exit.Refused, "NOQUORUM 1 usable")
	runCommand(t, "ckquorum", "--json", "-s", f.addr).has(t, exit.Refused, `"ok":false`)
}

// nobody is an address at which nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// One Warden of those named is enough, whichever it is; with none the command
// says whom it tried.
func TestServers(t *testing.T) {
	f, gone := startFake(t, idA, healthyView(idA, nil)), nobody(t)
	runCommand(t, "pause", "-s", gone, "-s", f.addr).has(t, exit.Done, f.addr)
	runCommand(t, "pause", "-s", gone+","+f.addr).has(t, exit.Done, f.addr)
	t.Setenv("WARDEN_SERVER", gone+","+f.addr)
	runCommand(t, "pause").has(t, exit.Done, f.addr)
	t.Setenv("WARDEN_SERVER", gone)
	for _, command := range []string{"status", "events", "explain", "pause", "ckquorum"} {
		runCommand(t, command).has(t, exit.Unreachable, gone+": ", "connection refused", "--server or WARDEN_SERVER")
	}
}

// A silent server is given up in time.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	runCommand(t, "status", "--timeout", "100ms", "-s", l.Addr().String()).has(t, exit.Unreachable, "no answer in time")
}

// A server that is not a Warden is told apart from one that is away.
func TestNotAWarden(t *testing.T) {
	srv, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	runCommand(t, "status", "-s", srv.Addr().String()).has(t, exit.Unreachable, "is not a Warden (ERR unknown command")
}

// Passwords come from a flag, a variable or a file, and a wrong one is told
// without showing it.
func TestPassword(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, nil))
	f.change(func() { f.password = "right" })
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t, "pause", "-s", f.addr, "--password", "right").has(t, exit.Done)
	runCommand(t, "pause", "-s", f.addr, "--password-file", file).has(t, exit.Done)
	runCommand(t, "pause", "-s", f.addr).has(t, exit.Refused, "NOAUTH", "check --user, and --password-file or WARDEN_PASSWORD")
	o := runCommand(t, "pause", "-s", f.addr, "--password", "Tr0ub4dor")
	o.has(t, exit.Refused, "WRONGPASS", "check --user")
	if strings.Contains(o.out+o.errs, "Tr0ub4dor") {
		t.Error("the password is shown")
	}
	t.Setenv("WARDEN_PASSWORD", "right")
	runCommand(t, "pause", "-s", f.addr).has(t, exit.Done)

	f.change(func() { f.user = "ops" })
	runCommand(t, "pause", "-s", f.addr).has(t, exit.Refused, "WRONGPASS")
	runCommand(t, "pause", "-s", f.addr, "--user", "ops").has(t, exit.Done)
	t.Setenv("WARDEN_USER", "ops")
	runCommand(t, "pause", "-s", f.addr).has(t, exit.Done)
	t.Setenv("WARDEN_PASSWORD", "")
	runCommand(t, "pause", "-s", f.addr).has(t, exit.Usage, "without a password")
}
