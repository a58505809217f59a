package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Conversation plays a schedule that somebody wrote down: one world without
// chance (every way takes one millisecond), driven by verbs. Each verb answers
// with what everybody did and said because of it, one line each:
//
//	who  at  what
//
// A conversation checks the promises as every run does.
type Conversation struct {
	world *World
	out   []string
	heard []remark // since the last verb
	quiet bool
	taps  []tapRule
	held  []heldMessage
}

// tapRule says which messages are held back.
type tapRule struct {
	kind     string
	from, to string
}

// heldMessage is a message that was held back, under its number. The same
// message sent again has the same number.
type heldMessage struct {
	from, to *process
	message  warden.Message
	text     string
}

// verbs are the words of the language. Arguments are "name=value", the rest
// are names of Wardens and nodes.
var verbs = map[string]func(*Conversation, words) error{
	"group":     (*Conversation).group,
	"pass":      (*Conversation).pass,
	"silence":   (*Conversation).silence,
	"cut":       (*Conversation).cutOff,
	"heal":      (*Conversation).heal,
	"crash":     (*Conversation).crash,
	"restart":   (*Conversation).restart,
	"start":     (*Conversation).startNew,
	"quorum":    (*Conversation).quorum,
	"leave":     (*Conversation).leave,
	"watch":     (*Conversation).watch,
	"hang":      (*Conversation).hang,
	"wake":      (*Conversation).wake,
	"pause":     (*Conversation).pause,
	"resume":    (*Conversation).resume,
	"clock":     (*Conversation).clock,
	"disk":      (*Conversation).disk,
	"exclude":   (*Conversation).exclude,
	"outsider":  (*Conversation).outsider,
	"prefer":    (*Conversation).prefer,
	"sentinels": (*Conversation).sentinels,
	"write":     (*Conversation).write,
	"command":   (*Conversation).command,
	"explain":   (*Conversation).explain,
	"reports":   (*Conversation).reports,
	"topology":  (*Conversation).topology,
	"settings":  (*Conversation).settings,
	"registers": (*Conversation).registers,
	"nodes":     (*Conversation).nodes,
	"hold":      (*Conversation).hold,
	"deliver":   (*Conversation).deliver,
	"release":   (*Conversation).release,

	"replay":  (*Conversation).replay,
	"rebuild": (*Conversation).rebuild,
	"slow":    (*Conversation).slow,
	"cancel":  (*Conversation).cancel,
}

// words is one line: the arguments without a name, and those with one.
type words struct {
	plain []string
	named map[string]string
}

func (a words) list(name string) []string {
	if a.named[name] == "" {
		return nil
	}
	return strings.Split(a.named[name], ",")
}

func (a words) duration(name string, otherwise warden.Duration) (warden.Duration, error) {
	if a.named[name] == "" {
		return otherwise, nil
	}
	return parseDuration(a.named[name])
}

// parseDuration reads "2s" or "150ms".
func parseDuration(text string) (warden.Duration, error) {
	unit := warden.Second
	number, ok := strings.CutSuffix(text, "ms")
	if ok {
		unit = warden.Millisecond
	} else if number, ok = strings.CutSuffix(text, "s"); !ok {
		return 0, fmt.Errorf("read duration %q: write seconds or milliseconds, 2s or 150ms", text)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("read duration %q: %w", text, err)
	}
	return warden.Duration(f * float64(unit)), nil
}

// Do performs one line and returns what was said because of it.
func (c *Conversation) Do(line string) ([]string, error) {
	fields := strings.Fields(line)
	args := words{named: map[string]string{}}
	for _, f := range fields[1:] {
		if name, value, ok := strings.Cut(f, "="); ok {
			args.named[name] = value
		} else {
			args.plain = append(args.plain, f)
		}
	}
	do := verbs[fields[0]]
	if do == nil {
		return nil, fmt.Errorf("no verb %q", fields[0])
	}
	if c.world == nil && fields[0] != "group" {
		return nil, fmt.Errorf("%s: the first verb is group", fields[0])
	}
	c.out = nil
	err := do(c, args)
	if err == nil && c.world.failure != nil {
		err = c.world.failure
	}
	said := append(c.lines(), c.out...)
	if err != nil {
		err = fmt.Errorf("%s: %w", line, err)
	}
	return said, err
}

// remark is one thing somebody did or said, and how often.
type remark struct {
	who, what string
	at        warden.Instant
	times     int
}

// smallTalk are events that repeat what the lines around them say.
var smallTalk = []string{"+new-epoch", "+vote-for-leader", "+role-change", "-role-change", "+slave", "+sentinel"}

