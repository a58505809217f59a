package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// clientBar is how long a client library may go without an acknowledged write
// when the primary moves: down_after, the Wardens' work, and the library's own
// waits, which is what differs. It is generous; the measured time is printed.
const clientBar = 10 * time.Second

// deed is one line that a client program tells. testdata/clients/node/tell.mjs
// explains it.
type deed struct {
	Kind string `json:"kind"`
	ID   int    `json:"id"`
	Sent int64  `json:"sent"`
	Done int64  `json:"done"`
	Role string `json:"role"`
	Text string `json:"text"`
}

// customer is one client library at work: it writes all the time, and reads
// its own writes from replicas.
type customer struct {
	name    string
	process *process // nil: it runs within the test
	stop    func()   // ends a client without a process
	readsAs string   // the name of its connections to replicas; empty: it tells the role with each read

	mu      sync.Mutex
	taken   int64 // bytes of the process's output
	version string
	writes  []deed // acknowledged, oldest first
	read    int    // the newest write that was read
	errors  map[string]int
}

// tell keeps one deed.
func (c *customer) tell(d deed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch d.Kind {
	case "version":
		c.version = d.Text
	case "write":
		c.writes = append(c.writes, d)
	case "read":
		if d.Role == "" || d.Role == "slave" {
			c.read = max(c.read, d.ID)
		}
	case "error":
		if c.errors == nil {
			c.errors = map[string]int{}
		}
		c.errors[d.Text]++
	}
}

// listen takes in what the program has told since the last time.
func (c *customer) listen(t *testing.T) {
	t.Helper()
	if c.process == nil {
		return
	}
	if !c.process.alive() {
		t.Fatalf("%s ended:\n%s", c.name, c.process.tail(20))
	}
	f, err := os.Open(c.process.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, c.taken, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	c.taken += int64(len(data))
	for line := range bytes.Lines(data) {
		var d deed
		if err := json.Unmarshal(line, &d); err != nil {
			d = deed{Kind: "error", Text: strings.TrimSpace(string(line))}
		}
		c.tell(d)
	}
}

// wroteSince reports whether a write that was begun after a moment has been
// acknowledged, and its number.
func (c *customer) wroteSince(moment time.Time) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.writes) == 0 {
		return 0, false
	}
	last := c.writes[len(c.writes)-1]
	return last.ID, last.Sent > moment.UnixMilli()
}

// longestGap is the longest time between two acknowledgements, the later of
// which came after a moment.
func (c *customer) longestGap(since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	gap := int64(0)
	for i := 1; i < len(c.writes); i++ {
		if c.writes[i].Done > since.UnixMilli() {
			gap = max(gap, c.writes[i].Done-c.writes[i-1].Done)
		}
	}
	return time.Duration(gap) * time.Millisecond
}

// market is a lab with clients of every kind.
type market struct {
	*lab
	customers []*customer
}

// Goal: clients of Redis Sentinel find the primary through three Wardens, go
// on by themselves after it was killed and after SENTINEL FAILOVER, read from
// replicas where they can, and lose nothing that was acknowledged by the
// primary of the failover.
func TestClients(t *testing.T) {
	t.Parallel()
	tryClients(t, startLab(t))
}

// Goal: the same with Wardens that were started with a sentinel.conf in the
// place of Redis Sentinel, and find each other as Sentinels do.
func TestClientsOfDropIn(t *testing.T) {
	t.Parallel()
	tryClients(t, startLab(t, func(s *settings) { s.dropIn = true }))
}

func tryClients(t *testing.T, l *lab) {
	m := &market{lab: l}
	m.openGo()
	m.openPrograms()
	subscriber := m.spawn("subscriber", m.path("subscriber"), nil, mustFind(t, "redis-cli"),
		"-h", "127.0.0.1", "-p", m.wardens[0].port(), "SUBSCRIBE", "+switch-master")
	began := time.Now()
	m.awaitWrites("every client writes", began)
	m.awaitReads(m.nodes[0])
	m.awaitSubscriptions()

	first := m.nodes[0]
	first.process.kill()
	killed := time.Now()
	m.awaitWrites("every client writes to another primary", killed)
	m.judgeGaps("the kill", killed)
	second := m.awaitPrimaryOtherThan(first, m.wardens...)
	first.start()
	m.awaitAgreed(second)
	m.awaitReads(second)

	asked := time.Now()
	order := exec.CommandContext(m.ctx(patience), mustFind(t, "redis-cli"), "-h", "127.0.0.1", "-p", m.wardens[1].port(), "SENTINEL", "FAILOVER", groupName)
	if out, err := order.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "OK" {
		t.Fatalf("SENTINEL FAILOVER: %v\n%s", err, out)
	}
	third := m.awaitPrimaryOtherThan(second, m.wardens...)
	m.awaitAgreed(third)
	m.awaitWrites("every client writes to the third primary", time.Now())
	m.judgeGaps("the switchover", asked)
	m.awaitReads(third)
	m.awaitSubscriptions()

	await(t, "redis-cli was told of both changes", func() bool {
		return strings.Contains(subscriber.tail(100), m.switchPayload(first, second)) &&
			strings.Contains(subscriber.tail(100), m.switchPayload(second, third))
	})
	m.close()
	m.judgeLosses(killed, third)
}

