package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

const sigCont = syscall.SIGCONT

// settings are what the tests change in the Wardens' configuration.
type settings struct {
	top       string // further lines before the groups
	group     string // further lines of the group
	down      time.Duration
	wardens   int // 0: the key is left out
	nodeLines []string
	dropIn    bool // with a sentinel.conf, as Redis Sentinel is started
	// web: Wardens answer HTTP, each on a port of its own.
	web bool
	// groups writes the blocks of the groups, instead of the usual one.
	groups func() string
}

func defaults() settings { return settings{down: downAfter, wardens: 3} }

// ward is one Warden with a directory that survives restarts.
type ward struct {
	lab     *lab
	name    string
	host    string
	addr    string
	gossip  int
	web     int // the port for HTTP; 0: none was asked for
	dir     string
	process *process
	// launched is when the process was started last.
	launched time.Time
	client   *redis.Client
}

// prepareWarden writes the configuration of a Warden and starts nothing.
func (l *lab) prepareWarden() *ward {
	l.t.Helper()
	return l.prepareWardenOn(l.host)
}

func (l *lab) prepareWardenOn(host string) *ward {
	l.t.Helper()
	l.madeWardens++
	name := "warden-" + strconv.Itoa(l.madeWardens)
	local := l.host
	w := &ward{lab: l, name: name, host: host, dir: l.path(name), gossip: freePort(l.t, local)}
	w.addr = string(warden.MakeNode(host, freePort(l.t, local)))
	if l.settings.web {
		w.web = freePort(l.t, local)
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	w.client = l.newWardenClient(w.addr)
	l.t.Cleanup(func() { w.client.Close() })
	l.wardens = append(l.wardens, w)
	w.write(w.config())
	return w
}

func (l *lab) newWardenClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, Dialer: l.dial, Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 3,
		DialTimeout: 2 * time.Second, ReadTimeout: 20 * time.Second, ContextTimeoutEnabled: true, DisableIdentity: true})
}

// file is the Warden's configuration, and flag says of what kind it is.
func (w *ward) file() string {
	if w.lab.settings.dropIn {
		return w.lab.path(w.name, "sentinel.conf")
	}
	return w.lab.path(w.name, "warden.toml")
}

func (w *ward) flag() string {
	if w.lab.settings.dropIn {
		return "--sentinel"
	}
	return "--warden"
}

func (w *ward) port() string { return warden.NodeID(w.addr).Port() }

// config is the configuration as the lab's settings want it.
func (w *ward) config() string {
	s := w.lab.settings
	if s.groups != nil {
		return w.head() + s.groups()
	}
	primary := w.lab.nodes[0]
	if s.dropIn {
		return fmt.Sprintf("bind %s\nport %s\ndir %s\n%s\nsentinel monitor %s %s %s 2\nsentinel down-after-milliseconds %[5]s %[8]d\n"+
			"sentinel failover-timeout %[5]s 20000\n%[9]s\n",
			w.host, w.port(), w.dir, s.top, groupName, primary.addr.Host(), primary.addr.Port(), s.down.Milliseconds(), s.group)
	}
	text := w.head() + fmt.Sprintf("[[masters]]\n"+
		"name = %q\nip = %q\nport = %s\nquorum = 2\ndown_after = \"%s\"\nfailover_timeout = \"20s\"\nhello_interval = \"300ms\"\n%s\n",
		groupName, primary.addr.Host(), primary.addr.Port(), s.down, s.group)
	if s.wardens > 0 {
		text += "wardens = " + strconv.Itoa(s.wardens) + "\n"
	}
	return text
}

// head is what stands before the groups.
func (w *ward) head() string {
	text := fmt.Sprintf("host = %q\nport = %s\ngossip_port = %d\ndata_dir = \"data\"\n%s\n", w.host, w.port(), w.gossip, w.lab.settings.top)
	if w.web != 0 {
		text += fmt.Sprintf("[http]\nlisten = \"%s:%d\"\ntoken = %q\n", w.host, w.web, webToken)
	}
	return text
}

// write replaces the configuration file.
func (w *ward) write(text string) {
	w.lab.t.Helper()
	if err := os.WriteFile(w.file(), []byte(text), 0o600); err != nil {
		w.lab.t.Fatal(err)
	}
}

// start starts the Warden, for the first time or again, and waits until it
// answers clients.
func (w *ward) start(env ...string) {
	w.lab.t.Helper()
	w.launch(env...)
	await(w.lab.t, w.name+" answers", func() bool {
		if !w.process.alive() {
			w.lab.t.Fatalf("%s ended at once:\n%s", w.name, w.process.tail(20))
		}
		return w.client.Ping(w.lab.ctx(2*time.Second)).Err() == nil
	})
}

// launch starts the Warden and does not wait.
func (w *ward) launch(env ...string) {
	w.lab.t.Helper()
	w.launched = time.Now()
	w.process = w.lab.spawn(w.name, w.lab.path(w.name, "log"), env, spineldbBinary, w.flag(), w.file())
}