// hear collects what somebody did or said. What is said again with the same
// words is counted and not repeated.
func (c *Conversation) hear(who, what string) {
	name, _, _ := strings.Cut(what, " ")
	if c.quiet || slices.Contains(smallTalk, name) {
		return
	}
	for i := range c.heard {
		if r := &c.heard[i]; r.who == who && r.what == what {
			r.times++
			return
		}
	}
	c.heard = append(c.heard, remark{who, what, c.world.now, 1})
}

// lines are the remarks since the last call, as text.
func (c *Conversation) lines() []string {
	var out []string
	for _, r := range c.heard {
		line := fmt.Sprintf("%-3s %7.3fs  %s", r.who, float64(r.at-origin)/1e9, strings.TrimRight(r.what, " "))
		if r.times > 1 {
			line += fmt.Sprintf(" (%d times)", r.times)
		}
		out = append(out, line)
	}
	c.heard = nil
	return out
}

func node(name string) warden.NodeID { return warden.NodeID(name + ":6379") }

// group makes the world. With the word "agreed" it also waits, in silence,
// for the first agreement.
func (c *Conversation) group(a words) error {
	config, nodes, err := c.configure(a)
	if err != nil {
		return err
	}
	kind := KindRedis
	if name := a.named["database"]; name != "" {
		if kind = kindNames[name]; kind == KindDrawn {
			return fmt.Errorf("no kind of database %q", name)
		}
	}
	w := newWorld(kind, rand.New(rand.NewPCG(1, 1)), config, nodes)
	c.world, c.quiet = w, slices.Contains(a.plain, "agreed")
	w.tell, w.tap = c.hear, c.holdBack
	for i, s := range w.servers {
		s.named = i == 0 || len(config.Nodes) > 0
	}
	c.positions(a)
	for _, name := range a.list("wardens") {
		w.addProcess(name, warden.WardenID(name))
	}
	for _, p := range w.processes {
		p.start()
	}
	if c.quiet {
		w.run(w.now.Add(5 * warden.Second))
		c.quiet = false
		return c.topology(words{})
	}
	return nil
}

func (c *Conversation) configure(a words) (group.Config, []warden.NodeID, error) {
	config := group.Config{
		Group: groupName, Primary: node(a.named["primary"]), HelloInterval: 2 * warden.Second,
		FailoverTimeout: 10 * warden.Second, ParallelSyncs: 1, ReplicaWitness: a.named["witness"] != "no",
	}
	nodes := []warden.NodeID{config.Primary}
	for _, r := range a.list("replicas") {
		name, _, _ := strings.Cut(r, ":")
		nodes = append(nodes, node(name))
	}
	for _, n := range a.list("named") {
		config.Nodes = append(config.Nodes, node(n))
	}
	var err error
	if config.Quorum, err = strconv.Atoi(a.named["quorum"]); err != nil {
		return config, nil, fmt.Errorf("read quorum: %w", err)
	}
	if config.DownAfter, err = a.duration("down-after", 2*warden.Second); err != nil {
		return config, nil, err
	}
	if config.CrashAfter, err = a.duration("crash-after", config.DownAfter); err != nil {
		return config, nil, err
	}
	if config.FailoverCooldown, err = a.duration("cooldown", 0); err != nil {
		return config, nil, err
	}
	config.Wardens = len(a.list("wardens"))
	if text := a.named["expected"]; text != "" {
		if config.Expected, err = strconv.Atoi(text); err != nil {
			return config, nil, fmt.Errorf("read expected: %w", err)
		}
	}
	config.PriorityFirst = a.named["order"] == "priority"
	return config, nodes, configurePostgres(a, &config)
}

// positions sets where each replica is. One that is behind receives nothing
// from the primary until "heal".
func (c *Conversation) positions(a words) {
	w := c.world
	for i, r := range a.list("replicas") {
		_, at, ok := strings.Cut(r, ":")
		if n, err := strconv.ParseInt(at, 10, 64); ok && err == nil {
			w.servers[i+1].offset = n
			w.servers[0].offset = max(w.servers[0].offset, n)
		}
	}
	for _, s := range w.servers[1:] {
		if s.offset < w.servers[0].offset {
			w.block(serverBase+s.index, serverBase)
			w.block(serverBase, serverBase+s.index)
		}
		s.remember()
	}
	w.servers[0].remember()
}

// warden and server find who is meant.
func (c *Conversation) warden(name string) (*process, error) {
	for _, p := range c.world.processes {
		if p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no Warden is called %q", name)
}

func (c *Conversation) server(name string) (*server, error) {
	for _, s := range c.world.servers {
		if s.name == name && !s.phantom {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no node is called %q", name)
}

// endpoint is the number of a Warden or a node in the table of cut ways.
func (c *Conversation) endpoint(name string) (int, error) {
	if p, err := c.warden(name); err == nil {
		return p.index, nil
	}
	s, err := c.server(name)
	if err != nil {
		return 0, fmt.Errorf("nobody is called %q", name)
	}
	return serverBase + s.index, nil
}