func (m *market) switchPayload(from, to *node) string {
	return strings.Join([]string{groupName, from.addr.Host(), from.addr.Port(), to.addr.Host(), to.addr.Port()}, " ")
}

// awaitEach waits until something is so of every client, and names those of
// which it is not.
func (m *market) awaitEach(what string, is func(*customer) bool) {
	m.t.Helper()
	var late []string
	defer func() {
		if len(late) > 0 {
			m.t.Logf("%s, but not: %s", what, strings.Join(late, ", "))
			m.tellErrors()
		}
	}()
	await(m.t, what, func() bool {
		late = nil
		for _, c := range m.customers {
			c.listen(m.t)
			if !is(c) {
				late = append(late, c.name)
			}
		}
		return late == nil
	})
}

// awaitWrites waits until every client has done a write that it began after a
// moment.
func (m *market) awaitWrites(what string, since time.Time) {
	m.t.Helper()
	m.awaitEach(what, func(c *customer) bool {
		_, ok := c.wroteSince(since)
		return ok
	})
}

// awaitReads waits until every client has read something that it wrote from
// now on, and reads from a server that is not the primary. The servers say so:
// a connection with the client's name has just sent GET to a replica.
func (m *market) awaitReads(primary *node) {
	m.t.Helper()
	since := map[*customer]int{}
	onReplica := map[*customer]bool{}
	for _, c := range m.customers {
		c.listen(m.t)
		since[c], _ = c.wroteSince(time.Time{})
	}
	m.awaitEach("every client reads its writes from a replica of "+primary.name, func(c *customer) bool {
		if !onReplica[c] {
			onReplica[c] = c.readsFromReplica(m.lab, primary)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return onReplica[c] && c.read > since[c]
	})
}

func (c *customer) readsFromReplica(l *lab, primary *node) bool {
	if c.readsAs == "" {
		return true // tell counts no other reads
	}
	for _, n := range l.nodes {
		if n == primary {
			continue
		}
		list, err := n.client.ClientList(l.ctx(2 * time.Second)).Result()
		if err != nil {
			continue
		}
		for line := range strings.Lines(list) {
			words := strings.Fields(line)
			if slices.Contains(words, "name="+c.readsAs) && slices.Contains(words, "cmd=get") && slices.Contains(words, "idle=0") {
				return true
			}
		}
	}
	return false
}

// subscribers are the libraries that subscribe by themselves, by what CLIENT
// LIST of a Warden shows of them. Go-redis uses its name there too, and RESP3
// whatever it was told.
var subscribers = []string{
	"name=go-failover-resp2-write", "name=go-failover-resp3-write", "name=go-cluster-resp2-read", "name=go-cluster-resp3-read",
	"lib-name=node-redis resp=2", "lib-name=node-redis resp=3",
}

// awaitSubscriptions waits until each of them listens to a Warden.
func (m *market) awaitSubscriptions() {
	m.t.Helper()
	var missing []string
	defer func() {
		if len(missing) > 0 {
			m.t.Logf("not subscribed: %q", missing)
			for _, w := range m.wardens {
				m.t.Logf("the clients of %s:\n%s", w.name, w.clients())
			}
		}
	}()
	await(m.t, "the libraries that subscribe have done so", func() bool {
		var lists string
		for _, w := range m.wardens {
			lists += w.clients()
		}
		missing = slices.DeleteFunc(slices.Clone(subscribers), func(s string) bool { return hasSubscriber(lists, strings.Fields(s)) })
		return len(missing) == 0
	})
}

// clients are the Warden's connections; empty while it does not answer.
func (w *ward) clients() string {
	list, _ := w.client.ClientList(w.lab.ctx(5 * time.Second)).Result()
	return list
}

// hasSubscriber reports whether a line of CLIENT LIST has all the given words
// and a subscription.
func hasSubscriber(list string, want []string) bool {
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if slices.Contains(words, "sub=0") && slices.Contains(words, "psub=0") {
			continue
		}
		if !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(words, w) }) {
			return true
		}
	}
	return false
}