func (w *ward) pause()  { w.lab.t.Helper(); w.process.signal(w.lab.t, syscall.SIGSTOP) }
func (w *ward) resume() { w.lab.t.Helper(); w.process.signal(w.lab.t, syscall.SIGCONT) }

// statusAnswer is the reply to WARDEN STATUS.
type statusAnswer struct {
	Self   warden.SelfView    `json:"self"`
	Groups []warden.GroupView `json:"groups"`
}

func (w *ward) status() (s statusAnswer, err error) {
	return s, w.ask(&s, "WARDEN", "STATUS")
}

// ask decodes the JSON reply to a command.
func (w *ward) ask(out any, args ...any) error {
	text, err := w.client.Do(w.lab.ctx(20*time.Second), args...).Text()
	if err != nil {
		return fmt.Errorf("%v on %s: %w", args, w.name, err)
	}
	return json.Unmarshal([]byte(text), out)
}

// view is what the Warden sees of the lab's group.
func (w *ward) view() (warden.GroupView, error) {
	s, err := w.status()
	for _, g := range s.Groups {
		if err == nil && g.Name == groupName {
			return g, nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%s does not watch %s", w.name, groupName)
	}
	return warden.GroupView{}, err
}

func (w *ward) mustView() *warden.GroupView {
	w.lab.t.Helper()
	v, err := w.view()
	if err != nil {
		w.lab.t.Fatal(err)
	}
	return &v
}

func (w *ward) id() warden.WardenID {
	w.lab.t.Helper()
	s, err := w.status()
	if err != nil {
		w.lab.t.Fatal(err)
	}
	return s.Self.ID
}

// order gives an operator's order and returns how it ended.
func (w *ward) order(args ...any) warden.Answer {
	w.lab.t.Helper()
	var a warden.Answer
	if err := w.ask(&a, append([]any{"WARDEN"}, args...)...); err != nil {
		w.lab.t.Fatal(err)
	}
	return a
}

// served is what a Sentinel client is told: SENTINEL GET-MASTER-ADDR-BY-NAME.
func (w *ward) served() warden.NodeID {
	parts, err := w.client.Do(w.lab.ctx(5*time.Second), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", groupName).StringSlice()
	if err != nil || len(parts) != 2 {
		return ""
	}
	port, err := strconv.Atoi(parts[1])
	if err != nil {
		return ""
	}
	return warden.MakeNode(parts[0], port)
}

// happening is one event as a Warden remembers it.
type happening struct {
	Event   string `json:"event"`
	Payload string `json:"payload"`
	UnixMS  int64  `json:"unix_ms"`
}

// events are all events of the running process.
func (w *ward) events() []happening {
	return slices.DeleteFunc(w.allEvents(), func(h happening) bool { return h.UnixMS < w.launched.UnixMilli() })
}

// allEvents are also those of earlier runs.
func (w *ward) allEvents() []happening {
	var log struct {
		Events []happening `json:"events"`
	}
	if err := w.ask(&log, "WARDEN", "EVENTS", "SINCE", "0"); err != nil {
		return nil
	}
	return log.Events
}

// story logs what the Wardens announced since a moment, in order of time.
func (l *lab) story(since time.Time) {
	l.t.Helper()
	type line struct {
		at   int64
		text string
	}
	var all []line
	for _, w := range l.wardens {
		for _, h := range w.events() {
			if h.UnixMS >= since.UnixMilli() {
				all = append(all, line{h.UnixMS, fmt.Sprintf("%+6d ms  %s  %s %s", h.UnixMS-since.UnixMilli(), w.name, h.Event, h.Payload)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	for _, x := range all {
		l.t.Log(x.text)
	}
}

// said reports whether the running process announced an event whose text
// contains all words.
func (w *ward) said(name string, words ...string) bool {
	return slices.ContainsFunc(w.events(), func(h happening) bool {
		return h.Event == name && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(h.Payload, word) })
	})
}

// anySaid reports whether one of the Wardens announced it.
func anySaid(wardens []*ward, name string, words ...string) bool {
	return slices.ContainsFunc(wardens, func(w *ward) bool { return w.said(name, words...) })
}

// explain is what the command line tells about the group.
func (w *ward) explain(ctx context.Context) string {
	out, err := w.command(ctx, "explain", groupName)
	if err != nil {
		out += err.Error()
	}
	return out
}

// command runs the command line against this Warden.
func (w *ward) command(ctx context.Context, args ...string) (string, error) {
	argv := []string{spineldbBinary}
	if w.lab.prefix != nil {
		argv = append(w.lab.prefix(w.name), argv...)
	}
	argv = append(append(argv, args...), "--server", w.addr)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = plainEnvironment()
	cmd.SysProcAttr = dieWithParent()
	out, err := cmd.CombinedOutput()
	return string(out), err
}