// judgeGaps tells how long each client could not write since a moment.
func (m *market) judgeGaps(what string, since time.Time) {
	m.t.Helper()
	slices.SortFunc(m.customers, func(a, b *customer) int { return cmp.Compare(a.name, b.name) })
	for _, c := range m.customers {
		gap := c.longestGap(since)
		m.t.Logf("%-22s %-18s longest pause around %s: %s", c.name, c.version, what, milliseconds(gap))
		if gap > clientBar {
			m.t.Errorf("%s did not write for %s around %s, want at most %s", c.name, gap, what, clientBar)
		}
	}
}

// judgeLosses compares what was acknowledged after a moment with what a server
// has.
func (m *market) judgeLosses(since time.Time, primary *node) {
	m.t.Helper()
	have := primary.keys(m.t)
	for _, c := range m.customers {
		before, lost := 0, []int{}
		for _, d := range c.writes {
			switch there := have["w:"+c.name+":"+strconv.Itoa(d.ID)]; {
			case there:
			case d.Sent > since.UnixMilli():
				lost = append(lost, d.ID)
			default:
				before++
			}
		}
		m.t.Logf("%-22s %5d acknowledged, %d lost with the killed primary, %d since", c.name, len(c.writes), before, len(lost))
		if len(lost) > 0 {
			m.t.Errorf("%s: %d writes that were acknowledged after the kill are lost: %v", c.name, len(lost), lost)
		}
	}
}

// tellErrors logs what the libraries complained of.
func (m *market) tellErrors() {
	for _, c := range m.customers {
		c.mu.Lock()
		for text, times := range c.errors {
			m.t.Logf("%s: %d times: %s", c.name, times, text)
		}
		c.mu.Unlock()
	}
}

// close ends all clients and takes in their last words.
func (m *market) close() {
	m.t.Helper()
	for _, c := range m.customers {
		c.listen(m.t)
		if c.process == nil {
			c.stop()
		} else {
			c.process.kill()
		}
	}
}

// openPrograms starts the clients that are not written in Go.
func (m *market) openPrograms() {
	m.t.Helper()
	node, python := mustFind(m.t, "node"), mustFindPython(m.t)
	for _, name := range []string{"ioredis", "node-redis"} {
		for _, protocol := range []int{2, 3} {
			m.open(name+"-resp"+strconv.Itoa(protocol), protocol, node, clientFile(m.t, "node", name+".mjs"))
		}
	}
	m.open("redis-py", 2, python, clientFile(m.t, "python", "redis_py.py"))

	argv := []string{mustFind(m.t, "bash"), clientFile(m.t, "cli", "redis-cli.bash"), "redis-cli", groupName}
	for _, w := range m.wardens {
		argv = append(argv, w.port())
	}
	c := &customer{name: "redis-cli"}
	c.process = m.spawn(c.name, m.path(c.name), nil, argv...)
	m.customers = append(m.customers, c)
}

// open starts a client program with its task as the last argument.
func (m *market) open(name string, protocol int, argv ...string) {
	m.t.Helper()
	type address struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	}
	task := struct {
		Name     string    `json:"name"`
		Protocol int       `json:"protocol"`
		Group    string    `json:"group"`
		Wardens  []address `json:"wardens"`
	}{Name: name, Protocol: protocol, Group: groupName}
	for _, w := range m.wardens {
		port, err := strconv.Atoi(w.port())
		if err != nil {
			m.t.Fatal(err)
		}
		task.Wardens = append(task.Wardens, address{warden.NodeID(w.addr).Host(), port})
	}
	words, err := json.Marshal(task)
	if err != nil {
		m.t.Fatal(err)
	}
	c := &customer{name: name, readsAs: name + "-read"}
	c.process = m.spawn(name, m.path(name), nil, append(argv, string(words))...)
	m.customers = append(m.customers, c)
}

// clientFile is a client program, by its full name.
func clientFile(t *testing.T, parts ...string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(append([]string{"testdata", "clients"}, parts...)...))
	if err == nil {
		_, err = os.Stat(file)
	}
	if err == nil && parts[0] == "node" {
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), "node_modules")); err != nil {
			t.Fatalf("%v: scripts/test installs it, and so does npm ci in that directory", err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func mustFind(t *testing.T, program string) string {
	t.Helper()
	file, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("find %s (scripts/test installs it): %v", program, err)
	}
	return file
}

// mustFindPython finds a Python that has redis-py. Debian's own has it, also
// where another one comes first.
func mustFindPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import redis").Run() == nil {
			return name
		}
	}
	t.Fatal("no python3 with the module redis: scripts/test installs python3-redis")
	return ""
}
